import json

import numpy as np
import pytest
import tifffile

from napari_sam.data import FOLDER
from napari_sam.live.proofreading.progress import Progress, ProgressError, begun
from napari_sam.live.proofreading.progress_text import (
    progress_from_json,
    progress_to_json,
)
from napari_sam.live.values import Mark

SHAPE = (40, 50)


def area(kind, y0, x0, y1, x1):
    corners = [(y0, x0), (y0, x1), (y1, x1), (y1, x0)]
    return Mark(kind, np.array(corners, np.float32))


@pytest.fixture
def three():
    return Progress((3,), SHAPE)


@pytest.fixture(scope="module")
def truth():
    """Nuclei that a person outlined, uint16."""
    return tifffile.imread(FOLDER / "truth" / "fluorescence.tif")


def test_everything_starts_untouched(three):
    assert [three.state((i,)) for i in range(3)] == ["untouched"] * 3
    assert (three.complete, three.total) == (0, 3)
    assert not three.known((0,)).any()
    assert Progress((), SHAPE).total == 1


def test_an_edit_begins_a_slice_and_does_not_reopen_a_complete_one(three):
    begun = three.touched((1,))
    assert begun.state((1,)) == "in progress"
    assert three.state((1,)) == "untouched"  # values do not change
    done = begun.mark([(1,)], "complete")
    assert done.touched((1,)) is done
    assert (done.complete, done.known((1,)).all()) == (1, True)
    assert done.mark([(1,)], "untouched").planes == {}


def test_work_in_a_region_is_work_on_its_slice(three):
    limited = three.add_region((0,), area("box", 5, 5, 20, 20))
    limited = limited.add_region((0,), area("ellipse", 20, 20, 40, 50))
    assert limited.state((0,)) == "untouched"
    worked = limited.touched((0,), [(6, 6, 9, 9)])
    assert [r.state for r in worked.regions] == ["in progress", "untouched"]
    assert limited.mark_region(1, "complete").state((0,)) == "in progress"
    assert worked.touched((1,)).regions[1].state == "untouched"


def test_annotation_is_limited_to_what_was_drawn(three):
    assert three.limit((0,)) is None
    limited = three.add_region((0,), area("box", 5, 5, 20, 20))
    limited = limited.add_region((0,), area("polygon", 30, -10, 90, 10))
    expected = np.zeros(SHAPE, bool)
    expected[5:20, 5:20], expected[30:, :10] = True, True
    assert np.array_equal(limited.limit((0,)), expected)
    assert limited.limit((1,)) is None
    assert limited.remove_region(0).on((0,)) == (0,)
    assert limited.remove_region(0).limit((0,)).sum() == 100


def test_other_regions_take_the_place_of_those_there_are(three):
    one = three.add_region((0,), area("box", 5, 5, 20, 20)).mark_region(0, "complete")
    two = one.add_region((1,), area("ellipse", 20, 20, 40, 50))
    back = two.redrawn(reversed(two.regions))
    assert [r.index for r in back.regions] == [(1,), (0,)]
    assert [r.state for r in back.regions] == ["untouched", "complete"]
    assert (three.said, two.said, two.redrawn(()).said) == (False, True, False)


def test_the_next_slice_that_is_not_complete_is_found_from_where_one_is(three):
    assert three.next_open((0,)) == (1,)
    assert three.next_open((2,)) == (0,)
    done = three.mark([(1,), (0,)], "complete")
    assert done.next_open((0,)) == (2,)
    assert done.next_open((2,)) is None
    assert done.mark([(2,)], "complete").next_open((1,)) is None
    assert Progress((), SHAPE).next_open(()) is None
    deep = Progress((2, 3), SHAPE).mark([(0, 2), (1, 0)], "complete")
    assert deep.next_open((0, 1)) == (1, 1)
    assert deep.mark([(1, 1), (1, 2)], "complete").next_open((1, 2)) == (0, 0)


def test_slices_with_objects_are_begun():
    first = begun((3, *SHAPE), [{(0,): None}, {(0,): None, (2,): None}])
    assert first.planes == {(0,): "in progress", (2,): "in progress"}
    assert first.fits((3, *SHAPE))
    assert not first.fits(SHAPE)
    assert begun(SHAPE, []).planes == {}


def test_of_an_untouched_slice_nothing_is_exported(truth):
    labels, known = Progress((), truth.shape).exportable((), truth)
    assert not labels.any() and not known.any()
    assert labels.dtype == truth.dtype


def test_of_a_complete_slice_everything_is_exported(truth):
    done = Progress((), truth.shape).mark([()], "complete")
    labels, known = done.exportable((), truth)
    assert np.array_equal(labels, truth) and known.all()
    assert labels is not truth


def test_beside_a_complete_region_background_is_unknown(truth):
    height, width = truth.shape
    half = area("box", 0, 0, height, width // 2)
    progress = Progress((), truth.shape).add_region((), half)
    assert not progress.exportable((), truth)[1].any()
    labels, known = progress.mark_region(0, "complete").exportable((), truth)
    assert known[:, : width // 2].all()
    beside = known[:, width // 2 :]
    # All that is known there are objects that reach into the region, uncut.
    assert beside.any() and (labels[:, width // 2 :][beside] > 0).all()
    for number in np.unique(labels[labels > 0]):
        assert np.array_equal(labels == number, truth == number)
    ids = set(np.unique(truth[:, : width // 2]))
    assert set(np.unique(labels)) == ids


def test_what_a_person_has_looked_at_is_known_anywhere(truth):
    trusted = [int(i) for i in np.unique(truth)[3:6]]
    progress = Progress((), truth.shape).touched(())
    labels, known = progress.exportable((), truth, trusted)
    assert np.array_equal(known, np.isin(truth, trusted))
    assert np.array_equal(labels, np.where(known, truth, 0))


def test_it_is_saved_and_read_back(three):
    progress = three.mark([(0,)], "complete").touched((2,))
    progress = progress.add_region((1,), area("ellipse", 3, 4, 20.5, 30))
    progress = progress.mark_region(0, "complete")
    text = json.dumps(progress_to_json(progress))
    back = progress_from_json(json.loads(text))
    assert progress_to_json(back) == progress_to_json(progress)
    for index in [(0,), (1,), (2,)]:
        assert np.array_equal(back.known(index), progress.known(index))


def test_a_damaged_file_is_named_as_such(three):
    good = progress_to_json(three.add_region((1,), area("box", 3, 4, 20, 30)))
    plane = {"index": [7], "state": "complete"}
    damaged = [
        [],
        good | {"planes": [{"index": [0], "state": "done"}]},
        good | {"planes": [plane]},
        good | {"regions": [good["regions"][0] | {"index": [0, 0]}]},
        good | {"more": 1},
    ]
    for value in damaged:
        with pytest.raises(ProgressError) as error:
            progress_from_json(value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "drawn",
    [
        area("scribble", 1, 1, 5, 5),
        Mark("box", np.zeros((2, 2), np.float32)),
        Mark("polygon", np.zeros((0, 2), np.float32)),
        Mark("polygon", np.full((3, 2), np.nan, np.float32)),
        area("box", 5, 5, 5, 9),
        area("ellipse", 60, 5, 90, 9),
    ],
)
def test_what_is_no_region_of_the_image_is_refused(three, drawn):
    with pytest.raises(ProgressError, match="draw"):
        three.add_region((0,), drawn)


def test_what_does_not_fit_is_refused(three):
    with pytest.raises(ProgressError, match=r"no slice \(3,\)"):
        three.mark([(3,)], "complete")
    with pytest.raises(ProgressError, match="do not fit"):
        three.exportable((0,), np.zeros((5, 5), np.uint16))
