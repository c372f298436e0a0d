"""Everything that determines a batch result, as one object.

`Recipe` is what the command line fills, what a run saves beside its results,
and what decides whether a run may go on where an earlier one stopped.
"""

from __future__ import annotations

import difflib
import math
import re
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
)

from napari_sam.images.normalization import PERCENTILES, Normalization
from napari_sam.images.spans import parse_spans
from napari_sam.images.units import parse_length
from napari_sam.types import NapariSamError

if TYPE_CHECKING:
    from napari_sam.images import ImageStack

Link = Literal["none", "stack", "time"]


_DISTANCE: Final = re.compile(r"(\d+\.?\d*|\.\d+)\s*(px|um|µm|μm|)")


class RecipeError(NapariSamError):
    """An option is unknown or has a value that it cannot have."""


def _as_tuple(value: object) -> object:
    """Take one value for a tuple of one, as `channels=0` means `channels=(0,)`."""
    if isinstance(value, (int, str, np.integer)):
        value = (value,)
    if isinstance(value, (list, tuple, np.ndarray)):
        return tuple(v.item() if isinstance(v, np.generic) else v for v in value)
    return value


def _as_length(value: object) -> object:
    """Take pixels as a number, and other lengths as text."""
    if value is None:
        return None
    length, unit = parse_length(value if isinstance(value, float | str) else str(value))
    return length if unit is None else f"{length:g} um"


def _check_fraction(value: float) -> float:
    if not 0 <= value <= 1:  # also false for NaN
        raise ValueError("must be between 0 and 1")
    return value


def _as_distance(value: object) -> object:
    """Bring "15", 15.0 and "4um" into one form: "15 px", "4 µm"."""
    if value is None:
        return None
    match = _DISTANCE.fullmatch(str(value).strip())
    if match is None or float(match[1]) == 0:
        raise ValueError("must be pixels or micrometres such as 15 or 4um")
    return f"{float(match[1]):g} {'px' if match[2] in ('', 'px') else 'µm'}"


def _as_spans(value: object) -> object:
    """Take "100:4000,0:900" for ((100, 4000), (0, 900))."""
    return parse_spans(value) if isinstance(value, str) else value


def _as_span(value: object) -> object:
    spans = _as_spans(value)
    if not isinstance(value, str):
        return spans
    if not isinstance(spans, tuple) or len(spans) != 1:
        raise ValueError("must be one pair of numbers such as 0.5:99.8")
    return spans[0]


def _check_span(value: tuple[float, float]) -> tuple[float, float]:
    low, high = value
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError("must be a lower and a higher number, such as 100:4000")
    return value


Span = Annotated[tuple[float, float], AfterValidator(_check_span)]
Fraction = Annotated[float, AfterValidator(_check_fraction)]
Index = Annotated[int, Field(ge=0, strict=True)]
Word = Annotated[str, Field(min_length=1)]


class Recipe(BaseModel):
    """The options of `annotate`, checked.

    Use `make_recipe` to get one line of plain English instead of pydantic's
    report when a value is wrong.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    axes: str | None = Field(
        default=None,
        description="Axes of the input, one letter each, for example ZYX or TCYX; "
        "by default what the file says.",
    )
    channels: Annotated[tuple[Index | str, ...] | None, BeforeValidator(_as_tuple)] = (
        Field(default=None, description="Channels to use, by number (from 0) or name.")
    )
    normalization: Literal["stack", "plane"] = Field(
        default="stack",
        description="Contrast: one range for the whole stack, or one per plane.",
    )
    percentiles: Annotated[Span, BeforeValidator(_as_span)] = Field(
        default=PERCENTILES,
        description="What becomes dark and what bright, in percent of all "
        "intensities: 0.5:99.8.",
    )
    ranges: Annotated[tuple[Span, ...] | None, BeforeValidator(_as_spans)] = Field(
        default=None,
        description="The intensities that become dark and bright, 100:4000, one pair "
        "for each channel, instead of those that are measured.",
    )
    detector: str = Field(
        default="nuclei",
        min_length=1,
        description="What proposes objects: a name or a file.",
    )
    model: str = Field(
        default="pocket",
        min_length=1,
        description="What outlines them: a name or a file.",
    )
    device: str = Field(
        default="auto",
        min_length=1,
        description="Where models run: auto, cpu, cuda, mps.",
    )
    conf: Fraction = Field(
        default=0.25, description="Objects detected with a lower score are left out."
    )
    iou: Fraction = Field(
        default=0.45,
        description="Of two detected boxes that overlap by more than this IoU, the "
        "one with the lower score is left out.",
    )
    imgsz: Annotated[int, Field(ge=32)] | None = Field(
        default=None,
        description="The plane's longer side is resized to so many pixels for the "
        "detector; by default what the detector's file says, or 640. Those built in "
        "look at the plane as it is, or choose the size themselves.",
    )
    max_det: int = Field(
        default=300,
        ge=1,
        description="At most this many objects per plane; a plane that has more is "
        "flagged.",
    )
    classes: Annotated[tuple[Index, ...] | None, BeforeValidator(_as_tuple)] = Field(
        default=None, description="Classes to keep, by number (from 0); by default all."
    )
    words: Annotated[tuple[Word, ...] | None, BeforeValidator(_as_tuple)] = Field(
        default=None,
        description="What to look for, for a detector that understands words (YOLOE, "
        "YOLO-World, SAM 3).",
    )
    diameter: Annotated[float | str | None, BeforeValidator(_as_length)] = Field(
        default=None,
        description="Of a typical object, in pixels, or with a unit where the file "
        "says how large a pixel is: 8um. Large planes are cut into tiles that suit it, "
        "small objects enlarged, and objects of less than a quarter or more than four "
        "times of it left out. By default models look at planes as they are.",
    )
    points_per_side: Annotated[int, Field(ge=1, le=1024)] = Field(
        default=32,
        description='For the detector "everything": clicks along each side of the '
        "plane. An object that no click hits is not found.",
    )
    crop_layers: Annotated[int, Field(ge=0, le=4)] = Field(
        default=0,
        description='For the detector "everything": layer n looks at 2^n times 2^n '
        "parts of the plane too, enlarged, for objects that are small in the whole.",
    )
    link: Link = Field(
        default="none",
        description="none: ids are unique in the whole stack. stack: an object keeps "
        "one id through z within each time point, or through t where there is no z. "
        "time: through z, and then through t by overlap and distance; it may divide.",
    )
    link_iou: Fraction = Field(
        default=0.1,
        description="With link=stack: an object is the same as one on the plane "
        "before (or, after a gap of one or two planes, on the one before that) only "
        "if their IoU is at least this.",
    )
    min_planes: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="Objects linked through z that are on fewer planes are left out, "
        "unless they reach the first or the last one; by default a quarter of the "
        "planes that objects of this stack usually go through.",
    )
    link_distance: Annotated[str | None, BeforeValidator(_as_distance)] = Field(
        default=None,
        description="With link=time: objects that hardly overlap move by less than "
        "this between two frames, in pixels (15) or micrometres (4um); by default "
        "1.25 times the diameter of a middle-sized one.",
    )
    max_hole: Fraction = Field(
        default=0.1,
        description="A hole in an object is filled when it is at most this fraction "
        "of the object's area.",
    )
    min_fragment: Fraction = Field(
        default=1.0,
        description="A separate piece of an object is kept only when it is larger than "
        "this fraction of the object's largest piece; 1 keeps the largest piece only.",
    )
    min_kept: Fraction = Field(
        default=0.5,
        description="An object that keeps less than this fraction of itself, because "
        "better-scored objects cover the rest, is a duplicate and is left out.",
    )
    min_area: int = Field(
        default=8, ge=0, description="Objects of fewer pixels than this are left out."
    )
    max_area: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="Objects of more pixels than this are left out; by default none.",
    )
    min_stability: Fraction = Field(
        default=0.0,
        description="Objects are left out if a smaller part of them than this stays "
        "the same when the model's threshold is moved.",
    )
    border: bool = Field(
        default=True,
        description="Keep objects that the edge of the plane may have cut.",
    )

    def sized(self, diameter: float | None) -> Recipe:
        """Return the recipe for objects of a typical diameter in pixels.

        Parameters
        ----------
        diameter : float, optional
            None changes nothing.
        """
        if diameter is None:
            return self
        least, most = (math.pi / 4 * (diameter * n) ** 2 for n in (0.25, 4.0))
        return self.model_copy(
            update={
                "min_area": max(self.min_area, round(least)),
                "max_area": math.ceil(most) if self.max_area is None else self.max_area,
            }
        )

    def contrast(self, stack: ImageStack) -> Normalization:
        """Return what becomes dark and bright in a stack, measured or as said.

        Raises
        ------
        ImageError
            If the stack cannot be read.
        """
        if self.ranges is not None:
            return Normalization("stack", self.ranges, self.percentiles)
        return stack.normalization(self.normalization, self.percentiles)

    @field_validator("percentiles")
    @classmethod
    def _check_percent(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= value[0] < value[1] <= 100:
            raise ValueError("must lie between 0 and 100")
        return value

    @field_validator("axes")
    @classmethod
    def _check_axes(cls, axes: str | None) -> str | None:
        if axes is None:
            return None
        axes = axes.upper()
        if not (axes.isalpha() and axes.isascii()):
            raise ValueError("must be letters such as ZYX")
        if len(set(axes)) != len(axes):
            raise ValueError("must not name an axis twice")
        if "Y" not in axes or "X" not in axes:
            raise ValueError("must name Y and X as in ZYX")
        return axes

    @field_validator("channels", "classes", "words")
    @classmethod
    def _check_not_empty(cls, values: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
        if values is not None and len(values) == 0:
            raise ValueError("must name at least one")
        if values is not None and len(set(values)) != len(values):
            raise ValueError("must not name one twice")
        return values


def make_recipe(**options: Any) -> Recipe:
    """Check options and return them as a `Recipe`.

    Raises
    ------
    RecipeError
        With one line that names the option, its value and what it may be.

    Examples
    --------
    >>> make_recipe(conf=0.5, link="stack").conf
    0.5
    """
    try:
        return Recipe(**options)
    except ValidationError as error:
        raise RecipeError("; ".join(_messages(error, options))) from None


def _messages(error: ValidationError, options: dict[str, Any]) -> list[str]:
    lines: dict[str, str] = {}
    for detail in error.errors(include_url=False, include_context=False):
        name = str(detail["loc"][0]) if detail["loc"] else "options"
        if detail["type"] == "extra_forbidden":
            line = _unknown(name)
        else:
            problem = detail["msg"].removeprefix("Value error, ")
            if detail["type"] != "literal_error":  # these list values with commas
                problem = problem.partition(", ")[0]
            problem = problem.replace("Input should", "must", 1)
            problem = problem.replace("String should", "must", 1)
            line = f"{name} {problem}, not {options[name]!r}"
        # A union reports every branch that failed: the first says enough.
        lines.setdefault(name, line)
    return list(lines.values())


def _unknown(name: str) -> str:
    close = difflib.get_close_matches(name, Recipe.model_fields, n=1)
    hint = f"did you mean {close[0]}?" if close else "see --help for the options"
    return f"there is no option {name}: {hint}"
