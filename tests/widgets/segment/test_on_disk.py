"""Labels on the disk, at a real window: all that can be done to those in memory."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import zarr
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from scipy import ndimage
from tests.widgets.segment.conftest import LEFT, PLAIN

from napari_sam.live.disk import keeping, scratch
from napari_sam.live.source import Source
from napari_sam.records.ondisk import DiskLabels
from napari_sam.records.ondisk.array import TooLargeError
from napari_sam.widgets.segment.form import NEW, ON_DISK

CTRL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
ONE_PLANE = 1  # bytes; at least one chunk stays in memory, which is a plane here


@pytest.fixture(autouse=True)
def _forgetful(monkeypatch):
    """Keep next to nothing in memory: whatever is looked at comes from the disk."""
    monkeypatch.setattr(scratch, "DiskLabels", partial(DiskLabels, budget=ONE_PLANE))


@pytest.fixture
def nuclei(person, frames):
    image = person.viewer.add_image(frames, name="nuclei")
    person.show(image)
    person.until(lambda: person.session.status.phase == "ready")
    return image


@pytest.fixture
def on_disk(person, nuclei):
    """Return somebody who has chosen to keep new objects on the disk."""
    person.panel.form.labels.value = ON_DISK
    assert person.panel.form.labels.value == ON_DISK
    assert isinstance(person.session.store.labels, DiskLabels)
    return person


def middles(frames, index=0):
    """Return where nuclei are, the largest first."""
    smooth = ndimage.gaussian_filter(frames[index].astype(float), 2)
    found, _ = ndimage.label(smooth > smooth.mean() + smooth.std())
    sizes = np.bincount(found.ravel())[1:]
    order = 1 + np.argsort(-sizes)
    return ndimage.center_of_mass(found > 0, found, order)


def pixels(person):
    return np.asarray(person.labels.data)


def on_screen(person):
    """Return the labels that napari draws."""
    return np.asarray(person.labels._slice.image.raw)


def shows_what_is_there(person):
    index = person.bridge.desk.index
    return np.array_equal(on_screen(person), person.labels.data[index])


def drag(person, *places):
    """Draw on the canvas with the button held."""
    at = [person.at(*place) for place in places]
    QTest.mouseMove(person.canvas, at[0])
    QTest.mousePress(person.canvas, LEFT, PLAIN, at[0])
    for place in at[1:]:
        QTest.mouseMove(person.canvas, place)
        person.qtbot.wait(20)
    QTest.mouseRelease(person.canvas, LEFT, PLAIN, at[-1])


def test_click_and_enter_on_two_slices_undo_and_redo(on_disk, nuclei, frames):
    on_disk.labels_one(*middles(frames)[0])
    assert isinstance(on_disk.labels.data, DiskLabels)
    on_disk.show(nuclei, 2)
    on_disk.labels_one(*middles(frames, 2)[0])
    both = pixels(on_disk)
    on_disk.show(nuclei, 0)
    assert shows_what_is_there(on_disk)
    assert set(np.unique(on_screen(on_disk))) == {0, 1}
    on_disk.show(nuclei, 2)
    assert set(np.unique(on_screen(on_disk))) == {0, 2}
    on_disk.press(Qt.Key.Key_Z, CTRL)
    on_disk.until(lambda: not on_disk.labels.data[2].any())
    assert shows_what_is_there(on_disk)
    on_disk.press(Qt.Key.Key_Z, CTRL | SHIFT)
    on_disk.until(lambda: on_disk.labels.data[2].any())
    assert np.array_equal(pixels(on_disk), both)
    assert on_disk.labels.data.flush()
    assert np.array_equal(zarr.open_array(on_disk.labels.data.path)[...], both)


def test_brush_eraser_fill_and_polygon(on_disk, frames):
    on_disk.labels_one(*middles(frames)[0])
    layer, store = on_disk.labels, on_disk.session.store
    on_disk.viewer.layers.selection.active = layer
    steps = [pixels(on_disk)]

    def done():
        on_disk.until(lambda: not np.array_equal(pixels(on_disk), steps[-1]))
        on_disk.until(lambda: shows_what_is_there(on_disk))
        steps.append(pixels(on_disk))

    layer.selected_label, layer.brush_size, layer.mode = 5, 6, "paint"
    drag(on_disk, (80, 20), (80, 60), (60, 60))
    done()
    assert 5 in store.records
    layer.mode = "erase"
    drag(on_disk, (80, 30), (80, 40))
    done()
    layer.selected_label, layer.mode = 6, "fill"
    on_disk.click(80, 21)
    done()
    assert 6 in store.records
    layer.mode = "pan_zoom"
    with layer.block_history():
        layer.paint_polygon([(0, 5, 5), (0, 5, 25), (0, 25, 25)], 7)
    done()
    # Whether a part of 5 is left depends on where the eraser was when it was drawn.
    on_disk.until(
        lambda: {*np.unique(pixels(on_disk)).tolist()} - {0} == {*store.records}
    )
    assert {6, 7} <= store.records.keys()
    for step in reversed(steps[:-1]):
        on_disk.session.undo()
        assert np.array_equal(pixels(on_disk), step)
        assert shows_what_is_there(on_disk)
    for step in steps[1:]:
        on_disk.session.redo()
        assert np.array_equal(pixels(on_disk), step)
        assert shows_what_is_there(on_disk)


def test_naparis_own_undo(on_disk, frames):
    on_disk.labels_one(*middles(frames)[0])
    layer, before = on_disk.labels, pixels(on_disk)
    layer.paint((0, 80, 40), 9)
    painted = pixels(on_disk)
    layer.data_setitem((np.array([0, 1]), np.array([3, 90]), np.array([4, 100])), 8)
    assert layer.data[1, 90, 100] == 8
    layer.undo()
    assert np.array_equal(pixels(on_disk), painted)
    layer.undo()
    assert np.array_equal(pixels(on_disk), before)
    layer.redo()
    assert np.array_equal(pixels(on_disk), painted)
    assert shows_what_is_there(on_disk)


def test_delete_and_merge(on_disk, frames):
    first, second = middles(frames)[:2]
    on_disk.labels_one(*first)
    on_disk.labels_one(*second)
    store, both = on_disk.session.store, pixels(on_disk)
    on_disk.session.edit(store.merge([1, 2]))
    assert np.array_equal(pixels(on_disk) == 1, both > 0)
    on_disk.session.undo()
    on_disk.session.edit(store.delete([2]))
    assert np.array_equal(pixels(on_disk), np.where(both == 2, 0, both))
    assert shows_what_is_there(on_disk)
    on_disk.session.undo()
    assert np.array_equal(pixels(on_disk), both)


def test_what_is_too_large_for_the_memory_goes_there_by_itself(
    person, frames, monkeypatch
):
    monkeypatch.setattr(scratch, "available", lambda: 8 * frames.size)
    person.show(person.viewer.add_image(frames, name="nuclei"))
    assert isinstance(person.session.store.labels, DiskLabels)
    assert person.panel.form.labels.value == ON_DISK
    person.labels_one(*middles(frames)[0])
    monkeypatch.setattr(scratch, "available", lambda: 32 * frames.size)
    person.panel.form.labels.value = NEW
    assert isinstance(person.session.store.labels, np.ndarray)


def test_saved_and_opened_again(on_disk, nuclei, frames, tmp_path, monkeypatch):
    on_disk.labels_one(*middles(frames)[0])
    on_disk.show(nuclei, 3)
    on_disk.labels_one(*middles(frames, 3)[0])
    there, keeper = pixels(on_disk), on_disk.bridge.keeper
    saved, loaded = [], []
    keeper.save(
        tmp_path / "out", nuclei, overwrite=False, done=saved.append, failed=pytest.fail
    )
    on_disk.until(lambda: bool(saved))
    monkeypatch.setattr(scratch, "available", lambda: 8 * frames.size)
    keeper.load(tmp_path / "out", lambda one, other: loaded.append(one))
    on_disk.until(lambda: bool(loaded))
    assert isinstance(loaded[0].labels, DiskLabels)
    assert np.array_equal(loaded[0].labels[...], there)
    on_disk.bridge.places.show_saved(loaded[0])
    on_disk.show(nuclei, 1)
    on_disk.labels_one(*middles(frames, 1)[0])


def test_a_folder_that_cannot_be_written_is_told_and_nothing_lost(
    on_disk, frames, tmp_path
):
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    (home / "labels").write_text("in the way")
    on_disk.labels_one(*middles(frames)[0])
    there = pixels(on_disk)
    on_disk.reads("stay in memory")
    assert np.array_equal(pixels(on_disk), there)
    (home / "labels").unlink()
    assert on_disk.labels.data.flush()
    assert np.array_equal(zarr.open_array(on_disk.labels.data.path)[...], there)


def test_all_of_it_in_3d_is_refused_in_words(on_disk, frames, monkeypatch):
    on_disk.labels_one(*middles(frames)[0])
    there = pixels(on_disk)
    monkeypatch.setattr("napari_sam.records.ondisk.array.BUDGET", 0)
    monkeypatch.setattr("napari_sam.records.ondisk.array.available", lambda: 200_000)
    with pytest.raises(TooLargeError, match="slice by slice, or hide the layer"):
        on_disk.viewer.dims.ndisplay = 3
    on_disk.viewer.dims.ndisplay = 2
    on_disk.qtbot.wait(50)
    on_disk.labels.visible = False
    on_disk.viewer.dims.ndisplay = 3
    on_disk.viewer.dims.ndisplay = 2
    on_disk.labels.visible = True
    monkeypatch.undo()
    assert np.array_equal(pixels(on_disk), there)
    assert shows_what_is_there(on_disk)


# Labels that are there already.


def theirs(person, frames, data):
    """Add a layer that is read from somewhere, and choose it."""
    layer = person.viewer.add_labels(data, name="theirs")
    person.panel.form.labels.value = layer
    return layer


def some_labels(frames):
    there = np.zeros(frames.shape, np.uint16)
    there[:, 5:15, 5:20] = 3
    there[2, 60:80, 40:70] = 300
    return there


def read_only(there, folder):
    there = there.copy()
    there.flags.writeable = False
    return there


def as_zarr(there, folder):
    return zarr.create_array(folder / "theirs.zarr", data=there, chunks=(1, 32, 32))


def as_dask(there, folder):
    return da.from_array(there, chunks=(1, 50, 50))


@pytest.mark.parametrize("kind", [read_only, as_zarr, as_dask])
def test_what_can_only_be_read_is_copied(person, nuclei, frames, kind, tmp_path):
    there = some_labels(frames)
    layer = theirs(person, frames, kind(there, tmp_path))
    person.until(lambda: person.labels is not None)
    assert person.labels is not layer
    assert not layer.visible
    assert np.array_equal(pixels(person), there)
    assert person.session.store.records.keys() == {3, 300}
    person.show(nuclei)
    person.labels_one(*middles(frames)[0])
    assert np.array_equal(np.asarray(layer.data), there)


def test_a_slice_that_cannot_be_read_is_told(person, nuclei, frames):
    there = some_labels(frames)

    def read(block, block_info=None):
        if block_info and block_info[0]["chunk-location"][0] == 2:
            raise OSError("a bad sector")
        return block

    data = da.from_array(there, chunks=(1, *there.shape[1:]))
    layer = theirs(person, frames, data.map_blocks(read, dtype=there.dtype))
    person.reads("slice 2 cannot be read and is empty in the copy (a bad sector)")
    assert person.labels is not layer
    there[2] = 0
    assert np.array_equal(pixels(person), there)


def test_choosing_it_again_stops_the_copy(person, nuclei, frames):
    there, begun = some_labels(frames), []

    def read(block):
        begun.append(1)
        QTest.qWait(0)
        return block

    data = da.from_array(there, chunks=(1, *there.shape[1:])).map_blocks(
        read, dtype=there.dtype, meta=np.empty((0, 0, 0), there.dtype)
    )
    layer = theirs(person, frames, data)
    person.panel.form.labels.value = layer
    person.reads("No copy is made.")
    person.qtbot.wait(200)
    assert person.labels is None
    person.show(nuclei)
    person.labels_one(*middles(frames)[0])


def test_an_array_of_ours_is_edited_in_place(person, nuclei, frames, tmp_path):
    made = DiskLabels(tmp_path / "ours.zarr", frames.shape)
    made[...] = there = some_labels(frames)
    assert made.close()
    data = tmp_path / "ours.zarr/c/2/0/0"
    data.write_bytes(data.read_bytes()[:-9])
    layer = theirs(person, frames, DiskLabels.open(tmp_path / "ours.zarr"))
    person.until(lambda: person.labels is layer)
    person.reads("slice 2 of the labels cannot be read")
    there[2] = 0
    assert np.array_equal(pixels(person), there)
    person.show(nuclei)
    person.labels_one(*middles(frames)[0])
    assert layer.data.close()
    assert (zarr.open_array(tmp_path / "ours.zarr")[0] == layer.data[0]).all()


# After a restart.


def test_a_killed_process_loses_nothing(person, frames, tmp_path, monkeypatch):
    home = tmp_path / "home"
    script = Path(__file__).with_name("kill_on_disk.py")
    child = subprocess.Popen(
        [sys.executable, script],
        stdout=subprocess.PIPE,
        env=os.environ | {"NAPARI_SAM_HOME": str(home)},
    )
    assert child.stdout.readline() == b"go\n"
    child.kill()
    child.wait()
    child.stdout.close()
    (killed,) = (home / "labels").glob("*.zarr")
    image = person.viewer.add_image(frames, name="nuclei")
    person.until(lambda: person.panel.left.isVisible())
    (left,) = keeping.find_all(None, keeping.fingerprint(Source.from_layer(image)))
    assert left.objects == 40
    person.bridge.places.restore(left)
    person.until(lambda: person.labels is not None)
    assert isinstance(person.labels.data, DiskLabels)
    expected = np.zeros(frames.shape, np.uint32)
    for number in range(1, 41):
        z, y, x = number % 4, number, 2 * number
        part = expected[z, y : y + 9, x : x + 9]
        part[part == 0] = number
    assert np.array_equal(pixels(person), expected)
    person.show(image)
    person.labels_one(90, 8)
    os.utime(killed, (0, 0))
    scratch.tidy()
    assert not killed.exists()
    assert person.labels.data.flush()
    assert person.labels.data.path.exists()
