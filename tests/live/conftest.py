"""What the tests of a session share."""

import threading

import numpy as np
import pytest

from napari_sam.live.labels.store import LabelStore
from napari_sam.live.prompting.session import Session
from napari_sam.live.source import Source
from napari_sam.live.values import Mark


@pytest.fixture(autouse=True)
def _no_thread_is_left(no_thread_is_left):
    """Every test here ends its threads."""


class Listener:
    """Remembers what it was told, and by which threads."""

    def __init__(self):
        self.redrawn, self.marks, self.changes, self.statuses = [], [], [], []
        self.threads = set()

    def suggestions_changed(self, indices):
        self.threads.add(threading.current_thread())
        self.redrawn.append(set(indices))

    def marks_changed(self, keys):
        self.marks.append(set(keys))

    def labels_changed(self, change):
        self.changes.append(change)

    def status_changed(self, status):
        self.threads.add(threading.current_thread())
        self.statuses.append(status)

    @property
    def phases(self):
        phases = [status.phase for status in self.statuses]
        return [p for i, p in enumerate(phases) if i == 0 or p != phases[i - 1]]

    @property
    def refusals(self):
        return [status.refused for status in self.statuses if status.refused]


@pytest.fixture
def listener():
    return Listener()


@pytest.fixture
def source(frames):
    return Source(frames, "nuclei", frames.shape, "T", False)


@pytest.fixture
def store(frames):
    return LabelStore(np.zeros(frames.shape, np.uint32))


@pytest.fixture
def session(pump, listener):
    session = Session(pump.post, listener, annotator="Ada")
    yield session
    session.close()


@pytest.fixture
def opened(session, source, store):
    """A session with an image, and its first slice on screen."""
    session.open(source, store)
    session.look_at((0,))
    return session


# The middles of four nuclei of the first frame.
NUCLEI = ((8.8, 91.2), (33.2, 44.2), (58.6, 10.8), (62.0, 77.7))


class Draw:
    """What a person can draw."""

    nuclei = NUCLEI

    @staticmethod
    def mark(kind, *vertices, positive=True):
        return Mark(kind, np.array(vertices, np.float32), positive)

    def click(self, y, x, *, positive=True):
        return self.mark("click", (y, x), positive=positive)

    def box(self, y0, x0, y1, x1):
        return self.mark("box", (y0, x0), (y0, x1), (y1, x1), (y1, x0))

    def on(self, number):
        """Return a click on a nucleus of the first frame."""
        return (self.click(*NUCLEI[number]),)


@pytest.fixture(scope="session")
def draw():
    return Draw()


@pytest.fixture(scope="session")
def answered():
    """Return whether nothing is to come any more."""

    def check(session):
        return lambda: not any(one.waiting for one in session.suggestions.values())

    return check
