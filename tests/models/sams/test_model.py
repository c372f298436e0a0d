"""One answer per prompt, whatever else is asked; errors that say what to do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import napari_sam as ns
from napari_sam.models.protocol import PromptableModel, SoftModel
from napari_sam.models.sam1 import base as module
from napari_sam.segment import find_edges
from napari_sam.types import Embedding, Mask, ModelError, PromptError


def same(first, second):
    assert len(first.masks) == len(second.masks)
    for a, b in zip(first.masks, second.masks, strict=True):
        assert a.box == b.box
        assert np.mean(a.data == b.data) > 0.999
        assert a.score == pytest.approx(b.score, abs=1e-4)


def test_it_answers_the_protocol(pair):
    assert isinstance(pair.ours, PromptableModel)
    info = pair.ours.info
    assert (info.name, info.sha256, info.device) == ("random", "r", "cpu")


def test_answers_come_in_order_and_do_not_depend_on_each_other(pair, planes):
    plane = planes["square"]
    embedding, _ = pair.see(plane)
    disk = np.zeros(plane.shape, bool)
    disk[40:90, 60:120] = True
    prompts = [
        ns.Prompt(box=(10, 20, 80, 90)),
        ns.Prompt(points=[(50, 60)]),
        ns.Prompt(mask=disk),
        ns.Prompt(box=(-90, -90, -60, -60)),  # beside the plane
        ns.Prompt(points=[(50, 60), (9, 9)], labels=[1, 0], box=(10, 20, 80, 90)),
        ns.Prompt(box=(100, 120, 180, 190)),
        *(ns.Prompt(mask=np.roll(disk, i, 0)) for i in range(1, 10)),
    ]
    together = pair.ours.decode(embedding, prompts)
    assert [len(c.masks) for c in together] == [1, 3] + [1] * (len(prompts) - 2)
    for i in (0, 1, 3, 4, 5, len(prompts) - 1):
        (alone,) = pair.ours.decode(embedding, [prompts[i]])
        same(together[i], alone)
    assert pair.ours.decode(embedding, []) == []


def test_candidates_are_best_first(pair, planes):
    embedding, _ = pair.see(planes["wide"])
    prompts = [ns.Prompt(points=[(y, 90)]) for y in range(5, 130, 40)]
    for answer in pair.ours.decode(embedding, prompts, multimask=True):
        scores = [mask.score for mask in answer.masks]
        assert scores == sorted(scores, reverse=True)
        assert len(scores) == 3


def test_planes_are_not_mixed_up(pair, planes):
    prompt = ns.Prompt(box=(10, 20, 80, 90))
    first, _ = pair.see(planes["wide"])
    second, _ = pair.see(planes["square"])
    (before,) = pair.ours.decode(first, [prompt])
    (between,) = pair.ours.decode(second, [prompt])
    (after,) = pair.ours.decode(first, [prompt])
    same(before, after)
    assert between.best.box != before.best.box or not np.array_equal(
        between.best.data, before.best.data
    )


def test_what_does_not_belong_together_is_refused(pair, planes):
    embedding, _ = pair.see(planes["wide"])
    other = Embedding("another", embedding.shape, embedding.tiles)
    with pytest.raises(ModelError, match="encode the plane again"):
        pair.ours.decode(other, [ns.Prompt(points=[(1, 1)])])
    wrong = ns.Prompt(mask=np.ones((5, 5), bool))
    with pytest.raises(PromptError, match=r"prompt 1: the mask is \(5, 5\)"):
        pair.ours.decode(embedding, [ns.Prompt(points=[(1, 1)]), wrong])


def test_decoding_ends_between_two_chunks(pair, planes, monkeypatch):
    embedding, _ = pair.see(planes["wide"])

    class Unwanted(BaseException):
        pass

    def checkpoint():
        raise Unwanted

    monkeypatch.setattr(module, "checkpoint", checkpoint)
    with pytest.raises(Unwanted):
        pair.ours.decode(embedding, [ns.Prompt(box=(10, 20, 80, 90))])
    monkeypatch.undo()
    assert pair.ours.decode(embedding, [ns.Prompt(box=(10, 20, 80, 90))])


def start(pair, plane):
    """Return an embedding and a telling answer on it."""
    embedding, _ = pair.see(plane)
    prompts = [ns.Prompt(points=[(y, x)]) for y in (30, 90) for x in (60, 140)]
    answers = pair.ours.decode(embedding, prompts)
    found = [mask for answer in answers for mask in answer.masks]
    size = plane.shape[0] * plane.shape[1]
    return embedding, next(m for m in found if 0.1 < m.area / size < 0.9)


def test_memory_is_more_than_the_pixels(pair, planes):
    embedding, answer = start(pair, planes["square"])
    assert answer.memory.logits.nbytes == 128 * 1024
    bare = Mask(answer.box, answer.data, answer.score)
    more = {"points": [(20, 30), (60, 70)], "labels": [0, 1]}
    asked = [
        ns.Prompt(**more, previous=answer),
        ns.Prompt(**more, previous=bare),
        ns.Prompt(**more, mask=answer.full(embedding.shape)),
        ns.Prompt(**more),
    ]
    assert pair.ours.decode(embedding, asked[:1])[0].best.memory is not None
    known, pixels, mask, nothing = pair.ours.decode_logits(embedding, asked)
    np.testing.assert_allclose(pixels.logits, mask.logits, atol=1e-4)
    apart = known.logits.std()
    for other in (pixels, nothing):
        assert np.abs(known.logits - other.logits).max() > 0.05 * apart


def test_what_somebody_draws_counts_more_than_the_previous_answer(pair, planes):
    embedding, answer = start(pair, planes["square"])
    drawn = np.zeros(embedding.shape, bool)
    drawn[200:260, 10:50] = True
    both, alone = pair.ours.decode_logits(
        embedding, [ns.Prompt(mask=drawn, previous=answer), ns.Prompt(mask=drawn)]
    )
    np.testing.assert_allclose(both.logits, alone.logits, atol=1e-4)


def test_of_another_model_or_plane_only_the_pixels_are_used(pair, planes):
    embedding, answer = start(pair, planes["square"])
    bare = replace(answer, memory=None)
    strangers = (
        replace(answer, memory="of some other kind"),
        replace(answer, memory=replace(answer.memory, model="another")),
        replace(answer, memory=replace(answer.memory, shape=(9, 9))),
    )
    prompts = [ns.Prompt(previous=mask) for mask in (bare, *strangers)]
    first, *others = pair.ours.decode_logits(embedding, prompts)
    for other in others:
        np.testing.assert_allclose(other.logits, first.logits, atol=1e-4)
    with pytest.raises(PromptError, match="prompt 0: the previous answer reaches"):
        small, _ = pair.see(planes["tiny"])
        pair.ours.decode(small, [ns.Prompt(previous=answer)])


def test_probabilities_are_those_of_the_mask(pair, planes):
    plane = planes["wide"]
    embedding, _ = pair.see(plane)
    (answer,) = pair.ours.decode(embedding, [ns.Prompt(points=[(60, 90)])])
    assert isinstance(pair.ours, SoftModel)
    for mask in answer.masks:
        whole = pair.ours.probability(mask, plane.shape, (0, 0, *plane.shape))
        assert whole.dtype == np.float32 and 0 <= whole.min() < whole.max() <= 1
        assert ((whole > 0.5) == mask.full(plane.shape)).mean() > 0.999
        box = (20, 31, 70, 200)
        part = pair.ours.probability(mask, plane.shape, box)
        np.testing.assert_allclose(part, whole[20:70, 31:200], atol=1e-6)
        plain = Mask(mask.box, mask.data, mask.score)
        assert pair.ours.probability(plain, plane.shape, box) is None
        assert pair.ours.probability(mask, (99, 99), (0, 0, 9, 9)) is None


# The other random network's masks have no edges: they fill a plane, or nothing of it.
@pytest.mark.parametrize("pair", ["tiny"], indirect=True)
def test_edges_are_those_of_the_probabilities(pair, planes, monkeypatch):
    seen = [(planes[name], pair.see(planes[name])[0]) for name in ("square", "tall")]

    def found():
        options = {"points_per_side": 4, "thin": False}
        edges = [
            find_edges(plane, pair.ours, embedding=embedding, **options)
            for plane, embedding in seen
        ]
        return np.concatenate([each.ravel() for each in edges])

    soft = found()
    assert soft.max() == 1 and 0 < (soft > 0).mean() < 1
    monkeypatch.setattr(pair.ours, "probability", lambda *_: None)
    hard = found()
    # The same outlines, but for gaps of a pixel, from where it rises to both sides, ...
    assert ((soft > 0) == (hard > 0)).mean() > 0.95
    assert np.abs(soft - hard).max() > 0.1  # ... and not all as clear
