"""Objects followed through a stack from the planes on which they were prompted."""

import numpy as np
import pytest
import tifffile

import napari_sam as ns
from napari_sam import data
from napari_sam.images import open_image
from napari_sam.segment import Propagation
from napari_sam.segment.overlap import middle
from napari_sam.types import Mask, Prompt, PromptError


@pytest.fixture(scope="module")
def nuclei():
    images, truth = (
        tifffile.imread(data.FOLDER / part / "plant_nuclei_3d.tif")
        for part in ("images", "truth")
    )
    return images, truth


@pytest.fixture(scope="module")
def model():
    return ns.load_model("pocket")


@pytest.fixture
def encoded(model, monkeypatch):
    """Which planes are encoded, in their order."""
    seen, encode = [], model.encode

    def spy(plane, *rest):
        seen.append(plane.index)
        return encode(plane, *rest)

    monkeypatch.setattr(model, "encode", spy)
    return seen


def middles(truth):
    """A click on each nucleus that is whole, where it is widest."""
    found = {}
    for number in np.unique(truth)[1:]:
        areas = (truth == number).sum((1, 2))
        plane = int(areas.argmax())
        if areas[0] == areas[-1] == 0 and areas[plane] > 150:
            mask = Mask.from_array(truth[plane] == number)
            found[int(number)] = {plane: Prompt(points=[middle(mask)])}
    return found


def part(one, other):
    return (one & other).sum() / (one | other).sum()


def test_nuclei_are_followed_from_one_click_each(nuclei, model):
    images, truth = nuclei
    prompts = middles(truth)
    assert len(prompts) > 5
    labels = ns.propagate(images, prompts, model=model, axes="ZYX")
    assert labels.shape == images.shape and labels.dtype == np.uint32
    assert set(np.unique(labels)) == {0, *prompts}
    alike = [part(labels == n, truth == n) for n in prompts]
    clicked = [
        part(labels[plane] == n, truth[plane] == n)
        for n, planes in prompts.items()
        for plane in planes
    ]
    assert np.mean(alike) > 0.5
    assert np.mean(clicked) > 0.6
    ends = [np.ptp(np.flatnonzero((labels == n).any((1, 2)))) + 1 for n in prompts]
    assert max(ends) < len(images)  # where there is no nucleus it ends


def test_a_plane_is_encoded_once_for_all_objects_and_both_ways(nuclei, model, encoded):
    images, truth = nuclei
    prompts = middles(truth)
    following = Propagation(open_image(images, axes="ZYX"), model)
    for number, planes in prompts.items():
        for plane, prompt in planes.items():
            following.prompt(number, plane, prompt)
    planes = [plane for plane, _ in following.run()]
    starts = [plane for each in prompts.values() for plane in each]
    assert planes == [
        *range(min(starts), len(images)),
        *range(max(starts) - 1, -1, -1),
    ]
    assert len(encoded) == len(set(encoded)) <= len(images)
    with_little = Propagation(open_image(images, axes="ZYX"), model, kept=1)
    encoded.clear()
    with_little.prompt(1, 0, next(iter(prompts[number].values())))
    list(with_little.run())
    assert max(encoded.count(each) for each in encoded) <= 2


def test_an_object_is_put_right_and_followed_on_from_there(nuclei, model):
    images, truth = nuclei
    number, planes = next(iter(middles(truth).items()))
    ((plane, prompt),) = planes.items()
    following = Propagation(open_image(images, axes="ZYX"), model)
    following.prompt(number, plane, prompt)
    following.prompt(99, plane, Prompt(box=(5, 5, 25, 25)))
    before = {at: found[number] for at, found in following.run() if number in found}
    drawn = truth[plane + 2] == number
    answer = following.prompt(number, plane + 2, Prompt(mask=drawn))
    np.testing.assert_array_equal(answer.full(drawn.shape), drawn)
    after = {}
    for at, found in following.run([number], start=plane + 2):
        assert set(found) == {number}
        after[at] = found[number]
    assert set(after) == set(before) == set(range(len(images)))
    np.testing.assert_array_equal(after[plane + 2].full(drawn.shape), drawn)
    # Downwards it meets what was prompted first, and that stays as it was.
    assert after[plane].iou(before[plane]) == 1
    assert after[plane - 1].iou(before[plane - 1]) == 1
    assert after[plane + 3].iou(before[plane + 3]) < 1


def test_a_run_stops_when_it_is_left(nuclei, model, encoded):
    images, _ = nuclei
    following = Propagation(open_image(images, axes="ZYX"), model)
    following.prompt(1, 10, Prompt(box=(5, 5, 25, 25)))
    for plane, _ in following.run():
        if plane == 12:
            break
    assert encoded[0] == (10,)
    assert max(encoded) <= (12,)


def test_other_axes_are_stayed_at(nuclei, model):
    images, truth = nuclei
    number, planes = next(iter(middles(truth).items()))
    flat = np.stack([np.zeros_like(images), images])  # two time points
    turned = np.moveaxis(flat, 0, 1).swapaxes(2, 3)  # Z, T, X, Y
    labels = ns.propagate(
        turned, {number: planes}, model=model, axes="ZTXY", at={"T": 1}
    )
    alone = ns.propagate(images, {number: planes}, model=model, axes="ZYX")
    assert not labels[:, 0].any()
    # The contrast of both time points is another one than of this alone.
    assert part(labels[:, 1].swapaxes(1, 2) > 0, alone > 0) > 0.7


@pytest.mark.parametrize(
    ("axes", "at", "message"),
    [
        ("CYX", None, "followed through z or t"),
        ("ZYX", {"T": 1}, "T cannot be chosen: objects are followed through Z"),
        ("ZYX", {"Z": 1}, "Z cannot be chosen"),
    ],
)
def test_what_cannot_be_followed_is_said(nuclei, model, axes, at, message):
    with pytest.raises(PromptError, match=message):
        Propagation(open_image(nuclei[0][:3], axes=axes), model, at=at)


def test_prompts_that_do_not_fit_are_said(nuclei, model):
    following = Propagation(open_image(nuclei[0][:3], axes="ZYX"), model)
    with pytest.raises(PromptError, match="any object: prompt it"):
        list(following.run())
    with pytest.raises(PromptError, match="no plane 3: the stack has 3"):
        following.prompt(1, 3, Prompt(box=(0, 0, 9, 9)))
    with pytest.raises(PromptError, match="must be the same"):
        following.prompt(1, 0, Prompt(mask=np.ones((3, 3), bool)))
    following.prompt(1, 0, Prompt(box=(0, 0, 9, 9)))
    with pytest.raises(PromptError, match="about object 2, 5: prompt it"):
        list(following.run([5, 1, 2]))
