import numpy as np

from napari_sam.segment.result import PlaneResult
from napari_sam.segment.table import make_table
from napari_sam.types import Mask
from napari_sam.widgets.auto_annotate.features import features_of


def plane(index, squares):
    """Return a plane with squares, {id: side}."""
    masks = [Mask((0, 0, s, s), np.ones((s, s), bool), 0.9) for s in squares.values()]
    table = make_table(
        masks,
        classes=np.zeros(len(masks), np.int64),
        detection_scores=np.full(len(masks), 0.5, np.float32),
        class_names=("cell",),
    )
    table["id"] = np.array(list(squares), np.uint32)
    return PlaneResult(index, np.zeros((9, 9), np.uint32), table)


def test_one_plane_has_one_row_for_each_object():
    table = features_of([plane((), {1: 2, 2: 3})], "", ())
    assert table["index"].tolist() == [1, 2]
    assert table["area"].tolist() == [4, 9]
    assert "plane" not in table


def test_an_object_through_several_slices_has_one_row():
    results = [plane((1,), {1: 3, 7: 4}), plane((0,), {1: 2}), plane((2,), {1: 1})]
    table = features_of(results, "Z", (3,))
    assert table["index"].tolist() == [1, 7]
    assert table["z"].tolist() == [1, 1]
    assert table["planes"].tolist() == [3, 1]
    assert table["area"].tolist() == [9, 16]
    assert table["size"].tolist() == [14, 16]


def test_what_is_flagged_on_any_slice_is_flagged():
    results = [plane((z,), {1: 3, 7: 4}) for z in range(3)]
    flags = [["", "split"], ["", ""], ["", "gap, split"]]
    for result, said in zip(results, flags, strict=True):
        result.objects["flag"] = np.array(said)
    assert features_of(results, "Z", (3,))["flag"].tolist() == ["", "gap, split"]


def test_nothing_found_gives_a_table_without_rows():
    for results in ([], [plane((0,), {})]):
        table = features_of(results, "Z", (3,))
        assert all(len(column) == 0 for column in table.values())
        assert "index" in table
