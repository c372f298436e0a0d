"""Objects followed through a stack: the answers of Meta's video predictor."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sam2 import sam2_video_predictor
from sam2.build_sam import build_sam2_video_predictor

from napari_sam.images import open_image
from napari_sam.models.protocol import StackModel
from napari_sam.models.sam2 import architecture
from napari_sam.models.sam2.build import build
from napari_sam.models.sam2.model import Sam2Model
from napari_sam.segment import Propagation
from napari_sam.types import Prompt, PromptError

SHAPE = (200, 260)
PLANES = 6
PRESENT = 2.0
CLICK = Prompt(points=[(90.5, 100.5)], labels=[1])
BOX = Prompt(box=(40, 60, 150, 190))
DRAWN = np.zeros(SHAPE, bool)
DRAWN[50:140, 120:220] = True
DRAWN[80:100, 150:180] = False


class Stack:
    """The same stack for both, and how often ours was asked for a plane."""

    def __init__(self, make_plane, name, random_weights):
        config = f"configs/{name.partition('_')[0]}/{name}.yaml"
        with torch.random.fork_rng():
            self.theirs = build_sam2_video_predictor(config, None, device="cpu")
        # Its code for holes is compiled for graphics cards only.
        self.theirs.fill_hole_area = 0
        self.theirs.add_all_frames_to_correct_as_cond = True
        state = random_weights(self.theirs)
        # Else they say of nearly every plane that the object is not there.
        state["sam_mask_decoder.pred_obj_score_head.layers.2.bias"] += PRESENT
        self.theirs.load_state_dict(state)
        network = build(architecture.detect(state), state)
        names = {"name": "random", "version": "0", "sha256": "r"}
        self.ours = Sam2Model(network, **names, device="cpu")
        first, last = (make_plane(SHAPE, seed=seed) for seed in (1, 2))
        self.planes = [
            # One picture turns into another.
            first.pixels // PLANES * (PLANES - i) + last.pixels // PLANES * i
            for i in range(PLANES)
        ]
        self.asked, images = [], []
        hook = network.image_encoder.register_forward_pre_hook(
            lambda _, arguments: images.append(arguments[0][0].clone())
        )
        self.embeddings = [self.ours.encode(plane) for plane in self.planes]
        hook.remove()
        self.images = torch.stack(images)

    def embed(self, plane):
        self.asked.append(plane)
        return self.embeddings[plane]

    def session(self, monkeypatch):
        """Begin anew: our follower, and the state of Meta's predictor."""
        monkeypatch.setattr(
            sam2_video_predictor,
            "load_video_frames",
            lambda **_: (self.images, *SHAPE),
        )
        return self.ours.follow(self.embed, PLANES), self.theirs.init_state("")


@pytest.fixture(scope="module")
def stack(new_plane, random_weights):
    return Stack(new_plane, "sam2.1_hiera_t", random_weights)


def xy(points):
    """Return (y, x) as Meta's, for whom a pixel's corner is its centre."""
    return [(x - 0.5, y - 0.5) for y, x in points]


def check(mask, theirs):
    """Compare a mask with the logits (1, H, W) of Meta's."""
    expected = theirs[0].numpy() > 0
    assert (mask.full(SHAPE) == expected).mean() > 0.9995
    return expected


def check_logits(mask, theirs):
    """Compare what a mask remembers with Meta's logits (1, 1, 256, 256)."""
    logits = theirs[0, 0].clamp(-32, 32).numpy()
    if mask.memory is None:
        assert (logits <= 0).all()  # it is not on this plane
    else:
        np.testing.assert_allclose(mask.memory.logits, logits, atol=0.02)


def run_both(follower, state, theirs, first, last, numbers=None):
    """Follow on both sides; return the part of each plane that objects cover."""
    back = last < first
    planes = range(first, last - 1, -1) if back else range(first, last + 1)
    ours = dict(follower.run(planes, numbers))
    found = theirs.propagate_in_video(
        state,
        start_frame_idx=first,
        max_frame_num_to_track=abs(last - first),
        reverse=back,
    )
    seen = {}
    for plane, every, masks in found:
        for number, mask in zip(every, masks, strict=True):
            if number not in ours[plane]:
                continue
            seen[plane, number] = check(ours[plane][number], mask).mean()
            one = state["output_dict_per_obj"][number - 1]
            out = one["cond_frame_outputs"] | one["non_cond_frame_outputs"]
            check_logits(ours[plane][number], out[plane]["pred_masks"])
    assert set(ours) == {plane for plane, _ in seen}
    return seen


def prompt_both(follower, state, theirs, number, plane, prompt):
    said = (
        {"points": xy(prompt.points), "labels": prompt.labels}
        if len(prompt.points)
        else {"box": xy(np.reshape(prompt.box, (2, 2)))}
    )
    _, _, masks = theirs.add_new_points_or_box(state, plane, number, **said)
    check(follower.prompt(number, plane, prompt), masks[number - 1])


@pytest.mark.timeout(900)  # 3 objects on 6 planes, twice, without a graphics card
def test_objects_are_followed_as_meta_follows_them(stack, monkeypatch):
    follower, state = stack.session(monkeypatch)
    theirs = stack.theirs

    def say(number, plane, prompt):
        prompt_both(follower, state, theirs, number, plane, prompt)

    say(1, 2, CLICK)
    say(1, 2, Prompt(points=[*CLICK.points, (30.5, 200.5)], labels=[1, 0]))
    say(2, 2, BOX)
    drawn = follower.prompt(3, 2, Prompt(mask=DRAWN))
    check(drawn, theirs.add_new_mask(state, 2, 3, DRAWN)[2][2])
    assert not drawn.full(SHAPE)[90, 165]  # its hole is kept
    say(1, 4, Prompt(box=(60, 70, 130, 200)))
    seen = run_both(follower, state, theirs, 2, 5)
    seen |= run_both(follower, state, theirs, 2, 0)
    assert len(seen) == 3 * PLANES
    assert sum(0.05 < part < 0.95 for part in seen.values()) > 12
    # It is put right where it has been already, and goes on from there.
    before = dict(follower.run(range(4, 5), [2]))[4][2].full(SHAPE)
    say(2, 3, Prompt(points=[(20.5, 30.5), (150.5, 150.5)], labels=[1, 0]))
    run_both(follower, state, theirs, 3, 4, [2])
    after = dict(follower.run(range(4, 5), [2]))[4][2].full(SHAPE)
    assert (before != after).mean() > 0.001


def test_sam_2_remembers_as_metas_does(new_plane, random_weights, monkeypatch):
    stack = Stack(new_plane, "sam2_hiera_t", random_weights)
    follower, state = stack.session(monkeypatch)
    prompt_both(follower, state, stack.theirs, 1, 0, BOX)
    run_both(follower, state, stack.theirs, 0, 3)


def test_what_is_remembered_counts(stack, monkeypatch):
    def third(prompt):
        follower = stack.ours.follow(stack.embed, PLANES)
        follower.prompt(1, 0, prompt)
        return dict(follower.run(range(3)))[2][1]

    usual = third(BOX).memory.logits
    assert np.abs(third(CLICK).memory.logits - usual).max() > 0.05
    ages = stack.ours._network.maskmem_tpos_enc
    monkeypatch.setattr(ages, "data", ages.data.flip(0))
    assert np.abs(third(BOX).memory.logits - usual).max() > 0.05


def test_a_run_can_be_ended_and_gone_on_with(stack):
    follower = stack.ours.follow(stack.embed, PLANES)
    follower.prompt(7, 1, BOX)
    stack.asked.clear()
    whole = dict(follower.run(range(1, 4)))
    assert stack.asked == [1, 2, 1, 3]  # the prompted one once more, to remember it
    follower = stack.ours.follow(stack.embed, PLANES)
    follower.prompt(7, 1, BOX)
    for plane, _ in follower.run(range(1, 4)):
        if plane == 2:
            break
    ((plane, found),) = follower.run(range(3, 4))
    assert plane == 3
    np.testing.assert_array_equal(found[7].full(SHAPE), whole[3][7].full(SHAPE))


def test_what_cannot_be_followed_is_said(stack):
    follower = stack.ours.follow(stack.embed, PLANES)
    assert isinstance(stack.ours, StackModel)
    with pytest.raises(PromptError, match="nothing was said"):
        next(follower.run(range(2)))
    with pytest.raises(PromptError, match="no plane 6: the stack has 6"):
        follower.prompt(1, PLANES, BOX)
    with pytest.raises(PromptError):
        follower.prompt(1, 0, Prompt(mask=np.zeros((3, 3), bool)))
    with pytest.raises(PromptError, match="nothing was said"):
        next(follower.run(range(2)))


def test_a_stack_is_followed_both_ways_with_what_the_model_remembers(
    stack, monkeypatch
):
    model, asked = stack.ours, []

    def encode(plane):
        asked.append(plane.index)
        return stack.embeddings[plane.index[0]]

    monkeypatch.setattr(model, "encode", encode)
    source = open_image(np.stack([p[..., 0] for p in stack.planes[:4]]), axes="ZYX")
    following = Propagation(source, model)
    following.prompt(1, 1, BOX)
    following.prompt(2, 2, CLICK)
    run = list(following.run())
    assert [(plane, set(masks)) for plane, masks in run] == [
        (1, {1}),
        (2, {1, 2}),
        (3, {1, 2}),
        (1, {2}),
        (0, {1, 2}),
    ]
    assert sorted(asked) == [(0,), (1,), (2,), (3,)]
    # As the model alone does it, and not from box to box.
    alone = model.follow(stack.embed, 4)
    alone.prompt(1, 1, BOX)
    list(alone.run(range(1, 4)))
    ((_, wanted),) = alone.run(range(0, -1, -1))
    found = run[-1][1][1].full(SHAPE)
    np.testing.assert_array_equal(found, wanted[1].full(SHAPE))
