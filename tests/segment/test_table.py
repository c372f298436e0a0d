import numpy as np

from napari_sam.segment.table import (
    COLUMNS,
    empty_table,
    join_tables,
    make_table,
    with_ids,
    with_plane,
)
from napari_sam.types import Mask


def table():
    square = Mask((2, 4, 6, 8), np.ones((4, 4), bool), 0.9, 0.8)
    corner = Mask((0, 0, 2, 2), np.array([[True, True], [True, False]]), 0.7)
    return make_table(
        [square, corner],
        classes=np.array([1, 5]),
        detection_scores=np.array([0.6, 0.5]),
        class_names=("red", "white"),
    )


def test_every_column_has_its_type_and_value():
    found = table()
    assert list(found) == list(COLUMNS)
    for name, kind in COLUMNS.items():
        assert found[name].dtype.type is kind
    assert found["id"].tolist() == [1, 2]
    assert found["class_name"].tolist() == ["white", "5"]
    assert found["area"].tolist() == [16, 3]
    assert found["centroid_y"].tolist() == [4.0, (0.5 + 0.5 + 1.5) / 3]
    assert found["centroid_x"].tolist() == [6.0, (0.5 + 1.5 + 0.5) / 3]
    assert [int(found[f"box_{c}"][0]) for c in ("y0", "x0", "y1", "x1")] == [2, 4, 6, 8]


def test_an_empty_table_has_the_same_columns_and_types():
    empty = make_table(
        [], classes=np.empty(0), detection_scores=np.empty(0), class_names=()
    )
    assert list(empty) == list(empty_table()) == list(COLUMNS)
    for name in COLUMNS:
        assert empty[name].dtype.kind == table()[name].dtype.kind


def test_ids_and_places_are_put_in():
    ids = np.array([0, 70, 9], np.uint32)
    placed = with_plane(with_ids(table(), ids), 7, (1, 3), "TZ")
    assert list(placed)[:4] == ["plane", "t", "z", "id"]
    assert placed["id"].tolist() == [70, 9]
    assert placed["plane"].tolist() == [7, 7]
    assert (placed["t"].tolist(), placed["z"].tolist()) == ([1, 1], [3, 3])


def test_tables_join_in_order():
    joined = join_tables([table(), empty_table(), table()])
    assert joined["id"].tolist() == [1, 2, 1, 2]
    assert list(join_tables([])) == list(COLUMNS)
