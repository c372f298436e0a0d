"""The settings on the screen, and the recipe that they make with those that are not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from magicgui.widgets import CheckBox, ComboBox, LineEdit
from qtpy.QtWidgets import QCheckBox, QGridLayout, QPushButton, QVBoxLayout, QWidget

from napari_sam.records.formats import TIFF
from napari_sam.segment.recipe import Recipe, RecipeError, make_recipe
from napari_sam.widgets.auto_annotate.form import Form
from napari_sam.widgets.auto_annotate.words import LINKS
from napari_sam.widgets.batch import words
from napari_sam.widgets.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_sam.models.lane import Post

_COLUMNS: Final = 2


class BatchForm:
    """All settings of a batch.

    What a recipe says and the screen does not stays as it was when it was shown.

    Parameters
    ----------
    changed : callable
        Is called after a change.
    parent : QWidget
        Where a dialog for files belongs to.
    post : callable
        Runs a function on the viewer's thread.
    notice : callable
        Is called with one line where nothing can be chosen.

    Attributes
    ----------
    form : Form
        What "Auto-annotate" has, too.
    more : QWidget
        What is rarely changed.
    files : QWidget
        What is written.
    replace : CheckBox
        Whether results that are there are replaced.
    """

    def __init__(
        self,
        *,
        changed: Callable[[], None],
        parent: QWidget,
        post: Post,
        notice: Callable[[str], None],
    ) -> None:
        self._changed = changed
        self._ready = False
        self.form = Form(
            settings=self._tell,
            parts=self._tell,
            parent=parent,
            post=post,
            notice=notice,
        )
        self.form.what.show_row(self.form.image, False)
        self.form.suit(True, None)
        self.axes = LineEdit(label="Axes", tooltip=words.AXES_TIP)
        self.channels = LineEdit(label="Channels", tooltip=words.CHANNELS_TIP)
        self.contrast = ComboBox(
            label="Contrast",
            choices=[(text, name) for name, text in words.CONTRASTS.items()],
        )
        self.diameter = LineEdit(label="Typical diameter", tooltip=words.DIAMETER_TIP)
        self.axes.native.setPlaceholderText("as the file says")
        self.channels.native.setPlaceholderText("the first one")
        self.diameter.native.setPlaceholderText("not said")
        self.replace = CheckBox(text=words.REPLACE, value=False)
        seen = (self.axes, self.channels, self.contrast, self.diameter)
        self.take = QPushButton("Take settings from a run…")
        self.more = _column(Rows(*seen), self.form.more, self.take)
        self._formats = {name: _check(*said) for name, said in words.FORMATS.items()}
        self._formats[TIFF].setChecked(True)
        self._formats[TIFF].setEnabled(False)
        self.files = QWidget()
        grid = QGridLayout(self.files)
        grid.setContentsMargins(8, 0, 0, 6)
        for at, box in enumerate(self._formats.values()):
            grid.addWidget(box, at // _COLUMNS, at % _COLUMNS)
            box.toggled.connect(lambda _: self._tell())
        for widget in (*seen, self.replace):
            widget.changed.connect(lambda _: self._tell())
        self._base = Recipe()
        self._shown = self._said()
        self._ready = True

    @property
    def formats(self) -> tuple[str, ...]:
        """The kinds of files that are written."""
        return tuple(name for name, box in self._formats.items() if box.isChecked())

    @property
    def touched(self) -> bool:
        """Whether something else is set than was shown last."""
        try:
            return self.recipe() != self._base
        except RecipeError:
            return True

    @property
    def lacking(self) -> str:
        """What the person has to do before anything can be done; or ""."""
        return self.form.seeking.lacking

    def recipe(self) -> Recipe:
        """Return what is set.

        Raises
        ------
        RecipeError
            If a value cannot be.
        """
        said = self._said()
        changes = {
            name: value for name, value in said.items() if value != self._shown[name]
        }
        if "detector" in changes:  # what the other one was asked for goes with it
            changes |= {name: said[name] for name in ("classes", "words")}
        return make_recipe(**{**self._base.model_dump(), **changes})

    def show(self, recipe: Recipe, formats: Sequence[str]) -> None:
        """Show other settings."""
        self._ready = False
        self._show(recipe)
        for name, box in self._formats.items():
            box.setChecked(name in formats or name == TIFF)
        self._base, self._shown = recipe, self._said()
        self._ready = True
        self._tell()

    @property
    def described(self) -> tuple[str, str, str]:
        """What looks for objects, what outlines them, and how these keep numbers."""
        form = self.form
        link = form.link.value
        return (
            ", ".join(form.seeking.said or ()) or _title(form.detector),
            _title(form.model),
            "" if link == "none" else LINKS[link],
        )

    def _show(self, recipe: Recipe) -> None:
        form = self.form
        for kind, box in (("detector", form.detector), ("model", form.model)):
            value = getattr(recipe, kind)
            if value in box.choices:
                box.value = value
            else:
                form.pick(kind, value)
        form.seeking.words.value = ", ".join(recipe.words or ())
        for slider, value in ((form.conf, recipe.conf), (form.iou, recipe.iou)):
            slider.value = min(max(value, slider.min), slider.max)
        form.smallest.pixels = recipe.min_area
        form.max_hole.value = round(100 * recipe.max_hole)
        form.link.value = recipe.link
        form.max_det.value = recipe.max_det
        form.least.value = recipe.min_planes or 0
        number, _, unit = (recipe.link_distance or "0 px").partition(" ")
        form.farthest.pixels = float(number) if unit == "px" else 0.0
        self.axes.value = recipe.axes or ""
        self.channels.value = ",".join(str(one) for one in recipe.channels or ())
        self.contrast.value = recipe.normalization
        self.diameter.value = "" if recipe.diameter is None else str(recipe.diameter)

    def _said(self) -> dict[str, Any]:
        """Return what is on the screen, as options of a recipe."""
        said = self.form.recipe().model_dump()
        parts = [part.strip() for part in self.channels.value.split(",")]
        channels = [int(one) if one.isdecimal() else one for one in parts if one]
        return {
            **said,
            "axes": self.axes.value.strip() or None,
            "channels": tuple(channels) or None,
            "normalization": self.contrast.value,
            "diameter": self.diameter.value.strip() or None,
        }

    def _tell(self) -> None:
        if self._ready:
            self._changed()


def _title(box: ComboBox) -> str:
    return str(box.native.currentText())


def _check(text: str, tip: str) -> QCheckBox:
    box = QCheckBox(text)
    box.setToolTip(tip)
    return box


def _column(*parts: QWidget) -> QWidget:
    column = QWidget()
    lines = QVBoxLayout(column)
    lines.setContentsMargins(8, 0, 0, 6)
    for part in parts:
        lines.addWidget(part)
    return column
