"""From a file that somebody has to a model or a detector: its contents decide."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from napari_sam.models.checkpoints import Checkpoint, read_tensors
from napari_sam.models.sniff import Kind, inspect_file, shown
from napari_sam.types import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from napari_sam.models.options import DetectorOptions
    from napari_sam.models.protocol import Detector, PromptableModel
    from napari_sam.models.wording.alike import Finder

_POCKET = "pocket-"
_YOLO = "yolo"
_INSTANCES = "decoder_state"  # of µSAM, beside the model
_MODELS = (
    "SAM (b, l, h), SAM 2 and 2.1, SAM 3, MobileSAM, µSAM's fine-tuned models, "
    "FastSAM, and our own"
)
# What the first part of a name gives away about other networks.
_OTHERS = {
    "image_encoder.trunk.": "SAM 2 of a size that is not known",
    "sam_mask_decoder.": "a part of SAM 2",
    "detector.backbone.": "SAM 3 of a size that is not known",
    "model.0.conv.": "a YOLO without its architecture",
    "backbone.": "a network for classification or detection",
    "encoder.": "some other network",
    "vision_encoder.": "SAM as the transformers library saves it",
    "diam_mean": "Cellpose",
}


def model_from_file(path: Path, device: str) -> PromptableModel:
    """Load a model that can be prompted from its checkpoint.

    Raises
    ------
    ModelError
        If the file is not one, with words that say what it seems to be.
    """
    if inspect_file(path).kind is Kind.DETECTOR:
        from napari_sam.models.fastsam.model import load_fastsam

        return load_fastsam(path, device)
    checkpoint = read_tensors(path)
    if checkpoint.metadata.get("architecture", "").startswith(_POCKET):
        from napari_sam.models.pocket.model import PocketModel

        return PocketModel(path, name=path.name, device=device)
    if checkpoint.metadata.get("architecture") == _YOLO:
        raise ModelError(f"{path}: this is a detector; use it as one (--detector)")
    from napari_sam.models.sam1 import architecture as sam1
    from napari_sam.models.sam2 import architecture as sam2
    from napari_sam.models.sam3 import architecture as sam3

    tensors, source = checkpoint.tensors, str(path)
    name, sha256 = path.name, checkpoint.sha256
    if (one := sam1.detect(tensors)) is not None:
        from napari_sam.models.sam1.build import build
        from napari_sam.models.sam1.model import Sam1Model

        network = build(one, tensors, source=source)
        instances = None
        if (decoder := checkpoint.extra.get(_INSTANCES)) is not None:
            from napari_sam.models.musam.network import build_instances

            instances = build_instances(decoder, source=source)
        return Sam1Model(
            network,
            name=name,
            version=one.value,
            sha256=sha256,
            device=device,
            instances=instances,
        )
    if (two := sam2.detect(tensors)) is not None:
        from napari_sam.models.sam2.build import build as build2
        from napari_sam.models.sam2.model import Sam2Model

        network = build2(two, tensors, source=source)
        return Sam2Model(
            network, name=name, version=two.name, sha256=sha256, device=device
        )
    if sam3.detect(tensors):
        from napari_sam.models.sam3.build import build as build3
        from napari_sam.models.sam3.model import Sam3Model

        network = build3(tensors, source=source)
        return Sam3Model(
            network, name=name, version=sam3.NAME, sha256=sha256, device=device
        )
    raise _unknown(checkpoint)


def detector_from_file(path: Path, device: str, options: DetectorOptions) -> Detector:
    """Load a detector's network from its file.

    Raises
    ------
    ModelError
        If the file is not one, with words that say what it seems to be.
    """
    if inspect_file(path).kind in (Kind.DETECTOR, Kind.ONNX):
        from napari_sam.models.yolo.loading import load_yolo

        return load_yolo(path, options, device=device)
    checkpoint = read_tensors(path)
    if (words := _words(checkpoint, options, device)) is not None:
        return words
    _check_ours(checkpoint)
    from napari_sam.models.yolo.nuclei import load_nuclei

    return load_nuclei(path, options, device=device)


def finder_from_file(path: Path, device: str, options: DetectorOptions) -> Finder:
    """Load a network that finds what looks like examples.

    Raises
    ------
    ModelError
        If the file is none.
    """
    found: Detector | None
    if inspect_file(path).kind is Kind.DETECTOR:
        from napari_sam.models.yolo.loading import load_yolo

        found = load_yolo(path, options, device=device, examples=True)
    else:
        from napari_sam.models.sam3.words import LOOKS_ALIKE

        said = replace(options, words=(LOOKS_ALIKE,))
        found = _words(read_tensors(path), said, device)
    if not hasattr(found, "find_alike"):
        raise ModelError(f"{path}: this detector cannot be shown examples")
    return cast("Finder", found)


def _words(
    checkpoint: Checkpoint, options: DetectorOptions, device: str
) -> Detector | None:
    """Return SAM 3 as a detector, None where it is something else."""
    from napari_sam.models.sam3 import architecture as sam3

    if not sam3.detect(checkpoint.tensors):
        return None
    from napari_sam.models.sam3.build import build_words
    from napari_sam.models.sam3.words import Sam3Words

    path = checkpoint.path
    if not options.words:
        raise ModelError(
            f'{path}: SAM 3 finds what words say: give some, such as "nucleus" '
            "(--words)"
        )
    network = build_words(checkpoint.tensors, source=str(path))
    return Sam3Words(
        network,
        options.words,
        name=path.name,
        sha256=checkpoint.sha256,
        options=options,
        device=device,
    )


def _check_ours(checkpoint: Checkpoint) -> None:
    path = checkpoint.path
    if checkpoint.metadata.get("architecture") == _YOLO:
        return
    from napari_sam.models.sam1 import architecture as sam1
    from napari_sam.models.sam2 import architecture as sam2

    ours = checkpoint.metadata.get("architecture", "").startswith(_POCKET)
    tensors = checkpoint.tensors
    sams = sam1.detect(tensors) or sam2.detect(tensors)
    if ours or sams:
        raise ModelError(
            f"{path}: this is a model that outlines what is clicked, not a detector; "
            "use it as a model (--model)"
        )
    raise ModelError(
        f"{path}: these weights are no detector ({_guess(checkpoint)}); give an "
        "ultralytics detector (.pt or .onnx)"
    )


def _unknown(checkpoint: Checkpoint) -> ModelError:
    return ModelError(
        f"{checkpoint.path}: this is no model that can be loaded "
        f"({_guess(checkpoint)}); these can: {_MODELS}"
    )


def _guess(checkpoint: Checkpoint) -> str:
    names = checkpoint.tensors.keys()
    for start, what in _OTHERS.items():
        if any(name.startswith(start) for name in names):
            return f"it seems to be {what}"
    return f"its tensors are called {shown(set(names), 2)}"
