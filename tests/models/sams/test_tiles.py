"""A SAM on a plane in tiles: it remembers, on each, what it answered there."""

from __future__ import annotations

import numpy as np
import pytest

import napari_sam as ns
from napari_sam.models.tiles import LargeEmbedding, Tiling


@pytest.fixture(scope="module")
def small_tiles():
    return Tiling(side=128, whole=128, small=32, large=256, most=4)


@pytest.mark.parametrize("pair", ["tiny"], indirect=True)
def test_refining_and_probabilities_on_a_tile(pair, planes, small_tiles, monkeypatch):
    plane, model = planes["square"], pair.ours
    monkeypatch.setattr(model, "tiling", small_tiles)
    embedding = model.encode(plane)
    assert isinstance(embedding, LargeEmbedding)
    at = (150.0, 160.0)
    part = embedding.grid.best((*at, *at))
    y0, x0, y1, x1 = part.box
    asked = [ns.Prompt(points=[at]), ns.Prompt(box=(130, 140, 165, 170))]
    answers = model.decode(embedding, asked)
    assert len(answers) == 2

    # The tile alone, as a plane, gives the same.
    monkeypatch.undo()
    alone = model.encode(plane.crop(part.box))
    inside = [at[0] - y0, at[1] - x0]
    (wanted,) = model.decode(alone, [ns.Prompt(points=[inside])])
    monkeypatch.setattr(model, "tiling", small_tiles)
    for mask, other in zip(answers[0].masks, wanted.masks, strict=True):
        if mask.memory.part != part:
            continue  # it was cut, and asked about on a coarser one
        assert mask.score == pytest.approx(other.score, abs=1e-4)
        seen = mask.full(plane.shape)[y0:y1, x0:x1] == other.full(part.shape)
        assert seen.mean() > 0.999

    mask = answers[1].best
    whole = model.probability(mask, plane.shape, (0, 0, *plane.shape))
    assert whole.shape == plane.shape
    assert ((whole > 0.5) == mask.full(plane.shape)).mean() > 0.999
    box = (120, 100, 180, 290)
    some = model.probability(mask, plane.shape, box)
    np.testing.assert_allclose(some, whole[120:180, 100:290], atol=1e-6)

    again = ns.Prompt(points=[(150, 150)], labels=[1], previous=mask)
    (refined,) = model.decode(embedding, [again])
    forgotten = ns.Prompt(
        points=[(150, 150)], previous=ns.types.Mask(mask.box, mask.data, mask.score)
    )
    (anew,) = model.decode(embedding, [forgotten])
    if refined.best.memory.part == mask.memory.part:
        # What was remembered on this tile is not the same as the bare pixels.
        assert refined.best.score != anew.best.score
