"""Answers on what was kept equal answers on what was just encoded."""

import numpy as np
import pytest
import torch
from tests.models.sams.conftest import make_tiny, mobile, mobile_state, shallow, tiny
from tests.models.yolo.conftest import make_pt

from napari_sam import Prompt, load_model
from napari_sam.images import make_plane
from napari_sam.models.fastsam.model import FastSamModel
from napari_sam.models.options import DetectorOptions
from napari_sam.models.sam2.encoder import Features
from napari_sam.models.sam3.model import Sam3Model
from napari_sam.models.tiles import LargeEmbedding, View
from napari_sam.models.yolo.loading import load_yolo
from napari_sam.types import ModelError, OutputError

__all__ = ["make_pt", "make_tiny", "mobile", "mobile_state", "shallow", "tiny"]

ALIKE = 0.99  # IoU
FEW = DetectorOptions(conf=0.5, iou=0.9, max_det=200)


@pytest.fixture(scope="module")
def pocket():
    return load_model("pocket", "cpu")


@pytest.fixture(scope="module")
def exact_pocket():
    from napari_sam.models.catalog import list_models
    from napari_sam.models.pocket.model import PocketModel

    (entry,) = (e for e in list_models() if e.name == "pocket")
    return PocketModel(entry.path, device="cpu", precision="float32")


@pytest.fixture(scope="module")
def mobilesam(mobile):
    return mobile.ours


@pytest.fixture(scope="module")
def sam_b(shallow):
    return shallow("vit_b", slice(1, 3)).ours


@pytest.fixture(scope="module")
def sam2(tiny):
    return tiny.ours


@pytest.fixture(scope="module")
def fastsam(make_pt):
    path = make_pt("yolov8s-seg.yaml", classes=1)
    return FastSamModel(load_yolo(path, FEW, device="cpu"))


@pytest.fixture(
    params=["pocket", "exact_pocket", "mobilesam", "sam_b", "sam2", "fastsam"]
)
def model(request):
    model = request.getfixturevalue(request.param)
    yield model
    model.cache = None


@pytest.fixture
def plane(frames):
    return make_plane(frames[0])


@pytest.fixture
def prompts(plane):
    """A click every few pixels, and boxes."""
    height, width = plane.shape
    places = [(y, x) for y in range(8, height, 40) for x in range(8, width, 48)]
    boxes = [(y, x, y + 20, x + 24) for y, x in places if y < 60 and x < 80]
    return [
        *(Prompt(points=[at]) for at in places),
        *(Prompt(box=box) for box in boxes),
    ]


@pytest.fixture
def encoded(monkeypatch):
    """Count how often a model's encoder really runs."""

    def count(model):
        calls, look = [], model._look

        def looked(view):
            calls.append(view)
            return look(view)

        monkeypatch.setattr(model, "_look", looked)
        return calls

    return count


def best(model, embedding, prompts):
    return [c.best for c in model.decode(embedding, prompts, multimask=False)]


def alike(one, other):
    return one.iou(other) if one.area or other.area else 1.0


def test_kept_and_fresh_answers_are_alike(model, plane, prompts, new_cache, encoded):
    fresh = best(model, model.encode(plane), prompts)
    model.cache = new_cache()
    first = best(model, model.encode(plane), prompts)
    model.cache.close()
    calls = encoded(model)
    model.cache = new_cache()
    second = best(model, model.encode(plane), prompts)
    assert calls == []
    assert any(mask.area for mask in fresh)
    assert min(alike(*pair) for pair in zip(fresh, second, strict=True)) > ALIKE
    for one, other in zip(first, second, strict=True):
        # Whoever used the cache yesterday has the very same answers today.
        assert one.box == other.box
        np.testing.assert_array_equal(one.data, other.data)
        assert one.score == other.score
    for one, other in zip(fresh, second, strict=True):
        assert one.score == pytest.approx(other.score, abs=0.01)


def test_sam3_gets_its_three_maps_back(new_cache, same):
    # The rest is SAM 2's; all of SAM 3 would be 850 million random numbers.
    model = Sam3Model.__new__(Sam3Model)
    model._device = torch.device("cpu")
    maps = [torch.randn(1, c, n, n) for c, n in ((256, 72), (64, 144), (32, 288))]
    cache = new_cache()
    packed = model._pack(Features(*maps))
    cache.put("ab" * 20, packed)
    cache.close()
    found = model._unpack(cache.get("ab" * 20))
    for name, tensor in zip(("top", "low", "high"), maps, strict=True):
        assert getattr(found, name).dtype == torch.float32
        torch.testing.assert_close(getattr(found, name), tensor, rtol=1e-3, atol=1e-4)


def test_what_half_precision_cannot_hold_stays_single(mobilesam):
    features = torch.full((1, 256, 64, 64), 1e6)
    again = mobilesam._unpack(mobilesam._pack(features))
    torch.testing.assert_close(again, features)


def test_models_that_see_in_another_way_share_nothing(
    pocket, exact_pocket, mobilesam, sam_b, plane
):
    models = (pocket, exact_pocket, mobilesam, sam_b)
    ways = {(model.info.sha256, model.way) for model in models}
    assert len({way for _, way in ways}) >= 2
    view = View(plane)
    assert pocket._key(view) != mobilesam._key(view)
    if pocket.way != exact_pocket.way:  # bfloat16 is chosen where it is fast
        assert pocket._key(view) != exact_pocket._key(view)


def test_tiles_of_a_large_plane_are_kept(pocket, frames, new_cache, encoded):
    tile = np.tile(frames[0], (18, 15))  # 1728 × 1680
    plane = make_plane(tile)
    pocket.cache = new_cache()
    first = pocket.encode(plane)
    assert isinstance(first, LargeEmbedding)
    prompt = [Prompt(points=[(33.2, 44.2)])]
    (mask,) = best(pocket, first, prompt)
    pocket.cache.close()
    pocket.cache = new_cache()
    calls = encoded(pocket)
    (again,) = best(pocket, pocket.encode(plane), prompt)
    pocket.cache = None
    assert calls == []
    assert mask.area
    np.testing.assert_array_equal(mask.full(plane.shape), again.full(plane.shape))


def test_preparing_encodes_what_is_not_there(pocket, frames, new_cache, encoded):
    planes = [make_plane(frame) for frame in frames]
    pocket.cache = new_cache()
    pocket.encode(planes[1])
    pocket.cache.close()
    calls = encoded(pocket)
    there = [pocket.prepare(plane, since=0.0) for plane in planes]
    assert there == [False, True, False, False]
    assert len(calls) == 3
    assert all(pocket.prepare(plane, since=0.0) for plane in planes)
    for plane in planes:
        pocket.encode(plane)
    assert len(calls) == 3
    pocket.cache.close()
    pocket.cache = None


def test_preparing_says_why_it_cannot(pocket, plane, new_cache, tmp_path):
    with pytest.raises(ModelError, match="cannot be kept"):
        pocket.prepare(plane, since=0.0)
    pocket.cache = new_cache(limit=1000)
    with pytest.raises(OutputError, match="raise the limit"):
        pocket.prepare(plane, since=0.0)
    pocket.cache.close()
    pocket.cache = None


def test_a_cache_is_handed_over_when_a_model_is_loaded(new_cache, plane, folder):
    cache = new_cache()
    load_model("pocket", "cpu", cache=cache).encode(plane)
    cache.close()
    assert len(list(folder.rglob("*.zip"))) == 1
