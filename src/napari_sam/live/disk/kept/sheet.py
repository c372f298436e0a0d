"""The objects table of saved labels: one row per object and plane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from napari_sam.live.disk.kept.saved import FIELDS, about
from napari_sam.live.labels.scan import boxes_in
from napari_sam.live.values import ObjectRecord
from napari_sam.records import tables
from napari_sam.segment.table import make_table, with_ids
from napari_sam.types import Mask

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_sam.live.values import Index
    from napari_sam.records.labels import PixelSize

# What only automatic runs know.
_LEFT_OUT: Final = ("detection_score", "truncated")


class Sheet:
    """Writes a table plane by plane.

    Parameters
    ----------
    file : binary file
    image : str
        What the image is called in the table.
    stack_axes : str
    pixel_size : mapping of axis to (size, unit)
    classes : mapping of int to str
    more : mapping of str to mapping of int to value, optional
        Further columns: what stands there about objects. Those that the table has
        anyway are left out.
    """

    def __init__(
        self,
        file: BinaryIO,
        *,
        image: str,
        stack_axes: str,
        pixel_size: PixelSize,
        classes: Mapping[int, str],
        more: Mapping[str, Mapping[int, Any]] | None = None,
    ) -> None:
        self._image = image
        self._axes = stack_axes.lower()
        self._pixel_size = pixel_size
        self._classes = classes
        first, *columns = tables.columns("", pixel_size)
        names = (first, *self._axes, *columns, *FIELDS)
        usual = [n for n in names if n not in _LEFT_OUT]
        self._more = {n: known for n, known in (more or {}).items() if n not in usual}
        self._writer = tables.TableWriter(file, [*usual, *self._more])

    def add(
        self,
        index: Index,
        plane: npt.NDArray[Any],
        records: Mapping[int, ObjectRecord],
    ) -> None:
        """Write the rows of one plane."""
        boxes = boxes_in(plane)
        objects = [records.get(i) or ObjectRecord(i, source="import") for i in boxes]
        masks = [
            Mask(
                box,
                plane[box[0] : box[2], box[1] : box[3]] == record.id,
                record.score,
                record.stability,
            )
            for record, box in zip(objects, boxes.values(), strict=True)
        ]
        table = make_table(
            masks,
            classes=np.array([record.class_id for record in objects], np.int64),
            detection_scores=np.full(len(objects), np.nan, np.float32),
            class_names=(),
        )
        ids = np.array([0, *boxes], np.uint32)
        rows = tables.rows(
            with_ids(table, ids),
            image=self._image,
            places=dict(zip(self._axes, index, strict=True)),
            pixel_size=self._pixel_size,
            truncated=False,
        )
        self._writer.add(
            self._row(row, record) for row, record in zip(rows, objects, strict=True)
        )

    def close(self) -> None:
        """Leave the file to its owner."""
        self._writer.detach()

    def _row(self, row: dict[str, Any], record: ObjectRecord) -> dict[str, Any]:
        values = {name: row[name] for name in row if name not in _LEFT_OUT}
        for name in ("score", "stability"):
            if values[name] == "nan":
                values[name] = ""  # nobody has said anything
        values["class_name"] = self._classes.get(record.class_id, "")
        more = {name: str(of.get(record.id, "")) for name, of in self._more.items()}
        return {**values, **about(record), **more}
