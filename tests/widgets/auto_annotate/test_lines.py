import numpy as np
from napari.layers import Tracks

from napari_sam.segment.result import PlaneResult
from napari_sam.widgets.auto_annotate.lines import tracks_of


def plane(index, rows, *, tracked=True):
    """Return a plane with objects (track, parent, area, y, x)."""
    track, parent, area, y, x = np.array(rows, np.float64).reshape(-1, 5).T
    objects = {"area": area.astype(np.int64), "centroid_y": y, "centroid_x": x}
    if tracked:
        objects |= {
            "track": track.astype(np.uint32),
            "parent": parent.astype(np.uint32),
        }
    return PlaneResult(index, np.zeros((9, 9), np.uint32), objects)


def test_every_object_has_a_point_for_each_frame():
    results = [
        plane((1,), [(2, 1, 5, 3.5, 4.5), (3, 1, 5, 7.5, 4.5)]),
        plane((0,), [(1, 0, 9, 5.5, 4.5)]),
    ]
    data, graph = tracks_of(results)
    assert data.tolist() == [[1, 0, 5, 4], [2, 1, 3, 4], [3, 1, 7, 4]]
    assert graph == {2: [1], 3: [1]}
    layer = Tracks(data, graph=graph)
    assert layer.data.shape == (3, 4)


def test_an_object_with_depth_has_one_point_in_its_middle():
    results = [
        plane((0, 2), [(1, 0, 30, 2.5, 2.5)]),
        plane((0, 4), [(1, 0, 10, 6.5, 2.5)]),
    ]
    data, graph = tracks_of(results)
    assert data.tolist() == [[1, 0, 2.5, 3, 2]]
    assert graph == {}


def test_there_are_no_tracks_of_what_was_not_followed():
    assert tracks_of([plane((0,), [(1, 0, 9, 5, 4)], tracked=False)]) is None
    assert tracks_of([plane((0,), [])]) is None
    assert tracks_of([]) is None
