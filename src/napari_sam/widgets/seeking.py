"""What looks for objects, and the words that it is asked for: one choice, two docks."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from magicgui.widgets import ComboBox, LineEdit
from qtpy.QtWidgets import QFileDialog

from napari_sam.live.threads import Threads
from napari_sam.models.catalog import list_models
from napari_sam.models.known import DETECTORS, Known, by_name
from napari_sam.models.store import Store
from napari_sam.models.wording.asking import NOTHING, can_be_asked, split_words
from napari_sam.widgets.auto_annotate.words import title_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtWidgets import QWidget

    from napari_sam.models.lane import Post
    from napari_sam.models.wording.asking import Asked
    from napari_sam.widgets.rows import Rows

FILE: Final = "…"
WORDS: Final = "?"
SAY_WHAT: Final = (
    "Say what to look for: type a word or several, for example “nucleus, blue cell”."
)
GET_ONE: Final = (
    "No model that understands words is on this computer: let “napari-sam models "
    "download yoloe-11s mobileclip-blt” get one in a terminal, or choose your own file "
    "of YOLOE, YOLO-World or SAM 3 with “A file…”."
)
_FILES: Final = (
    "Detectors, boxes, labels (*.pt *.onnx *.safetensors *.csv *.txt *.tif *.tiff)"
)
_WORDS_TIP: Final = (
    "What a detector that understands words looks for, with commas between: each word "
    "or short expression is a class. English works best; such models know everyday "
    "objects better than cells."
)
_THREAD: Final = "seeking"


class Seeking:
    """Lets a person choose what looks for objects, and say what for.

    Whether a file understands words is looked up on a thread.

    Parameters
    ----------
    parent : QWidget
        Where a dialog for files belongs to.
    post : callable
        Runs a function on the viewer's thread.
    chosen : callable
        Is called once it is known what the chosen detector can be asked for.
    said : callable
        Is called when other words are typed.
    notice : callable
        Is called with one line where nothing can be chosen.
    tooltip : str

    Attributes
    ----------
    detector : ComboBox
    words : LineEdit
        To be seen only where the detector understands words.
    asked : Asked
        What the chosen detector can be asked for.
    """

    def __init__(
        self,
        parent: QWidget,
        post: Post,
        *,
        chosen: Callable[[], None],
        said: Callable[[], None],
        notice: Callable[[str], None],
        tooltip: str,
    ) -> None:
        self._parent = parent
        self._told, self._notice = chosen, notice
        self._threads = Threads(post)
        self._rows: Rows | None = None
        self._here: tuple[Known, ...] = ()
        self.files: tuple[str, ...] = ()
        self.asked: Asked = NOTHING
        self.detector = ComboBox(
            label="Find", choices=self._choices(), value="nuclei", tooltip=tooltip
        )
        self.words = LineEdit(label="What to look for", tooltip=_WORDS_TIP)
        self.words.native.setPlaceholderText("nucleus, blue cell")
        self._value = self.detector.value
        self.detector.changed.connect(self._chosen)
        self.words.changed.connect(lambda _: said())

    def join(self, rows: Rows) -> None:
        """Show and hide the words in these rows from now on."""
        self._rows = rows
        rows.show_row(self.words, False)

    def look(self) -> None:
        """Look for detectors of others on this computer, and offer them."""
        self._threads.run(_THREAD, _on_this_computer, self._found, lambda error: None)

    @property
    def said(self) -> tuple[str, ...] | None:
        """What is to be looked for; None where no words count."""
        return (split_words(self.words.value) or None) if self.asked.words else None

    @property
    def lacking(self) -> str:
        """What the person has to do before anything can be looked for; or ""."""
        needs = self.asked.words and not self.asked.alone
        return SAY_WHAT if needs and self.said is None else ""

    def pick(self, path: str) -> None:
        """Offer a file, and choose it."""
        if path not in self.files:
            self.files = (*self.files, path)
        with self.detector.changed.blocked():
            self.detector.choices = self._choices()
            self.detector.value = path
        self._ask(path)

    def end(self) -> None:
        """Look nothing up any more."""
        self._threads.close()

    def _choices(self) -> list[tuple[str, str]]:
        ours = [(title_of(e), e.name) for e in list_models() if e.kind == "detector"]
        here = [(f"{known.title}, by words", known.name) for known in self._here]
        files = [(Path(path).name, path) for path in self.files]
        # Somebody who has none does not know yet that there are any.
        more = [] if here else [("What a word says…", WORDS)]
        return [*ours, *here, *files, *more, ("A file…", FILE)]

    def _found(self, here: tuple[Known, ...]) -> None:
        if here != self._here:
            self._here = here
            with self.detector.changed.blocked():
                self.detector.choices = self._choices()
                self.detector.value = self._value

    def _chosen(self, value: str) -> None:
        if value not in (FILE, WORDS):
            self._ask(value)
            return
        with self.detector.changed.blocked():
            self.detector.value = self._value
        if value == WORDS:
            self._notice(GET_ONE)
            return
        # PyQt6 and PySide6 give (path, filter).
        path, _ = QFileDialog.getOpenFileName(
            self._parent, "What finds the objects?", "", f"{_FILES};;Any file (*)"
        )
        if path:
            self.pick(path)

    def _ask(self, value: str) -> None:
        """Find out what the detector that was chosen can be asked for."""
        self._value = value
        if value not in self.files and by_name(value) is None:
            self._answered(value, NOTHING)
            return
        self._threads.run(
            _THREAD,
            partial(can_be_asked, value),
            partial(self._answered, value),
            lambda error: self._answered(value, NOTHING),
        )

    def _answered(self, value: str, asked: Asked) -> None:
        if value != self._value:
            return  # another one was chosen meanwhile
        self.asked = asked
        if self._rows is not None:
            self._rows.show_row(self.words, asked.words)
        self._told()


def _on_this_computer() -> tuple[Known, ...]:
    store, sam3 = Store(), by_name("sam3")
    known = DETECTORS if sam3 is None else (*DETECTORS, sam3)
    return tuple(one for one in known if store.find(one) is not None)
