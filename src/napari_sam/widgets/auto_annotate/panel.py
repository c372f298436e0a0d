"""The dock widget "Auto-annotate": it joins form, session and layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QWidget

from napari_sam.widgets.auto_annotate import words
from napari_sam.widgets.auto_annotate.form import Form
from napari_sam.widgets.auto_annotate.look_at import LookAt
from napari_sam.widgets.auto_annotate.looked import Looked
from napari_sam.widgets.auto_annotate.results import GoneError, Results
from napari_sam.widgets.auto_annotate.session import Session
from napari_sam.widgets.auto_annotate.view import View
from napari_sam.widgets.layers import images
from napari_sam.widgets.post import Poster
from napari_sam.widgets.sight.section import Sight
from napari_sam.widgets.size import pixel_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_sam.segment.recipe import Recipe
    from napari_sam.segment.result import PlaneResult
    from napari_sam.widgets.auto_annotate.layers import ResultLayer
    from napari_sam.widgets.auto_annotate.state import State

_SETTLE_MS = 120  # a slider that is dragged does not ask at every step
_WARM_MS = 300  # the window is drawn first, then models are loaded


class AutoAnnotate(QWidget):
    """Finds all objects of an image layer, without further questions.

    Parameters
    ----------
    napari_viewer : ViewerModel
        Where the images are and where the results go.
    """

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__()
        # napari gives plugins a stand-in that makes new stand-ins of the layers at
        # every look at them: none would be the same as before.
        self._viewer: ViewerModel = getattr(napari_viewer, "__wrapped__", napari_viewer)
        post = Poster(self).post
        self.form = Form(
            settings=self._settings_changed,
            parts=self._parts_changed,
            parent=self,
            post=post,
            notice=self._say,
        )
        self.view = View(self, self.form)
        self.results = Results(self._viewer)
        self.session = Session(post, self)
        self._looked = Looked(
            self._viewer,
            self.session,
            lambda: self.form.image.value,
            self._settings_changed,
            lambda text: self.view.say(text, bad=True),
        )
        self._listening = False
        self._active: Layer | None = None  # the layer that was selected last
        self._settle = _timer(self, _SETTLE_MS, self._apply)
        self._warm = _timer(self, _WARM_MS, self._load)
        self.view.try_button.clicked.connect(self.try_slice)
        self.view.all_button.clicked.connect(self.find_all)
        self.view.cancel_button.clicked.connect(self.session.cancel)
        self.sight = Sight(self._viewer, self._looked, post, self._say)
        self.view.fold("What the model sees", self.sight)
        self.look_at = LookAt(self._viewer)
        self.view.below.addWidget(self.look_at)
        self.form.image.changed.connect(self._image_changed)
        self._listen(True)

        def destroyed() -> None:  # a method of ours would not be called any more
            self._listen(False)
            self.form.seeking.end()
            self.sight.end()
            self.session.close()

        self.destroyed.connect(destroyed)
        self._layers_changed()
        self._warm.start()
        self.form.seeking.look()

    # What the session tells.

    def state_changed(self, state: State) -> None:
        """Show how far the run is."""
        for part in (self.form.what, self.sight):
            part.setEnabled(not state.busy)
        if state.busy or not state.done:
            self.look_at.clear()
        if state.busy:
            self.view.show_busy(state.share, words.progress(state, self._axes))
            return
        self._show_plan()
        if state.done and self.results.current is not None:
            self._finish(self.results.current)
        self._show_outcome(state)

    def _finish(self, layer: ResultLayer) -> None:
        """Add to the objects what is known when all of them are there."""
        layer.tabulate()
        layer.note(self.session.made_with)
        layer.show_tracks()
        self.look_at.offer(layer.layer, layer.results, self._axes)

    def plane_found(self, result: PlaneResult) -> None:
        """Show the objects of one more plane."""
        try:
            self.results.add(result)
        except GoneError as error:
            self.results.leave()
            self.session.forget()
            self.view.say(str(error))

    def settled(self, results: Sequence[PlaneResult]) -> None:
        """Show all planes so far anew."""
        if self.results.replace(results) and not self.session.state.busy:
            self.state_changed(self.session.state)

    def classes_known(self, names: tuple[str, ...]) -> None:
        """Offer the classes of the detector that was chosen."""
        self.form.offer_classes(names)

    # What the person does.

    def try_slice(self) -> None:
        """Find the objects of the slice on the screen."""
        self._start(trial=True)

    def find_all(self) -> None:
        """Find the objects of all slices."""
        self._start(trial=False)

    def _start(self, *, trial: bool) -> None:
        work = self._looked
        image, source, index = work.image, work.source, work.index
        if image is None or source is None or index is None:
            return
        if wrong := self.form.seeking.lacking or self.sight.settle():
            self.view.say(wrong, bad=True)
            return
        self._settle.stop()
        self.view.say("")
        self.results.begin(image, source, trial=trial)
        seen = work.seen or source
        if trial:
            self.session.try_plane(seen, index, self.recipe())
        else:
            self.session.find_all(seen, self.recipe())

    def recipe(self) -> Recipe:
        """Return everything that is set."""
        source = self._looked.source
        name = "" if source is None else source.name
        return self.form.recipe(**self.sight.seen.options(name))

    def _settings_changed(self) -> None:
        self._settle.start()

    def _apply(self) -> None:
        layer = self.results.current
        if layer is None or not layer.exists:
            return
        if layer.edited:
            self.view.say(
                f"You have edited “{layer.layer.name}”, so it stays as it is: settings "
                "count for the next search."
            )
        elif not self.session.apply(self.recipe()):
            self.view.say("This setting needs a new search: press a button above.")

    def _parts_changed(self) -> None:
        self._say(self.form.seeking.lacking)
        self._load()

    def _load(self) -> None:
        if not self.form.seeking.lacking:
            self.session.prepare(self.recipe())

    def _say(self, text: str) -> None:
        self.view.say(text)

    def _image_changed(self) -> None:
        self.session.forget()
        self.results.leave()
        self._show_plan()
        self.sight.work_changed()

    # What happens in the viewer.

    def _layers_changed(self, event: Any = None) -> None:
        before, self._active = self._active, self._viewer.layers.selection.active
        # Whoever chose an image here keeps it until another layer is selected.
        selected = None if self._active is before else self._active
        self.form.offer_images(images(self._viewer), selected)
        self._show_plan()
        self.sight.work_changed()

    def _moved(self, event: Any = None) -> None:
        self.sight.slice_changed()

    def _listen(self, on: bool) -> None:
        if on == self._listening:
            return
        self._listening = on
        layers = self._viewer.layers
        for emitter in (
            layers.events.inserted,
            layers.events.removed,
            layers.events.renamed,
            layers.selection.events.active,
        ):
            (emitter.connect if on else emitter.disconnect)(self._layers_changed)
        moved = self._viewer.dims.events.point
        (moved.connect if on else moved.disconnect)(self._moved)

    def end(self) -> None:
        """End all work, and ask for none."""
        self._listen(False)
        self._warm.stop()
        self._settle.stop()
        self.form.seeking.end()
        self.sight.end()
        self.session.close()

    def event(self, event: QEvent) -> bool:
        """End all work when the dock is closed: napari takes us out of it then."""
        if event.type() == QEvent.Type.ParentChange:
            if self.parent() is None:
                self.end()
            elif not self._listening:
                self._listen(True)
                self._layers_changed()
        return bool(super().event(event))

    # What is shown.

    @property
    def _axes(self) -> str:
        source = self._looked.source
        return "" if source is None else source.stack_axes

    def _show_plan(self) -> None:
        if self.session.state.busy:
            return
        image, source = self._looked.image, self._looked.source
        count = 0 if source is None else len(source)
        self.form.suit(count > 1, None if image is None else pixel_of(image))
        self.view.show_idle(words.plane_noun(self._axes), count)
        name = "" if source is None else self.form.image.value.name
        self.view.plan.setText(words.plan(count, self._axes, name))

    def _show_outcome(self, state: State) -> None:
        if state.phase == "failed":
            self.view.say(words.failure(state, self._axes), bad=True)
        if state.phase not in ("done", "stopped"):
            return
        layer = self.results.current
        if layer is None or not state.done:
            self.view.say(words.outcome(state, 0, self._axes, ""))
            return
        lines = [words.outcome(state, layer.count(), self._axes, layer.layer.name)]
        if layer.tracks is not None and layer.tracks in self._viewer.layers:
            lines.append(words.moved(layer.tracks.name))
        most = self.recipe().max_det
        lines += words.unread(self.session.unread, self._axes)
        lines += words.warnings(layer.results, self._axes, most)
        self.view.say("\n".join(lines))


def _timer(parent: QWidget, milliseconds: int, work: Any) -> QTimer:
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    timer.timeout.connect(work)
    return timer
