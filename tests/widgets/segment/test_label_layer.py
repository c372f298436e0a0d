"""Brush strokes reach the store, and what the store writes is seen."""

import dask.array as da
import numpy as np
import pytest
from napari.layers import Labels

from napari_sam.live.labels.scan import scan
from napari_sam.live.labels.store import LabelStore
from napari_sam.live.source import Source
from napari_sam.live.values import Rule
from napari_sam.types import Mask
from napari_sam.widgets.segment.layers.label_layer import LabelLayer, why_not


@pytest.fixture
def store(source):
    return LabelStore(np.zeros(source.shape, np.uint32))


@pytest.fixture
def changes():
    return []


@pytest.fixture
def labels(viewer, image, store, changes, qapp):
    layer = viewer.add_labels(store.labels)
    ours = LabelLayer(viewer, layer, store, edited=changes.append)
    yield ours
    ours.close()


def square(y, x, size):
    return Mask((y, x, y + size, x + size), np.ones((size, size), bool), 0.9)


def pixels_on_screen(viewer, layer):
    """Return the ids as napari looks them up under the mouse."""
    z = viewer.dims.current_step[0]
    height, width = layer.data.shape[-2:]
    return np.array(
        [[layer.get_value((z, y, x)) for x in range(width)] for y in range(height)]
    )


@pytest.mark.parametrize("index", [(0,), (3,)])
def test_strokes_become_changes_that_can_be_taken_back(labels, store, changes, index):
    layer = labels.layer
    store.add(index, square(10, 10, 20), Rule.KEEP)
    before = store.labels.copy()
    layer.selected_label, layer.brush_size = 7, 9
    with layer.block_history():
        for x in range(8, 40, 4):  # in several steps that lie on each other
            layer.paint((*index, 15, x), 7)
            layer.paint((*index, 15, x), 3)
    assert len(changes) == 1
    after = store.labels.copy()
    assert (after != before).any()
    assert store.records.keys() == {1, 3, 7} & set(np.unique(after).tolist())
    assert store.next_id > 7 or 7 not in after
    (change,) = changes
    store.undo(change)
    np.testing.assert_array_equal(store.labels, before)
    store.redo(change)
    np.testing.assert_array_equal(store.labels, after)


def test_fill_erase_and_pixels_set_by_others_become_changes(
    labels, store, changes, qtbot
):
    layer = labels.layer
    store.add((0,), square(10, 10, 20), Rule.KEEP)
    steps = [store.labels.copy()]
    layer.fill((0, 12, 12), 5)
    qtbot.waitUntil(lambda: len(changes) == 1)
    steps.append(store.labels.copy())
    layer.paint((0, 12, 12), 0)
    qtbot.waitUntil(lambda: len(changes) == 2)
    steps.append(store.labels.copy())
    layer.data_setitem(
        (np.array([0, 0, 1]), np.array([1, 2, 3]), np.array([4, 5, 6])), 9
    )
    steps.append(store.labels.copy())
    qtbot.waitUntil(lambda: len(changes) == 3)
    assert {patch.index for patch in changes[-1].patches} == {(0,), (1,)}
    for change in reversed(changes):
        np.testing.assert_array_equal(store.labels, steps.pop())
        store.undo(change)
    np.testing.assert_array_equal(store.labels, steps.pop())


def test_brushes_through_slices_become_one_change(labels, store, changes):
    labels.layer.n_edit_dimensions = 3
    labels.layer.brush_size = 5
    with labels.layer.block_history():  # as napari does while the mouse is down
        labels.layer.paint((1, 30, 30), 2)
    (change,) = changes
    assert {patch.index for patch in change.patches} >= {(0,), (1,), (2,)}
    store.undo(change)
    assert not store.labels.any()


def test_a_single_plane(viewer, qtbot):
    image = viewer.add_image(np.zeros((30, 40)))
    store = LabelStore(np.zeros((30, 40), np.uint16))
    layer = viewer.add_labels(store.labels)
    assert why_not(layer, Source.from_layer(image)) is None
    changes = []
    labels = LabelLayer(viewer, layer, store, edited=changes.append)
    layer.paint((10, 10), 4)
    qtbot.waitUntil(lambda: len(changes) == 1)
    layer.data_setitem((np.array([1, 1]), np.array([2, 2])), 5)
    qtbot.waitUntil(lambda: len(changes) == 2)
    assert [patch.index for change in changes for patch in change.patches] == [(), ()]
    labels.close()


def test_what_the_store_writes_is_seen_at_once(labels, store, viewer):
    change = store.add((0,), square(10, 10, 20), Rule.KEEP)
    labels.refresh(change)
    assert (pixels_on_screen(viewer, labels.layer) == store.labels[0]).all()
    store.undo(change)
    labels.refresh(change)
    assert labels.layer.get_value((0, 15, 15)) == 0


def test_the_table_follows_in_short_columns(labels, store, qtbot):
    labels.refresh(store.add((0,), square(10, 10, 20), Rule.KEEP, score=0.87654))
    labels.refresh(store.add((1,), square(10, 10, 20), Rule.KEEP, source="detector"))
    qtbot.waitUntil(lambda: len(labels.layer.features) == 2, timeout=5000)
    table = labels.layer.features
    assert list(table) == ["index", "class", "confidence", "source", "reviewed"]
    assert table["index"].tolist() == [1, 2]
    assert table["confidence"][0] == 0.877
    assert table["source"].tolist() == ["person", "detector"]


def test_the_next_label_is_one_that_was_never_used(labels, store):
    store.add((0,), square(10, 10, 20), Rule.KEEP)
    store.delete([store.next_id - 1])
    for key, act in labels.layer.keymap.items():
        if str(key) == "M":
            act(labels.layer)
    assert labels.layer.selected_label == store.next_id == 2


def test_objects_that_are_there_are_taken_over_and_their_layer_is_left(
    viewer, image, changes, qapp
):
    pixels = np.zeros(image.data.shape, np.int32)
    pixels[1, 5:9, 5:9] = 12
    found = scan(pixels)
    store = LabelStore(pixels, records=found.records, extents=found.extents)
    layer = viewer.add_labels(pixels)
    labels = LabelLayer(viewer, layer, store, edited=changes.append)
    assert labels.exists and layer.features["index"].tolist() == [12]
    labels.close()
    layer.paint((1, 20, 20), 3)
    assert layer in viewer.layers and changes == []


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_layer_that_is_lost_is_told_of_once(viewer, image, store, how, qapp):
    gone = []
    layer = viewer.add_labels(store.labels)
    labels = LabelLayer(
        viewer, layer, store, edited=print, gone=lambda: gone.append(how)
    )
    if how == "deleted":
        viewer.layers.remove(layer)
    else:
        layer.data = layer.data.copy()
        layer.refresh()
    assert gone == [how] and not labels.exists
    labels.close()


def read_only(shape):
    pixels = np.zeros(shape, np.uint8)
    pixels.flags.writeable = False
    return Labels(pixels)


def locked(shape):
    layer = Labels(np.zeros(shape, np.uint8))
    layer.editable = False
    return layer


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda shape: Labels(np.zeros((3, *shape[1:]), np.uint8)), "shape"),
        (lambda shape: Labels(np.zeros(shape[1:], np.uint8)), "shape"),
        (lambda shape: Labels(da.zeros(shape, dtype=np.uint8)), "a copy is made"),
        (read_only, "read"),
        (locked, "locked"),
        (
            lambda shape: Labels(
                [np.zeros(shape, np.uint8), np.zeros((4, 48, 56), np.uint8)]
            ),
            "pyramid",
        ),
    ],
)
def test_layers_that_cannot_hold_objects_are_refused_in_one_line(
    source, image, make, reason
):
    text = why_not(make(source.shape), source)
    assert reason in text and "\n" not in text
    assert "not a labels layer" in why_not(image, source)
    assert why_not(Labels(np.zeros(source.shape, np.uint8)), source) is None


def adopt(viewer, layer, **names):
    found = scan(layer.data)
    store = LabelStore(layer.data, records=found.records, extents=found.extents)
    return LabelLayer(viewer, layer, store, edited=print, **names), store


@pytest.fixture
def foreign(viewer, image, qapp):
    """Return a layer with two objects and a table as others make it."""
    pixels = np.zeros(image.data.shape, np.int32)
    pixels[0, 5:9, 5:9] = 12
    pixels[1, 5:9, 5:9] = 3
    table = {
        "index": [12, 3],
        "class": ["old", "older"],
        "volume": [16, 17],
        "note": ["round", None],
    }
    return viewer.add_labels(pixels, features=table)


def test_columns_of_a_person_stay_behind_ours(viewer, foreign, qtbot):
    labels, store = adopt(viewer, foreign, class_names=lambda: {2: "mitosis"})
    ours = ["index", "class", "confidence", "source", "reviewed"]
    assert list(foreign.features) == [*ours, "class (before)", "volume", "note"]
    assert foreign.features["index"].tolist() == [3, 12]
    assert foreign.features["class (before)"].tolist() == ["older", "old"]
    assert foreign.features["volume"].tolist() == [17, 16]
    assert foreign.features["class"].tolist() == ["", ""]
    store.update([12], class_id=2)
    store.update([3], class_id=7)  # nobody knows its name
    change = store.add((2,), square(10, 10, 20), Rule.KEEP, class_id=2)
    labels.refresh(change)
    qtbot.waitUntil(lambda: len(foreign.features) == 3, timeout=5000)
    assert foreign.features["class"].tolist() == ["7", "mitosis", "mitosis"]
    assert foreign.features["volume"].tolist()[:2] == [17, 16]
    assert np.isnan(foreign.features["volume"][2])
    labels.close()
    again, _ = adopt(viewer, foreign)
    columns = [*ours, "class (before)", "volume", "note"]
    assert list(foreign.features) == columns  # no "before" twice
    again.close()


def test_what_a_person_wrote_comes_back_with_the_object(viewer, foreign):
    labels, store = adopt(viewer, foreign)
    table = foreign.features
    table["mine"] = [0.5, 1.5]
    foreign.features = table
    change = store.delete([12])
    labels.tabulate()
    assert foreign.features["index"].tolist() == [3]
    assert foreign.features["mine"].tolist() == [0.5]
    store.undo(change)
    labels.tabulate()
    assert foreign.features["mine"].tolist() == [0.5, 1.5]
    assert foreign.features["note"].iloc[1] == "round"
    assert labels.columns_of_person() == {
        "class (before)": {3: "older", 12: "old"},
        "volume": {3: 17, 12: 16},
        "note": {12: "round"},
        "mine": {3: 0.5, 12: 1.5},
    }
    labels.close()


def test_a_table_without_numbers_is_by_row(viewer, image, qapp):
    pixels = np.zeros(image.data.shape, np.uint8)
    pixels[0, :5, :5], pixels[0, 10:, 10:] = 1, 2
    layer = viewer.add_labels(pixels, features={"size": [0, 25, 99]})
    labels, _ = adopt(viewer, layer)
    assert layer.features["index"].tolist() == [1, 2]
    assert layer.features["size"].tolist() == [25, 99]
    labels.close()


def test_several_rows_of_one_object_become_the_one_that_napari_shows(
    viewer, image, qapp
):
    pixels = np.zeros(image.data.shape, np.uint8)
    pixels[0, :5, :5] = 1
    layer = viewer.add_labels(pixels, features={"index": [1, 1], "z": [4, 5]})
    labels, _ = adopt(viewer, layer)
    assert layer.features["z"].tolist() == [5]
    labels.close()
