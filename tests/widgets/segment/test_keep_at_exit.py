"""Nothing is lost where everything ends before the work was saved."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import tifffile

from napari_sam.data import FOLDER
from napari_sam.live.disk import keeping
from napari_sam.live.labels.store import LabelStore
from napari_sam.live.source import Source
from napari_sam.live.threads import Threads
from napari_sam.live.values import Rule
from napari_sam.types import Mask
from napari_sam.widgets.segment.keeping.keeper import Keeper


def left(home, source):
    """Return what the home folder offers for an image."""
    return keeping.find_all(home, keeping.fingerprint(source))


@pytest.mark.window
@pytest.mark.parametrize("how", ["end", "quit", "close"])
def test_a_process_ends_with_the_window_open(how, tmp_path, viewer):
    script = Path(__file__).with_name("keep_at_exit.py")
    ended = subprocess.run(
        [sys.executable, script, how],
        capture_output=True,
        text=True,
        timeout=280,
        env=os.environ | {"NAPARI_SAM_HOME": str(tmp_path)},
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    pixels = tifffile.imread(FOLDER / "images" / "nuclei_timelapse.tif")
    (kept,) = left(tmp_path, Source.from_layer(viewer.add_image(pixels[:4, :96, :112])))
    assert (kept.objects, kept.unsaved) == (1, 1)
    labels = np.zeros(kept.shape, np.uint32)
    (record,) = keeping.restore(kept.folder, labels).records
    assert record.id == 1
    assert (labels == 1).sum() == 64
    assert (labels[0, 10:18, 12:20] == 1).all()


def test_edits_are_kept_though_the_image_is_not_known_when_it_is_left(
    viewer, pump, frames, monkeypatch, tmp_path
):
    monkeypatch.setenv("NAPARI_SAM_HOME", str(tmp_path))
    may_read = threading.Event()

    def read(block):
        assert may_read.wait(60)
        return block

    # napari looks at the pixels for itself before they are slow.
    slow = da.from_array(frames, chunks=(1, *frames.shape[1:])).map_blocks(
        read, meta=np.empty((0, 0, 0), frames.dtype)
    )
    may_read.set()
    image = viewer.add_image(slow, contrast_limits=(0, 255))
    source = Source.from_layer(image)
    may_read.clear()
    threads, notices = Threads(pump.post), []
    keeper = Keeper(threads, pump.post, notices.append, notices.append)
    store = LabelStore(np.zeros(source.shape, np.uint32))
    keeper.open(image, source, store)
    mask = Mask((10, 12, 18, 20), np.ones((8, 8), bool), 0.9)
    for index in range(3):
        keeper.changed(store.add((index,), mask, Rule.KEEP))
    assert keeper.folder is None
    assert keeper.unsaved == 3
    keeper.leave()
    threads.close()
    may_read.set()
    for thread in threading.enumerate():
        if thread.name == "napari-sam keep":
            thread.join(60)
    (kept,) = left(tmp_path, source)
    assert (kept.objects, kept.unsaved) == (3, 3)
    labels = np.zeros(kept.shape, np.uint32)
    assert keeping.restore(kept.folder, labels) is not None
    np.testing.assert_array_equal(labels, store.labels)
    assert not notices
