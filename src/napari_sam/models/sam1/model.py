"""SAM 1 behind the protocol that every promptable model answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.models.cache import Packed
from napari_sam.models.device import resolve_device
from napari_sam.models.halves import halved, restored
from napari_sam.models.protocol import ModelInfo
from napari_sam.models.sam1.base import SamModel
from napari_sam.models.sam1.decoder import FastDecoder, Prepared
from napari_sam.models.sam1.encoder import ImageEncoder, Precision
from napari_sam.models.sam1.geometry import INPUT, Frame

if TYPE_CHECKING:
    from torch import Tensor, nn

    from napari_sam.images import Plane
    from napari_sam.models.sam1.prompts import Batch
    from napari_sam.types import Embedding


class Sam1Model(SamModel):
    """SAM b, l, h and MobileSAM; features are a float32 Tensor (1, 256, 64, 64).

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
    precision : {"float32", "bfloat16"}
        Of the encoder, see `ImageEncoder`.
    instances : nn.Module, optional
        µSAM's decoder, see `napari_sam.models.musam`.

    Attributes
    ----------
    instances : nn.Module or None
        The same, on the device.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        name: str,
        version: str,
        sha256: str,
        device: str = "auto",
        precision: Precision = "float32",
        instances: nn.Module | None = None,
    ) -> None:
        where = resolve_device(device)
        network = network.to(where)
        encoder, prompts, decoder = (
            network.get_submodule(part)
            for part in ("image_encoder", "prompt_encoder", "mask_decoder")
        )
        self._encoder = ImageEncoder(encoder, where, precision)
        self.instances = None if instances is None else instances.to(where)
        self._way = f"SAM 1 at {INPUT}, {precision}, 1"
        info = ModelInfo(name, version, sha256, str(where))
        super().__init__(info, prompts, FastDecoder(prompts, decoder), where)

    def frame(self, shape: tuple[int, int]) -> Frame:
        """Return how a plane of this shape lies in the model's input."""
        return Frame.of(shape)

    def features_of(self, embedding: Embedding) -> Tensor:
        """Return what the encoder made of a plane."""
        features: Tensor = self.features(embedding)
        return features

    @property
    def way(self) -> str:
        """How pixels become features; see `TiledModel`."""
        return self._way

    def _pack(self, features: Tensor) -> Packed:
        return Packed({"features": halved(features)})

    def _unpack(self, packed: Packed) -> Tensor:
        return restored(packed.arrays["features"], self._device)

    def _features(self, plane: Plane) -> Tensor:
        return self._encoder(self.frame(plane.shape).image(plane.pixels))

    def _share(self, features: Tensor) -> Prepared:
        return self._decoder.prepare(features)

    def _sparse(self, batch: Batch) -> tuple[Tensor, Tensor]:
        points, labels, boxes, masks = (
            None if part is None else part.to(self._device)
            for part in (batch.points, batch.labels, batch.boxes, batch.masks)
        )
        clicks = None if points is None else (points, labels)
        sparse, dense = self._prompt_encoder(points=clicks, boxes=boxes, masks=masks)
        return sparse, dense
