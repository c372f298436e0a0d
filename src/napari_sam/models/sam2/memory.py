"""What SAM 2 remembers of an object, and how a plane is seen in its light.

Section 4 of Ravi et al. 2024 (https://arxiv.org/abs/2408.00714): the memory encoder
turns an answer into a small map, memory attention mixes such maps of other planes into
the features of this one. The layers are ultralytics' modules with Meta's weights; they
are called one by one, so that what all objects of a plane share is computed once, and
so that a click can come in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_sam.models.lane import checkpoint
from napari_sam.models.sam1.geometry import INPUT
from napari_sam.models.sam2.recall import Layer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

GRID = 64  # cells of the features along a side
# Before the memory encoder sees them, probabilities are stretched to this.
_SCALE, _BIAS = 20.0, -10.0


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A plane, as far as it is the same for all objects.

    Attributes
    ----------
    top : float32 Tensor, shape (1, 256, 64, 64)
        The encoder's coarsest map.
    begun : float32 Tensor, shape (1, 4096, 256)
        After the first layer of memory attention has looked at the plane alone.
    """

    top: Tensor
    begun: Tensor


class ObjectMemory:
    """Make memories, and look at planes with them.

    Parameters
    ----------
    network : nn.Module
        From `build`, on its device.
    """

    @torch.inference_mode()
    def __init__(self, network: nn.Module) -> None:
        net: Any = network
        self._net, self._attention = net, net.memory_attention
        self._layers = [Layer(each, GRID) for each in net.memory_attention.layers]
        blank = net.no_mem_embed.new_zeros(1, net.hidden_dim, GRID, GRID)
        where = net.image_encoder.neck.position_encoding(blank)
        self._where = where.flatten(2).mT  # of a plane's cells, (1, 4096, 256)
        mask = blank.new_zeros(1, 1, INPUT, INPUT)
        found = net.memory_encoder(blank, mask, skip_mask_sigmoid=True)
        # Of a memory's cells, (4096, 64); the same for all.
        self._cells = found["vision_pos_enc"][-1][0].flatten(1).mT

    @property
    def planes(self) -> int:
        """How many planes that nobody prompted are remembered."""
        return int(self._net.num_maskmem) - 1

    @property
    def pointers(self) -> int:
        """From how many planes back pointers are taken, and how many at most."""
        return int(self._net.max_obj_ptrs_in_encoder)

    @torch.inference_mode()
    def remember(
        self, top: Tensor, logits: Tensor, *, present: bool, prompted: bool
    ) -> Tensor:
        """Turn an answer into a memory.

        Parameters
        ----------
        top : float32 Tensor, shape (1, 256, 64, 64)
            Features of the plane.
        logits : float32 Tensor, shape (1, 1, 256, 256)
            The mask.
        present : bool
            The object is on this plane.
        prompted : bool
            Somebody said so: the mask counts as it is seen, not by its logits.

        Returns
        -------
        bfloat16 Tensor, shape (4096, 64)
        """
        fine = F.interpolate(logits, (INPUT, INPUT), mode="bilinear")
        mask = (fine > 0).float() if prompted else fine.sigmoid()
        found = self._net.memory_encoder(
            top, mask * _SCALE + _BIAS, skip_mask_sigmoid=True
        )["vision_features"]
        absent = getattr(self._net, "no_obj_embed_spatial", None)
        if absent is not None and not present:
            found = found + absent[..., None, None]
        cells: Tensor = found[0].flatten(1).mT.to(torch.bfloat16)
        return cells.contiguous()

    @torch.inference_mode()
    def pointer(self, token: Tensor, *, present: bool) -> Tensor:
        """Turn an output token of the decoder (256,) into a pointer (256,)."""
        if present:
            found: Tensor = self._net.obj_ptr_proj(token)
            return found
        absent: Tensor = self._net.no_obj_ptr[0]
        return absent

    @torch.inference_mode()
    def see(self, top: Tensor) -> Seen:
        """Begin with a plane: what is the same for all objects."""
        tokens = top.flatten(2).mT
        if self._attention.pos_enc_at_input:
            tokens = tokens + 0.1 * self._where
        return Seen(top, self._layers[0].look(tokens))

    @torch.inference_mode()
    def recall(
        self,
        seen: Seen,
        prompted: Sequence[Tensor],
        before: Sequence[tuple[int, Tensor]],
        pointers: Sequence[tuple[int, Tensor]],
        most: int,
    ) -> Tensor:
        """See a plane in the light of what is remembered of one object.

        Parameters
        ----------
        seen : Seen
        prompted : sequence of Tensor
            Memories of planes on which somebody said where the object is.
        before : sequence of (int, Tensor)
            Memories of planes passed on the way here, with how far back they are (1 to
            `planes`), the farthest first.
        pointers : sequence of (int, Tensor)
            Pointers with how far back they are.
        most : int
            Distances of pointers are told as parts of this less one.

        Returns
        -------
        float32 Tensor, shape (256, 64, 64)
        """
        ages = self._net.maskmem_tpos_enc[:, 0]  # (7, 1, 64)
        maps = list(prompted)
        # The last entry is of prompted planes, the first of the plane just before.
        times = [ages[-1]] * len(prompted)
        for back, each in before:
            maps.append(each)
            times.append(ages[back - 1])
        memory = [each.float() for each in maps]
        where = [self._cells + time for time in times]
        words = 0
        if pointers:
            tokens, at = self._as_words(pointers, most)
            memory.append(tokens)
            where.append(at)
            words = len(tokens)
        cells, places = torch.cat(memory), torch.cat(where)
        out = seen.begun
        for number, layer in enumerate(self._layers):
            if number:
                out = layer.look(out)
            out = layer.recall(out[0], cells, places, words)
            out = layer.digest(out)[None]
            checkpoint()
        found: Tensor = self._attention.norm(out)[0].T.unflatten(1, (GRID, GRID))
        return found

    def _as_words(
        self, pointers: Sequence[tuple[int, Tensor]], most: int
    ) -> tuple[Tensor, Tensor]:
        """Cut pointers into words as long as a memory's cells, and say when."""
        net = self._net
        stacked = torch.stack([each for _, each in pointers])
        words = stacked.shape[1] // net.mem_dim
        if net.add_tpos_enc_to_obj_ptrs:
            away = stacked.new_tensor([back for back, _ in pointers])
            if not net.use_signed_tpos_enc_to_obj_ptrs:
                away = away.abs()
            when = net.obj_ptr_tpos_proj(_waves(away / (most - 1), net.hidden_dim))
        else:
            when = stacked.new_zeros(len(pointers), net.mem_dim)
        return stacked.view(-1, net.mem_dim), when.repeat_interleave(words, 0)


def _waves(at: Tensor, size: int) -> Tensor:
    """Return sines and cosines (N, size) of positions (N,), as in Transformers."""
    half = size // 2
    number = torch.arange(half, dtype=torch.float32, device=at.device)
    wave = at[:, None] / 10000 ** (2 * (number // 2) / half)
    return torch.cat([wave.sin(), wave.cos()], -1)
