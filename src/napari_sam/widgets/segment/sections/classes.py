"""The section "Classes": the list, and which class objects are of."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from magicgui.widgets import CheckBox
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QColorDialog, QFileDialog, QVBoxLayout, QWidget

from napari_sam.live.class_text import FILE, read_classes, write_classes
from napari_sam.live.classes import ClassError, ClassList
from napari_sam.live.disk.class_file import ClassFile, kept_classes
from napari_sam.live.labels.changes import Change
from napari_sam.live.threads import Threads, say
from napari_sam.widgets.segment.keyboard.class_keys import ClassKeys, taken
from napari_sam.widgets.segment.layers.colouring import Colouring
from napari_sam.widgets.segment.sections import class_words as words
from napari_sam.widgets.segment.sections.class_table import ClassTable
from napari_sam.widgets.segment.sections.hint import row_of
from napari_sam.widgets.segment.view import paragraph, push
from napari_sam.widgets.segment.watch import Watcher

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels, Layer

    from napari_sam.models.lane import Post
    from napari_sam.widgets.segment.bridge import Bridge
    from napari_sam.widgets.segment.told import Told

_TEXT = "Lists of classes (*.txt *.csv *.names);;All files (*)"
# What objects can be outlives the panel, not their layer.
_known: WeakKeyDictionary[Labels, ClassList] = WeakKeyDictionary()


class Classes(QWidget, Watcher):
    """Lets a person edit the list of classes, and say which objects are what.

    Parameters
    ----------
    viewer : ViewerModel
    bridge : Bridge
    post : callable
        Runs a function on the viewer's thread.
    told : Told
    """

    def __init__(
        self,
        viewer: ViewerModel,
        bridge: Bridge,
        post: Post,
        told: Told,
    ) -> None:
        super().__init__()
        self._bridge, self._told, self._notice = bridge, told, told.noticed
        self._session = bridge.session
        self._threads = Threads(post)
        self._file = ClassFile(lambda text: post(partial(told.noticed, text)))
        self._kept: tuple[Path, ClassList] | None = None  # what lies on the disk
        self._counts: Counter[int] = Counter()
        self._colouring: Colouring | None = None
        self._keys = ClassKeys(viewer, self._layers, self.give)
        self.table = ClassTable()
        self.add = push("Add", "Add a class.")
        self.remove = push("Remove", "Remove this class; its objects have none then.")
        self.set = push("Set", "")
        self.set.setText("Give to picked object")
        self.set.setToolTip(
            "Give this class to the object that is picked in the labels layer (L)."
        )
        self.load = push("Open list…", "Open a text with a class on each line.")
        self.save = push("Save list…", "Write the list as a text that you can edit.")
        self.by_class = CheckBox(label="", text="Colour objects by class")
        about = paragraph()
        about.setText(words.ABOUT)
        lines = QVBoxLayout(self)
        lines.setContentsMargins(8, 0, 0, 6)
        for part in (
            about,
            self.table,
            row_of(self.add, self.remove, self.set),
            self.by_class.native,
            row_of(self.load, self.save),
        ):
            lines.addWidget(part)
        self._join()
        self.list_changed()

    def _join(self) -> None:
        for pressed, action in (
            (self.add, self._add),
            (self.remove, self._remove),
            (self.set, self._give_to_picked),
            (self.load, self._load),
            (self.save, self._save),
        ):
            pressed.clicked.connect(lambda _=False, action=action: action())
        self.table.chosen.connect(self._choose)
        self.table.edited.connect(self._edit)
        self.table.colour_wanted.connect(self._recolour)
        self.by_class.changed.connect(lambda _: self._colour())
        self._session.on_classes = self.list_changed
        self._bridge.keeper.began = self._keep
        self._bridge.watchers.append(self)

    # What happens elsewhere.

    def work_changed(self) -> None:
        """Count the objects of another layer, and find the classes that it had."""
        store, desk = self._session.store, self._bridge.desk
        records = () if store is None else store.records.values()
        self._counts = Counter(record.class_id for record in records)
        self._stop_colouring()
        labels = None if desk is None else desk.labels
        if labels is not None and not len(self._session.classes):
            self._session.list_classes(_known.get(labels.layer, ClassList()))
        self._restore()
        self.list_changed()

    def labels_changed(self, change: Change) -> None:
        """Count again, only what was touched."""
        for records, step in ((change.records_before, -1), (change.records_after, 1)):
            for record in records.values():
                if record is not None:
                    self._counts[record.class_id] += step
        self.table.count(self._counts)
        self._keep()
        self._keys.use(self._session.classes)
        self._colour()

    def list_changed(self) -> None:
        """Show the list of now, and the class of new objects."""
        session, desk = self._session, self._bridge.desk
        self.table.show_list(session.classes, session.class_id)
        self.table.count(self._counts)
        self.save.setEnabled(bool(len(session.classes)))
        self.remove.setEnabled(bool(session.class_id))
        self._keys.use(ClassList() if desk is None else session.classes)
        self._keep()
        self._colour()
        if desk is not None and desk.labels is not None:
            desk.labels.tabulate_soon()

    # What the person does.

    def give(self, number: int) -> None:
        """Give a class to the object under the mouse; beside one, to new ones."""
        desk, store = self._bridge.desk, self._session.store
        at = None if desk is None else desk.under_mouse()
        found = 0 if at is None or store is None else store.at(*at)
        if found:
            self._give(found, number)
        else:
            self._choose(number)
            self._notice(words.chosen(self._name(number)))

    def _give(self, object_id: int, number: int) -> None:
        store = self._session.store
        if store is None or object_id not in store.records:
            return
        if store.records[object_id].class_id != number:
            self._session.edit(store.update([object_id], class_id=number))
        self._notice(words.given(object_id, self._name(number)))

    def _give_to_picked(self) -> None:
        desk, store = self._bridge.desk, self._session.store
        labels = None if desk is None else desk.labels
        picked = 0 if labels is None else int(labels.layer.selected_label)
        if store is None or picked not in store.records:
            self._notice("Pick an object first: select the labels layer and press L.")
        else:
            self._give(picked, self._session.class_id)

    def _choose(self, number: int) -> None:
        self._session.class_id = number
        self.table.choose(number)
        self.remove.setEnabled(bool(number))
        self._colour()

    def _add(self) -> None:
        new = self._session.classes.add(taken=self._taken())
        self._put(new, "Add class")
        self._choose(new.classes[-1].number)
        self.table.rename(new.classes[-1].number)

    def _remove(self) -> None:
        session, store = self._session, self._session.store
        gone = session.classes.get(session.class_id)
        if gone is None:
            return
        records = {} if store is None else store.records
        of_it = [n for n, one in records.items() if one.class_id == gone.number]
        change = None if store is None else store.update(of_it, class_id=0)
        what = f"Remove class {gone.name}"
        self._put(session.classes.remove(gone.number), what, change)
        self._notice(words.removed(gone.name, len(of_it)))

    def _edit(self, number: int, field: str, text: str) -> None:
        """Take in what was typed; what cannot be is said, and is not."""
        classes = self._session.classes
        try:
            new = classes.change(number, taken=self._taken(), **{field: text})
        except ClassError as error:
            self._notice(f"⚠ {say(error)}.")
            new = classes
        if new == classes:
            self.list_changed()
        else:
            self._put(new, f"Change class {classes.names[number]}")

    def _recolour(self, number: int) -> None:
        one = self._session.classes.get(number)
        if one is None:
            return
        colour = QColorDialog.getColor(QColor(one.colour), self, f"Colour: {one.name}")
        if colour.isValid():
            self._edit(number, "colour", colour.name())

    def _put(self, classes: ClassList, what: str, change: Change | None = None) -> None:
        session = self._session
        session.list_classes(classes, what, change)
        if change is None and session.store is not None and session.store.records:
            # What the numbers of objects mean counts as work.
            self._bridge.keeper.changed(Change((), {}, {}, what))
        self._told.objects_changed()

    # Texts.

    def _load(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "A list of classes", "", _TEXT)
        if path:
            work = partial(read_classes, Path(path))
            self._threads.run("classes", work, self._loaded, self._failed)

    def _loaded(self, read: ClassList) -> None:
        session = self._session
        used = {number for number, count in self._counts.items() if count}
        new = session.classes.replaced(read.without_keys(self._taken()), used)
        self._put(new, "Open classes")
        self._notice(words.loaded(len(read), len(new) - len(read)))

    def _save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "The list of classes", FILE, _TEXT)
        if path:
            work = partial(write_classes, Path(path), self._session.classes)
            self._threads.run(
                "classes",
                work,
                lambda _: self._notice(f"The classes are saved in {path}."),
                self._failed,
            )

    def _failed(self, error: Exception) -> None:
        self._notice(f"⚠ {say(error)}")

    # What lies beside the journal.

    def _keep(self) -> None:
        """Write the list where the objects are kept, if it is another one."""
        keeper, classes = self._bridge.keeper, self._session.classes
        keeper.classes, desk = classes, self._bridge.desk
        if desk is not None and desk.labels is not None:
            _known[desk.labels.layer] = classes
        folder = keeper.folder
        if folder is None or (folder, classes) == self._kept:
            return
        known = self._kept is not None and self._kept[0] == folder
        if known or len(classes):
            self._kept = folder, classes
            self._file.put(folder, classes)

    def _restore(self) -> None:
        """Read the list of work that was brought back."""
        folder = self._bridge.keeper.folder
        if folder is None or (self._kept is not None and self._kept[0] == folder):
            return
        # Nothing is written there before it was read.
        self._kept = folder, self._session.classes

        def read(found: ClassList | None) -> None:
            if found is not None and self._bridge.keeper.folder == folder:
                self.bring_in(found)

        self._threads.run("classes", partial(kept_classes, folder), read, self._failed)

    def bring_in(self, found: ClassList) -> None:
        """Let the numbers of objects mean what they meant; others get new ones."""
        session = self._session
        chosen = session.classes.get(session.class_id)
        found = found.without_keys(self._taken()).joined(session.classes)
        session.list_classes(found)
        now = None if chosen is None else found.named(chosen.name)
        self._choose(0 if now is None else now.number)

    # Keys and colours.

    def _taken(self) -> dict[str, str]:
        desk = self._bridge.desk
        return taken(() if desk is None else desk.keys.table())

    def _layers(self) -> list[Layer]:
        desk = self._bridge.desk
        if desk is None:
            return []
        labels = () if desk.labels is None else (desk.labels.layer,)
        return [*desk.prompts.layers, *labels]

    def _name(self, number: int) -> str:
        return self._session.classes.names.get(number, "")

    def _colour(self) -> None:
        desk, store = self._bridge.desk, self._session.store
        labels = None if desk is None else desk.labels
        if not self.by_class.value or labels is None or store is None:
            self._stop_colouring()
            return
        if self._colouring is None:
            self._colouring = Colouring(
                labels.layer, store, self._threads, self._uncoloured
            )
        self._colouring.show(self._session.classes, self._session.class_id)

    def _stop_colouring(self) -> None:
        colouring, self._colouring = self._colouring, None
        if colouring is not None:
            colouring.close()

    def _uncoloured(self) -> None:
        self._colouring = None
        self.by_class.value = False

    def end(self) -> None:
        """End all work; the layer looks as it did before."""
        self._stop_colouring()
        self._keys.close()
        self._threads.close()
