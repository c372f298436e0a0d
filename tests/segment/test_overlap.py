import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment

from napari_sam.segment.overlap import best_pairs, count_overlaps

labels = arrays(np.uint16, (6, 7), elements=st.integers(0, 5))


@given(labels, labels)
def test_counts_are_those_of_counting_by_hand(first, second):
    found = count_overlaps(first, second)
    by_hand = {
        (a, b): int(((first == a) & (second == b)).sum())
        for a in np.unique(first[first > 0]).tolist()
        for b in np.unique(second[second > 0]).tolist()
    }
    pairs = zip(
        found.first_ids[found.first].tolist(),
        found.second_ids[found.second].tolist(),
        strict=True,
    )
    counted = dict(zip(pairs, found.shared.tolist(), strict=True))
    assert counted == {pair: n for pair, n in by_hand.items() if n}
    for (a, b), iou in zip(counted, found.iou.tolist(), strict=True):
        assert iou == counted[a, b] / ((first == a) | (second == b)).sum()


def test_large_ids_stay_apart():
    first = np.array([[2**31, 2**32 - 1]], np.uint32)
    second = np.array([[1, 1]], np.uint8)
    assert count_overlaps(first, second).first_ids.tolist() == [2**31, 2**32 - 1]


weights = arrays(
    np.float64, (5, 6), elements=st.sampled_from([0.0, 0.0, 0.0, 0.1, 0.25, 0.5, 1.0])
)


@settings(deadline=None)
@given(weights)
def test_pairs_are_as_good_as_those_of_the_full_matrix(matrix):
    first, second = np.nonzero(matrix)
    worth = matrix[first, second]
    chosen = best_pairs(first, second, worth)
    assert len(set(first[chosen])) == len(set(second[chosen])) == len(chosen)
    rows, columns = linear_sum_assignment(matrix, maximize=True)
    assert np.isclose(worth[chosen].sum(), matrix[rows, columns].sum())
