"""Models are got when somebody agrees to it, from a real server that misbehaves."""

import dataclasses
import hashlib
import socket

import pytest
from tests.models.weights_server import serving

from napari_sam.live.disk.getting import Getting, State
from napari_sam.models.known import by_name
from napari_sam.models.store import Store, Trust

DATA = bytes(range(256)) * 8192  # 2 MiB
HALF = len(DATA) // 2


@pytest.fixture(autouse=True)
def _no_thread_is_left(no_thread_is_left):
    """Every test here ends its threads."""


@pytest.fixture
def site():
    with serving(DATA) as site:
        yield site


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "models", mirror="")


@pytest.fixture
def known(site):
    return dataclasses.replace(
        by_name("sam2.1-tiny"),
        url=f"{site.url}/tiny.pt",
        size=len(DATA),
        hashes=(f"sha256:{hashlib.sha256(DATA).hexdigest()}",),
    )


@pytest.fixture
def open_one(pump, store):
    opened = []

    def open_it():
        opened.append(Getting(pump.post, lambda: None, lambda: store))
        return opened[-1]

    yield open_it
    for one in opened:
        one.close()


@pytest.fixture
def getting(open_one):
    return open_one()


def ended(getting):
    return lambda: not getting.state.busy


def offered(getting, known, pump):
    getting.ask(known)
    pump.until(ended(getting))
    return getting.state


def test_what_would_be_fetched_is_said_and_nothing_is(
    getting, known, site, store, pump
):
    state = offered(getting, known, pump)
    assert state.phase == "offered"
    plan = state.plan
    assert plan.source == known.url and plan.path == store.folder / known.stored
    assert plan.vouched and not plan.have and not plan.here and plan.free > 0
    assert not site.asked and not store.folder.exists()
    getting.put_away()
    assert getting.state == State()


def test_it_comes_and_says_how_far_it_is(getting, known, site, store, pump):
    offered(getting, known, pump)
    site.hold_after = HALF
    getting.agree()
    pump.until(lambda: 0 < getting.state.have <= HALF)
    state = getting.state
    assert state.total == len(DATA) and not state.checking
    assert state.seconds_left(state.since + 2) == pytest.approx(
        2 * (len(DATA) - state.have) / state.have
    )
    site.hold.set()
    pump.until(ended(getting))
    assert getting.state.phase == "done"
    assert getting.state.found.trust is Trust.VERIFIED
    assert store.find(known).read_bytes() == DATA
    # Whoever asks once more fetches nothing.
    assert offered(getting, known, pump).plan.here
    assert len(site.asked) == 1


def test_it_stops_at_once_where_a_server_keeps_silent_and_goes_on(
    getting, known, site, store, pump
):
    offered(getting, known, pump)
    site.hold_after = HALF
    getting.agree()
    pump.until(lambda: getting.state.have > 0)
    assert site.held.wait(20)
    getting.stop()
    assert getting.state.phase == "stopped"
    assert store.find(known) is None
    # The lock is free and the part is kept, though the server holds the line.
    assert offered(getting, known, pump).plan.have > 0
    getting.agree()
    pump.until(ended(getting))
    assert getting.state.phase == "done"
    assert store.find(known).read_bytes() == DATA
    assert site.asked[1][1].startswith("bytes=")


def test_closing_ends_it_and_another_session_goes_on(
    getting, open_one, known, site, store, pump
):
    offered(getting, known, pump)
    site.hold_after = HALF
    getting.agree()
    pump.until(lambda: getting.state.have > 0)
    assert site.held.wait(20)
    getting.close()
    other = open_one()
    assert offered(other, known, pump).plan.have > 0
    other.agree()
    pump.until(ended(other))
    assert other.state.phase == "done"
    assert getting.state == State()


def test_two_at_once_fetch_it_once(getting, open_one, known, site, store, pump):
    other = open_one()
    for one in (getting, other):
        offered(one, known, pump)
    site.hold_after = HALF
    getting.agree()
    pump.until(lambda: getting.state.have > 0)
    other.agree()
    pump.until(lambda: other.state.waits)
    site.hold.set()
    pump.until(lambda: ended(getting)() and ended(other)())
    assert getting.state.phase == other.state.phase == "done"
    assert len(site.asked) == 1
    assert store.find(known).read_bytes() == DATA


def test_one_that_waits_for_another_is_stopped_at_once(
    getting, open_one, known, site, pump
):
    other = open_one()
    for one in (getting, other):
        offered(one, known, pump)
    site.hold_after = HALF
    getting.agree()
    pump.until(lambda: getting.state.have > 0)
    other.agree()
    pump.until(lambda: other.state.waits)
    other.stop()
    assert other.state.phase == "stopped"
    site.hold.set()
    pump.until(ended(getting))
    assert getting.state.phase == "done"


def test_one_that_nobody_vouches_for_says_so_and_is_remembered(
    getting, known, store, pump
):
    known = dataclasses.replace(known, hashes=())
    assert not offered(getting, known, pump).plan.vouched
    getting.agree()
    pump.until(ended(getting))
    assert getting.state.found.trust is Trust.REMEMBERED
    store.find(known).unlink()
    assert offered(getting, known, pump).plan.vouched  # against what is remembered


def test_what_goes_wrong_is_said_in_one_line(getting, known, site, store, pump):
    def fails(known, words):
        assert offered(getting, known, pump).phase == "offered"
        getting.agree()
        pump.until(ended(getting))
        assert getting.state.phase == "failed"
        assert words in getting.state.error and "\n" not in getting.state.error
        assert store.find(known) is None

    site.status = 404
    fails(known, "no such file on the server (404); it may have moved")
    site.status, site.kind = 200, "text/html"
    fails(known, "a web page (HTML) came instead of the file")
    site.kind = "application/octet-stream"
    fails(
        dataclasses.replace(known, hashes=("sha256:" + "0" * 64,)),
        "it was removed, try again",
    )
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        away = f"http://127.0.0.1:{unused.getsockname()[1]}/tiny.pt"
        fails(dataclasses.replace(known, url=away), "check the network and proxy")
    site.stop_after = HALF
    fails(known, "interrupted; what came is kept")
    getting.agree()  # try again
    pump.until(ended(getting))
    assert getting.state.phase == "done"
    assert site.asked[-1][1].startswith("bytes=")


def test_what_cannot_be_had_says_where_it_can(getting, pump, site):
    state = offered(getting, by_name("sam3"), pump)
    assert state.phase == "failed" and state.plan is None
    assert "huggingface.co/facebook/sam3" in state.error
    getting.agree()
    assert getting.state is state


def test_a_folder_that_cannot_be_written_is_named(pump, known, tmp_path):
    (tmp_path / "file").write_text("in the way")
    store = Store(tmp_path / "file" / "models", mirror="")
    getting = Getting(pump.post, lambda: None, lambda: store)
    offered(getting, known, pump)
    getting.agree()
    pump.until(ended(getting))
    assert "nothing can be written there" in getting.state.error
    getting.close()


def test_a_server_that_never_answers_holds_up_nobody(getting, known, pump):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/tiny.pt"
        offered(getting, dataclasses.replace(known, url=url), pump)
        getting.agree()
        line, _ = silent.accept()
        with line:
            getting.stop()
            assert offered(getting, known, pump).phase == "offered"
            getting.agree()
            pump.until(ended(getting))
            assert getting.state.phase == "done"
