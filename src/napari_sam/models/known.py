"""Checkpoints of others that can be loaded: what for, how large, and where from.

Nothing here is downloaded by us: a person gets the file and says where it lies. No
torch here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_SAM: Final = "https://github.com/facebookresearch/segment-anything#model-checkpoints"
_SAM2: Final = "https://github.com/facebookresearch/sam2#sam-21-checkpoints"
_ZOO: Final = "https://bioimage.io/#/?id="
_ON_PAGE: Final = "as its page says"


@dataclass(frozen=True, slots=True)
class Known:
    """A checkpoint that somebody publishes.

    Attributes
    ----------
    name : str
        For people.
    file : str
        What it is called where it comes from.
    size : int
        Bytes; rounded where `exact` is not set.
    licence : str
        SPDX identifier of the weights, or where it is written.
    good_for : str
        One line for people.
    where : str
        The page from which it can be downloaded.
    exact : bool
        The file can be told from others by its name and size.
    """

    name: str
    file: str
    size: int
    licence: str
    good_for: str
    where: str
    exact: bool = True

    @property
    def says_size(self) -> str:
        """How large it is, for people."""
        return f"{'' if self.exact else 'about '}{in_bytes(self.size)}"


KNOWN: Final = (
    Known(
        "MobileSAM",
        "mobile_sam.pt",
        40_728_226,
        "Apache-2.0",
        "objects of any kind on an ordinary computer; rougher outlines than SAM",
        "https://github.com/ChaoningZhang/MobileSAM/tree/master/weights",
    ),
    Known(
        "SAM, base (ViT-B)",
        "sam_vit_b_01ec64.pth",
        375_042_383,
        "Apache-2.0",
        "objects of any kind; slow without a graphics card",
        _SAM,
    ),
    Known(
        "SAM, large (ViT-L)",
        "sam_vit_l_0b3195.pth",
        1_249_524_607,
        "Apache-2.0",
        "objects of any kind, finer than the base; wants a graphics card",
        _SAM,
    ),
    Known(
        "SAM, huge (ViT-H)",
        "sam_vit_h_4b8939.pth",
        2_564_550_879,
        "Apache-2.0",
        "as the large one, and slower still; wants a large graphics card",
        _SAM,
    ),
    Known(
        "SAM 2.1, tiny",
        "sam2.1_hiera_tiny.pt",
        156_000_000,
        "Apache-2.0",
        "objects of any kind; newer than SAM, and its smallest",
        _SAM2,
        exact=False,
    ),
    Known(
        "SAM 2.1, small",
        "sam2.1_hiera_small.pt",
        184_000_000,
        "Apache-2.0",
        "objects of any kind, a little finer than the tiny one",
        _SAM2,
        exact=False,
    ),
    Known(
        "SAM 2.1, base (base+)",
        "sam2.1_hiera_base_plus.pt",
        324_000_000,
        "Apache-2.0",
        "objects of any kind, finer; slow without a graphics card",
        _SAM2,
        exact=False,
    ),
    Known(
        "SAM 2.1, large",
        "sam2.1_hiera_large.pt",
        898_000_000,
        "Apache-2.0",
        "objects of any kind, the finest of them; wants a graphics card",
        _SAM2,
        exact=False,
    ),
    Known(
        "µSAM, light microscopy, tiny (vit_t_lm)",
        "vit_t.pt",
        40_000_000,
        _ON_PAGE,
        "cells and nuclei in light microscopy, on an ordinary computer",
        f"{_ZOO}faithful-chicken",
        exact=False,
    ),
    Known(
        "µSAM, light microscopy, base (vit_b_lm)",
        "vit_b.pt",
        375_000_000,
        _ON_PAGE,
        "cells and nuclei in light microscopy; slow without a graphics card",
        f"{_ZOO}diplomatic-bug",
        exact=False,
    ),
    Known(
        "µSAM, organelles (vit_b_em_organelles)",
        "vit_b.pt",
        375_000_000,
        _ON_PAGE,
        "mitochondria and nuclei in electron microscopy",
        f"{_ZOO}noisy-ox",
        exact=False,
    ),
)
"""Smallest first within a family."""


def recognize(name: str, size: int) -> Known | None:
    """Return which of them a file is by its name and size; None if none."""
    for known in KNOWN:
        if known.exact and (known.file, known.size) == (name, size):
            return known
    return None


def in_bytes(count: int | None) -> str:
    """Say how large a file is.

    Examples
    --------
    >>> [in_bytes(one) for one in (6_800_000, 375_042_383, 2_564_550_879, 800, None)]
    ['6.8 MB', '375 MB', '2.6 GB', '1 kB', '']
    """
    if count is None:
        return ""
    for unit, name in ((10**9, "GB"), (10**6, "MB")):
        if count >= unit:
            part = count / unit
            return f"{part:.1f} {name}" if part < 10 else f"{part:.0f} {name}"
    return f"{max(1, round(count / 1000))} kB"
