"""Which crops were cut from one field of view.

The Data Science Bowl cut many of its fields into neighbouring crops and does not say
which belong together. They can be told: the last line of pixels of a crop is nearly
the first line of the crop beside it.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from skimage import io

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

Array = npt.NDArray[Any]
# Of lines that touch the correlation is mostly above 0.98 and of others mostly below
# 0.85; and they differ no more than two lines within an image do.
_CORRELATION, _DIFFERENCE, _NOISE = 0.9, 1.6, 0.3


def find_fields(images: Mapping[str, Path]) -> dict[str, str]:
    """Find the crops whose sides continue each other.

    Parameters
    ----------
    images : mapping of id to file
        Images that may belong together.

    Returns
    -------
    dict
        id -> id of one crop of its field, the same for all of them.
    """
    sizes: dict[tuple[int, ...], dict[str, Array]] = defaultdict(dict)
    for name in sorted(images):
        image = np.asarray(io.imread(images[name]))
        grey = image[..., :3].mean(-1) if image.ndim == 3 else image
        sizes[grey.shape][name] = grey.astype(np.float32)
    field = {name: name for name in images}
    for alike in sizes.values():
        names = list(alike)
        stack = np.stack(list(alike.values()))
        for axis in (1, 2):
            for first, second in _touching(np.moveaxis(stack, axis, 1)):
                old, new = field[names[first]], field[names[second]]
                field |= {name: new for name, root in field.items() if root == old}
    return field


def _touching(stack: Array) -> Iterator[tuple[int, int]]:
    """Yield pairs of images (N, lines, pixels): the second continues the first."""
    last, first = stack[:, -1], stack[:, 0]
    alike = _standardized(last) @ _standardized(first).T / last.shape[1]
    np.fill_diagonal(alike, -1)
    apart = np.abs(last[:, None] - first[None]).mean(2)
    inside = np.maximum(
        np.abs(last - stack[:, -2]).mean(1)[:, None],
        np.abs(first - stack[:, 1]).mean(1)[None],
    )
    near = apart < _DIFFERENCE * np.maximum(inside, _NOISE)
    for one, other in np.argwhere((alike > _CORRELATION) & near):
        if other == alike[one].argmax() and one == alike[:, other].argmax():
            yield int(one), int(other)


def _standardized(lines: Array) -> Array:
    centred = lines - lines.mean(1, keepdims=True)
    scaled: Array = centred / np.maximum(lines.std(1, keepdims=True), 1e-6)
    return scaled
