"""The dock widget "Segment": it joins form, view and bridge."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QWidget

from napari_sam.live.threads import Threads, say
from napari_sam.records.ondisk.array import DiskLabels
from napari_sam.widgets.layers import images
from napari_sam.widgets.post import Poster
from napari_sam.widgets.segment import settings, words
from napari_sam.widgets.segment.bridge import Bridge
from napari_sam.widgets.segment.form import ON_DISK, Form
from napari_sam.widgets.segment.keeping.leaving import Leaving, ask
from napari_sam.widgets.segment.keyboard.keys import names_of
from napari_sam.widgets.segment.keyboard.named import name_keys
from napari_sam.widgets.segment.keyboard.touch import ALL_SHORTCUTS
from napari_sam.widgets.segment.layers import warm
from napari_sam.widgets.segment.layers.hover import Hover
from napari_sam.widgets.segment.sections.adopting import Adopting
from napari_sam.widgets.segment.sections.classes import Classes
from napari_sam.widgets.segment.sections.find import Find
from napari_sam.widgets.segment.sections.follow import Follow
from napari_sam.widgets.segment.sections.hint import Box, first_hint
from napari_sam.widgets.segment.sections.models import Models
from napari_sam.widgets.segment.sections.progress import Completeness
from napari_sam.widgets.segment.sections.proofread import Proofread
from napari_sam.widgets.segment.sections.saving import Saving
from napari_sam.widgets.segment.sections.seeing import Seeing
from napari_sam.widgets.segment.sections.slices import Slices
from napari_sam.widgets.segment.view import View

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_sam.live.disk.keeping import Left
    from napari_sam.live.prompting.session import Status

_WARM_MS = 300  # the window is drawn first, then models are loaded
_TICK_MS = 500  # how often the seconds on the screen move on
_SOON = 0.4  # seconds
_NOTICE_MS = 12_000  # a notice has been read by then


class Segment(QWidget):
    """Turns clicks, boxes and outlines on an image layer into objects.

    Parameters
    ----------
    napari_viewer : ViewerModel
        Where the images are and where the objects go.
    """

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__()
        # napari gives plugins a stand-in that makes new stand-ins of the layers at
        # every look at them: none would be the same as before.
        viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self._viewer: ViewerModel = viewer
        self._listening = False
        self._starting: Threads | None = None  # while layers cannot be made yet
        self._warmed = False
        self._axes = ""
        self._warm = _timer(self, _WARM_MS, self._load)
        self._unsay = _timer(self, _NOTICE_MS, self._forget_notice)
        self._tick = _timer(self, _TICK_MS, self._show_status)
        self._tick.setSingleShot(False)
        self.form = Form(model_changed=self._load, parent=self)
        hint = first_hint(settings.hint_wanted(), settings.hint_read)
        self.left = Box(
            ("Restore", self._restore),
            ("Throw away", self._throw_away),
            ("Not now", lambda: None),
        )
        self.view = View(self, self.form, hint, self.left)
        self.hint = hint
        self._found: Left | None = None
        self.bridge = Bridge(
            viewer,
            Poster(self).post,
            self,
            annotator=settings.annotator(),
        )
        self.find = Find(viewer, self.bridge, Poster(self).post, self.noticed)
        self.adopt = Adopting(viewer, self.bridge, self.noticed)
        self.view.sections.addWidget(self.adopt)
        self.view.fold("Find all objects", self.find)
        self.follow = Follow(self.bridge, self.noticed)
        self.bridge.follow_one = self.follow.follow_one
        self.view.fold("Follow through the stack", self.follow)
        self.hover = Hover(viewer, self.bridge, Poster(self).post)
        self.proofread = Proofread(viewer, self.bridge, self.noticed)
        self.view.fold("Proofread", self.proofread)
        self.classes = Classes(viewer, self.bridge, Poster(self).post, self)
        self.view.fold("Classes", self.classes)
        self.complete = Completeness(self.bridge)
        self.view.fold("What is complete", self.complete)
        self.seeing = Seeing(viewer, self.bridge, Poster(self).post, self.noticed)
        self.view.fold("What the model sees", self.seeing)
        self.models = Models(self.form, self.noticed)
        self.view.fold("Models", self.models)
        self.slices = Slices(self.bridge, Poster(self).post, self.noticed)
        self.view.fold("Prepared slices", self.slices)
        self.saving = Saving(self, self.bridge, self.seeing, self.noticed)
        self._leaving = Leaving(
            self,
            lambda: self.bridge.keeper.unsaved,
            self.saving.save_and_wait,
            ask,
            self.end,
        )
        self._join()
        self._listen(True)

        def destroyed() -> None:  # a method of ours would not be called any more
            self._stop()
            self._leaving.ignore()
            self.models.end()
            self.classes.end()
            self.seeing.end()
            self.slices.end()
            self.bridge.close()

        self.destroyed.connect(destroyed)
        self.suggestion_changed()
        self._warm.start()

    def _open(self) -> None:
        """Label the chosen image; the first in a session once all is loaded."""
        image = self.form.image.value
        if image is None or warm.is_warm():
            self.bridge.open(image)
        elif self._starting is None:
            self.noticed(words.STARTING)
            self._starting = Threads(Poster(self).post)
            self._starting.run("start", warm.warm, self._ready, self._not_ready)

    def _ready(self, _: None = None) -> None:
        self._start_no_more()
        self._forget_notice()
        self._image_chosen()

    def _not_ready(self, error: Exception) -> None:
        self._start_no_more()
        self.bridge.open(self.form.image.value)  # loads it anew, or says what is wrong
        self.noticed(say(error))

    def _start_no_more(self) -> None:
        if self._starting is not None:
            self._starting.close()
            self._starting = None

    def _stop(self) -> None:
        """Begin nothing any more, and attend to nothing."""
        self._start_no_more()
        self._listen(False)

    def _join(self) -> None:
        """Let controls and buttons do what they say."""
        view, form, bridge = self.view, self.form, self.bridge
        for button, action in (
            (view.add, bridge.add),
            (view.add_to, bridge.add_to),
            (view.drop, bridge.session.drop),
            (view.next, bridge.session.cycle),
            (view.undo, bridge.undo),
            (view.redo, bridge.redo),
            (view.cancel, bridge.session.cancel),
            (view.save, self.saving.save),
            (view.load, self.saving.open),
        ):
            button.clicked.connect(lambda _=False, action=action: action())
        for tool, button in view.tools.items():
            button.clicked.connect(partial(self._use, tool))
        for sign, button in view.signs.items():
            button.clicked.connect(partial(self._sign, sign))
        form.image.changed.connect(self._image_chosen)
        form.labels.changed.connect(self._labels_chosen)
        form.rule.changed.connect(self._rule_chosen)
        form.one_click.changed.connect(bridge.set_one_click)
        form.hover.changed.connect(self._hover_chosen)
        form.outline.changed.connect(bridge.set_outline)
        self._rule_chosen()

    # What the bridge tells.

    def status_changed(self, status: Status) -> None:
        """Say what runs."""
        self._show_status()
        self.models.status_changed(status)
        if status.refused:
            self.noticed(status.refused)

    def suggestion_changed(self) -> None:
        """Say what is suggested."""
        session = self.bridge.session
        open_ones = session.suggestions
        current = None if session.current is None else open_ones.get(session.current)
        masks = current.candidates.masks if current and current.candidates else ()
        self.view.offer(
            any_open=bool(open_ones),
            several=len(masks) > 1,
            image=self.bridge.desk is not None,
        )
        says = words.suggestion(open_ones, session.current)
        self.view.suggestion.setText(says if self.bridge.desk is not None else "")
        self._show_target()
        self._show_undo()

    def objects_changed(self) -> None:
        """Say how many objects there are, and what can be taken back."""
        desk, store = self.bridge.desk, self.bridge.session.store
        count = 0 if desk is None or store is None else len(store.records)
        layer = "" if desk is None or desk.labels is None else desk.labels.layer.name
        self.view.count.setText(words.objects(count, layer))
        progress = self.bridge.keeper.progress
        said = progress is not None and progress.said
        self.view.save.setEnabled(bool(count) or said)
        self._show_target()
        self._show_undo()

    def layers_changed(self) -> None:
        """Say which layer the objects are in."""
        desk = self.bridge.desk
        self._axes = "" if desk is None else desk.source.stack_axes
        if desk is None:
            self.form.offer_labels((), None)
            return
        now = None if desk.labels is None else desk.labels.layer
        store = self.bridge.session.store
        on_disk = store is not None and isinstance(store.labels, DiskLabels)
        self.form.offer_labels(desk.offered(), now, on_disk=on_disk)

    def tool_changed(self) -> None:
        """Say what the mouse does, and how loose suggestions are."""
        desk = self.bridge.desk
        self.form.show_outline(self.bridge.session.outline)
        if desk is not None:
            self.view.show_tool(desk.tool, desk.prompts.positive)

    def left_found(self, left: Left) -> None:
        """Offer objects that were not saved."""
        self._found = left
        self.left.say([words.left_behind(left.when, left.objects)])

    def _restore(self) -> None:
        if self._found is not None:
            self.bridge.places.restore(self._found)

    def _throw_away(self) -> None:
        if self._found is not None:
            self.bridge.keeper.discard(self._found)

    def noticed(self, text: str) -> None:
        """Say something that is no error of the program."""
        self.view.say(text)
        self._unsay.start()

    def _forget_notice(self) -> None:
        self.view.say("")

    # What the person does.

    def _use(self, tool: str, _: bool = False) -> None:
        if self.bridge.desk is not None:
            self.bridge.desk.use(tool)
            self.tool_changed()

    def _sign(self, positive: bool, _: bool = False) -> None:
        if self.bridge.desk is not None:
            self.bridge.desk.prompts.positive = positive

    def _image_chosen(self) -> None:
        self.left.hide()
        self._open()
        self.tool_changed()
        self.suggestion_changed()

    def _labels_chosen(self) -> None:
        chosen = self.form.labels.value
        if isinstance(chosen, str):
            self.bridge.places.begin_anew(on_disk=chosen == ON_DISK)
        else:
            self.bridge.places.write_to(chosen)
        self.layers_changed()  # it may have been refused

    def _hover_chosen(self) -> None:
        self.hover.set(self._listening and self.form.hover.value)

    def _rule_chosen(self) -> None:
        self.bridge.session.rule = self.form.rule.value

    def _load(self) -> None:
        if self._listening:
            self._warmed = True
            session = self.bridge.session
            session.use_model(self.form.model.value, self.form.device.value)

    # What happens in the viewer.

    def _layers_changed(self, event: Any = None) -> None:
        active = self._viewer.layers.selection.active
        self.form.offer_images(images(self._viewer), active)
        self.seeing.offer()
        self.layers_changed()

    def _listen(self, on: bool) -> None:
        if on == self._listening:
            return
        self._listening = on
        self.hover.set(on and self.form.hover.value)
        layers = self._viewer.layers
        for emitter in (
            layers.events.inserted,
            layers.events.removed,
            layers.events.renamed,
            layers.selection.events.active,
        ):
            (emitter.connect if on else emitter.disconnect)(self._layers_changed)
        settings.watch_shortcuts(self._keys_chosen, on)
        if on:
            self._keys_chosen()
            self._layers_changed()
            self.slices.begin()
            self._open()
            self._show_status()
            self.models.scan()

    def _keys_chosen(self) -> None:
        """Use the keys that the person has chosen, and say them everywhere."""
        chosen = settings.shortcuts()
        self.bridge.set_keys(chosen)
        self._key_names = names_of(chosen, ALL_SHORTCUTS)
        self.view.list_shortcuts(
            (self._key_names[one.name], one.what) for one in ALL_SHORTCUTS
        )
        name_keys(self, self._key_names)
        self._show_undo()

    def end(self) -> None:
        """End all work, and ask for none."""
        self._stop()
        self._leaving.ignore()
        self.find.end()
        self.models.end()
        self.classes.end()
        self.proofread.end()
        self.seeing.end()
        self.slices.end()
        for timer in (self._warm, self._tick, self._unsay):
            timer.stop()
        self.bridge.close()

    def event(self, event: QEvent) -> bool:
        """End all work when the dock is closed: napari takes us out of it then."""
        if event.type() == QEvent.Type.ParentChange:
            if self.parent() is None:
                self.end()
            elif not self._listening:
                self._listen(True)
                self._warm.start()
        elif event.type() == QEvent.Type.Show:
            self._leaving.watch()
        return bool(super().event(event))

    # What is shown.

    def _show_status(self) -> None:
        status = self.bridge.session.status
        busy = status.phase in ("loading", "preparing", "answering")
        # Most answers come at once: words that flash up would only disturb.
        if not busy or status.phase == "loading" or status.seconds > _SOON:
            self.view.status.setText(words.status(status, self._axes))
            self.view.cancel.setVisible(busy)
        if busy != self._tick.isActive():
            (self._tick.start if busy else self._tick.stop)()

    def _show_target(self) -> None:
        target, button = self.bridge.target, self.view.add_to
        button.setText(words.add_to(target, self._key_names["add_to"]))
        button.setEnabled(target is not None and bool(self.bridge.session.suggestions))

    def _show_undo(self) -> None:
        history = self.bridge.session.history
        self.view.undo.setEnabled(history.can_undo)
        self.view.redo.setEnabled(history.can_redo)
        undo, redo = self._key_names["undo"], self._key_names["redo"]
        self.view.undo.setToolTip(words.undo_tip(history.undo_text, undo))
        self.view.redo.setToolTip(words.undo_tip(history.redo_text, redo, redo=True))


def _timer(parent: QWidget, milliseconds: int, work: Any) -> QTimer:
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    timer.timeout.connect(work)
    return timer
