"""The dock widget "Batch": it joins forms, session, list and viewer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import QEvent, QTimer, QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_sam.live.batch.pictures import Pictures
from napari_sam.live.batch.session import Session
from napari_sam.live.batch.state import Images
from napari_sam.live.threads import say
from napari_sam.records.settings import Settings
from napari_sam.segment.recipe import Recipe
from napari_sam.types import NapariSamError
from napari_sam.widgets.batch import words
from napari_sam.widgets.batch.form import BatchForm
from napari_sam.widgets.batch.items import FINE, SIDE, Items, List
from napari_sam.widgets.batch.places import Places
from napari_sam.widgets.batch.show import open_images, show
from napari_sam.widgets.batch.tried import Slices
from napari_sam.widgets.batch.view import View
from napari_sam.widgets.post import Poster

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer
    from PIL.Image import Image

    from napari_sam.live.batch.opened import Opened
    from napari_sam.live.batch.state import State
    from napari_sam.records.status import Item
    from napari_sam.records.trial import Tried

_LOOK_MS: Final = 1000


class Batch(QWidget):
    """Finds the objects of a folder of images in a process of its own, and watches it.

    Parameters
    ----------
    napari_viewer : ViewerModel
        Whose images can be done, and where results are opened.
    """

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__()
        # napari gives plugins a stand-in that makes new stand-ins of the layers at
        # every look at them: none would be the same as before.
        self._viewer: ViewerModel = getattr(napari_viewer, "__wrapped__", napari_viewer)
        post = Poster(self).post
        self.form = BatchForm(
            changed=self._show_plan,
            parent=self,
            post=post,
            notice=lambda text: self.view.say(text),
        )
        self.places = Places(self._watch)
        self.items = Items(self, self._want)
        self.list = List(self.items)
        self.slices = Slices()
        self.view = View(self, self.places, self.form, self.slices, self.list)
        self.session = Session(post, self)
        self._pictures = Pictures(post, self.items.drawn, FINE * SIDE)
        self._known: Settings | None = None  # of the results, as they were shown
        self._seed = 0
        self._open: dict[str, Layer] = {}  # what was opened from the list
        self._timer = QTimer(self)
        self._timer.setInterval(_LOOK_MS)
        self._timer.timeout.connect(self.session.look)
        self._listening = False
        view = self.view
        view.try_button.clicked.connect(self.try_slices)
        view.start_button.clicked.connect(self.start)
        view.pause_button.clicked.connect(self.session.stop)
        view.open_button.clicked.connect(self.open_chosen)
        view.report_button.clicked.connect(self.session.report)
        self.list.doubleClicked.connect(lambda _: self.open_chosen())
        self.list.selectionModel().selectionChanged.connect(self._show_chosen)
        self.slices.opened.connect(self.session.open_tried)
        self.form.take.clicked.connect(self._take_settings)
        self._listen(True)

        def destroyed() -> None:  # a method of ours would not be called any more
            self._listen(False)
            self.form.form.seeking.end()
            self._pictures.close()
            self.session.close()

        self.destroyed.connect(destroyed)
        self.form.form.seeking.look()
        self._timer.start()
        self._show_plan()
        self._show_chosen()

    # What the session tells.

    def state_changed(self, state: State) -> None:
        """Show what is going on."""
        self.items.show(state.items)
        self.view.show_results(
            len(self.items.items), reportable=state.results.status is not None
        )
        self._show_settings(state)
        if state.busy or state.elsewhere:
            ours = state.busy and state.phase not in ("reporting", "stopping")
            self.view.show_busy(words.share(state), words.progress(state), ours=ours)
        else:
            self.view.show_idle()
        begun = state.phase == "running" or state.ended in ("done", "paused")
        if begun and self.form.replace.value:
            self.form.replace.value = False  # once is enough: “Go on” goes on
        if state.error:
            self.view.say(words.on_screen(state.error), bad=True)
        else:
            self.view.say(words.outcome(state))
        if state.phase == "idle" and self.slices.tried:
            count = len(state.found or ())
            self.slices.say(words.estimate(self.slices.tried, count))
        self._show_plan()
        self._show_chosen()

    def slice_tried(self, one: Tried, picture: Image) -> None:
        """Show one more slice that was tried."""
        self.slices.add(one, picture)

    def reported(self, page: Path) -> None:
        """Show a report in the browser."""
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(page)))

    def opened(self, opened: Opened) -> None:
        """Show an image and its labels in the viewer."""
        layer = show(self._viewer, opened)
        if opened.labels is not None:
            self._open[str(opened.path)] = layer

    def settings_read(self, settings: Settings) -> None:
        """Show settings of another run."""
        self.form.show(settings.options, settings.formats)

    # What the person does.

    def try_slices(self) -> None:
        """Find the objects of three slices that are drawn at random."""
        ready = self._ready()
        if ready is not None:
            self.slices.clear()
            self._seed += 1
            self.session.try_slices(*ready, seed=self._seed)

    def start(self) -> None:
        """Find the objects of all images, or of what is left."""
        ready = self._ready()
        if ready is not None:
            self.slices.clear()
            self.session.start(*ready, overwrite=bool(self.form.replace.value))

    def open_chosen(self) -> None:
        """Open the image that is selected in the list, and its objects."""
        row = self.list.chosen
        if row is None:
            return
        item = self.items.items[row]
        there = self._open.get(item.path)
        if there is not None and there in self._viewer.layers:
            self._viewer.layers.selection.active = there
            self.view.say(f"It is open already, as “{there.name}”.")
            return
        self.session.open(item, self._seen())

    def _ready(self) -> tuple[Images, Settings] | None:
        """Return what is to be done; say what is missing otherwise."""
        try:
            settings = self._settings()
            if settings is not None and not self._lacking():
                return self._images(), settings
        except NapariSamError as error:
            self.view.say(words.on_screen(say(error)), bad=True)
        return None

    def _settings(self) -> Settings | None:
        output = self.places.output
        if output is None:
            return None
        return Settings(
            inputs=self.places.places or (".",),  # the session says them
            output=str(output),
            formats=self.form.formats,
            options=self.form.recipe(),
        )

    def _images(self) -> Images:
        if self.places.layers:
            return Images(layers=open_images(self._viewer))
        return Images(self.places.places)

    def _lacking(self) -> str:
        """Return what has to be said before anything can be done; or ""."""
        state = self.session.state
        usable = [item for item in state.found or () if item.state != "failed"]
        if state.found is not None and not (usable or state.results.items):
            return words.NO_LAYERS if self.places.layers else words.NO_IMAGES
        if self.places.output is None:
            return words.NO_OUTPUT
        return self.form.lacking

    def _take_settings(self) -> None:
        # PyQt6 and PySide6 give (path, filter).
        path, _ = QFileDialog.getOpenFileName(
            self, "Which run?", "", "Settings of a run (*.toml)"
        )
        if path:
            self.session.read(Path(path))

    # What is shown.

    def _watch(self) -> None:
        """Look which images and results there are."""
        self._offer_output()
        self.view.say("")
        self.slices.clear()
        self._pictures.forget()
        self.items.forget_pictures()
        try:
            self.session.watch(self._images(), self.places.output)
        except NapariSamError as error:
            self.view.say(words.on_screen(say(error)), bad=True)

    def _show_settings(self, state: State) -> None:
        """Show the settings of results, unless a person has set others."""
        settings = state.results.settings
        if settings is None or settings == self._known or state.busy:
            return
        self._known = settings
        if not self.form.touched or self._says(settings.options):
            self.form.show(settings.options, settings.formats)
        if not self.places.layers and not self.places.places:
            self.places.show_images(*settings.inputs)

    def _says(self, recipe: Recipe) -> bool:
        """Whether what is set gives the same results as a recipe."""
        try:
            said = self.form.recipe()
        except NapariSamError:
            return False
        return said.model_copy(update={"device": recipe.device}) == recipe

    def _show_plan(self) -> None:
        state = self.session.state
        wrong, going_on = self._lacking(), False
        try:
            recipe = self.form.recipe()
        except NapariSamError as error:
            recipe, wrong = None, words.on_screen(say(error))
        known = state.results.settings
        lines = []
        if state.results.status is not None and not (state.busy or state.ended):
            lines.append(words.there(state.results.status))
        if recipe is not None and known is not None and not self.form.replace.value:
            going_on = self._says(known.options)
            if not going_on and not state.busy:
                lines.append(words.other_settings())
        self.form.replace.visible = state.results.status is not None
        self.view.start_button.setText("Go on" if going_on else "Start")
        if wrong:
            lines = [wrong]
        elif state.found is None:
            lines = ["Looking for images…"]
        elif recipe is not None:
            count = sum(item.state != "failed" for item in state.found)
            lines.insert(0, self._plan(count or len(state.items)))
        self.view.plan.setText("\n".join(lines))
        idle = not (state.busy or state.elsewhere)
        for button in (self.view.start_button, self.view.try_button):
            button.setEnabled(idle and not wrong and state.found is not None)

    def _plan(self, count: int) -> str:
        detector, model, link = self.form.described
        output = self.places.output
        where = "" if output is None else f"“{output.name}”"
        return words.plan(count, detector, model, link, self.form.formats, where)

    def _show_chosen(self) -> None:
        self.view.open_button.setEnabled(self.list.chosen is not None)

    def _seen(self) -> Recipe:
        """Return how images are looked at."""
        settings = self.session.state.results.settings
        if settings is not None:
            return settings.options
        try:
            return self.form.recipe()
        except NapariSamError:
            return Recipe()

    def _want(self, item: Item) -> None:
        self._pictures.want(item, self.session.state.output or Path(), self._seen())

    # What happens in the viewer.

    def _offer_output(self) -> None:
        """Name a folder for the results of open layers."""
        paths = [layer.source.path for layer in self._viewer.layers]
        first = next((Path(path) for path in paths if path), None)
        if self.places.layers and first is not None:
            self.places.offer(first.absolute().with_name(f"{first.stem} results"))

    def _layers_changed(self, event: Any = None) -> None:
        if self.places.layers and not self.session.state.busy:
            self._watch()

    def _listen(self, on: bool) -> None:
        if on == self._listening:
            return
        self._listening = on
        layers = self._viewer.layers
        for emitter in (
            layers.events.inserted,
            layers.events.removed,
            layers.events.renamed,
        ):
            (emitter.connect if on else emitter.disconnect)(self._layers_changed)

    def end(self) -> None:
        """End all work in order, and ask for none."""
        self._listen(False)
        self._timer.stop()
        self.places.end()
        self.form.form.seeking.end()
        self._pictures.close()
        self.session.close()

    def event(self, event: QEvent) -> bool:
        """End all work when the dock is closed: napari takes us out of it then."""
        if event.type() == QEvent.Type.ParentChange:
            if self.parent() is None:
                self.end()
            elif not self._listening:
                self._listen(True)
                self._timer.start()
                self._watch()
        return bool(super().event(event))
