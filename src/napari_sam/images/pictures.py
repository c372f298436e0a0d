"""PNG and JPEG files."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import ImageFile, JpegImagePlugin, PngImagePlugin

from napari_sam.types import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    from napari_sam.images.reader import Key, Reader
    from napari_sam.images.units import PixelSize

# Mode of PIL: (dtype, samples, mode to convert to first).
_MODES: dict[str, tuple[type[np.generic], int, str | None]] = {
    "1": (np.bool_, 1, None),
    "L": (np.uint8, 1, None),
    "LA": (np.uint8, 1, "L"),
    "I": (np.int32, 1, None),
    "I;16": (np.uint16, 1, None),
    "RGB": (np.uint8, 3, None),
    "RGBA": (np.uint8, 4, None),
}
_COLOUR = (np.uint8, 3, "RGB")
_TRANSPARENT = (np.uint8, 4, "RGBA")
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class PictureReader:
    """One picture, decoded anew on every read.

    Parameters
    ----------
    path : Path

    Raises
    ------
    ImageError
        If the header is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.origin = "the picture"
        self.channel_names: tuple[str, ...] = ()
        self.pixel_size: PixelSize = {}
        self.notes: tuple[str, ...] = ()
        self.coarser: tuple[tuple[int, Reader], ...] = ()
        self._deep = _deep_samples(path)
        try:
            with _opened(path) as picture:
                width, height = picture.size
                mode, info = picture.mode, picture.info
        except MemoryError:
            raise
        except Exception as exc:  # PIL raises nearly anything on damaged headers
            raise ImageError(
                f"{path}: the picture is damaged ({exc}): copy or export it again"
            ) from exc
        transparent = mode == "P" and "transparency" in info
        kind, samples, self._convert = _MODES.get(
            mode, _TRANSPARENT if transparent else _COLOUR
        )
        if self._deep:
            kind, samples = np.uint16, self._deep
        self.dtype: np.dtype[Any] = np.dtype(kind)
        self.shape: tuple[int, ...] = (height, width, samples)[: 2 + (samples > 1)]
        self.axes: str | None = "YXS" if samples > 1 else "YX"

    def read(self, key: Key) -> npt.NDArray[Any]:
        """Decode the picture."""
        if self._deep:
            import imagecodecs

            pixels = imagecodecs.png_decode(self._path.read_bytes())
            return np.asarray(pixels, self.dtype).reshape(self.shape)[key]
        with _opened(self._path) as picture:
            decoded = picture.convert(self._convert) if self._convert else picture
            return np.asarray(decoded, self.dtype)[key]

    def close(self) -> None:
        """Nothing stays open between reads."""


@contextmanager
def _opened(path: Path) -> Iterator[ImageFile.ImageFile]:
    # Image.open refuses large pictures as "decompression bombs"; microscopes
    # and slide scanners make such pictures, so the formats are opened directly.
    with path.open("rb") as file:
        png = file.read(len(_SIGNATURE)) == _SIGNATURE
        file.seek(0)
        kind = PngImagePlugin.PngImageFile if png else JpegImagePlugin.JpegImageFile
        with warnings.catch_warnings():
            # About metadata that we do not use (Exif, animation).
            warnings.simplefilter("ignore")
            with kind(file) as picture:
                yield picture


def _deep_samples(path: Path) -> int:
    """Return the samples of a 16-bit colour PNG, which PIL cuts to 8 bits; or 0."""
    with path.open("rb") as file:
        head = file.read(26)
    if not head.startswith(_SIGNATURE) or len(head) < 26 or head[24] != 16:
        return 0
    return {2: 3, 6: 4}.get(head[25], 0)
