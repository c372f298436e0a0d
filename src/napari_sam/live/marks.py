"""What a person has drawn about one object, as a prompt for a model and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from napari_sam.live import rasters
from napari_sam.live.values import Mark, MarkKind
from napari_sam.types import Prompt, PromptError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from napari_sam.types import BoolArray, Box, Mask

# How many vertices a kind has at least and at most.
_MANY: Final = 10**9
_COUNTS: Final[dict[MarkKind, tuple[int, int]]] = {
    "click": (1, 1),
    "box": (4, 4),
    "ellipse": (4, 4),
    "polygon": (1, _MANY),
    "scribble": (1, _MANY),
}


def prompt_of(
    marks: Sequence[Mark], shape: tuple[int, int], *, previous: Mask | None = None
) -> Prompt:
    """Say to a model what a person has drawn about one object.

    Clicks and scribbles become points; of several boxes around it the last counts;
    what its outlines (ellipses, polygons) enclose becomes a mask, and where there
    is no box also the box. Areas that do not belong to it become a few points in
    them. What lies beside the plane is left out.

    Parameters
    ----------
    marks : sequence of Mark
    shape : (height, width)
        Of the plane.
    previous : Mask, optional
        The answer that is to be refined.

    Raises
    ------
    PromptError
        In one line: what to draw instead.
    """
    areas = [mark for mark in marks if mark.positive and not _is_thin(mark)]
    outlines = [mark for mark in areas if mark.kind != "box"]
    box = _last_box([mark for mark in areas if mark.kind == "box"], shape)
    mask, around = _enclosed(outlines, shape)
    points, labels = _points(marks, shape)
    box = around if box is None else box
    if box is None and previous is None and not labels.any():
        raise PromptError(_nothing(marks))
    return Prompt(points, labels, box, mask, previous=previous)


def _is_thin(mark: Mark) -> bool:
    return mark.kind in ("click", "scribble")


def _vertices(mark: Mark) -> npt.NDArray[np.float64]:
    vertices = np.asarray(mark.vertices, np.float64)
    if vertices.ndim != 2 or vertices.shape[1] != 2:
        raise PromptError(f"a {mark.kind} has no (y, x) positions: draw it again")
    least, most = _COUNTS[mark.kind]
    if not least <= len(vertices) <= most:
        raise PromptError(
            f"a {mark.kind} cannot have {len(vertices)} corners: draw it again"
        )
    if not np.isfinite(vertices).all():
        raise PromptError(
            f"the position of a {mark.kind} is not a number: delete it, and draw it "
            "again"
        )
    return vertices


def _outline(mark: Mark) -> npt.NDArray[np.float64]:
    vertices = _vertices(mark)
    return rasters.ellipse(vertices) if mark.kind == "ellipse" else vertices


def _last_box(boxes: Iterable[Mark], shape: tuple[int, int]) -> Box | None:
    last = None
    for mark in boxes:
        found = rasters.clipped(rasters.extent_of(_vertices(mark)), shape)
        if found is not None and (found[0] >= found[2] or found[1] >= found[3]):
            raise PromptError("the box has no area: drag it open around the object")
        last = found or last
    return last


def _enclosed(
    outlines: Iterable[Mark], shape: tuple[int, int]
) -> tuple[BoolArray | None, Box | None]:
    """Return what all outlines together enclose, and the box around it."""
    plane: BoolArray | None = None
    corners: list[Box] = []
    for mark in outlines:
        outline = _outline(mark)
        box = rasters.clipped(rasters.bounds_of(outline), shape)
        if box is None:
            continue
        y0, x0, y1, x1 = window = rasters.window_of(box, shape)
        inside = rasters.fill(outline, window)
        if not inside.any():
            raise PromptError(
                "the outline encloses no pixel of the image: draw it larger"
            )
        plane = np.zeros(shape, np.bool_) if plane is None else plane
        plane[y0:y1, x0:x1] |= inside
        corners.append(box)
    if plane is None:
        return None, None
    low, high = np.array(corners)[:, :2].min(0), np.array(corners)[:, 2:].max(0)
    return plane, (float(low[0]), float(low[1]), float(high[0]), float(high[1]))


def _points(
    marks: Iterable[Mark], shape: tuple[int, int]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    points, labels = [np.empty((0, 2))], [np.empty(0, np.int64)]
    for mark in marks:
        found = _points_of(mark, shape)
        points.append(found)
        labels.append(np.full(len(found), int(mark.positive)))
    return np.concatenate(points).astype(np.float32), np.concatenate(labels)


def _points_of(mark: Mark, shape: tuple[int, int]) -> npt.NDArray[np.float64]:
    if mark.kind == "click":
        vertices = _vertices(mark)
        return vertices[rasters.on_plane(vertices, shape)]
    if mark.kind == "scribble":
        return rasters.along(_vertices(mark), shape)
    if mark.positive:
        return np.empty((0, 2))  # said by box and mask
    return rasters.within(_outline(mark), shape)


def _nothing(marks: Sequence[Mark]) -> str:
    if any(mark.positive for mark in marks):
        return "this lies beside the image: click on an object in it"
    if marks:
        return (
            "so far this says only what does not belong to the object: click on the "
            "object too, or draw a box around it"
        )
    return "click on an object, or draw a box around it"


def same(one: Sequence[Mark], other: Sequence[Mark]) -> bool:
    """Tell whether the same marks were drawn, in the same order."""
    return len(one) == len(other) and all(
        (a.kind, a.positive) == (b.kind, b.positive)
        and np.array_equal(a.vertices, b.vertices)
        for a, b in zip(one, other, strict=True)
    )


# No image is so large.
_Position: TypeAlias = Annotated[float, Field(ge=-1e9, le=1e9, allow_inf_nan=False)]


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: MarkKind
    vertices: list[tuple[_Position, _Position]]
    positive: bool = True


_rows = TypeAdapter(list[_Row])


def to_json(marks: Iterable[Mark]) -> list[dict[str, Any]]:
    """Return marks as what JSON can hold; `from_json` gives exactly them back."""
    return [
        {
            "kind": mark.kind,
            # As text first: 12.3, not the 12.300000190734863 of a widened float32.
            "vertices": np.asarray(mark.vertices, np.float32)
            .astype(np.str_)
            .astype(np.float64)
            .tolist(),
            "positive": bool(mark.positive),
        }
        for mark in marks
    ]


def from_json(rows: object) -> tuple[Mark, ...]:
    """Read marks that `to_json` has written.

    Raises
    ------
    PromptError
        If it is anything else; it says where.
    """
    try:
        read = _rows.validate_python(rows)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise PromptError(
            f"a saved prompt cannot be read ({where}: {first['msg']}): was the file "
            "changed by hand?"
        ) from error
    marks = tuple(
        Mark(row.kind, np.array(row.vertices, np.float32).reshape(-1, 2), row.positive)
        for row in read
    )
    for number, mark in enumerate(marks):
        least, most = _COUNTS[mark.kind]
        if not least <= len(mark.vertices) <= most:
            raise PromptError(
                f"a saved prompt cannot be read ({number}: a {mark.kind} with "
                f"{len(mark.vertices)} positions): was the file changed by hand?"
            )
    return marks
