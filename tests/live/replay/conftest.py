"""A session whose work is recorded, on a file, and what it is saved as."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tifffile

from napari_sam.live.disk import keeping
from napari_sam.live.disk.saving import ImageText, save
from napari_sam.live.disk.snapshot import Snapshot
from napari_sam.live.labels.store import LabelStore
from napari_sam.live.prompting.session import Session
from napari_sam.live.replay.recorder import Recorder
from napari_sam.live.source import Source


class Desk:
    """One image with a session, whose work is recorded as in the window."""

    def __init__(self, session, image, source, store):
        self.session, self.image, self.source = session, image, source
        self.recorder = Recorder()
        session.on_change = self.recorder.changed
        session.on_answered = self.recorder.answered
        session.open(source, store)
        self.recorder.attach(store)
        session.look_at((0,) * len(source.stack_shape))

    @property
    def labels(self):
        return self.session.store.labels

    def save(self, folder, **more):
        image = ImageText(
            name=self.source.name,
            shape=self.source.shape,
            stack_axes=self.source.stack_axes,
            path=str(self.image),
            fingerprint=keeping.fingerprint(self.source, str(self.image)),
        )
        save(
            folder,
            Snapshot.of(self.session.store),
            image,
            record=self.recorder.until_now(),
            **more,
        )
        return folder / "replay.toml"


@pytest.fixture(scope="session")
def new_desk():
    return Desk


@pytest.fixture
def image(tmp_path, frames):
    path = tmp_path / "nuclei.tif"
    tifffile.imwrite(path, frames, metadata={"axes": "TYX"}, photometric="minisblack")
    return path


@pytest.fixture
def desk(pump, listener, image, frames):
    session = Session(pump.post, listener, annotator="Ada")
    source = Source(frames, "nuclei", frames.shape, "T", False)
    desk = Desk(session, image, source, LabelStore(np.zeros(frames.shape, np.uint32)))
    yield desk
    session.close()
    desk.recorder.close()


@pytest.fixture(scope="session")
def replayed():
    """Run the command in a process of its own."""

    def run(*arguments):
        words = [sys.executable, "-m", "napari_sam.cli", "replay", *map(str, arguments)]
        kept = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
        return subprocess.run(words, capture_output=True, text=True, env=kept)

    return run
