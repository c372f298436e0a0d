"""The questions on the screen, and the recipe that their answers make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import (
    ComboBox,
    FloatSlider,
    Select,
    SpinBox,
)
from qtpy.QtWidgets import QFileDialog

from napari_sam.models.catalog import list_models
from napari_sam.segment.recipe import Recipe, make_recipe
from napari_sam.widgets.auto_annotate.parts import LEAST_CONFIDENCE
from napari_sam.widgets.auto_annotate.words import LINKS, title_of
from napari_sam.widgets.rows import Rows
from napari_sam.widgets.seeking import FILE, Seeking
from napari_sam.widgets.size import Size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari.layers import Image
    from qtpy.QtWidgets import QWidget

    from napari_sam.models.lane import Post

_FILES = "Models (*.pt *.pth *.safetensors)"
_DETECTOR_TIP = "What looks for objects on the image."
_MODEL_TIP = "What draws the outline of each object that was found."
_CONF_TIP = (
    "How sure the search must be of an object. Higher finds fewer objects. It is "
    "not a probability."
)


def _models(files: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return (text, value) of every model that can be chosen."""
    known = [(title_of(e), e.name) for e in list_models() if e.kind == "model"]
    picked = [(path.replace("\\", "/").rpartition("/")[2], path) for path in files]
    return [*known, *picked, ("A file…", FILE)]


class Form:
    """All settings.

    Parameters
    ----------
    settings : callable
        Called after a change that may need no new search.
    parts : callable
        Called after another detector or model was chosen.
    parent : QWidget
        Where a dialog for files belongs to.
    post : callable
        Runs a function on the viewer's thread.
    notice : callable
        Is called with one line where nothing can be chosen.

    Attributes
    ----------
    image : ComboBox
        The image layers, filled by the panel.
    seeking : Seeking
        What looks for objects, and what words it is asked for.
    what, counts, more : Rows
        What is looked for; what counts as an object; what is rarely changed.
    """

    def __init__(
        self,
        *,
        settings: Callable[[], None],
        parts: Callable[[], None],
        parent: QWidget,
        post: Post,
        notice: Callable[[str], None],
    ) -> None:
        defaults = Recipe()
        self._parent, self._parts_changed = parent, parts
        self.files: tuple[str, ...] = ()
        self._stack = False
        self.image = ComboBox(label="Image", choices=[])
        self.seeking = Seeking(
            parent,
            post,
            chosen=parts,
            said=settings,
            notice=notice,
            tooltip=_DETECTOR_TIP,
        )
        self.detector = self.seeking.detector
        self.model = ComboBox(
            label="Outline with",
            choices=_models(()),
            value=defaults.model,
            tooltip=_MODEL_TIP,
        )
        self._chosen = self.model.value
        self.classes = Select(label="Only these", choices=[])
        self.conf = FloatSlider(
            label="Confidence",
            min=LEAST_CONFIDENCE,
            max=0.95,
            step=0.01,
            value=defaults.conf,
            tooltip=_CONF_TIP,
        )
        self.smallest = Size(
            "Smallest",
            pixels=defaults.min_area,
            power=2,
            tooltip="Objects of a smaller area than this are left out.",
        )
        self.max_hole = SpinBox(
            label="Fill holes up to (%)",
            min=0,
            max=100,
            value=round(100 * defaults.max_hole),
            tooltip="A hole is filled if it is at most this part of its object.",
        )
        self.link = ComboBox(
            label="Keeps its number",
            choices=[(text, name) for name, text in LINKS.items()],
            value=defaults.link,
            tooltip="Whether what lies on several slices is one object. Through z: "
            "where outlines overlap. Through time: it moves, is missed on a frame, or "
            "divides.",
        )
        self.least = SpinBox(
            label="On slices, at least",
            min=0,
            max=10_000,
            value=0,
            tooltip="Objects that are on fewer slices are left out, unless the stack "
            "ends there.",
        )
        self.farthest = Size(
            "Moves at most",
            tooltip="How far an object may move from one frame to the next.",
            unset="1.25 times its width",
        )
        self.least.native.setSpecialValueText("a quarter of the usual")
        self.iou = FloatSlider(
            label="Overlap",
            min=0,
            max=1,
            step=0.01,
            value=defaults.iou,
            tooltip="If two boxes overlap by more than this, the less sure one is "
            "taken for a duplicate.",
        )
        self.max_det = SpinBox(
            label="Most objects",
            min=1,
            max=100_000,
            value=defaults.max_det,
            tooltip="At most this many objects in a slice.",
        )
        self.what = Rows(
            self.image, self.detector, self.seeking.words, self.model, self.classes
        )
        self.counts = Rows(self.conf, self.smallest.box, self.max_hole, self.link)
        self.more = Rows(self.iou, self.max_det, self.least, self.farthest.box)
        self.what.show_row(self.classes, False)
        self.seeking.join(self.what)
        settings_widgets = (*self.counts.widgets, *self.more.widgets, self.classes)
        for widget in settings_widgets:
            widget.changed.connect(lambda _: settings())
        self.model.changed.connect(self._model_chosen)

    def recipe(self, **seen: Any) -> Recipe:
        """Return what is set.

        Parameters
        ----------
        **seen
            How the image is shown to models, as fields of the recipe.

        Raises
        ------
        RecipeError
            If a value cannot be; the controls do not offer any such.
        """
        return make_recipe(
            detector=self.detector.value,
            model=self.model.value,
            classes=tuple(self.classes.value) or None,
            words=self.seeking.said,
            conf=round(self.conf.value, 4),
            iou=round(self.iou.value, 4),
            max_det=self.max_det.value,
            min_area=round(self.smallest.pixels),
            max_hole=self.max_hole.value / 100,
            link=self.link.value if self._stack else "none",
            min_planes=self.least.value or None,
            link_distance=self.farthest.pixels or None,
            **seen,
        )

    def pick(self, kind: str, path: str) -> None:
        """Offer a file as detector or model, and choose it."""
        if kind == "detector":
            self.seeking.pick(path)
            return
        if path not in self.files:
            self.files = (*self.files, path)
        with self.model.changed.blocked():
            self.model.choices = _models(self.files)
            self.model.value = path
        self._chosen = path
        self._parts_changed()

    def offer_images(self, layers: Sequence[Image], active: object) -> None:
        """Offer these layers; the selected one is taken, else the one before."""
        old = self.image.value
        chosen = next((x for x in layers if x is active), None)
        if chosen is None:
            chosen = next((x for x in layers if x is old), next(iter(layers), None))
        with self.image.changed.blocked():
            self.image.choices = [(layer.name, layer) for layer in layers]
            if chosen is not None:
                self.image.value = chosen
        if chosen is not old:
            self.image.changed.emit(chosen)

    def offer_classes(self, names: tuple[str, ...]) -> None:
        """Let people choose among classes, where there are several.

        Words that they have typed are what they want.
        """
        names = () if self.seeking.said else names
        choices = [(name, number) for number, name in enumerate(names)]
        if list(self.classes.choices) == [number for _, number in choices]:
            return
        with self.classes.changed.blocked():
            self.classes.choices = choices
            self.classes.value = []
        self.what.show_row(self.classes, len(names) > 1)

    def suit(self, stack: bool, pixel: float | None) -> None:
        """Show only what matters for a stack, or for a single slice.

        Lengths and areas are in micrometres where a pixel is so many of them.
        """
        self._stack = stack
        for size in (self.smallest, self.farthest):
            size.suit(pixel)
        self.counts.show_row(self.link, stack)
        self.more.show_row(self.least, stack)
        self.more.show_row(self.farthest.box, stack)

    def _model_chosen(self, value: str) -> None:
        if value == FILE:
            with self.model.changed.blocked():
                self.model.value = self._chosen
            # PyQt6 and PySide6 give (path, filter).
            path, _ = QFileDialog.getOpenFileName(
                self._parent, "What outlines them?", "", f"{_FILES};;Any file (*)"
            )
            if path:
                self.pick("model", path)
            return
        self._chosen = value
        self._parts_changed()
