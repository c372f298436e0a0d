"""The section "Models": which there are, which can be had, which is used now."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import (
    QFileDialog,
    QHeaderView,
    QLabel,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_sam.live.disk.shelf import Here, Shelf, check
from napari_sam.live.threads import Threads, say
from napari_sam.models.catalog import CatalogEntry, list_models
from napari_sam.models.known import KNOWN, Known, in_bytes
from napari_sam.models.store import Store
from napari_sam.widgets.post import Poster
from napari_sam.widgets.segment.form import FILES
from napari_sam.widgets.segment.sections import model_words as words
from napari_sam.widgets.segment.sections.getting import GettingBox
from napari_sam.widgets.segment.sections.hint import row_of
from napari_sam.widgets.segment.view import paragraph, push
from napari_sam.widgets.segment.words import model_title

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_sam.live.prompting.session import Status
    from napari_sam.models.protocol import ModelInfo
    from napari_sam.widgets.segment.form import Form

_THREAD: Final = "models"
_HEIGHT: Final = 160
_WHAT: Final = Qt.ItemDataRole.UserRole


class Models(QWidget):
    """Shows models, and lets one of them be used.

    Files are looked for, checked and remembered on a thread.

    Parameters
    ----------
    form : Form
        Where a model is chosen in the end.
    notice : callable
        Is called with one line about a file that was chosen.
    """

    def __init__(self, form: Form, notice: Callable[[str], None]) -> None:
        super().__init__()
        self._form, self._notice = form, notice
        self._threads = Threads(Poster(self).post)
        self._shelf = Shelf()
        self._files: tuple[Here, ...] = ()
        self._ships: dict[str, int] = {}  # how large what is built in is
        self._used = ""
        self._mirror = Store().mirror
        self.now, self.says = paragraph(), paragraph()
        self.tree = _tree()
        self.about = QLabel()
        self.about.setWordWrap(True)
        self.about.setTextFormat(Qt.TextFormat.RichText)
        self.about.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextBrowserInteraction
        )
        self.about.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.about.setOpenExternalLinks(True)
        self.use = push("Use it", "Outline objects with the selected model.")
        self.get = push("Get it…", "Says first what would be downloaded.")
        self.box = GettingBox(
            Poster(self).post, self.scan, self._take, lambda: self._describe()
        )
        self.understand = paragraph()
        self.understand.setText(words.WORDS)
        self.add = push(
            "Use my checkpoint…", "A file of SAM, MobileSAM or µSAM that you have."
        )
        self.forget = push("Forget it", "Take it off this list; the file stays.")
        lines = QVBoxLayout(self)
        lines.setContentsMargins(8, 0, 0, 6)
        for part in (self.now, self.tree, self.about):
            lines.addWidget(part)
        lines.addWidget(row_of(self.use, self.get, self.forget))
        for part in (self.box, self.add, self.says, self.understand):
            lines.addWidget(part)
        self.says.hide()
        self.tree.itemSelectionChanged.connect(self._chosen)
        self.tree.itemDoubleClicked.connect(lambda *_: self._use())
        for button, action in (
            (self.use, self._use),
            (self.get, self._get),
            (self.add, self._choose),
            (self.forget, self._forget),
        ):
            button.clicked.connect(lambda _=False, action=action: action())
        self._show()

    # What there is.

    def scan(self) -> None:
        """Look for files, on a thread."""
        self._run(self._look, self._looked)

    def status_changed(self, status: Status) -> None:
        """Say which model is used; a file that could be loaded is remembered."""
        self.now.setText(words.in_use(status))
        used = status.model if status.device else ""
        if used != self._used:
            self._used = used
            self._describe()
            if used and not _ships(used):
                self._run(partial(self._kept, Path(used)), self._looked)

    def end(self) -> None:
        """Look for nothing any more, and download nothing; what came is kept."""
        self._threads.close()
        self.box.end()

    def _look(self) -> tuple[tuple[Here, ...], dict[str, int]]:
        sizes = {e.name: e.path.stat().st_size for e in _entries() if e.path}
        return self._shelf.look(), sizes

    def _kept(self, path: Path) -> tuple[tuple[Here, ...], dict[str, int]]:
        if path.absolute() not in [one.path for one in self._shelf.look()]:
            self._shelf.add(path)
        return self._look()

    def _looked(self, found: tuple[tuple[Here, ...], dict[str, int]]) -> None:
        self._files, self._ships = found
        there = [str(one.path) for one in self._files if one.size is not None]
        self._form.offer_files(there)
        self._show()

    def _run(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        self._threads.run(_THREAD, work, done, self._failed)

    def _failed(self, error: Exception) -> None:
        self._say(f"⚠ {say(error)}")

    # What the person does.

    def _use(self) -> None:
        what = self._selected()
        if isinstance(what, CatalogEntry):
            self._form.model.value = what.name
        elif isinstance(what, Here) and what.size is not None:
            self._form.pick(str(what.path))

    def _get(self) -> None:
        what = self._selected()
        if isinstance(what, Known):
            self.box.ask(what)

    def _take(self, path: Path) -> None:
        self._form.pick(str(path))

    def _choose(self) -> None:
        # PyQt6 and PySide6 give (path, filter).
        path, _ = QFileDialog.getOpenFileName(
            self, "What outlines the objects?", "", FILES
        )
        if path:
            self.try_file(Path(path))

    def try_file(self, path: Path) -> None:
        """Check a file, and use it from now on if it is a model."""

        def checked(info: ModelInfo) -> None:
            self._ended()
            self._notice(words.usable(path.name))
            self._form.pick(str(path))

        def refused(error: Exception) -> None:
            self._ended()
            self._failed(error)

        self.add.setEnabled(False)
        self._say(words.looking(path.name))
        self._threads.run(_THREAD, partial(check, path), checked, refused)

    def _ended(self) -> None:
        self.add.setEnabled(True)
        self._say("")

    def _forget(self) -> None:
        what = self._selected()
        if isinstance(what, Here):

            def work() -> tuple[tuple[Here, ...], dict[str, int]]:
                self._shelf.forget(what.path)
                return self._look()

            self._run(work, self._looked)

    # What is shown.

    def _show(self) -> None:
        """List everything anew; what was selected stays so."""
        old = self._selected()
        here: list[tuple[str, int | None, object]] = [
            (model_title(e.name), self._ships.get(e.name), e) for e in _entries()
        ]
        here += [(_name(one), one.size, one) for one in self._files]
        got = {one.known for one in self._files}
        others: list[tuple[str, int | None, object]] = [
            (known.title, known.size, known)
            for known in KNOWN
            if known.loadable and known not in got
        ]
        with QSignalBlocker(self.tree):
            self.tree.clear()
            self._list("On this computer", here, old)
            self._list("Can be had (nothing is downloaded unasked)", others, old)
        self._describe()

    def _list(
        self, title: str, rows: Sequence[tuple[str, int | None, object]], old: object
    ) -> None:
        group = QTreeWidgetItem([title])
        group.setFlags(Qt.ItemFlag.ItemIsEnabled)
        self.tree.addTopLevelItem(group)
        group.setFirstColumnSpanned(True)
        group.setExpanded(True)
        for name, count, what in rows:
            item = QTreeWidgetItem(group, [name, in_bytes(count)])
            item.setData(0, _WHAT, what)
            item.setToolTip(0, name)
            item.setTextAlignment(1, Qt.AlignmentFlag.AlignRight)
            if _same(what, old):
                item.setSelected(True)

    def _selected(self) -> object:
        items = self.tree.selectedItems()
        return items[0].data(0, _WHAT) if items else None

    def _chosen(self) -> None:
        self.box.selected(self._selected())
        self._describe()

    def _describe(self) -> None:
        what = self._selected()
        usable = forgettable = gettable = False
        text = ""
        if isinstance(what, CatalogEntry):
            text = words.built_in(what, self._ships.get(what.name))
            usable = what.name != self._used
        elif isinstance(what, Here):
            text = words.here(what)
            usable = what.size is not None and str(what.path) != self._used
            forgettable = what.added
        elif isinstance(what, Known):
            text = words.to_be_had(what, self._shelf.folder, mirror=self._mirror)
            gettable = bool(what.url or self._mirror) and not self.box.busy
        self.about.setText(text)
        self.about.setVisible(bool(text))
        self.use.setEnabled(usable)
        self.get.setEnabled(gettable)
        self.forget.setEnabled(forgettable)

    def _say(self, text: str) -> None:
        self.says.setText(text)
        self.says.setVisible(bool(text))


def _tree() -> QTreeWidget:
    tree = QTreeWidget()
    tree.setColumnCount(2)
    tree.setHeaderHidden(True)
    tree.setRootIsDecorated(False)
    tree.setIndentation(10)
    tree.setFixedHeight(_HEIGHT)
    tree.header().setStretchLastSection(False)
    tree.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
    tree.header().setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
    # A click must not take the keys from the image.
    tree.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return tree


def _entries() -> list[CatalogEntry]:
    return [entry for entry in list_models() if entry.kind == "model"]


def _ships(name: str) -> bool:
    return name in [entry.name for entry in _entries()]


def _name(one: Here) -> str:
    name = one.path.name if one.known is None else one.known.title
    return name if one.size is not None else f"{name} (gone)"


def _same(one: object, other: object) -> bool:
    """Whether two rows are about the same, whatever has become of a file."""
    if isinstance(one, Here) and isinstance(other, Here):
        return one.path == other.path
    if isinstance(one, Here) and isinstance(other, Known):
        return one.known is other  # it has come
    return one == other
