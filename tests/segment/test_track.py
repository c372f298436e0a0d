"""Objects that move, divide, come and go, with the truth known."""

from itertools import pairwise, product

import numpy as np
import pytest
import tifffile
from scipy import ndimage
from skimage.draw import disk
from skimage.measure import regionprops

from napari_sam import data
from napari_sam.segment import make_recipe, number_objects
from napari_sam.segment.track import TrackError, check_time

SHAPE = (96, 96)
TIME = make_recipe(link="time")


def frame(*discs):
    """Disc k is (y, x, radius); None is an object that was missed."""
    labels = np.zeros(SHAPE, np.uint32)
    for number, (y, x, radius) in enumerate((d for d in discs if d), 1):
        labels[disk((y, x), radius, shape=SHAPE)] = number
    return labels


def tracked(frames, recipe=TIME, axes="T", size=None):
    """Return the ids on every plane, and the parent of every id."""
    shape = np.shape(frames)[:-2]
    stack = np.asarray(frames, np.uint32)
    numbers = number_objects(lambda i: stack[i], axes, shape, recipe, size or {})
    ids = {i: numbers.linked[i].ids[1:].tolist() for i in np.ndindex(*shape)}
    parents = {}
    for one in numbers.linked.values():
        parents |= zip(one.ids[1:].tolist(), one.parents[1:].tolist(), strict=True)
    assert numbers.highest_id == max(parents, default=0)
    return list(ids.values()), {child: p for child, p in parents.items() if p}


def test_an_object_that_moves_by_more_than_its_radius_keeps_its_id():
    frames = [frame((20, 12 + 9 * t, 7), (70, 80 - 9 * t, 7)) for t in range(6)]
    assert tracked(frames) == ([[1, 2]] * 6, {})


def test_ids_do_not_depend_on_the_numbers_within_a_frame():
    there, back = ((20, 20, 7), (70, 70, 7)), ((72, 72, 7), (22, 22, 7))
    assert tracked([frame(*there), frame(*back)]) == ([[1, 2], [2, 1]], {})


def test_a_division_ends_the_mother_and_names_her():
    frames = [
        frame((48, 48, 12), (15, 15, 9)),
        frame((48, 50, 12), (15, 17, 9)),
        frame((40, 50, 9), (58, 50, 8), (15, 19, 9)),
        frame((36, 50, 9), (63, 50, 8), (15, 21, 9)),
    ]
    ids, parents = tracked(frames)
    assert ids == [[1, 2], [1, 2], [3, 4, 2], [3, 4, 2]]
    assert parents == {3: 1, 4: 1}


def test_a_newcomer_beside_an_object_is_not_its_daughter():
    frames = [frame((48, 40, 10)), frame((48, 40, 10), (48, 62, 9))]
    assert tracked(frames) == ([[1], [1, 2]], {})


def test_a_fragment_beside_an_object_is_not_its_daughter():
    frames = [frame((48, 40, 10)), frame((48, 38, 9), (48, 50, 3))]
    assert tracked(frames) == ([[1], [1, 2]], {})


@pytest.mark.parametrize(("missed", "same"), [(1, True), (2, True), (3, False)])
def test_a_gap_of_two_frames_is_bridged_and_one_of_three_is_not(missed, same):
    still = (70, 70, 8)
    seen = frame((20, 20, 8), still)
    ids, parents = tracked([seen, *[frame(None, still)] * missed, seen])
    assert ids[-1] == ([1, 2] if same else [3, 2])
    assert parents == {}


def test_how_far_an_object_may_move_is_a_setting():
    frames = [frame((20, 20, 6)), frame((20, 50, 6))]  # by 30 pixels
    assert tracked(frames)[0] == [[1], [2]]
    far = make_recipe(link="time", link_distance=31)
    near = make_recipe(link="time", link_distance="29px")
    assert tracked(frames, far)[0] == [[1], [1]]
    assert tracked(frames, near)[0] == [[1], [2]]
    size = {"Y": (0.5, "µm"), "X": (0.5, "µm")}
    microns = make_recipe(link="time", link_distance="16 um")
    assert tracked(frames, microns, size=size)[0] == [[1], [1]]
    with pytest.raises(TrackError, match=r"16 µm.*does not say how large a pixel is"):
        tracked(frames, microns)


def test_empty_frames_at_the_start_between_and_at_the_end():
    gone, there = frame(), frame((20, 20, 8))
    assert tracked([gone, there, gone, there, gone])[0] == [[], [1], [], [1], []]
    assert tracked([gone, gone]) == ([[], []], {})
    assert tracked([there]) == ([[1]], {})
    assert tracked([gone]) == ([[]], {})


def test_through_z_first_and_then_through_time():
    deep = [
        [frame(), *[frame((30, 20 + 12 * t, r)) for r in (6, 8, 8, 6)]] for t in (0, 1)
    ]
    ids, parents = tracked(deep, axes="TZ")
    assert ids == [[], [1], [1], [1], [1]] * 2
    assert parents == {}
    turned = np.swapaxes(np.array(deep), 0, 1)
    assert tracked(turned, axes="ZT")[0] == [[], [], *[[1]] * 8]


def test_depth_counts_with_its_own_step():
    # 4 slices of 5 x-pixels each: too far, though only 4 planes lie between.
    empty = frame()
    first = [frame((30, 30, 8)), frame((30, 30, 8)), *[empty] * 6]
    later = [*[empty] * 6, frame((30, 30, 8)), frame((30, 30, 8))]
    flat = dict.fromkeys("ZYX", (1.0, "µm"))
    assert tracked([first, later], axes="TZ", size=flat)[0][-1] == [1]
    deep = flat | {"Z": (20.0, "µm")}
    assert tracked([first, later], axes="TZ", size=deep)[0][-1] == [2]


def test_positions_are_tracked_apart():
    frames = [[frame((20, 20, 8)), frame((20, 22, 8))], [frame((20, 20, 8))] * 2]
    assert tracked(frames, axes="PT")[0] == [[1], [1], [2], [2]]


@pytest.mark.parametrize(("axes", "words"), [("Z", "Z, Y and X"), ("", "are Y and X")])
def test_without_time_the_message_names_the_axes(axes, words):
    with pytest.raises(TrackError, match=f"cells.tif: there is no time.*{words}"):
        check_time(axes, "cells.tif")


def test_many_objects_that_walk_and_divide():
    """A hundred steps of random walkers far enough apart to be told apart."""
    random = np.random.default_rng(3)
    side = 400
    grid = np.stack(np.meshgrid(*[np.arange(30, side, 60)] * 2), -1).reshape(-1, 2)
    cells = {k + 1: (*map(float, at), 0) for k, at in enumerate(grid)}
    truth, mothers, frames = [], {}, []
    for t in range(8):
        labels = np.zeros((side, side), np.uint32)
        order = random.permutation(list(cells)).tolist()
        for number, cell in enumerate(order, 1):
            y, x, born = cells[cell]
            radius = 8 if born else 10
            labels[disk((y, x), radius, shape=labels.shape)] = number
        frames.append(labels)
        truth.append(order)
        moved = {
            c: (*(np.array(at[:2]) + random.uniform(-4, 4, 2)), at[2])
            for c, at in cells.items()
        }
        if t in (2, 4):  # two of those that never did
            for mother in [c for c in order if not moved[c][2]][:2]:
                y, x, _ = moved.pop(mother)
                for step in (-10, 10):
                    child = max([*moved, *cells, *mothers, 0]) + 1
                    moved[child] = (y, x + step, 1)
                    mothers[child] = mother
        cells = moved
    ids, parents = tracked(frames)
    name = {}
    for real, found in zip(truth, ids, strict=True):
        for a, b in zip(real, found, strict=True):
            assert name.setdefault(a, b) == b
    assert len(set(name.values())) == len(name)
    assert parents == {name[child]: name[mother] for child, mother in mothers.items()}


def field(random, count, side=300, least=26):
    """Return places of objects as far apart as they are in a full dish, and radii."""
    places = []
    while len(places) < count:
        new = random.uniform(0, side, 2)
        if all(np.hypot(*(new - old)) > least for old in places):
            places.append(new)
    return np.array(places), random.uniform(7, 11, count)


@pytest.mark.parametrize("drift", [(0, 0), (-15, 2), (11, -11)])
def test_what_all_objects_move_by_together_is_not_held_against_any(drift):
    """By two thirds of their width, to where a neighbour was."""
    random = np.random.default_rng(7)
    places, radii = field(random, 80)
    frames, truth = [], []
    for _ in range(4):
        seen = [i for i, at in enumerate(places) if (30 < at).all() & (at < 270).all()]
        labels = np.zeros((300, 300), np.uint32)
        for number, i in enumerate(seen, 1):
            labels[disk(places[i], radii[i], shape=labels.shape)] = number
        frames.append(labels)
        truth.append(seen)
        places = places + drift + random.normal(0, 1.5, places.shape)
    ids, _ = tracked(frames)
    pairs = {
        (name, number)
        for known, found in zip(truth, ids, strict=True)
        for name, number in zip(known, found, strict=True)
    }
    often = len(pairs) / len({name for name, _ in pairs})
    assert often < 1.05  # numbers for each object


def test_a_few_objects_have_no_move_in_common():
    frames = [frame((20, 12 + 9 * t, 7), (70, 12 + 9 * t, 7)) for t in range(6)]
    assert tracked(frames) == ([[1, 2]] * 6, {})


def real_links(numbers):
    """Yield frame, number, centre before and after, of what is away from the edges."""
    for time, (before, after) in enumerate(pairwise(numbers)):
        now = {each.label: each for each in regionprops(after)}
        for each in regionprops(before):
            ends = [each, now[each.label]] if each.label in now else []
            places = np.array([end.centroid for end in ends])
            if ends and (places > 14).all() and (places < 185).all():
                yield time, np.rint(places).astype(int), [end.area for end in ends]


def likeness(frames, time, places):
    """Return the best correlation of two nuclei, one moved by up to four pixels."""
    (y, x), (v, u) = places
    one = frames[time][y - 9 : y + 10, x - 9 : x + 10]
    others = [
        frames[time + 1][v + a - 9 : v + a + 10, u + b - 9 : u + b + 10]
        for a, b in product(range(-4, 5), repeat=2)
    ]
    return max(np.corrcoef(one.ravel(), other.ravel())[0, 1] for other in others)


def test_real_nuclei_of_a_time_lapse_are_followed_as_the_picture_shows():
    """The truth of this movie is no judge: where it says otherwise, nuclei change.

    They move by two thirds of their width, and in places it has taken the neighbour.
    """
    frames = tifffile.imread(data.FOLDER / "images" / "nuclei_timelapse.tif")
    frames = ndimage.gaussian_filter(frames.astype(float), (0, 1, 1))
    truth = tifffile.imread(data.FOLDER / "truth" / "nuclei_timelapse.tif")
    dense = [np.unique(labels, return_inverse=True)[1] for labels in truth]
    dense = [d.reshape(truth.shape[1:]) for d in dense]
    ids, _ = tracked(dense)
    ours = [np.append(0, i)[d] for i, d in zip(ids, dense, strict=True)]
    said, made = (
        {(time, tuple(map(tuple, places))): areas for time, places, areas in found}
        for found in map(real_links, (truth, ours))
    )
    assert len(made) > 0.95 * len(said)
    theirs, only = said.keys() - made.keys(), made.keys() - said.keys()
    alike = [
        np.mean([likeness(frames, *link) for link in which]) for which in (theirs, only)
    ]
    changed = [
        np.median([abs(np.log(b / a)) for a, b in map(links.get, which)])
        for links, which in ((said, theirs), (made, only))
    ]
    assert alike[1] > alike[0] + 0.1
    assert changed[1] < 0.6 * changed[0]
