"""The few questions on the screen; each has an answer before it is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox, ComboBox, SpinBox
from qtpy.QtWidgets import QFileDialog

from napari_sam.live.prompting.looser import MOST
from napari_sam.live.values import Rule
from napari_sam.models.catalog import list_models
from napari_sam.widgets.rows import Rows
from napari_sam.widgets.segment.words import model_title

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari.layers import Image, Labels, Layer
    from qtpy.QtWidgets import QWidget

FILE = "…"
NEW = "+"
ON_DISK = "+ on the disk"
FILES = "Models (*.pt *.pth *.safetensors);;Any file (*)"
_NEW = [("A new layer", NEW), ("A new layer, on the disk", ON_DISK)]
_ANOTHER = [(text.replace("A new", "Another new"), kind) for text, kind in _NEW]
_MODEL_TIP = (
    "What draws the outline. The built-in model comes with the plugin and runs on "
    "any computer; a file can be SAM, SAM 2 or 3, MobileSAM, FastSAM or µSAM."
)
_LABELS_TIP = (
    "Where the objects go. A new layer appears with the first object; objects that "
    "are there already can be worked on too. On the disk they need no memory: what is "
    "too large for it goes there by itself."
)
_RULE_TIP = (
    "What happens where a new object lies on one that is there already. What would "
    "lose more than half of itself is replaced altogether."
)
_ONE_CLICK_TIP = (
    "For crowded images: each click is another object, and the one before it is "
    "kept by itself."
)
_HOVER_TIP = (
    "Where the mouse rests, a dashed line shows what a click would outline. Works with "
    "the built-in model, on slices that are prepared."
)
_OUTLINE_TIP = (
    "Where an object ends is a convention. Above 0 all suggestions are looser by so "
    "many pixels than the model draws them, below 0 tighter. Objects that are there "
    "already stay as they are."
)
_DEVICE_TIP = "Which part of this computer runs the model."


class Form:
    """All settings.

    Parameters
    ----------
    model_changed : callable
        Called after another model or device was chosen.
    parent : QWidget
        Where a dialog for files belongs to.

    Attributes
    ----------
    image, labels : ComboBox
        Layers, filled by the panel; `NEW` in `labels` is a new layer.
    what, how, more : Rows
        What is worked on; how objects are kept; what is rarely changed.
    """

    def __init__(self, *, model_changed: Callable[[], None], parent: QWidget) -> None:
        self._parent, self._model_changed = parent, model_changed
        self._files: tuple[str, ...] = ()
        self.image = ComboBox(label="Image", choices=[])
        self.model = ComboBox(
            label="Model", choices=_models(()), value="pocket", tooltip=_MODEL_TIP
        )
        self.labels = ComboBox(
            label="Objects in",
            choices=_NEW,
            tooltip=_LABELS_TIP,
        )
        self.rule = ComboBox(
            label="Overlaps",
            choices=[
                ("Keep what is there", Rule.KEEP),
                ("Replace what is there", Rule.REPLACE),
                ("Only on free ground", Rule.BACKGROUND),
            ],
            tooltip=_RULE_TIP,
        )
        self.one_click = CheckBox(
            label="", text="One click, one object", tooltip=_ONE_CLICK_TIP
        )
        self.hover = CheckBox(
            label="", text="Show a suggestion under the mouse", tooltip=_HOVER_TIP
        )
        self.outline = SpinBox(
            label="Looser (pixels)",
            value=0,
            min=-MOST,
            max=MOST,
            tooltip=_OUTLINE_TIP,
        )
        self.device = ComboBox(
            label="Run on",
            choices=[
                ("what is fastest", "auto"),
                ("the processor", "cpu"),
                ("the graphics card", "cuda"),
                ("the graphics chip (Apple)", "mps"),
            ],
            tooltip=_DEVICE_TIP,
        )
        self._chosen = self.model.value
        self.what = Rows(self.image, self.model, self.labels)
        self.how = Rows(self.one_click, self.hover, self.outline, self.rule)
        self.more = Rows(self.device)
        self.model.changed.connect(self._model_chosen)
        self.device.changed.connect(lambda _: model_changed())

    def pick(self, path: str) -> None:
        """Offer a file as model, and choose it."""
        if path not in self._files:
            self._files = (*self._files, path)
        with self.model.changed.blocked():
            self.model.choices = _models(self._files)
            self.model.value = path
        self._chosen = path
        self._model_changed()

    def offer_files(self, paths: Sequence[str]) -> None:
        """Offer these files as models; the one that is chosen stays so."""
        chosen = self.model.value
        kept = [path for path in self._files if path == chosen]
        self._files = tuple(dict.fromkeys((*paths, *kept)))
        with self.model.changed.blocked():
            self.model.choices = _models(self._files)
            self.model.value = chosen

    def show_outline(self, pixels: int) -> None:
        """Say how much looser outlines are than the model draws them."""
        with self.outline.changed.blocked():
            self.outline.value = pixels

    def offer_images(self, layers: Sequence[Image], active: object) -> None:
        """Offer these layers; the selected one is taken, else the one before."""
        old = self.image.value
        chosen = _among(layers, active) or _among(layers, old)
        chosen = chosen or next(iter(layers), None)
        _offer(self.image, [(layer.name, layer) for layer in layers], chosen)
        if chosen is not old:
            self.image.changed.emit(chosen)

    def offer_labels(
        self, layers: Sequence[Labels], chosen: Labels | None, *, on_disk: bool = False
    ) -> None:
        """Offer these layers and a new one.

        Parameters
        ----------
        layers : sequence of Labels
        chosen : Labels or None
            What is written to; None for the new one.
        on_disk : bool
            The new one is on the disk.
        """
        choices: list[tuple[str, Any]] = [(layer.name, layer) for layer in layers]
        now = _among(layers, chosen)
        if now is None:
            choices = [*_NEW, *choices]
        else:
            choices = [*choices, *_ANOTHER]
        _offer(self.labels, choices, now or (ON_DISK if on_disk else NEW))

    def _model_chosen(self, value: str) -> None:
        if value == FILE:
            with self.model.changed.blocked():
                self.model.value = self._chosen
            # PyQt6 and PySide6 give (path, filter).
            path, _ = QFileDialog.getOpenFileName(
                self._parent, "What outlines the objects?", "", FILES
            )
            if path:
                self.pick(path)
            return
        self._chosen = value
        self._model_changed()


def _models(files: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return (text, value) of every model that can be chosen."""
    known = [e.name for e in list_models() if e.kind == "model"]
    return [(model_title(name), name) for name in (*known, *files)] + [
        ("A file…", FILE)
    ]


def _among(layers: Sequence[Layer], wanted: object) -> Any:
    return next((layer for layer in layers if layer is wanted), None)


def _offer(box: ComboBox, choices: list[tuple[str, Any]], chosen: Any) -> None:
    with box.changed.blocked():
        box.choices = choices
        if chosen is not None:
            box.value = chosen
