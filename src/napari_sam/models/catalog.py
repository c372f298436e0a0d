"""Which models and detectors there are, and how to get one. No torch here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari_sam.models.everything import EverythingDetector
from napari_sam.models.options import DetectorOptions
from napari_sam.models.sniff import file_sha256
from napari_sam.models.tiles import TiledModel
from napari_sam.models.wording.alike import AlikeDetector
from napari_sam.models.wording.asking import can_be_asked, check_words
from napari_sam.types import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.models.cache import EmbeddingCache
    from napari_sam.models.protocol import Detector, PromptableModel
    from napari_sam.types import Box

_WEIGHTS = Path(__file__).with_name("weights")


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """One model or detector that can be asked for by name.

    Attributes
    ----------
    name : str
    kind : {"model", "detector"}
    description : str
        One sentence for people.
    licence : str
        SPDX identifier of the weights.
    path : Path or None
        The weights file; None where there are none.
    sha256 : str or None
        What the file must hash to.
    """

    name: str
    kind: Literal["model", "detector"]
    description: str
    licence: str
    path: Path | None = None
    sha256: str | None = None


_YOLO = "nuclei-yolo"
_EVERYTHING = "everything"
_OWN = "own-decoder"
_POCKET_SHA256 = "2ba125304ef5d9f71e2900393c98cbecfaebd15e806136f2a4bd7602c3bcfc39"
_ENTRIES = (
    CatalogEntry(
        "pocket",
        "model",
        "built-in model: clicks and boxes on nuclei and cells, ships with the package",
        "AGPL-3.0-or-later",
        _WEIGHTS / "pocket.safetensors",
        _POCKET_SHA256,
    ),
    CatalogEntry(
        "nuclei",
        "detector",
        "built-in detector: nuclei, and cells that look alike (part of pocket)",
        "AGPL-3.0-or-later",
        _WEIGHTS / "pocket.safetensors",
        _POCKET_SHA256,
    ),
    CatalogEntry(
        _YOLO,
        "detector",
        "built-in detector: nuclei, a YOLO that fits its view to their size",
        "AGPL-3.0-or-later",
        _WEIGHTS / "nuclei-yolo.safetensors",
        "771f761af7dd91c9930361a7ee3f895ed5473b12739035877cf29fac04a63d2c",
    ),
    CatalogEntry(
        "threshold",
        "detector",
        "anything brighter or darker than its surroundings; no training behind it",
        "AGPL-3.0-or-later",
    ),
    CatalogEntry(
        _EVERYTHING,
        "detector",
        "a grid of clicks, and every object that the model finds there; slow",
        "AGPL-3.0-or-later",
    ),
    CatalogEntry(
        _OWN,
        "detector",
        "what a µSAM model outlines by itself, with the decoder in its file",
        "AGPL-3.0-or-later",
    ),
)


def list_models() -> tuple[CatalogEntry, ...]:
    """Return all models and detectors that can be asked for by name."""
    return _ENTRIES


def load_model(
    name: str | Path, device: str = "auto", *, cache: EmbeddingCache | None = None
) -> PromptableModel:
    """Load a promptable model.

    Parameters
    ----------
    name : str or Path
        A name of the catalog, of a checkpoint that was downloaded (see
        `napari_sam.models.known.KNOWN`; nothing is downloaded here), or the path of
        a checkpoint: of SAM b/l/h, SAM 2, 2.1 or 3, MobileSAM, µSAM's models of SAM's
        architectures, FastSAM (any ultralytics segmenter of one class), or one of our
        own. Its name does not matter, and no code in it is run.
    device : str
        "auto", "cpu", "cuda", "cuda:1" or "mps".
    cache : EmbeddingCache, optional
        Where planes that were encoded before are looked for, and new ones are kept.

    Raises
    ------
    ModelError
        If there is no such model or device, it was not downloaded, or the file is
        damaged or not what its publisher gives.
    """
    model = _load(name, device)
    if isinstance(model, TiledModel):
        model.cache = cache
    return model


def _load(name: str | Path, device: str) -> PromptableModel:
    from napari_sam.models.runtime import import_torch

    entry = _find(str(name), "model")
    if entry is None and isinstance(name, str):
        from napari_sam.models.store import stored_path

        name = stored_path(name) or name
    if entry is None and not _is_file(name):
        known = _names("model")
        raise ModelError(
            f'there is no model "{name}"{_other(str(name), "detector")}: use {known}, '
            "or the path of a checkpoint; for more: napari-sam models list"
        )
    import_torch()
    if entry is None or entry.path is None:
        from napari_sam.models.loading import model_from_file

        return model_from_file(Path(name), device)
    from napari_sam.models.pocket.model import PocketModel

    verify(entry)
    return PocketModel(entry.path, name=entry.name, device=device)


def load_detector(
    name: str | Path,
    *,
    model: PromptableModel | None = None,
    device: str = "auto",
    conf: float = 0.25,
    iou: float = 0.45,
    imgsz: int | None = None,
    max_det: int = 300,
    classes: Sequence[int] | None = None,
    words: Sequence[str] = (),
    points_per_side: int = 32,
    crop_layers: int = 0,
) -> Detector:
    """Load a detector.

    Parameters
    ----------
    name : str or Path
        A name of the catalog, of a detector that was downloaded (see
        `napari_sam.models.known`; nothing is downloaded here), the path of an
        ultralytics detector or segmenter (.pt or .onnx), of SAM 3, or of boxes or
        labels that you have: see `napari_sam.models.given.GivenFiles`.
    model : PromptableModel, optional
        The model that will be prompted; a detector that can read its
        embeddings shares them instead of encoding again.
    device : str
        As for `load_model`.
    conf, iou : float
        Least score, and most overlap of two boxes.
    imgsz : int, optional
        Size in pixels at which a detector that needs a fixed size looks at a
        plane; by default what its file says. Those built in take any size and
        look at the plane as it is.
    max_det : int
        Most objects on a plane.
    classes : sequence of int, optional
        Only these of the detector's classes. Those built in have one class.
    words : sequence of str
        What to look for, for a detector that understands words (YOLOE, YOLO-World,
        SAM 3); each is a class.
    points_per_side, crop_layers : int
        For the detector "everything" only, see
        `napari_sam.models.everything.GridOptions`.

    Raises
    ------
    ModelError
        If there is no such detector, device or class, or the file is no detector.
    """
    words = check_words(words)
    options = DetectorOptions(
        conf=conf,
        iou=iou,
        imgsz=imgsz,
        max_det=max_det,
        classes=None if classes is None else tuple(classes),
        words=words,
    )
    entry, file = _find(str(name), "detector"), name
    if entry is None:
        file = _downloaded(str(name)) or name
    if entry is not None and entry.name == _YOLO and entry.path is not None:
        verify(entry)
        file, entry = entry.path, None
    detector: Detector
    if entry is not None and entry.name == _EVERYTHING:
        detector = EverythingDetector.asked(
            options, points_per_side=points_per_side, crop_layers=crop_layers
        )
    elif entry is not None and entry.name == _OWN:
        from napari_sam.models.runtime import import_torch

        import_torch()
        from napari_sam.models.musam.detector import InstanceDetector

        detector = InstanceDetector(model, options)
    elif entry is not None:
        detector = _built_in(entry, model, device, options)
    elif _is_file(file):
        detector = _from_file(Path(file), device, options)
    else:
        raise ModelError(
            f'there is no detector "{name}"{_other(str(name), "model")}: use '
            f"{_names('detector')}, or the path of a detector's file; for more: "
            "napari-sam models list"
        )
    if words and detector.class_names != words:
        raise ModelError(
            f'the detector "{name}" does not understand words: give a file of YOLOE, '
            "YOLO-World or SAM 3, or leave the words out"
        )
    _check_classes(name, detector, classes)
    return detector


def load_alike(
    name: str | Path,
    examples: Sequence[Box],
    *,
    device: str = "auto",
    conf: float = 0.25,
    iou: float = 0.45,
    max_det: int = 300,
) -> Detector:
    """Load a detector of what looks like examples on the plane that they lie on.

    Parameters
    ----------
    name : str or Path
        Of YOLOE or SAM 3, as for `load_detector`; they need no words for this.
    examples : sequence of (y0, x0, y1, x1)
    device, conf, iou, max_det
        As for `load_detector`.

    Raises
    ------
    ModelError
        If it cannot be asked for examples, or there is none.
    """
    from napari_sam.models.runtime import import_torch

    file = Path(_downloaded(str(name)) or name)
    if not can_be_asked(file).examples:
        raise ModelError(
            f'the detector "{name}" cannot be shown examples: give a file of YOLOE or '
            "SAM 3"
        )
    import_torch()
    from napari_sam.models.loading import finder_from_file

    options = DetectorOptions(conf=conf, iou=iou, max_det=max_det)
    return AlikeDetector(finder_from_file(file, device, options), examples)


def _built_in(
    entry: CatalogEntry,
    model: PromptableModel | None,
    device: str,
    options: DetectorOptions,
) -> Detector:
    if entry.path is None:
        from napari_sam.models.threshold import ThresholdDetector

        return ThresholdDetector(options)
    from napari_sam.models.runtime import import_torch

    import_torch()
    from napari_sam.models.pocket.detector import PocketDetector
    from napari_sam.models.pocket.model import PocketModel

    if not isinstance(model, PocketModel):
        model = load_model("pocket", device)
    if not isinstance(model, PocketModel):
        raise ModelError(f'the detector "{entry.name}" needs the built-in model')
    return PocketDetector(model, options)


def _from_file(path: Path, device: str, options: DetectorOptions) -> Detector:
    """Load objects that are known already, or a network."""
    from napari_sam.models.given import GivenFiles, is_given

    if is_given(path):
        return GivenFiles(
            path, conf=options.conf, max_det=options.max_det, classes=options.classes
        )
    from napari_sam.models.runtime import import_torch

    import_torch()
    from napari_sam.models.loading import detector_from_file

    return detector_from_file(path, device, options)


def _check_classes(
    name: str | Path, detector: Detector, classes: Sequence[int] | None
) -> None:
    unknown = set(classes or ()) - set(range(len(detector.class_names)))
    if unknown:
        names = ", ".join(f"{i} {n}" for i, n in enumerate(detector.class_names))
        raise ModelError(
            f'the detector "{name}" has no class {min(unknown)}; it has: {names}'
        )


def verify(entry: CatalogEntry) -> None:
    """Check the hash of an entry's weights.

    Raises
    ------
    ModelError
        If the file is missing or not what was shipped.
    """
    if entry.path is None:
        return
    try:
        found = file_sha256(entry.path)
    except OSError as error:
        raise ModelError(
            f"{entry.path}: the weights cannot be read ({error.strerror}); "
            "install napari-sam-annotator again"
        ) from error
    if found != entry.sha256:
        raise ModelError(
            f"{entry.path}: the weights are not those that were shipped (sha256 "
            f"{found[:12]}…); install napari-sam-annotator again"
        )


def _find(name: str, kind: str) -> CatalogEntry | None:
    for entry in _ENTRIES:
        if entry.name == name and entry.kind == kind:
            return entry
    return None


def _downloaded(name: str) -> Path | None:
    """Return the checked file of a known detector; None if none is called so."""
    from napari_sam.models.known import by_name
    from napari_sam.models.store import stored_path

    known = by_name(name)
    return stored_path(name) if known is not None and known.detects else None


def _is_file(name: str | Path) -> bool:
    """Tell a path, even one where nothing is, from a mistyped name."""
    path = Path(name)
    return (
        isinstance(name, Path)
        or bool(path.suffix)
        or len(path.parts) > 1
        or os.path.lexists(name)
    )


def _other(name: str, kind: str) -> str:
    return f" (that is a {kind})" if _find(name, kind) is not None else ""


def _names(kind: str) -> str:
    return " or ".join(f'"{e.name}"' for e in _ENTRIES if e.kind == kind)
