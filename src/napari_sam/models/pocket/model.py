"""The pocket model behind the protocol that every promptable model answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from napari_sam.images import Normalization, Plane, make_plane
from napari_sam.models.device import resolve_device
from napari_sam.models.lane import checkpoint
from napari_sam.models.pocket.geometry import (
    GIVEN,
    READ,
    prompt_maps,
    read_boxes,
    square_regions,
)
from napari_sam.models.pocket.network import REGION, STRIDE, Features, crop
from napari_sam.models.pocket.weights import load_weights
from napari_sam.models.protocol import ModelInfo
from napari_sam.models.sniff import file_sha256
from napari_sam.types import (
    Candidates,
    Embedding,
    FloatArray,
    Mask,
    ModelError,
    Prompt,
    PromptError,
    Tile,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

# A click does not say how large its object is: besides the size read from the
# dense head these are tried, and the predicted IoU chooses.
SCALES = (1.0, 0.7, 1.4)
_MULTIPLE = 32  # the encoder's largest stride
_CHUNK = 16  # regions decoded at once: larger chunks fall out of the cache
_STABILITY = 1.0  # offset of the logits
_NOTHING = Mask((0, 0, 0, 0), np.zeros((0, 0), np.bool_), score=0.0, stability=0.0)


@dataclass(frozen=True, slots=True)
class _View:
    """One look at a prompt: where the decoder looks and what it is told."""

    prompt: int
    box: Tensor  # (4,)
    trust: float
    mask: Tensor | None


class PocketModel:
    """Encode a plane once, then answer any number of prompts on it.

    Parameters
    ----------
    path : Path
        Weights in our safetensors format.
    name : str
        What the catalog calls them.
    device : str
        "auto", "cpu", "cuda", "cuda:1" or "mps".
    """

    def __init__(self, path: Path, *, name: str = "pocket", device: str = "auto"):
        self._device = resolve_device(device)
        network, version = load_weights(path)
        self._network = network.to(self._device)
        for part in network.encoder.parts():
            part.register_forward_pre_hook(_checkpoint)
        self._info = ModelInfo(name, version, file_sha256(path), str(self._device))

    @property
    def info(self) -> ModelInfo:
        """Which model this is."""
        return self._info

    def encode(
        self,
        image: npt.NDArray[Any] | Plane,
        normalization: Normalization | None = None,
    ) -> Embedding:
        """Encode one plane.

        Parameters
        ----------
        image : array, shape (H, W) or (H, W, C) with C <= 4, or Plane
            Any real dtype.
        normalization : Normalization, optional
            Contrast for an array; by default its own percentiles.
        """
        plane = image if isinstance(image, Plane) else make_plane(image, normalization)
        height, width = plane.shape
        pixels = _padded(plane.pixels).permute(2, 0, 1)[None].to(self._device)
        with torch.inference_mode():
            features = _cut(self._network.encode(pixels), height, width)
        tile = Tile((0, 0, height, width), features)
        return Embedding(self._info.sha256, (height, width), (tile,))

    def encode_batch(self, images: Sequence[Plane]) -> list[Embedding]:
        """Encode several planes, one after the other: they may differ in size."""
        return [self.encode(image) for image in images]

    def decode(
        self,
        embedding: Embedding,
        prompts: Sequence[Prompt],
        *,
        multimask: bool | None = None,
    ) -> list[Candidates]:
        """Answer every prompt, in order, none dropped.

        Parameters
        ----------
        embedding : Embedding
            From this model.
        prompts : sequence of Prompt
        multimask : bool, optional
            Three candidates (True) or one (False) for each prompt; by default
            three where there is only one click.

        Returns
        -------
        list of Candidates
            An answer may be an empty mask; its score is 0 then.

        Raises
        ------
        ModelError
            If the embedding is another model's.
        PromptError
            If a mask prompt has another shape than the plane.
        """
        features = self.features(embedding)
        views = list(self._views(features, embedding.shape, prompts, multimask))
        answers: list[list[Mask]] = [[] for _ in prompts]
        for start in range(0, len(views), _CHUNK):
            checkpoint()
            chunk = views[start : start + _CHUNK]
            masks = self._decode_views(features, embedding.shape, prompts, chunk)
            for view, mask in zip(chunk, masks, strict=True):
                answers[view.prompt].append(mask)
        return [
            Candidates(tuple(sorted(masks, key=lambda m: -m.score)))
            for masks in answers
        ]

    def features(self, embedding: Embedding) -> Features:
        """Return the feature maps in an embedding of this model."""
        if embedding.model != self._info.sha256:
            raise ModelError(
                f'this embedding is not from the model "{self._info.name}"; '
                "encode the plane again"
            )
        (tile,) = embedding.tiles
        features: Features = tile.features
        return features

    def _views(
        self,
        features: Features,
        shape: tuple[int, int],
        prompts: Sequence[Prompt],
        multimask: bool | None,
    ) -> Iterator[_View]:
        read = iter(self._read(features, [p for p in prompts if _needs_reading(p)]))
        for number, prompt in enumerate(prompts):
            mask = None
            if prompt.mask is not None:
                if prompt.mask.shape != shape:
                    raise PromptError(
                        f"prompt {number}: the mask is {prompt.mask.shape}, "
                        f"the plane is {shape}; they must be the same"
                    )
                mask = _probabilities(prompt.mask).to(self._device)
            if prompt.box is not None:
                box, trust = torch.tensor(prompt.box), GIVEN
            elif mask is not None:
                box, trust = _mask_box(mask), READ
            else:
                box, trust = next(read), READ
            clicks = prompt.points[prompt.labels == 1]
            if prompt.box is None:
                box = _stretched_to(box, clicks)
            ambiguous = trust == READ and mask is None and len(prompt.points) == 1
            several = ambiguous if multimask is None else multimask
            for scale in SCALES if several else SCALES[:1]:
                yield _View(number, _scaled(box, scale), trust, mask)

    def _read(self, features: Features, prompts: Sequence[Prompt]) -> list[Tensor]:
        """Read the box (4,) under each prompt's clicks from the dense head."""
        if not prompts:
            return []
        clicks = [prompt.points[prompt.labels == 1] for prompt in prompts]
        points = torch.from_numpy(np.concatenate(clicks)).to(self._device)
        boxes = read_boxes(features.dense[0], points).cpu().numpy()
        ends = np.cumsum([len(c) for c in clicks])[:-1]
        return [torch.from_numpy(part.mean(0)) for part in np.split(boxes, ends)]

    @torch.inference_mode()
    def _decode_views(
        self,
        features: Features,
        shape: tuple[int, int],
        prompts: Sequence[Prompt],
        views: Sequence[_View],
    ) -> list[Mask]:
        boxes = torch.stack([view.box for view in views]).to(self._device)
        regions = square_regions(boxes)
        points, labels = _padded_clicks([prompts[view.prompt] for view in views])
        masks = torch.stack(
            [_sample(v.mask, region) for v, region in zip(views, regions, strict=True)]
        )
        maps = prompt_maps(
            regions,
            points.to(self._device),
            labels.to(self._device),
            boxes,
            torch.tensor([view.trust for view in views], device=self._device),
            masks,
            torch.tensor(
                [float(view.mask is not None) for view in views], device=self._device
            ),
        )
        logits, scores = self._network.decode(features, regions[None], maps[None])
        low = logits[0].float().cpu().numpy()
        predicted = scores[0].float().sigmoid().cpu().numpy()
        where = regions.cpu().numpy()
        return [
            _to_mask(low[i], where[i], shape, float(predicted[i]))
            for i in range(len(views))
        ]


def _checkpoint(*_: object) -> None:
    """Let urgent requests pass between two parts of the encoder."""
    checkpoint()


def _needs_reading(prompt: Prompt) -> bool:
    return prompt.box is None and prompt.mask is None


def _padded(pixels: npt.NDArray[np.uint8]) -> Tensor:
    """Extend a plane (H, W, 3) below and right to the encoder's multiple.

    By its mirror image: an object at the rim is then seen with the rim as its
    middle, so that its centre stays on the plane and its box is clipped to what
    there is. Repeating the rim would prolong it and move its centre away; a plain
    colour makes the noise of dim planes look like an object.
    """
    height, width, _ = pixels.shape
    beyond = ((0, -height % _MULTIPLE), (0, -width % _MULTIPLE), (0, 0))
    return torch.from_numpy(np.pad(pixels, beyond, mode="symmetric"))


def _cut(features: Features, height: int, width: int) -> Features:
    """Leave out the cells of the padding: outside of a plane there is nothing."""

    def inside(maps: Tensor, stride: int) -> Tensor:
        cut = maps[..., : -(-height // stride), : -(-width // stride)]
        return cut.contiguous(memory_format=torch.channels_last)

    return Features(
        inside(features.coarse, STRIDE),
        inside(features.fine, STRIDE // 2),
        inside(features.dense, STRIDE),
    )


def _probabilities(mask: npt.NDArray[Any]) -> Tensor:
    array = torch.from_numpy(np.ascontiguousarray(mask, np.float32))
    return array if mask.dtype == np.bool_ else array.sigmoid()


def _mask_box(mask: Tensor) -> Tensor:
    inside = (mask > 0.5).nonzero()
    return torch.cat([inside.amin(0), inside.amax(0) + 1]).float().cpu()


def _stretched_to(box: Tensor, clicks: FloatArray) -> Tensor:
    """Widen a box so that every foreground click lies in it."""
    if not len(clicks):
        return box
    points = torch.from_numpy(clicks)
    low = torch.minimum(box[:2], points.amin(0) - 1)
    high = torch.maximum(box[2:], points.amax(0) + 1)
    return torch.cat([low, high])


def _scaled(box: Tensor, scale: float) -> Tensor:
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * scale
    return torch.cat([centre - half, centre + half]).float()


def _padded_clicks(prompts: Sequence[Prompt]) -> tuple[Tensor, Tensor]:
    """Stack clicks of different number; -1 labels mean no click."""
    most = max(1, *(len(p.points) for p in prompts)) if prompts else 1
    points = torch.zeros((len(prompts), most, 2))
    labels = torch.full((len(prompts), most), -1)
    for i, prompt in enumerate(prompts):
        points[i, : len(prompt.points)] = torch.from_numpy(prompt.points)
        labels[i, : len(prompt.points)] = torch.from_numpy(prompt.labels)
    return points, labels


def _sample(mask: Tensor | None, region: Tensor) -> Tensor:
    """Sample a whole plane's probabilities in one region, averaging pixels."""
    if mask is None:
        return torch.zeros((REGION, REGION), device=region.device)
    # At least two samples a pixel, or masks much larger than a region alias.
    side = float(region[2] - region[0])
    finer = max(1, int(np.ceil(2 * side / REGION)) // 2)
    sampled = crop(mask[None, None], region[None, None], 1, REGION * finer)
    return F.avg_pool2d(sampled, finer)[0, 0]


def _to_mask(
    logits: FloatArray, region: FloatArray, shape: tuple[int, int], score: float
) -> Mask:
    """Upsample logits (64, 64) bilinearly, only where the mask can be."""
    inside = np.argwhere(logits > 0)
    if not len(inside):
        return _NOTHING
    start, side = region[:2], float(region[2] - region[0])
    cell = side / REGION
    # A sample reaches as far as the centres of its neighbours.
    first = np.maximum(start + (inside.min(0) - 0.5) * cell, start)
    last = np.minimum(start + (inside.max(0) + 1.5) * cell, start + side)
    low = np.clip(np.floor(first).astype(int), 0, shape)
    high = np.clip(np.ceil(last).astype(int), low, shape)
    rows = _lerp_matrix(low[0], high[0], float(start[0]), side)
    columns = _lerp_matrix(low[1], high[1], float(start[1]), side)
    inner, outer = (logits > _STABILITY).sum(), (logits > -_STABILITY).sum()
    mask = Mask.from_array(
        rows @ logits @ columns.T > 0,
        (int(low[0]), int(low[1])),
        score=score,
        stability=float(inner / outer),
    )
    return mask if mask.area else _NOTHING  # all of it may lie beside the plane


def _lerp_matrix(low: int, high: int, start: float, side: float) -> FloatArray:
    """Return weights (high - low, 64) of the samples at each pixel centre."""
    at = (np.arange(low, high) + 0.5 - start) / side * REGION - 0.5
    at = np.clip(at, 0, REGION - 1)
    distance = np.abs(at[:, None] - np.arange(REGION)[None, :])
    weights: FloatArray = np.maximum(0, 1 - distance).astype(np.float32)
    return weights
