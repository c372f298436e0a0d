"""Pictures of slices and of single objects, with outlines, as texts for the page."""

from __future__ import annotations

import base64
import io
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

from napari_sam.images import open_image
from napari_sam.images.planes import is_large
from napari_sam.records.files import fingerprint
from napari_sam.records.overlays import Panel, fitted, render
from napari_sam.records.page.gather import label_axes
from napari_sam.records.rings import pieces_of
from napari_sam.records.sources import open_labels
from napari_sam.types import ImageError, NapariSamError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import numpy.typing as npt

    from napari_sam.images import ImageStack, Normalization, Plane
    from napari_sam.records.page.values import FileStats, Index, Outline, Slice, Summary
    from napari_sam.types import BoolArray, IntBox

    Labels = npt.NDArray[Any]

_SIDE: Final = 900  # pixels of the picture of a slice, the longer side
_CARD: Final = 240  # of an object
_FINEST: Final = 160  # pixels of a mask along a side of its outline
_AROUND: Final = 2.2  # how many times larger than the object its picture is
_LEAST: Final = 40  # pixels of the image that a picture shows at least
_PAGE: Final = 5_000_000  # bytes of all slices together
_QUALITIES: Final = (85, 70, 50, 30)
_GREY: Final = 110  # where there is no image
_NEIGHBOURS: Final = 40
_BAND: Final = 2**22  # pixels that are looked at together


@dataclass(frozen=True, slots=True)
class Picture:
    """What is shown of a slice or an object.

    Attributes
    ----------
    data : str
        A `data:` address; empty where nothing can be shown.
    size : (width, height)
    outline, others : str
        Paths of the object and of its neighbours in SVG, in pixels of `size`.
    note : str
        What to know about it, or why it is not there.
    """

    data: str = ""
    size: tuple[int, int] = (1, 1)
    outline: str = ""
    others: str = ""
    note: str = ""


class Pictures:
    """All pictures of a page; every slice is read once.

    Parameters
    ----------
    summary : Summary
    slices, objects
        What there will be pictures of.
    """

    def __init__(
        self, summary: Summary, slices: Iterable[Slice], objects: Iterable[Outline]
    ) -> None:
        self.of_slice: dict[Slice, Picture] = {}
        self.of_object: dict[Outline, Picture] = {}
        self._options = summary.run.options
        wanted: dict[int, dict[Index, tuple[list[Slice], list[Outline]]]]
        wanted = defaultdict(lambda: defaultdict(lambda: ([], [])))
        for one in dict.fromkeys(slices):
            wanted[one.file][one.index][0].append(one)
        for each in dict.fromkeys(objects):
            wanted[each.file][each.index][1].append(each)
        count = sum(len(a) for there in wanted.values() for a, _ in there.values())
        self._most = _PAGE // max(1, count)
        for number, there in sorted(wanted.items()):
            self._file(summary.files[number], there)

    def _file(
        self,
        file: FileStats,
        wanted: Mapping[Index, tuple[list[Slice], list[Outline]]],
    ) -> None:
        with ExitStack() as opened:
            labels, image, notes = None, None, []
            try:
                axes = label_axes(file.record)
                labels = opened.enter_context(open_labels(file.labels, axes))
                image = opened.enter_context(self._image(file, labels.plane_shape))
            except NapariSamError as error:
                notes.append(str(error))
            for index, (slices, objects) in sorted(wanted.items()):
                view = _View(labels, image, file.contrast, index, notes)
                for one in slices:
                    self.of_slice[one] = view.picture(partial(view.slice, self._most))
                for each in objects:
                    self.of_object[each] = view.picture(partial(view.object, each))

    def _image(self, file: FileStats, shape: tuple[int, int]) -> ImageStack:
        """Open the image that labels were made from.

        Raises
        ------
        ImageError
            If it is not there, or not the same any more.
        """
        axes, channels = self._options.get("axes"), self._options.get("channels")
        image = open_image(file.image, axes=axes, channels=channels)
        try:
            same = fingerprint(file.image) == file.record.fingerprint
        except OSError:
            same = False
        if not same or image.plane_shape != shape:
            image.close()
            raise ImageError(
                f"{file.image} has changed since its objects were found: outlines are "
                "shown without it"
            )
        return image


class _View:
    """One slice with its labels, read where it is looked at."""

    def __init__(
        self,
        labels: ImageStack | None,
        image: ImageStack | None,
        contrast: Normalization,
        index: Index,
        notes: Sequence[str],
    ) -> None:
        self._labels, self._index, self._notes = labels, index, list(notes)
        self._plane: Plane | None = None
        self._whole: Labels | None = None
        try:
            if labels is not None and not is_large(labels.plane_shape):
                self._whole = labels.read(index)
            if image is not None:
                self._plane = image.plane(index, contrast)
        except NapariSamError as error:
            self._notes.append(str(error))

    def picture(self, draw: Callable[[ImageStack], Picture]) -> Picture:
        """Draw something, or say why that is not possible."""
        try:
            if self._labels is not None:
                drawn = draw(self._labels)
                notes = [note for note in (drawn.note, *self._notes) if note]
                return replace(drawn, note="; ".join(notes))
        except NapariSamError as error:
            return Picture(note=str(error))
        return Picture(note="; ".join(self._notes))

    def slice(self, most: int, labels: ImageStack) -> Picture:
        """Draw all of it, in at most so many bytes."""
        height, width = labels.plane_shape
        step = -(-max(height, width) // (2 * _SIDE))
        pixels, ids = self._read(labels, (0, 0, height, width), step)
        size = fitted(ids.shape, min(_SIDE, 4 * max(ids.shape)))
        drawn = render(Panel(pixels, found=ids), size)
        return Picture(_jpeg(drawn, most), size)

    def object(self, one: Outline, labels: ImageStack) -> Picture:
        """Draw an object with some surroundings."""
        box = _around(one.box, labels.plane_shape)
        side = max(box[2] - box[0], box[3] - box[1])
        pixels, ids = self._read(labels, box, -(-side // (2 * _CARD)))
        if not (ids == one.id).any():
            return Picture(note="its outline is not in the labels any more")
        size = fitted(ids.shape, _CARD)
        drawn = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
        near = [n for n in np.unique(ids).tolist() if n not in (0, one.id)]
        return Picture(
            _jpeg(drawn, _CARD**2),
            size,
            _path(ids == one.id, size),
            "".join(_path(ids == n, size) for n in near[:_NEIGHBOURS]),
        )

    def _read(
        self, labels: ImageStack, box: IntBox, step: int
    ) -> tuple[npt.NDArray[np.uint8], Labels]:
        """Return every `step`-th pixel of a part, and its labels."""
        y0, x0, y1, x1 = box
        rows = max(1, _BAND // ((x1 - x0) * step)) * step
        pixels, ids = [], []
        for top in range(y0, y1, rows):
            part = (top, x0, min(top + rows, y1), x1)
            ids.append(self._ids(labels, part)[::step, ::step])
            if self._plane is None:
                pixels.append(np.full((*ids[-1].shape, 3), _GREY, np.uint8))
            else:
                pixels.append(self._plane.crop(part).pixels[::step, ::step])
        return np.concatenate(pixels), np.concatenate(ids)

    def _ids(self, labels: ImageStack, box: IntBox) -> Labels:
        if self._whole is None:
            return labels.read(self._index, box)
        y0, x0, y1, x1 = box
        return self._whole[y0:y1, x0:x1]


def _around(box: IntBox, shape: tuple[int, int]) -> IntBox:
    """Return a square around a box, moved into the plane where it juts out."""
    y0, x0, y1, x1 = box
    side = max(_LEAST, round(max(y1 - y0, x1 - x0) * _AROUND))
    height, width = (min(side, whole) for whole in shape)
    top = min(max(0, (y0 + y1 - height) // 2), shape[0] - height)
    left = min(max(0, (x0 + x1 - width) // 2), shape[1] - width)
    return top, left, top + height, left + width


def _path(mask: BoolArray, size: tuple[int, int]) -> str:
    """Return the outline of a mask as an SVG path in a picture of some size."""
    step = -(-max(mask.shape) // _FINEST)
    height, width = mask.shape
    scale = np.array([size[1] / height, size[0] / width]) * step
    rings = (r for piece in pieces_of(mask[::step, ::step]) for r in piece.rings)
    lines = (
        " ".join(f"{x:.4g},{y:.4g}" for y, x in (ring * scale).tolist())
        for ring in rings
    )
    return "".join(f"M{line}z" for line in lines)


def _jpeg(picture: Image.Image, most: int) -> str:
    """Return a picture in at most so many bytes, as worse as it has to be."""
    while True:
        for quality in _QUALITIES:
            file = io.BytesIO()
            picture.save(file, "JPEG", quality=quality, optimize=True)
            if file.tell() <= most:
                text = base64.b64encode(file.getvalue()).decode()
                return f"data:image/jpeg;base64,{text}"
        picture = picture.resize((picture.width // 2 or 1, picture.height // 2 or 1))
