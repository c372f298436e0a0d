import numpy as np
import pytest
import tifffile
from scipy import ndimage

from napari_sam.data import FOLDER
from napari_sam.live.labels.changes import Refusal
from napari_sam.live.labels.edits import cut, fill_gaps, settle, smooth_outline
from napari_sam.live.values import Rule


def disc(shape, y, x, radius):
    yy, xx = np.indices(shape)
    return (yy - y) ** 2 + (xx - x) ** 2 <= radius**2


@pytest.fixture
def nuclei():
    """Masks of nuclei, each in its own box."""
    labels = tifffile.imread(FOLDER / "truth" / "fluorescence.tif")
    boxes = ndimage.find_objects(labels.astype(np.int64))
    return [labels[box] == i + 1 for i, box in enumerate(boxes) if box is not None]


def test_the_rules():
    mask = np.ones((10, 10), bool)
    below = np.zeros((10, 10), np.uint16)
    for rule in Rule:
        assert settle(mask, below, rule).all()
    below[:, 9] = 5  # a tenth
    assert settle(mask, below, Rule.REPLACE).all()
    assert settle(mask, below, Rule.KEEP).sum() == 90
    assert settle(mask, below, Rule.BACKGROUND).sum() == 90
    below[0, 0] = 6
    assert settle(mask, below, Rule.KEEP).sum() == 89
    refusal = settle(mask, below, Rule.BACKGROUND)
    assert refusal == Refusal("nothing was added: it lies on 2 other objects")


def test_what_leaves_nothing_is_refused():
    mask = np.eye(4, dtype=bool)
    below = np.full((4, 4), 7, np.uint8)
    refusal = settle(mask, below, Rule.KEEP)
    assert refusal.text == "nothing was added: all of it already belongs to object 7"
    assert "object 7" in settle(mask, below, Rule.BACKGROUND).text
    for rule in Rule:
        assert isinstance(settle(mask & False, below * 0, rule), Refusal)


def test_pieces_are_parts_the_largest_first():
    mask = np.zeros((30, 30), bool)
    mask[1:4, 1:4] = mask[10:20, 10:20] = mask[25:27, 3:9] = True
    parts = cut(mask)
    assert np.bincount(parts.ravel()).tolist() == [900 - 121, 100, 12, 9]
    assert np.array_equal(parts > 0, mask)


def test_what_hangs_together_at_a_corner_is_two_pieces():
    assert cut(np.eye(2, dtype=bool)).max() == 2


def test_two_bodies_are_cut_at_their_neck():
    left, right = disc((60, 100), 30, 28, 22), disc((60, 100), 30, 66, 18)
    parts = cut(left | right)
    assert parts.max() == 2
    only_left, only_right = left & ~right, right & ~left
    assert (parts[only_left] == 1).mean() > 0.98
    assert (parts[only_right] == 2).mean() > 0.98


def test_two_real_nuclei_side_by_side_are_told_apart(nuclei):
    big = sorted(nuclei, key=np.sum)[-8:]
    for first, second in zip(big[::2], big[1::2], strict=True):
        height = max(len(first), len(second))
        width = first.shape[1] + second.shape[1] - 1
        y = len(first) // 2 - len(second) // 2
        top = max(0, -y)
        plane = np.zeros((height + abs(y) + 2, width), np.uint8)
        plane[top : top + len(first), : first.shape[1]] += first
        at = first.shape[1] - 1
        below = plane[top + y : top + y + len(second), at:]
        below[(below == 0) & second] = 2
        parts = cut(plane > 0)
        found = [parts == 1, parts == 2] if parts.max() == 2 else []
        assert found
        for number in (1, 2):
            best = max(
                np.sum(part & (plane == number)) / np.sum(part | (plane == number))
                for part in found
            )
            assert best > 0.85


def test_what_is_narrow_nowhere_is_cut_across_its_middle(nuclei):
    bar = np.ones((6, 40), bool)
    assert np.bincount(cut(bar).ravel()).tolist() == [0, 120, 120]
    assert set(cut(bar)[:, :20].ravel()) != set(cut(bar)[:, 20:].ravel())
    for mask in nuclei:
        parts = cut(mask)
        assert parts.max() >= 2
        assert np.array_equal(parts > 0, mask)


def test_the_smallest_that_can_be_cut():
    assert cut(np.ones((1, 1), bool)) is None
    assert sorted(cut(np.ones((1, 2), bool)).ravel()) == [1, 2]
    assert cut(np.zeros((0, 0), bool)) is None


def test_holes_are_filled_where_they_are_free():
    mask = disc((40, 40), 20, 20, 15)
    ring = mask & ~disc((40, 40), 20, 20, 8)
    free = ~ring
    assert np.array_equal(fill_gaps(ring, free), mask)
    free[18:22, 18:22] = False
    filled = fill_gaps(ring, free)
    assert (mask & ~filled).sum() == 16
    opened = ring.copy()
    opened[20, :20] = False
    assert np.array_equal(fill_gaps(opened, ~opened), opened)


def test_a_ragged_outline_becomes_smooth(nuclei):
    random = np.random.default_rng(0)
    for mask in sorted(nuclei, key=np.sum)[-10:]:
        mask = np.pad(mask, 10)
        edge = mask ^ ndimage.binary_erosion(mask, iterations=2)
        ragged = mask & ~(edge & (random.random(mask.shape) < 0.4))
        smooth = smooth_outline(ragged, ~ragged)
        assert outline(smooth) < 0.8 * outline(ragged)
        assert (smooth & mask).sum() / (smooth | mask).sum() > 0.85


def outline(mask):
    """Return how many pixel sides lie between inside and outside."""
    across, down = np.diff(np.pad(mask, 1), axis=1), np.diff(np.pad(mask, 1), axis=0)
    return np.count_nonzero(across) + np.count_nonzero(down)


def test_smoothing_takes_free_pixels_only():
    mask = np.zeros((40, 40), bool)
    mask[10:30, 10:30] = True
    mask[19:21, 27:30] = False  # a notch
    free = ~mask
    assert smooth_outline(mask, free)[19:21, 27].all()
    free[19:21, 27:30] = False  # somebody else's
    assert not smooth_outline(mask, free)[19:21, 27:30].any()


def test_an_object_at_the_edge_of_the_image_stays_there():
    mask = np.zeros((30, 30), bool)
    mask[:12, 8:22] = True
    smooth = smooth_outline(mask, ~mask)
    assert smooth[0, 10:20].all()
