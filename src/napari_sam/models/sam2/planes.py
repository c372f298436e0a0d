"""What SAM 2 and SAM 3 have in common: prompts on single planes."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from napari_sam.models.cache import Packed
from napari_sam.models.device import resolve_device
from napari_sam.models.halves import halved, restored
from napari_sam.models.protocol import ModelInfo
from napari_sam.models.sam1.base import SamModel
from napari_sam.models.sam1.decoder import FastDecoder, Prepared
from napari_sam.models.sam2.encoder import Features

if TYPE_CHECKING:
    from torch import nn

    from napari_sam.images import Plane
    from napari_sam.models.sam1.prompts import Batch
    from napari_sam.models.sam2.encoder import ImageEncoder

_MAPS = ("top", "low", "high")  # of `Features`
_CORNERS = (2, 3)  # labels of a box's first and second corner


class Sam2Planes(SamModel):
    """A network with SAM 2's decoder, for planes.

    Parameters
    ----------
    network : nn.Module
        From `build`; it is moved to the device and belongs to this model then.
    name : str
        Catalog name, or the checkpoint's file name.
    version : str
        The architecture, or what the catalog says.
    sha256 : str
        Hash of the checkpoint.
    device : str
        "auto", "cpu", "cuda", "cuda:1" or "mps".
    """

    most = 32.0  # as Meta's predictor

    def __init__(
        self,
        network: nn.Module,
        *,
        name: str,
        version: str,
        sha256: str,
        device: str = "auto",
    ) -> None:
        where = resolve_device(device)
        network = network.to(where)
        prompts, decoder = (
            network.get_submodule(part)
            for part in ("sam_prompt_encoder", "sam_mask_decoder")
        )
        self._network: Any = network
        self._encoder = self._encoder_of(network, where)
        info = ModelInfo(name, version, sha256, str(where))
        super().__init__(info, prompts, FastDecoder(prompts, decoder), where)

    @abstractmethod
    def _encoder_of(self, network: nn.Module, device: torch.device) -> ImageEncoder:
        """Return what encodes a plane."""

    @torch.inference_mode()
    def alone(self, features: Features) -> Tensor:
        """Return a plane (1, 256, n, n) as it is where nothing is remembered."""
        alone: Tensor = features.top + self._network.no_mem_embed.view(1, -1, 1, 1)
        return alone

    @property
    def way(self) -> str:
        """How pixels become features; see `TiledModel`."""
        return f"{type(self).__name__} at {self._encoder.side}, 1"

    def _pack(self, features: Features) -> Packed:
        maps = {name: getattr(features, name) for name in _MAPS}
        return Packed({name: halved(tensor) for name, tensor in maps.items()})

    def _unpack(self, packed: Packed) -> Features:
        return Features(*(restored(packed.arrays[n], self._device) for n in _MAPS))

    def _features(self, plane: Plane) -> Features:
        return self._encoder(plane.pixels)

    def _share(self, features: Features) -> Prepared:
        finer = features.low, features.high
        return self._decoder.prepare(self.alone(features), finer)

    def _sparse(self, batch: Batch) -> tuple[Tensor, Tensor]:
        points, labels = [], []
        if batch.boxes is not None:  # as two points, before all others
            points.append(batch.boxes.view(-1, 2, 2))
            labels.append(torch.tensor(_CORNERS).expand(len(batch.boxes), -1))
        if batch.points is not None and batch.labels is not None:
            points.append(batch.points)
            labels.append(batch.labels)
        clicks = None
        if points:
            clicks = (
                torch.cat(points, 1).to(self._device),
                torch.cat(labels, 1).to(self._device),
            )
        masks = None if batch.masks is None else batch.masks.to(self._device)
        sparse, dense = self._prompt_encoder(points=clicks, boxes=None, masks=masks)
        return sparse, dense
