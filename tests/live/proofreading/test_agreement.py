"""What the built-in model says about outlines that are right, and that are not."""

import numpy as np
import pytest

from napari_sam import load_model
from napari_sam.live.labels.scan import scan
from napari_sam.live.labels.store import LabelStore
from napari_sam.live.proofreading.agreement import opinions, severals
from napari_sam.live.proofreading.doubts import (
    SEVERAL,
    Criteria,
    Opinion,
    measure,
    rank,
)
from napari_sam.types import Mask


@pytest.fixture(scope="module")
def model():
    return load_model("pocket", device="cpu")


def joined(truth, every):
    """Let every so-manyth object be one with the neighbour that is nearest."""
    labels = truth.copy()
    ids = [int(i) for i in np.unique(truth) if i and (truth == i).sum() > 60]
    middles = {i: np.argwhere(truth == i).mean(0) for i in ids}
    left, wrong = set(ids), []
    for one in ids[::every]:
        near = sorted(left, key=lambda i: np.linalg.norm(middles[i] - middles[one]))
        other = next((i for i in near if i != one), None)
        if one in left and other is not None:
            labels[truth == other] = one
            left -= {one, other}
            wrong.append(one)
    return labels, wrong


def masks_of(labels):
    found = scan(labels)
    store = LabelStore(
        labels, records=found.records, next_id=found.next_id, extents=found.extents
    )
    masks = {n: store.mask_of(n, ()) for n in store.records}
    return store, {n: mask for n, mask in masks.items() if mask.area > 60}


@pytest.mark.parametrize("name", ["fluorescence", "nuclei_timelapse"])
def test_neighbours_in_one_are_told_from_objects(model, data, name):
    image, truth = data("images", name), data("truth", name).astype(np.uint32)
    if image.ndim > 2:
        image, truth = image[3], truth[3]
    labels, wrong = joined(truth, 5)
    store, masks = masks_of(labels)
    said = opinions(model, model.encode(image), list(masks.values()))
    known = dict(zip(masks, said, strict=True))
    ranking = rank(
        measure(labels, store.snapshot()), store.records.values(), opinions=known
    )
    accused = {n for n, doubt in ranking.doubts.items() if SEVERAL in doubt.reasons}
    assert len(wrong) >= 3
    assert len(accused & set(wrong)) > 0.7 * len(wrong)
    assert len(accused - set(wrong)) <= 0.05 * len(masks)
    # They come before what is merely cut by the border.
    first = [place[2] for place in ranking.queue[: len(accused)]]
    assert len(set(first) & accused) > 0.7 * len(accused)


def test_one_pixel_is_one_object(model, data):
    image = data("images", "fluorescence")
    speck = Mask((5, 5, 6, 6), np.ones((1, 1), bool), 1.0)
    whole = Mask((0, 0, *image.shape), np.ones(image.shape, bool), 1.0)
    values = severals(model, model.encode(image), [speck, whole])
    assert values[0] == 0
    assert 0 <= values[1] <= 1
    assert severals(model, model.encode(image), []) == []


def test_from_where_on_it_is_doubtful(data):
    labels = data("truth", "fluorescence").astype(np.uint32)
    store, masks = masks_of(labels)
    first, second, third = list(masks)[:3]
    said = {
        first: Opinion(0.2, several=0.7),
        second: Opinion(0.9, several=0.7),
        third: Opinion(0.9, several=0.5),
    }
    sizes = measure(labels, store.snapshot())
    criteria = Criteria(border=False, sizes=99)
    doubts = rank(sizes, store.records.values(), criteria, said).doubts
    assert doubts.keys() == {first, second}
    assert all(doubt.reasons == (SEVERAL,) for doubt in doubts.values())
