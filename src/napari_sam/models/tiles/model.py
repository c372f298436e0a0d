"""What every model has in common that answers prompts on planes of any size."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from napari_sam.images import Normalization, Plane, make_plane
from napari_sam.models.cache import key_of
from napari_sam.models.lane import checkpoint, report, wait
from napari_sam.models.sizes import nbytes_of
from napari_sam.models.tiles.grid import Grid, Part, Tiling
from napari_sam.models.tiles.large import LargeEmbedding, reduced
from napari_sam.models.tiles.moving import extent_of, moved, moved_back
from napari_sam.types import (
    Candidates,
    Embedding,
    ModelError,
    Prompt,
    Tile,
    check_prompts,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from napari_sam.models.cache import EmbeddingCache, Packed
    from napari_sam.models.protocol import ModelInfo


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What a model is to look at in one piece.

    Attributes
    ----------
    plane : Plane
        Its pixels, each the mean of step × step pixels of the data.
    step : int
    scale : float, optional
        The size at which a pixel of the data is to be seen; None: as is best.
    """

    plane: Plane
    step: int = 1
    scale: float | None = None


class TiledModel(ABC):
    """Encodes small planes at once, and large ones tile by tile, where it is asked.

    Attributes
    ----------
    cache : EmbeddingCache or None
        Where pieces that were encoded before are looked for, and new ones are kept.
    """

    tiling: ClassVar[Tiling]
    cache: EmbeddingCache | None = None

    @property
    @abstractmethod
    def info(self) -> ModelInfo:
        """Which model this is."""

    @abstractmethod
    def _look(self, view: View) -> Any:
        """Run the encoder; return the features."""

    @abstractmethod
    def _answer(
        self, embedding: Embedding, prompts: Sequence[Prompt], multimask: bool | None
    ) -> list[Candidates]:
        """Answer prompts on an embedding with one tile."""

    @property
    def way(self) -> str:
        """How pixels become features, as far as the weights do not say it.

        Another version, precision or size of input has another name, so that nothing
        is taken for what it is not. Empty where features cannot be kept on a disk.
        """
        return ""

    def _pack(self, features: Any) -> Packed:
        """Return features as plain arrays, of half precision where that is enough."""
        raise NotImplementedError

    def _unpack(self, packed: Packed) -> Any:
        """Return the features again."""
        raise NotImplementedError

    def encode(
        self,
        image: npt.NDArray[Any] | Plane,
        normalization: Normalization | None = None,
    ) -> Embedding:
        """Encode one plane; of a large one nothing is encoded yet.

        Parameters
        ----------
        image : array, shape (H, W) or (H, W, C) with C <= 4, or Plane
            Any real dtype.
        normalization : Normalization, optional
            Contrast for an array; by default its own percentiles.

        Returns
        -------
        Embedding
            With one tile; of a large plane a `LargeEmbedding`, with all that there
            may be.
        """
        plane = image if isinstance(image, Plane) else make_plane(image, normalization)
        large = self.tiled(plane)
        return large or self._whole(self._view(plane), plane.shape)

    def prepare(self, plane: Plane, since: float) -> bool:
        """Make sure that a plane is in the cache; of a large one all finest tiles.

        Parameters
        ----------
        plane : Plane
        since : float
            Nothing that was used after this time (seconds since 1970) is removed from
            the cache to make room.

        Returns
        -------
        bool
            Whether it was there already.

        Raises
        ------
        ModelError
            If there is no cache, or this model's planes cannot be kept.
        OutputError
            If there is no room, or the disk does not take it.
        """
        cache = self.cache
        if cache is None or not self.way:
            raise ModelError(
                f'slices that the model "{self.info.name}" has prepared cannot be kept '
                "on the disk: use another model, or do without preparing"
            )
        large = self.tiled(plane)
        if large is None:
            views = [partial(self._view, plane)]
        else:
            parts = (*large.grid.parts, large.grid.overview)
            views = [partial(self._view_of, large, part) for part in parts]
        there = True
        for done, make in enumerate(views):
            report(done / len(views))
            checkpoint()
            view = make()
            key = self._key(view)
            if cache.get(key) is None:
                there = False
                packed = self._pack(self._look(view))
                # Before the next one: so an error is told where it happens.
                wait(cache.keep(key, packed, since))
        return there

    def tiled(self, plane: Plane) -> LargeEmbedding | None:
        """Return a large plane in tiles; None where it is seen in one piece."""
        grid = Grid.of(plane.shape, self.tiling, plane.diameter)
        if grid is None:
            return None
        tiles = tuple(Tile(part.box, part) for part in grid.parts)
        return LargeEmbedding(
            self.info.sha256, plane.shape, tiles, plane=plane, grid=grid
        )

    def rounded(self, embedding: Embedding) -> Embedding:
        """Return a plane in one piece as it would come from the cache."""
        (tile,) = embedding.tiles
        features = self._unpack(self._pack(tile.features))
        return replace(embedding, tiles=(Tile(tile.box, features),), rounded=True)

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

        On a large plane the tile answers that shows the prompt best. An object that
        is only clicked, and that reaches beyond its tile, is asked about on a coarser
        one.

        Parameters
        ----------
        embedding : Embedding
            From this model.
        prompts : sequence of Prompt
            Points, a box, a mask, a previous answer (of any model), or any mix.
        multimask : bool, optional
            Three candidates (True) or one (False) for each prompt; by default
            three where there is only one click.

        Returns
        -------
        list of Candidates
            Best predicted IoU first. An answer may be an empty mask; its score
            is 0 then.

        Raises
        ------
        ModelError
            If the embedding is another model's.
        PromptError
            If a mask or a previous answer does not fit the plane.
        """
        check_prompts(prompts, embedding.shape)
        self._check(embedding)
        if not isinstance(embedding, LargeEmbedding):
            return self._answer(embedding, prompts, multimask)
        answers: dict[int, Candidates] = {}
        waiting: dict[Part, list[int]] = defaultdict(list)
        for number, prompt in enumerate(prompts):
            waiting[embedding.grid.best(extent_of(prompt, embedding.shape))] += [number]
        while waiting:
            part = min(waiting, key=lambda each: (each.level, each.box))
            numbers = waiting.pop(part)
            asked = [prompts[number] for number in numbers]
            found = self._on_part(embedding, part, asked, multimask)
            for number, candidates in zip(numbers, found, strict=True):
                answers[number] = candidates
                wider = _wider(embedding.grid, part, prompts[number], answers[number])
                if wider is not None:
                    waiting[wider].append(number)
        return [answers[number] for number in range(len(prompts))]

    def part(self, embedding: LargeEmbedding, part: Part) -> Embedding:
        """Return one tile as a plane of its own; it is encoded if it must be."""
        self._check(embedding)
        known = embedding.kept.get(part)
        if known is not None:
            return known
        checkpoint()
        one = self._whole(self._view_of(embedding, part), part.shape)
        embedding.kept.put(part, one, nbytes_of(one))
        return one

    def _view(self, plane: Plane) -> View:
        """Return how a plane is seen in one piece."""
        known = plane.diameter is not None
        return View(plane, scale=self.tiling.scale(plane.diameter) if known else None)

    def _view_of(self, embedding: LargeEmbedding, part: Part) -> View:
        """Return how one tile is seen."""
        plane = embedding.plane
        if part == embedding.grid.overview:
            scale = self.tiling.side / max(part.shape)
        else:
            scale = self.tiling.scale(plane.diameter) / 2**part.level
        # Reducing by a whole number is exact; what is left the model does itself.
        step = max(1, int(1 / scale))
        as_is = part.level == 0 and plane.diameter is None
        seen = reduced(plane, part.box, step)
        return View(seen, step, None if as_is else scale)

    def _on_part(
        self,
        embedding: LargeEmbedding,
        part: Part,
        prompts: Sequence[Prompt],
        multimask: bool | None,
    ) -> list[Candidates]:
        """Answer prompts on one tile, where they lie on the plane."""
        local = [moved(prompt, part) for prompt in prompts]
        # A click that is left alone on its tile was not alone on the plane.
        lost = [
            multimask is None and len(here.points) < len(prompt.points)
            for here, prompt in zip(local, prompts, strict=True)
        ]
        one = self.part(embedding, part)
        answers: dict[int, Candidates] = {}
        for several, which in ((multimask, False), (False, True)):
            numbers = [i for i, each in enumerate(lost) if each == which]
            if numbers:
                found = self._answer(one, [local[i] for i in numbers], several)
                answers |= zip(numbers, found, strict=True)
        return [moved_back(answers[i], part) for i in range(len(prompts))]

    def features(self, embedding: Embedding) -> Any:
        """Return what the encoder made of a plane; of a large one the overview.

        Raises
        ------
        ModelError
            If the embedding is another model's.
        """
        self._check(embedding)
        if isinstance(embedding, LargeEmbedding):
            embedding = self.part(embedding, embedding.grid.overview)
        (tile,) = embedding.tiles
        return tile.features

    def _whole(self, view: View, shape: tuple[int, int]) -> Embedding:
        features, rounded = self._seen(view)
        tile = Tile((0, 0, *shape), features)
        return Embedding(self.info.sha256, shape, (tile,), rounded)

    def _seen(self, view: View) -> tuple[Any, bool]:
        """Return the features of a piece, from the cache where they are there.

        Also whether they are as the cache has them.
        """
        cache = self.cache
        if cache is None or not self.way:
            return self._look(view), False
        key = self._key(view)
        packed = cache.get(key)
        if packed is not None:
            return self._unpack(packed), True
        begun = time.monotonic()
        features = self._look(view)
        seconds = time.monotonic() - begun
        if not cache.takes(seconds):
            return features, False
        packed = self._pack(features)
        cache.put(key, packed)
        # As they will be read, so that the same is answered today and tomorrow.
        return self._unpack(packed), True

    def _key(self, view: View) -> str:
        return key_of(
            view.plane.pixels,
            weights=self.info.sha256,
            way=self.way,
            step=view.step,
            scale=view.scale,
        )

    def _check(self, embedding: Embedding) -> None:
        if embedding.model != self.info.sha256:
            raise ModelError(
                f'this embedding is not from the model "{self.info.name}"; '
                "encode the plane again"
            )


def _wider(grid: Grid, part: Part, prompt: Prompt, answer: Candidates) -> Part | None:
    """Return where to ask again about an object that its tile cuts."""
    if prompt.box is not None or part == grid.overview:
        return None
    box = answer.best.box
    if answer.best.area == 0 or not grid.cuts(part, box):
        return None
    return grid.best(box, part.level + 1)
