"""Checkpoints of others: what for, how large, from where, and how to tell them.

Nothing here downloads: `napari_sam.models.store` does, when a person asks. No torch
here.

Every hash was read from what its publisher gives out, none was computed here: the six
digits in the names of Meta's files are the first of their sha256 (the convention of
torch.hub), and the xxh128 are those in the registry of micro-sam 1.8.14
(`micro_sam.util.models`). Where `hashes` is empty, none was found.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from napari_sam.models.addresses import (
    ASSETS,
    CLIP,
    CLIP_SHA256,
    META,
    META_PAGE,
    SAM2,
    SAM2_PAGE,
    SAM21,
    ZOO,
    ZOO_PAGE,
)

LOADABLE: Final = frozenset(
    {"SAM", "MobileSAM", "µSAM", "SAM 2", "SAM 2.1", "SAM 3", "FastSAM"}
    | {"YOLOE", "YOLO-World", "CLIP"}
)
"""Families whose checkpoints this version can load."""

DETECTING: Final = frozenset({"YOLOE", "YOLO-World", "SAM 3"})
"""Families whose checkpoints find objects by themselves."""

_ON_PAGE: Final = "as its page says"
_APACHE: Final = "Apache-2.0"
_SAM_PAPER: Final = "Kirillov et al., Segment Anything, arXiv:2304.02643"
_SAM2_PAPER: Final = (
    "Ravi et al., SAM 2: Segment Anything in Images and Videos, arXiv:2408.00714"
)
_MICRO_PAPER: Final = (
    "Archit et al., Segment Anything for Microscopy, "
    "Nature Methods 2025, doi:10.1038/s41592-024-02580-4"
)
_FAST_PAPER: Final = "Zhao et al., Fast Segment Anything, arXiv:2306.12156"
_YOLOE_PAPER: Final = "Wang et al., YOLOE: Real-Time Seeing Anything, arXiv:2503.07465"
_WORLD_PAPER: Final = (
    "Cheng et al., YOLO-World: Real-Time Open-Vocabulary Object Detection, "
    "arXiv:2401.17270"
)
_NEAR: Final = 0.1
"""A rounded size may be wrong by this part of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A checkpoint that somebody publishes.

    Attributes
    ----------
    name : str
        What it is asked for by.
    title : str
        For people.
    family : str
        Which kind of model it is.
    file : str
        What it is called where it comes from.
    size : int
        Bytes; rounded where `exact` is not set.
    licence : str
        SPDX identifier of the weights, or where it is written.
    year : int
        When it was published.
    paper : str
        What to cite.
    good_for : str
        One line for people.
    where : str
        The page about it.
    url : str
        The file's own address; empty where it must be asked for on the page.
    hashes : tuple of str
        What its publisher gives, as "algorithm:digits"; of sha256 this may be the
        first digits only.
    saved_as : str
        What it is called here, where `file` is no name for one model alone.
    exact : bool
        The size is known to the byte.
    """

    name: str
    title: str
    family: str
    file: str
    size: int
    licence: str
    year: int
    paper: str
    good_for: str
    where: str
    url: str = ""
    hashes: tuple[str, ...] = ()
    saved_as: str = ""
    exact: bool = False

    @property
    def says_size(self) -> str:
        """How large it is, for people."""
        return f"{'' if self.exact else 'about '}{in_bytes(self.size)}"

    @property
    def stored(self) -> str:
        """The name of its file in our folder and on a mirror."""
        return self.saved_as or self.file

    @property
    def detects(self) -> bool:
        """Whether it finds objects by itself."""
        return self.family in DETECTING

    @property
    def loadable(self) -> bool:
        """Whether this version can load it."""
        return self.family in LOADABLE


def _sam(
    name: str, title: str, file: str, size: int, xxh128: str, good_for: str
) -> Known:
    prefix = PurePosixPath(file).stem.rpartition("_")[2]
    return Known(
        name=name,
        title=title,
        family="SAM",
        file=file,
        size=size,
        licence=_APACHE,
        year=2023,
        paper=_SAM_PAPER,
        good_for=good_for,
        where=META_PAGE,
        url=f"{META}/{file}",
        hashes=(f"sha256:{prefix}", f"xxh128:{xxh128}"),
        exact=True,
    )


def _sam2(version: str, part: str, size: int, good_for: str) -> Known:
    base = {"2": SAM2, "2.1": SAM21}[version]
    file = f"sam{version}_hiera_{part}.pt"
    words = part.replace("_", " ")
    return Known(
        name=f"sam{version}-{part.replace('_', '-')}",
        title=f"SAM {version}, {words}",
        family="SAM 2.1" if version == "2.1" else "SAM 2",
        file=file,
        size=size,
        licence=_APACHE,
        year=2024,
        paper=_SAM2_PAPER,
        good_for=good_for,
        where=SAM2_PAGE,
        url=f"{base}/{file}",
    )


def _micro(
    model: str,
    title: str,
    size: int,
    zoo: tuple[str, str],
    xxh128: str,
    good_for: str,
) -> Known:
    vit = model[:5]
    animal, version = zoo
    return Known(
        name=model.replace("_", "-"),
        title=f"µSAM, {title} ({model})",
        family="µSAM",
        file=f"{vit}.pt",
        size=size,
        licence=_ON_PAGE,
        year=2025,
        paper=_MICRO_PAPER,
        good_for=good_for,
        where=f"{ZOO_PAGE}{animal}",
        url=f"{ZOO}/{animal}/{version}/files/{vit}.pt",
        hashes=(f"xxh128:{xxh128}",),
        saved_as=f"{model}.pt",
    )


def _fast(letter: str, size: int, good_for: str) -> Known:
    return Known(
        name=f"fastsam-{letter}",
        title=f"FastSAM-{letter}",
        family="FastSAM",
        file=f"FastSAM-{letter}.pt",
        size=size,
        licence="AGPL-3.0",
        year=2023,
        paper=_FAST_PAPER,
        good_for=good_for,
        where="https://docs.ultralytics.com/models/fast-sam/",
        url=f"{ASSETS}/FastSAM-{letter}.pt",
    )


_CELLS: Final = "cells and nuclei in light microscopy"
_ORGANELLES: Final = "mitochondria and nuclei in electron microscopy"
_LAPTOP: Final = "on an ordinary computer"
_SLOW: Final = "slow without a graphics card"
_CARD: Final = "wants a graphics card"
_ANY: Final = "objects of any kind"

KNOWN: Final = (
    Known(
        name="mobile-sam",
        title="MobileSAM",
        family="MobileSAM",
        file="mobile_sam.pt",
        size=40_728_226,
        licence=_APACHE,
        year=2023,
        paper="Zhang et al., Faster Segment Anything, arXiv:2306.14289",
        good_for=f"{_ANY} {_LAPTOP}; rougher outlines than SAM",
        where="https://github.com/ChaoningZhang/MobileSAM/tree/master/weights",
        # The copy that µSAM's authors keep: the hash in their registry is for it.
        url="https://owncloud.gwdg.de/index.php/s/TuDzuwVDHd1ZDnQ/download",
        hashes=("xxh128:8eadbc88aeb9d8c7e0b4b60c3db48bd0",),
        exact=True,
    ),
    _sam(
        "sam-vit-b",
        "SAM, base (ViT-B)",
        "sam_vit_b_01ec64.pth",
        375_042_383,
        "6923c33df3637b6a922d7682bfc9a86b",
        f"{_ANY}; {_SLOW}",
    ),
    _sam(
        "sam-vit-l",
        "SAM, large (ViT-L)",
        "sam_vit_l_0b3195.pth",
        1_249_524_607,
        "a82beb3c660661e3dd38d999cc860e9a",
        f"{_ANY}, finer than the base; {_CARD}",
    ),
    _sam(
        "sam-vit-h",
        "SAM, huge (ViT-H)",
        "sam_vit_h_4b8939.pth",
        2_564_550_879,
        "97698fac30bd929c2e6d8d8cc15933c2",
        "as the large one, and slower still; wants a large graphics card",
    ),
    _micro(
        "vit_t_lm",
        "light microscopy, tiny",
        40_000_000,
        ("faithful-chicken", "1.1"),
        "72ec5074774761a6e5c05a08942f981e",
        f"{_CELLS}, {_LAPTOP}",
    ),
    _micro(
        "vit_b_lm",
        "light microscopy, base",
        375_000_000,
        ("diplomatic-bug", "1.2"),
        "fe9252a29f3f4ea53c15a06de471e186",
        f"{_CELLS}; {_SLOW}",
    ),
    _micro(
        "vit_l_lm",
        "light microscopy, large",
        1_250_000_000,
        ("idealistic-rat", "1.2"),
        "017f20677997d628426dec80a8018f9d",
        f"{_CELLS}, finer than the base; {_CARD}",
    ),
    _micro(
        "vit_t_em_organelles",
        "organelles, tiny",
        40_000_000,
        ("greedy-whale", "1"),
        "253474720c497cce605e57c9b1d18fd9",
        f"{_ORGANELLES}, {_LAPTOP}",
    ),
    _micro(
        "vit_b_em_organelles",
        "organelles, base",
        375_000_000,
        ("noisy-ox", "1.2"),
        "f3bf2ed83d691456bae2c3f9a05fb438",
        f"{_ORGANELLES}; {_SLOW}",
    ),
    _micro(
        "vit_l_em_organelles",
        "organelles, large",
        1_250_000_000,
        ("humorous-crab", "1.2"),
        "810b084b6e51acdbf760a993d8619f2d",
        f"{_ORGANELLES}, finer than the base; {_CARD}",
    ),
    _sam2("2", "tiny", 156_000_000, f"{_ANY}; the smallest of SAM 2"),
    _sam2("2", "small", 184_000_000, f"{_ANY}; between tiny and base plus"),
    _sam2("2", "base_plus", 324_000_000, f"{_ANY}; {_SLOW}"),
    _sam2("2", "large", 898_000_000, f"{_ANY}, the finest of SAM 2; {_CARD}"),
    _sam2("2.1", "tiny", 156_000_000, f"{_ANY}; the smallest of SAM 2.1"),
    _sam2("2.1", "small", 184_000_000, f"{_ANY}; between tiny and base plus"),
    _sam2("2.1", "base_plus", 324_000_000, f"{_ANY}; {_SLOW}"),
    _sam2("2.1", "large", 898_000_000, f"{_ANY}, the finest of SAM 2.1; {_CARD}"),
    Known(
        name="sam3",
        title="SAM 3",
        family="SAM 3",
        file="sam3.pt",
        size=3_450_000_000,
        licence="Meta's SAM licence, to be agreed to on its page",
        year=2025,
        paper="Meta, SAM 3: Segment Anything with Concepts, 2025",
        good_for=f"{_ANY}, also such as a word describes; {_CARD}",
        where="https://huggingface.co/facebook/sam3",
    ),
    _fast("s", 24_000_000, "whole images at once, fast and rough"),
    _fast("x", 145_000_000, "whole images at once, finer than s"),
)
"""Models; smallest first within a family."""


def _yoloe(version: str, letter: str, size: int, good_for: str) -> Known:
    file = f"yoloe-{version}{letter}-seg.pt"
    return Known(
        name=f"yoloe-{version}{letter}",
        title=f"YOLOE-{version}{letter}",
        family="YOLOE",
        file=file,
        size=size,
        licence="AGPL-3.0",
        year=2026 if version == "26" else 2025,
        paper=_YOLOE_PAPER,
        good_for=good_for,
        where="https://docs.ultralytics.com/models/yoloe/",
        url=f"{ASSETS}/{file}",
    )


def _reader(
    name: str, title: str, file: str, size: int, year: int, paper: str, good_for: str
) -> Known:
    return Known(
        name=name,
        title=title,
        family="CLIP",
        file=file,
        size=size,
        licence="Apple's, as its page says",
        year=year,
        paper=paper,
        good_for=good_for,
        where="https://github.com/apple/ml-mobileclip",
        url=f"{ASSETS}/{file}",
    )


_SAID: Final = "everyday objects that a word describes, outlined"

DETECTORS: Final = (
    _yoloe("11", "s", 28_000_000, f"{_SAID}; {_LAPTOP}; needs mobileclip-blt"),
    _yoloe("11", "l", 71_000_000, f"{_SAID}, finer than s; needs mobileclip-blt"),
    _yoloe("26", "s", 31_000_000, f"{_SAID}; {_LAPTOP}; needs mobileclip2-b"),
    _yoloe("26", "l", 75_000_000, f"{_SAID}, finer than s; needs mobileclip2-b"),
    Known(
        name="yolo-world-s",
        title="YOLO-World v2, small",
        family="YOLO-World",
        file="yolov8s-worldv2.pt",
        size=26_000_000,
        licence="AGPL-3.0",
        year=2024,
        paper=_WORLD_PAPER,
        good_for=f"boxes around what a word describes, {_LAPTOP}; needs clip-vit-b-32",
        where="https://docs.ultralytics.com/models/yolo-world/",
        url=f"{ASSETS}/yolov8s-worldv2.pt",
    ),
)
"""Detectors that understand words."""

READERS: Final = (
    Known(
        name="clip-vit-b-32",
        title="CLIP ViT-B/32",
        family="CLIP",
        file="ViT-B-32.pt",
        size=354_000_000,
        licence="MIT",
        year=2021,
        paper="Radford et al., Learning Transferable Visual Models, arXiv:2103.00020",
        good_for="reading the words that YOLO-World is asked for",
        where="https://github.com/openai/CLIP",
        url=f"{CLIP}/{CLIP_SHA256}/ViT-B-32.pt",
        hashes=(f"sha256:{CLIP_SHA256}",),  # as its address says
    ),
    _reader(
        "mobileclip-blt",
        "MobileCLIP-B (LT)",
        "mobileclip_blt.ts",
        600_000_000,
        2024,
        "Vasu et al., MobileCLIP, arXiv:2311.17049",
        "reading the words that YOLOE-11 and YOLOE-v8 are asked for",
    ),
    _reader(
        "mobileclip2-b",
        "MobileCLIP2-B",
        "mobileclip2_b.ts",
        254_000_000,
        2025,
        "Faghri et al., MobileCLIP2, arXiv:2508.20691",
        "reading the words that YOLOE-26 is asked for",
    ),
)
"""What reads the words that detectors are asked for."""

ALL: Final = (*KNOWN, *DETECTORS, *READERS)


def by_name(name: str) -> Known | None:
    """Return the one that is asked for by a name; None if there is none."""
    return next((known for known in ALL if known.name == name), None)


def recognize(name: str, size: int) -> Known | None:
    """Return which of them a file is by its name and size; None if none."""
    for known in KNOWN:
        room = 0 if known.exact else _NEAR * known.size
        if name == known.stored and abs(size - known.size) <= room:
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
