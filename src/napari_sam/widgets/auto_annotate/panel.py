"""The dock widget "Auto-annotate": it joins form, session and layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QWidget

from napari_sam.live.source import Source
from napari_sam.live.threads import say
from napari_sam.types import NapariSamError
from napari_sam.widgets.auto_annotate import words
from napari_sam.widgets.auto_annotate.form import Form
from napari_sam.widgets.auto_annotate.results import GoneError, Results
from napari_sam.widgets.auto_annotate.session import Session
from napari_sam.widgets.auto_annotate.view import View
from napari_sam.widgets.layers import images, index_on_screen
from napari_sam.widgets.post import Poster

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_sam.segment.result import PlaneResult
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
        self._viewer = napari_viewer
        self.form = Form(
            settings=self._settings_changed, parts=self._parts_changed, parent=self
        )
        self.view = View(self, self.form)
        self.results = Results(napari_viewer)
        self.session = Session(Poster(self).post, self)
        self._source: Source | None = None
        self._listening = False
        self._settle = _timer(self, _SETTLE_MS, self._apply)
        self._warm = _timer(self, _WARM_MS, self._load)
        self.view.try_button.clicked.connect(self.try_slice)
        self.view.all_button.clicked.connect(self.find_all)
        self.view.cancel_button.clicked.connect(self.session.cancel)
        self.form.image.changed.connect(self._image_changed)
        self._listen(True)

        def destroyed() -> None:  # a method of ours would not be called any more
            self._listen(False)
            self.session.close()

        self.destroyed.connect(destroyed)
        self._layers_changed()
        self._warm.start()

    # What the session tells.

    def state_changed(self, state: State) -> None:
        """Show how far the run is."""
        self.form.what.setEnabled(not state.busy)
        if state.busy:
            vague = state.phase == "preparing" or state.total == 1
            text = words.progress(state, self._axes)
            self.view.show_busy(state.done, 0 if vague else state.total, text)
            return
        self._show_plan()
        if state.done and self.results.current is not None:
            self.results.current.tabulate()
            self.results.current.show_tracks()
        self._show_outcome(state)

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
        image: Image | None = self.form.image.value
        source = self._look()
        if image is None or source is None:
            return
        self._settle.stop()
        self.view.say("")
        self.results.begin(image, source, trial=trial)
        recipe = self.form.recipe()
        if trial:
            index = index_on_screen(self._viewer, image, source)
            self.session.try_plane(source, index, recipe)
        else:
            self.session.find_all(source, recipe)

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
        elif not self.session.apply(self.form.recipe()):
            self.view.say("This setting needs a new search: press a button above.")

    def _parts_changed(self) -> None:
        self.view.say("")
        self._load()

    def _load(self) -> None:
        self.session.prepare(self.form.recipe())

    def _image_changed(self) -> None:
        self.session.forget()
        self.results.leave()
        self._show_plan()

    # What happens in the viewer.

    def _layers_changed(self, event: Any = None) -> None:
        active = self._viewer.layers.selection.active
        self.form.offer_images(images(self._viewer), active)
        self._show_plan()

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

    def end(self) -> None:
        """End all work, and ask for none."""
        self._listen(False)
        self._warm.stop()
        self._settle.stop()
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
        return "" if self._source is None else self._source.stack_axes

    def _look(self) -> Source | None:
        """Look at the chosen image again, unless it is as it was."""
        image = self.form.image.value
        if image is None:
            self._source = None
        elif self._source is None or not self._source.holds(image):
            try:
                self._source = Source.from_layer(image)
            except NapariSamError as error:
                self._source = None
                self.view.say(say(error), bad=True)
        return self._source

    def _show_plan(self) -> None:
        if self.session.state.busy:
            return
        source = self._look()
        count = 0 if source is None else len(source)
        self.form.suit(stack=count > 1)
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
        most = self.form.recipe().max_det
        lines += words.warnings(layer.results, self._axes, most)
        self.view.say("\n".join(lines))


def _timer(parent: QWidget, milliseconds: int, work: Any) -> QTimer:
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    timer.timeout.connect(work)
    return timer
