"""What the tests of proofreading share: a session with objects, and who watches."""

import numpy as np
import pytest
import tifffile

from napari_sam.data import FOLDER
from napari_sam.live.labels.scan import scan
from napari_sam.live.labels.store import LabelStore
from napari_sam.live.prompting.session import Session
from napari_sam.live.proofreading.proofreader import Proofreader
from napari_sam.live.source import Source


class Watching:
    """Passes edits on as a viewer does, and remembers what was to be shown."""

    def __init__(self):
        self.proofreader = None
        self.places, self.opened_keys, self.notices, self.states = [], [], [], []
        self.in_view = True

    # The session's listener.

    def suggestions_changed(self, indices):
        """Nothing is drawn."""

    def marks_changed(self, keys):
        """Nothing is drawn."""

    def labels_changed(self, change):
        self.proofreader.follow(change)

    def status_changed(self, status):
        """Nothing is said."""

    # The proofreader's screen.

    def changed(self):
        if self.proofreader is not None:
            self.states.append(self.proofreader.asking.state)

    def show_place(self, index, box):
        self.places.append((index, box))
        self.proofreader._session.look_at(index)

    def sees(self, index, box):
        return self.in_view

    def opened(self, key):
        self.opened_keys.append(key)

    def notice(self, text):
        self.notices.append(text)


class Reader:
    """Somebody who proofreads the objects on an image."""

    def __init__(self, pump, image, labels, records=None):
        self.pump, self.labels, self.screen = pump, labels, Watching()
        self.session = Session(pump.post, self.screen, annotator="Ada")
        self.proofreader = self.screen.proofreader = Proofreader(
            self.session, pump.post
        )
        self.proofreader.screen = self.screen
        axes = "T" * (image.ndim - 2)
        self.session.use_model("pocket", "cpu")
        self.session.open(
            Source(image, "cells", image.shape, axes, False), self.store()
        )
        self.session.look_at((0,) * len(axes))
        if records is not None:
            self.session.attach(self.store(records))

    def store(self, records=None):
        found = scan(self.labels)
        return LabelStore(
            self.labels,
            records=found.records if records is None else records,
            next_id=found.next_id,
            extents=found.extents,
        )

    def look(self):
        self.proofreader.start()
        self.pump.until(lambda: self.proofreader.state.phase != "looking")
        return self.proofreader.review

    @property
    def current(self):
        return self.proofreader.current

    def close(self):
        self.proofreader.close()
        self.session.close()


@pytest.fixture(autouse=True)
def _no_thread_is_left(no_thread_is_left):
    """Every test here ends its threads."""


def read(folder, name):
    return tifffile.imread(FOLDER / folder / f"{name}.tif")


@pytest.fixture(scope="session")
def data():
    """Return what reads a picture that ships, or its truth."""
    return read


@pytest.fixture
def reader(pump):
    """Return who proofreads an image, made by image and labels."""
    made = []

    def make(image, labels, records=None):
        made.append(Reader(pump, image, labels, records))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def field(reader):
    """Return who proofreads nuclei that a person has outlined."""
    truth = read("truth", "fluorescence").astype(np.uint32)
    return reader(read("images", "fluorescence"), truth)


@pytest.fixture
def film(reader, frames):
    """Return who proofreads nuclei on four frames."""
    truth = read("truth", "nuclei_timelapse")[:4, :96, :112]
    return reader(frames, np.ascontiguousarray(truth).astype(np.uint16))
