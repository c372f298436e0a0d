"""The shipped model on the shipped images: any input, one answer per prompt."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from scipy import ndimage

import napari_sam as ns
from napari_sam.data import demo_images
from napari_sam.images import make_plane
from napari_sam.models.pocket.model import PocketModel
from napari_sam.types import Mask, ModelError, PromptError


@pytest.fixture(scope="module")
def model():
    return ns.load_model("pocket", device="cpu")


@pytest.fixture(scope="module")
def field():
    """Image, labels, and (id, box, inner point) of its larger objects."""
    demo = next(d for d in demo_images() if d.key == "fluorescence")
    image, labels = tifffile.imread(demo.image), tifffile.imread(demo.truth)
    objects = []
    for number, place in enumerate(ndimage.find_objects(labels), start=1):
        inside = np.pad(labels[place] == number, 1)
        if inside.sum() < 60:
            continue
        depth = ndimage.distance_transform_edt(inside)[1:-1, 1:-1]
        inner = np.unravel_index(depth.argmax(), depth.shape)
        rows, columns = place
        point = (inner[0] + rows.start + 0.5, inner[1] + columns.start + 0.5)
        box = (rows.start, columns.start, rows.stop, columns.stop)
        objects.append((number, box, point))
    return image, labels, objects


def mean_iou(answers, labels, objects):
    def iou(mask, truth):
        return (mask & truth).sum() / (mask | truth).sum()

    masks = [answer.best.full(labels.shape) for answer in answers]
    pairs = zip(masks, objects, strict=True)
    return np.mean([iou(mask, labels == number) for mask, (number, *_) in pairs])


def test_boxes_and_clicks_find_their_objects(model, field):
    image, labels, objects = field
    embedding = model.encode(image)
    boxes = model.decode(embedding, [ns.Prompt(box=box) for _, box, _ in objects])
    assert mean_iou(boxes, labels, objects) > 0.75
    clicks = model.decode(embedding, [ns.Prompt(points=[p]) for *_, p in objects])
    assert mean_iou(clicks, labels, objects) > 0.6


def test_every_prompt_gets_its_own_answer_whatever_stands_beside_it(model, field):
    image, _, objects = field
    embedding = model.encode(image)
    prompts = [ns.Prompt(box=box) for _, box, _ in objects[:20]]
    prompts.insert(3, ns.Prompt(box=(-90, -90, -60, -60)))  # beside the plane
    together = model.decode(embedding, prompts)
    assert len(together) == len(prompts)
    assert together[3].best.area == 0
    assert together[3].best.score == 0
    for i in (0, 3, 18):
        (alone,) = model.decode(embedding, [prompts[i]])
        assert alone.best.box == together[i].best.box
        assert np.array_equal(alone.best.data, together[i].best.data)
    assert model.decode(embedding, []) == []


def test_a_lone_click_has_three_candidates_best_first(model, field):
    image, _, objects = field
    embedding = model.encode(image)
    click, box = ns.Prompt(points=[objects[0][2]]), ns.Prompt(box=objects[0][1])
    lone, boxed = model.decode(embedding, [click, box])
    assert len(lone.masks) == 3
    assert len(boxed.masks) == 1
    scores = [mask.score for mask in lone.masks]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= m.score <= 1 and 0 <= m.stability <= 1 for m in lone.masks)
    one, three = (
        model.decode(embedding, [click], multimask=False)[0],
        model.decode(embedding, [box], multimask=True)[0],
    )
    assert (len(one.masks), len(three.masks)) == (1, 3)


def test_the_size_that_is_read_comes_first_but_where_another_is_clearly_better(
    model, field
):
    image, _, objects = field
    embedding = model.encode(image)
    clicks = [ns.Prompt(points=[middle]) for *_, middle in objects]
    three = model.decode(embedding, clicks)
    alone = model.decode(embedding, clicks, multimask=False)
    same = [
        np.array_equal(several.best.data, one.best.data)
        for several, one in zip(three, alone, strict=True)
    ]
    assert np.mean(same) > 0.9


def test_a_background_click_moves_the_mask_away(model, field):
    image, labels, objects = field
    number, box, _ = max(objects, key=lambda o: (labels == o[0]).sum())
    y0, x0, y1, x1 = box
    embedding = model.encode(image)
    wide = (y0 - 10, x0 - 10, y1 + 10, x1 + 10)
    (before,) = model.decode(embedding, [ns.Prompt(box=wide)])
    wrong = before.best.full(labels.shape)
    at = np.argwhere(wrong & (labels == number))[0]
    (after,) = model.decode(
        embedding,
        [ns.Prompt(points=[at + 0.5], labels=[0], box=wide, mask=wrong)],
    )
    assert wrong[tuple(at)] and not after.best.full(labels.shape)[tuple(at)]


def test_a_mask_prompt_refines_the_same_object(model, field):
    image, labels, objects = field
    embedding = model.encode(image)
    chosen = objects[:10]
    rough = [
        ns.Prompt(mask=ndimage.binary_dilation(labels == n, iterations=2))
        for n, *_ in chosen
    ]
    assert mean_iou(model.decode(embedding, rough), labels, chosen) > 0.7
    logits = [ns.Prompt(mask=np.where(labels == n, 6.0, -6.0)) for n, *_ in chosen]
    assert mean_iou(model.decode(embedding, logits), labels, chosen) > 0.7


def test_the_plane_moved_by_whole_cells_moves_the_answer(model, field):
    image, _, objects = field
    _, (y0, x0, y1, x1), _ = next(
        o for o in objects if min(o[1][:2]) > 40 and max(o[1][2:]) < 200
    )
    part = image[:256, :256]
    (here,) = model.decode(model.encode(part), [ns.Prompt(box=(y0, x0, y1, x1))])
    moved = np.roll(part, (32, 32), (0, 1))
    (there,) = model.decode(
        model.encode(moved), [ns.Prompt(box=(y0 + 32, x0 + 32, y1 + 32, x1 + 32))]
    )
    first = here.best.full(part.shape)
    second = np.roll(there.best.full(part.shape), (-32, -32), (0, 1))
    assert (first & second).sum() / (first | second).sum() > 0.95


def test_rounding_hardly_moves_an_answer(model, field):
    image, labels, objects = field
    path = next(e.path for e in ns.list_models() if e.name == "pocket")
    prompts = [ns.Prompt(box=box) for _, box, _ in objects]
    exact, rounded = (
        [answer.best.full(labels.shape) for answer in one.decode(e, prompts)]
        for one in (
            PocketModel(path, device="cpu", precision="float32"),
            PocketModel(path, device="cpu", precision="bfloat16"),
        )
        for e in [one.encode(image)]
    )
    agree = [(a & b).sum() / (a | b).sum() for a, b in zip(exact, rounded, strict=True)]
    assert not all(one == 1 for one in agree)
    assert min(agree) > 0.95
    assert np.mean(agree) > 0.99


@pytest.mark.parametrize("shape", [(5, 7), (33, 64), (64, 64, 3), (31, 200, 4)])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32, np.bool_])
def test_any_shape_and_dtype(model, shape, kind):
    image = np.random.default_rng(0).integers(0, 2, shape).astype(kind)
    embedding = model.encode(image)
    assert embedding.shape == shape[:2]
    (answer,) = model.decode(embedding, [ns.Prompt(box=(1, 1, 4, 5))])
    y0, x0, y1, x1 = answer.best.box
    assert 0 <= y0 <= y1 <= shape[0]
    assert 0 <= x0 <= x1 <= shape[1]


def test_a_plane_and_its_array_are_encoded_alike(model, field):
    image, _, objects = field
    prompt = ns.Prompt(box=objects[0][1])
    plane = make_plane(image)
    direct, given, (batched,) = (
        model.encode(image),
        model.encode(plane),
        model.encode_batch([plane]),
    )
    answers = [model.decode(e, [prompt])[0].best for e in (direct, given, batched)]
    assert all(np.array_equal(answers[0].data, a.data) for a in answers)


def test_embeddings_and_masks_that_do_not_fit_are_refused(model, field):
    image, *_ = field
    embedding = model.encode(image)
    with pytest.raises(PromptError, match="prompt 0: the mask is"):
        model.decode(embedding, [ns.Prompt(mask=np.ones((4, 4), bool))])
    foreign = type(embedding)("other", embedding.shape, embedding.tiles)
    with pytest.raises(ModelError, match="encode the plane again"):
        model.decode(foreign, [ns.Prompt(points=[(1, 1)])])


def test_a_previous_answer_says_the_same_as_its_mask(model, field):
    image, _, objects = field
    embedding = model.encode(image)
    clicks = [ns.Prompt(points=[point]) for *_, point in objects[:12]]
    firsts = [answer.best for answer in model.decode(embedding, clicks)]
    again = [ns.Prompt(previous=first) for first in firsts]
    masks = [ns.Prompt(mask=first.full(image.shape)) for first in firsts]
    pairs = zip(
        model.decode(embedding, again), model.decode(embedding, masks), strict=True
    )
    for one, other in pairs:
        assert len(one.masks) == 1
        assert one.best.box == other.best.box
        np.testing.assert_array_equal(one.best.data, other.best.data)
    both = ns.Prompt(previous=firsts[0], mask=firsts[1].full(image.shape))
    (drawn,) = model.decode(embedding, [both])
    assert drawn.best.box == model.decode(embedding, masks[1:2])[0].best.box


def test_corrections_refine_what_was_wrong(model):
    demo = next(d for d in demo_images() if d.key == "histology")
    image, labels = tifffile.imread(demo.image), tifffile.imread(demo.truth)
    embedding = model.encode(image)
    objects = [(n, np.argwhere(labels == n)[7]) for n in range(1, 60)]
    clicks = [ns.Prompt(points=[inside + 0.5]) for _, inside in objects]
    firsts = model.decode(embedding, clicks)
    prompts = []
    for (number, inside), first in zip(objects, firsts, strict=True):
        truth = labels == number
        wrong = np.pad(first.best.full(labels.shape) ^ truth, 1)
        depth = ndimage.distance_transform_edt(wrong)[1:-1, 1:-1]
        at = np.unravel_index(depth.argmax(), depth.shape)
        points = np.add([inside, at], 0.5)
        prompts.append(
            ns.Prompt(points=points, labels=[1, truth[at]], previous=first.best)
        )
    refined = model.decode(embedding, prompts)
    before = mean_iou(firsts, labels, objects)
    assert mean_iou(refined, labels, objects) > before + 0.03


def test_integers_are_a_mask_where_they_are_positive(model, field):
    image, labels, objects = field
    embedding = model.encode(image)
    mask = labels == objects[0][0]
    one, other = model.decode(
        embedding, [ns.Prompt(mask=mask), ns.Prompt(mask=mask.astype(np.uint8))]
    )
    np.testing.assert_array_equal(one.best.data, other.best.data)


def test_a_previous_answer_on_a_larger_plane_is_refused(model, field):
    image, *_ = field
    embedding = model.encode(image[:50, :50])
    far = Mask.from_array(np.ones((3, 3), bool), (49, 10))
    with pytest.raises(PromptError, match="prompt 0: the previous answer reaches"):
        model.decode(embedding, [ns.Prompt(previous=far)])
