"""From words to what detectors compare with: CLIP's half that reads, built anew.

Its file may be TorchScript, as OpenAI's and ultralytics' are: its weights are taken out
of it (`script`), and given to open_clip's network of the same form.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor, nn

from napari_sam.models.checkpoints import check_tensors, read_tensors
from napari_sam.models.lane import checkpoint
from napari_sam.models.wording.script import Script, is_script
from napari_sam.types import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from napari_sam.models.wording.files import Reader

_PIECES: Final = 77  # of text, with one where it begins and one where it ends
_VOCABULARY: Final = 49408
_HEAD: Final = 64  # channels of each head of attention
_BATCH: Final = 20
_BLOCKS: Final = "transformer.resblocks."
_POSITIONS: Final = "positional_embedding"
_LOOKS: Final = "visual.conv1.weight"  # of OpenAI's half that looks
# What Apple calls parts of it, and what open_clip calls them.
_APPLES: Final = (
    ("embedding_layer.", "token_embedding."),
    ("positional_embedding.pos_embed.pos_embed", _POSITIONS),
    ("projection_layer", "text_projection"),
    ("final_layer_norm.", "ln_final."),
    ("transformer.", _BLOCKS),
    ("pre_norm_mha.0.", "ln_1."),
    ("pre_norm_mha.1.qkv_proj.", "attn.in_proj_"),
    ("pre_norm_mha.1.", "attn."),
    ("pre_norm_ffn.0.", "ln_2."),
    ("pre_norm_ffn.1.", "mlp.c_fc."),
    ("pre_norm_ffn.4.", "mlp.c_proj."),
)
_PARTS: Final = (
    "token_embedding.",
    _POSITIONS,
    "text_projection",
    "ln_final.",
    "transformer.",
)


def read_words(words: Sequence[str], reader: Reader, path: Path) -> Tensor:
    """Turn words into vectors.

    Parameters
    ----------
    words : sequence of str
    reader : Reader
    path : Path
        Its file: TorchScript, a state dict of torch, or safetensors, with OpenAI's,
        Apple's or open_clip's names. Nothing in it is run.

    Returns
    -------
    float32 Tensor (1, N, width)
        Of length 1 each, on the CPU.

    Raises
    ------
    ModelError
        If it is another file, a word is too long, or open_clip is not installed.
    """
    tower = build_tower(reader, path)
    pieces = _pieces(words)
    found = []
    with torch.inference_mode():
        for part in torch.split(pieces, _BATCH):
            checkpoint()
            found.append(nn.functional.normalize(tower(part), dim=-1))
    return torch.cat(found)[None].clone()


def build_tower(reader: Reader, path: Path) -> nn.Module:
    """Build the half of a CLIP that reads, and give it its weights; see `read_words`.

    Returns
    -------
    nn.Module
        Takes pieces of text, int64 (N, 77).
    """
    kinds = _open_clip("transformer")
    what = f"{path}: this should be {reader.title}, which reads words"
    tensors = _weights(reader, path, what)
    parts = ("token_embedding.weight", _POSITIONS, "text_projection")
    if any(name not in tensors for name in parts):
        raise ModelError(f"{what}, but parts of it are missing: use another file")
    tensors[_POSITIONS] = tensors[_POSITIONS].squeeze()
    embedding, positions, projection = (tensors[name] for name in parts)
    plain = embedding.ndim == positions.ndim == projection.ndim == 2
    if not plain or len(embedding) != _VOCABULARY or len(positions) != _PIECES:
        raise ModelError(f"{what}, but it reads something else: use another file")
    blocks = {name.split(".")[2] for name in tensors if name.startswith(_BLOCKS)}
    width = embedding.shape[1]
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        tower: nn.Module = kinds.TextTransformer(
            context_length=_PIECES,
            vocab_size=_VOCABULARY,
            width=width,
            heads=max(1, width // _HEAD),
            layers=len(blocks),
            output_dim=projection.shape[-1],
            act_layer=kinds.QuickGELU if reader.quick else nn.GELU,
        )
    _fill(tower, tensors, what)
    # It is in no file, and was made without memory.
    tower.register_buffer(
        "attn_mask",
        torch.full((_PIECES, _PIECES), float("-inf")).triu_(1),
        persistent=False,
    )
    return tower


def _fill(tower: nn.Module, tensors: dict[str, Tensor], what: str) -> None:
    wanted = tower.state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    for name, tensor in wanted.items():
        if shapes.get(name) != tuple(tensor.shape):
            raise ModelError(
                f'{what}, but its "{name}" is {shapes.get(name, "missing")} instead of '
                f"{tuple(tensor.shape)}: use another file"
            )
    tower.load_state_dict({n: tensors[n].float() for n in wanted}, assign=True)
    tower.eval().requires_grad_(False)


def _weights(reader: Reader, path: Path, what: str) -> dict[str, Tensor]:
    if is_script(path):
        script = Script(path)
        tensors = script.read(_checked(reader, script.stored, what))
        check_tensors(path, tensors)
        return tensors
    stored = read_tensors(path).tensors
    names = _checked(reader, stored, what)
    return {ours: stored[theirs] for ours, theirs in names.items()}


def _checked(reader: Reader, stored: Iterable[str], what: str) -> dict[str, str]:
    """Return `_named`, if these are the names in such a reader's file."""
    stored = tuple(stored)
    names = _named(stored)
    if "token_embedding.weight" not in names:
        raise ModelError(f"{what}, but nothing in it reads words: use another file")
    if reader.quick != (_LOOKS in stored):
        raise ModelError(f"{what}, but it is another CLIP: use its own file")
    return names


def _named(stored: Sequence[str]) -> dict[str, str]:
    """Return what parts that read are called in a file, by open_clip's names."""
    begin = None
    for end in ("embedding_layer.weight", "token_embedding.weight"):
        begin = next((n.removesuffix(end) for n in stored if n.endswith(end)), begin)
    if begin is None:
        return {}
    apples = f"{begin}embedding_layer.weight" in stored
    names = {}
    for theirs in stored:
        if theirs.startswith(begin):
            ours = theirs.removeprefix(begin)
            for old, new in _APPLES if apples else ():
                ours = ours.replace(old, new, 1)
            if ours.startswith(_PARTS):
                names[ours] = theirs
    return names


def _pieces(words: Sequence[str]) -> Tensor:
    tokenizer = _open_clip("tokenizer").SimpleTokenizer()
    for word in words:
        if len(tokenizer.encode(word)) > _PIECES - 2:
            raise ModelError(
                f'"{word[:40]}…" is too long to be read: say it in a few words'
            )
    pieces: Tensor = tokenizer(list(words), context_length=_PIECES)
    return pieces


def _open_clip(part: str) -> Any:
    try:
        return importlib.import_module(f"open_clip.{part}")
    except ImportError as error:
        raise ModelError(
            "the package open_clip_torch is needed to read words: install it with "
            "pip install 'napari-sam-annotator[words]'"
        ) from error
