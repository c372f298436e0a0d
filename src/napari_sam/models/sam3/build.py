"""From tensors to a network that runs: ultralytics' modules, strictly loaded.

Ultralytics itself loads what fits and leaves the rest at random.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from napari_sam.models.sam1.build import load
from napari_sam.models.sam3.architecture import for_prompts, for_words
from napari_sam.models.ultra import load_ultralytics
from napari_sam.types import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def build(tensors: Mapping[str, Tensor], *, source: str = "") -> nn.Module:
    """Build the half of SAM 3 that answers prompts and give it its weights.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        A flat state dict with Meta's names, of any float dtype; float32 tensors
        are used as they are, not copied.
    source : str
        What errors call the checkpoint: its path.

    Returns
    -------
    nn.Module
        ultralytics' `SAM3Model`; float32, on the tensors' device, for evaluation,
        without gradients.

    Raises
    ------
    ModelError
        If a tensor is missing, has another shape, or is not part of the network.
    """
    where = f"{source}: " if source else ""
    what = f"{where}this looks like SAM 3"
    return load(empty(), for_prompts(tensors), what=what)


def empty() -> nn.Module:
    """Return the network with weights that mean nothing."""
    builders: Any = load_ultralytics("ultralytics.models.sam.build_sam3")
    # Not on the meta device: it keeps tables that are in no checkpoint.
    with torch.random.fork_rng(devices=[]), _without_a_file(builders):
        network: nn.Module = builders.build_interactive_sam3("")
    return network


def build_words(tensors: Mapping[str, Tensor], *, source: str = "") -> nn.Module:
    """Build the half of SAM 3 that finds what words say; as `build`.

    Returns
    -------
    nn.Module
        ultralytics' `SAM3SemanticModel`.

    Raises
    ------
    ModelError
        Also if what reads words is not installed.
    """
    where = f"{source}: " if source else ""
    what = f"{where}this looks like SAM 3, to be asked for words"
    return load(empty_words(), for_words(tensors), what=what)


def empty_words() -> nn.Module:
    """Return the half for words with weights that mean nothing."""
    builders: Any = load_ultralytics("ultralytics.models.sam.build_sam3")
    tokenizer = _tokenizer()
    clip = ModuleType("clip")
    clip.simple_tokenizer = SimpleNamespace(  # type: ignore[attr-defined]
        SimpleTokenizer=lambda: tokenizer
    )
    before = sys.modules.get("clip")
    # Ultralytics asks for its own copy of CLIP, which no package index has; all that
    # it takes from there is what reads words.
    sys.modules["clip"] = clip
    try:
        with torch.random.fork_rng(devices=[]), _without_a_file(builders):
            network: nn.Module = builders.build_sam3_image_model("")
    finally:
        del sys.modules["clip"]
        if before is not None:
            sys.modules["clip"] = before
    return network


def _tokenizer() -> Any:
    try:
        from open_clip.tokenizer import SimpleTokenizer
    except ImportError as error:
        raise ModelError(
            "SAM 3 needs the package open_clip_torch to read words: install it with "
            "pip install 'napari-sam-annotator[words]'"
        ) from error
    return SimpleTokenizer()


@contextmanager
def _without_a_file(builders: Any) -> Iterator[None]:
    """Let a network be built that reads no checkpoint: there is no other way in."""
    read = builders._load_checkpoint
    builders._load_checkpoint = lambda model, *_, **__: model
    try:
        yield
    finally:
        builders._load_checkpoint = read
