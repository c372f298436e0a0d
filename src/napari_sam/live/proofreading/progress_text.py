"""What is complete, as JSON and back."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt, ValidationError

from napari_sam.live import marks
from napari_sam.live.proofreading.progress import Progress, ProgressError, State


class _PlaneText(BaseModel):
    model_config = ConfigDict(extra="forbid")

    index: tuple[NonNegativeInt, ...]
    state: State


class _RegionText(BaseModel):
    model_config = ConfigDict(extra="forbid")

    index: tuple[NonNegativeInt, ...]
    area: dict[str, Any]
    state: State


class _ProgressText(BaseModel):
    model_config = ConfigDict(extra="forbid")

    stack_shape: tuple[PositiveInt, ...]
    plane_shape: tuple[PositiveInt, PositiveInt]
    planes: list[_PlaneText]
    regions: list[_RegionText]


def progress_to_json(progress: Progress) -> dict[str, Any]:
    """Return it as what JSON can hold."""
    return {
        "stack_shape": list(progress.stack_shape),
        "plane_shape": list(progress.plane_shape),
        "planes": [
            {"index": list(index), "state": state}
            for index, state in sorted(progress.planes.items())
        ],
        "regions": [
            {
                "index": list(region.index),
                "area": marks.to_json([region.area])[0],
                "state": region.state,
            }
            for region in progress.regions
        ],
    }


def progress_from_json(value: object) -> Progress:
    """Read what `progress_to_json` has written.

    Raises
    ------
    NapariSamError
        If it is anything else; it says where.
    """
    try:
        read = _ProgressText.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ProgressError(
            f"what is complete cannot be read ({where}: {first['msg']}): was the file "
            "changed by hand?"
        ) from error
    progress = Progress(read.stack_shape, read.plane_shape)
    for plane in read.planes:
        progress = progress.mark([plane.index], plane.state)
    for number, row in enumerate(read.regions):
        (area,) = marks.from_json([row.area])
        progress = progress.add_region(row.index, area)
        progress = progress.mark_region(number, row.state)
    return progress
