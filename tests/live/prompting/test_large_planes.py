"""A session on a plane that is too large to be looked at in one piece."""

import numpy as np
import pytest

from napari_sam.images import LargePlane
from napari_sam.images import planes as planes_module
from napari_sam.live.labels.store import LabelStore
from napari_sam.live.prompting.session import Session
from napari_sam.live.proposals.finding import Finder
from napari_sam.live.source import Source
from napari_sam.live.values import Mark
from napari_sam.models.pocket.model import PocketModel
from napari_sam.models.tiles import LargeEmbedding, Tiling


@pytest.fixture
def session(pump, listener, frames, monkeypatch):
    # Four tiles of 3 × 4 pictures of the same nuclei, 384 × 336 pixels in all.
    monkeypatch.setattr(planes_module, "LARGE", 100_000)
    small = Tiling(side=256, whole=256, small=16, large=64, most=2)
    monkeypatch.setattr(PocketModel, "tiling", small)
    plane = np.tile(frames[0], (4, 3))
    session = Session(pump.post, listener)
    session.open(
        Source(plane, "nuclei", plane.shape, "", False),
        LabelStore(np.zeros(plane.shape, np.uint32)),
    )
    session.use_model("pocket", "cpu")
    session.look_at(())
    yield session
    session.close()


def test_a_click_encodes_the_tile_that_it_lies_on(pump, session):
    pump.until(lambda: session.prepared(()) is not None)
    _, prepared = session.prepared(())
    embedding = prepared.embedding
    assert isinstance(embedding, LargeEmbedding)
    assert isinstance(embedding.plane, LargePlane)
    assert (len(embedding.grid.parts), len(embedding.kept)) == (4, 0)
    at = np.array([[33.5 + 3 * 96, 44.5 + 2 * 112]], np.float32)
    session.ask("a", (), [Mark("click", at)])
    pump.until(lambda: not session.suggestions["a"].waiting)
    mask = session.suggestions["a"].mask
    assert mask.full(embedding.shape)[33 + 3 * 96, 44 + 2 * 112]
    assert 300 < mask.area < 800
    assert len(embedding.kept) == 1


def test_all_objects_are_found_across_the_tiles(pump, session):
    finder = Finder(session, pump.post, lambda: None)
    finder.find("nuclei")
    pump.until(lambda: finder.state.phase in ("found", "failed"), seconds=240)
    assert finder.state.error == ""
    boxes = np.array([mask.box for mask in finder.found.masks])
    finder.close()
    one = (boxes[:, 2] <= 96) & (boxes[:, 3] <= 112)
    assert one.sum() > 5
    assert len(boxes) > 11 * one.sum()
    # None ends where a tile does.
    assert not np.isin(boxes[:, 2:], (256,)).any()
