"""The pocket model behind the protocol that every promptable model answers."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from napari_sam.models.cache import Packed
from napari_sam.models.crew import Crew
from napari_sam.models.device import has_fast_bfloat16, resolve_device
from napari_sam.models.halves import halved, restored
from napari_sam.models.lane import checkpoint
from napari_sam.models.pocket.closer import MOST, WANTED, closer_look, enlarged
from napari_sam.models.pocket.masks import to_mask
from napari_sam.models.pocket.network import STRIDE, Features
from napari_sam.models.pocket.views import View as Look
from napari_sam.models.pocket.views import draw, views
from napari_sam.models.pocket.weights import load_weights
from napari_sam.models.protocol import ModelInfo
from napari_sam.models.sniff import file_sha256
from napari_sam.models.tiles import TiledModel, Tiling, View
from napari_sam.types import Candidates, Embedding, Mask, Prompt

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_MAPS = ("coarse", "fine", "dense")  # of `Features`, before the pixels
_MULTIPLE = 32  # the encoder's largest stride
# Regions that a thread decodes at once: more fall out of its cache, and keep an urgent
# request waiting longer.
_CHUNK = 4
# It takes any size; what a tile costs is its memory, and what is seen twice. Objects
# are enlarged as `closer_look` does by itself; much larger ones than those that it
# was trained on it outlines better when they are reduced.
TILING = Tiling(side=1024, whole=1536, small=WANTED, large=64.0, most=MOST)


class PocketModel(TiledModel):
    """Encode a plane once, then answer any number of prompts on it.

    Parameters
    ----------
    path : Path
        Weights in our safetensors format.
    name : str
        What the catalog calls them.
    device : str
        "auto", "cpu", "cuda", "cuda:1" or "mps".
    precision : {"auto", "float32", "bfloat16"}
        "auto" rounds to bfloat16 where that is faster. It is exact enough: no
        figure of docs/models.md moves by more than 0.001.
    """

    tiling = TILING

    def __init__(
        self,
        path: Path,
        *,
        name: str = "pocket",
        device: str = "auto",
        precision: Literal["auto", "float32", "bfloat16"] = "auto",
    ) -> None:
        self._device = resolve_device(device)
        network, version = load_weights(path)
        self._network = network.to(self._device)
        self._rounded = precision == "bfloat16" or (
            precision == "auto" and has_fast_bfloat16(self._device)
        )
        for part in network.encoder.parts():
            part.register_forward_pre_hook(_checkpoint)
        self._info = ModelInfo(name, version, file_sha256(path), str(self._device))

    @property
    def info(self) -> ModelInfo:
        """Which model this is."""
        return self._info

    @property
    def way(self) -> str:
        """How pixels become features; see `TiledModel`."""
        return f"pocket, {'bfloat16' if self._rounded else 'float32'}, 1"

    def _pack(self, features: Features) -> Packed:
        maps = {name: halved(getattr(features, name)) for name in _MAPS}
        return Packed(
            {**maps, "pixels": features.pixels.cpu().numpy()}, {"zoom": features.zoom}
        )

    def _unpack(self, packed: Packed) -> Features:
        coarse, fine, dense = (
            restored(packed.arrays[name], self._device).contiguous(
                memory_format=torch.channels_last
            )
            for name in _MAPS
        )
        pixels = torch.tensor(packed.arrays["pixels"], device=self._device)
        return Features(coarse, fine, dense, pixels, packed.facts["zoom"])

    def _look(self, view: View) -> Features:
        """Encode a plane; where its objects are small, enlarged."""
        plane, scale = view.plane, view.scale
        pixels = torch.tensor(plane.pixels).permute(2, 0, 1)[None].to(self._device)
        if scale is not None:
            own = scale * view.step
            return self._encode(pixels if own == 1 else enlarged(pixels, own), scale)
        features = self._encode(pixels)
        zoom = closer_look(features.dense[0], plane.shape)
        if zoom > 1:
            features = self._encode(enlarged(pixels, zoom), zoom)
        return features

    def _answer(
        self, embedding: Embedding, prompts: Sequence[Prompt], multimask: bool | None
    ) -> list[Candidates]:
        features = self.features(embedding)
        looks = list(views(features, prompts, multimask))
        answers: list[list[Mask]] = [[] for _ in prompts]

        def decode(part: slice) -> list[Mask]:
            return self._decode(features, looks[part], embedding.shape)

        with Crew(self._device) as crew:
            together = _CHUNK * crew.size
            for begin in range(0, len(looks), together):
                checkpoint()
                end = min(begin + together, len(looks))
                masks = chain.from_iterable(crew.share(decode, begin, end))
                for look, mask in zip(looks[begin:end], masks, strict=True):
                    answers[look.number].append(mask)
        return [
            Candidates(tuple(sorted(masks, key=lambda m: -m.score)))
            for masks in answers
        ]

    def features(self, embedding: Embedding) -> Features:
        """Return the feature maps in an embedding of this model."""
        features: Features = super().features(embedding)
        return features

    @torch.inference_mode()
    def _encode(self, pixels: Tensor, zoom: float = 1.0) -> Features:
        with self._precision():
            features = self._network.encode(_padded(pixels))
        height, width = pixels.shape[2:]
        return _cut(features, height, width, zoom)

    @torch.inference_mode()
    def _decode(
        self, features: Features, looks: Sequence[Look], shape: tuple[int, int]
    ) -> list[Mask]:
        regions, maps = draw(looks, self._device)
        with self._precision():
            logits, scores = self._network.decode(features, regions[None], maps[None])
        low = logits[0].float().cpu().numpy()
        predicted = scores[0].float().sigmoid().cpu().numpy()
        where = regions.cpu().numpy()
        return [
            to_mask(low[i], where[i], shape, max(0.0, float(predicted[i]) - look.doubt))
            for i, look in enumerate(looks)
        ]

    def _precision(self) -> torch.autocast:
        return torch.autocast(self._device.type, torch.bfloat16, enabled=self._rounded)


def _checkpoint(*_: object) -> None:
    """Let urgent requests pass between two parts of the encoder."""
    checkpoint()


def _padded(pixels: Tensor) -> Tensor:
    """Extend pixels (1, 3, H, W) below and right to the encoder's multiple.

    By their mirror image: an object at the rim is then seen with the rim as its
    middle, so that its centre stays on the plane and its box is clipped to what
    there is. Repeating the rim would prolong it and move its centre away; a plain
    colour makes the noise of dim planes look like an object.
    """
    y, x = (_mirrored(side, pixels.device) for side in pixels.shape[2:])
    return pixels[:, :, y[:, None], x]


def _mirrored(side: int, device: torch.device) -> Tensor:
    """Count to a multiple, turning at `side` and at 0 as often as it takes."""
    at = torch.arange(side + -side % _MULTIPLE, device=device) % (2 * side)
    return torch.where(at < side, at, 2 * side - 1 - at)


def _cut(features: Features, height: int, width: int, zoom: float) -> Features:
    """Leave out the cells of the padding: outside of a plane there is nothing."""

    def inside(maps: Tensor, stride: int) -> Tensor:
        cut = maps[..., : -(-height // stride), : -(-width // stride)].float()
        return cut.contiguous(memory_format=torch.channels_last)

    return Features(
        inside(features.coarse, STRIDE),
        inside(features.fine, STRIDE // 2),
        inside(features.dense, STRIDE),
        features.pixels[:, :height, :width].contiguous(),
        zoom,
    )
