"""Finds the image, and the channels, that were worked on in files."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.images import ImageStack, open_image
from napari_sam.live.disk import keeping
from napari_sam.live.replay.text import ReplayError
from napari_sam.live.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from napari_sam.live.disk.kept.saved import ImageText
    from napari_sam.live.replay.text import See


@dataclass(frozen=True, slots=True, eq=False)
class _Pixels:
    """A file as the array that a layer of it is: axes of length 1 may be left out."""

    stack: ImageStack
    shape: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.stack.dtype)

    def __getitem__(self, key: tuple[Any, ...]) -> npt.NDArray[Any]:
        along = self.shape[:-2]
        index, rest = key[: len(along)], key[len(along) :]
        flat = np.ravel_multi_index(index, along) if along else 0
        shape = self.stack.stack_shape
        where = np.unravel_index(flat, shape) if shape else ()
        box = None
        if rest:
            y, x = rest
            box = (y.start, x.start, y.stop, x.stop)
        return self.stack.read(tuple(int(i) for i in where), box)


class Images:
    """The channels of some files, each known by its fingerprint.

    Parameters
    ----------
    paths : sequence of Path
        The first is that of the image, others may hold further channels.
    image : ImageText
        What was recorded of it.

    Raises
    ------
    ReplayError
        If none of the files holds the image.
    """

    def __init__(self, paths: Sequence[Path], image: ImageText) -> None:
        self._files = ExitStack()
        self._found: dict[str, Source] = {}
        self._image, self._paths = image, paths
        try:
            for path in paths:
                for stack in self._channels(path):
                    self._add(stack)
            if image.fingerprint not in self._found:
                raise ReplayError(
                    f"{paths[0]} is not the image that was worked on, or has changed: "
                    "name the right file with --image"
                )
        except BaseException:
            self.close()
            raise

    def seen(self, see: See) -> Source:
        """Return the image as models saw it.

        Raises
        ------
        ReplayError
            If a channel is in none of the files.
        """
        others = []
        for number, one in enumerate(see.channels):
            if one not in self._found:
                names = ", ".join(map(str, self._paths))
                raise ReplayError(
                    f"channel {number + 2} that the model saw is not in {names}: name "
                    "its file, too, with --image FILE,FILE"
                )
            others.append(self._found[one])
        return self._found[self._image.fingerprint].seen(
            others, see.mode, see.ranges, see.percentiles, see.diameter
        )

    def close(self) -> None:
        """Close the files."""
        self._files.close()

    def _channels(self, path: Path) -> Iterator[ImageStack]:
        if not path.exists():
            raise ReplayError(
                f"{path} is not there: say with --image where the image is now"
            )
        whole = self._files.enter_context(open_image(path))
        yield whole
        axes = dict(zip(whole.axes, whole.shape, strict=True))
        for number in range(axes.get("C", 1 if not whole.rgb else axes["S"])):
            yield self._files.enter_context(open_image(path, channels=[number]))

    def _add(self, stack: ImageStack) -> None:
        shape = self._image.shape
        if len(stack) != np.prod(shape[:-2], dtype=int):
            return
        if stack.plane_shape != shape[-2:]:
            return
        source = Source(
            _Pixels(stack, shape),
            self._image.name,
            shape,
            self._image.stack_axes,
            stack.rgb,
        )
        path = self._image.path or None
        self._found.setdefault(keeping.fingerprint(source, path), source)
