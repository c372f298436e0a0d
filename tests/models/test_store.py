"""Checkpoints are fetched whole and checked, from a real server that misbehaves."""

import dataclasses
import hashlib
import importlib.util
import json
import socket
from pathlib import Path

import pooch
import pytest

from napari_sam.live.disk.shelf import Shelf
from napari_sam.models.catalog import list_models, load_model
from napari_sam.models.known import ALL, KNOWN, by_name, recognize
from napari_sam.models.store import Store, Trust, models_folder
from napari_sam.types import ModelError

spec = importlib.util.spec_from_file_location(
    "weights_server", Path(__file__).with_name("weights_server.py")
)
weights_server = importlib.util.module_from_spec(spec)
spec.loader.exec_module(weights_server)

DATA = bytes(range(256)) * 8192  # 2 MiB
HALF = len(DATA) // 2 + 17
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def site():
    with weights_server.serving(DATA) as site:
        yield site


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "models", mirror="")


def known_at(site, *hashes):
    base = by_name("sam2.1-tiny")
    return dataclasses.replace(
        base, url=f"{site.url}/tiny.pt", hashes=hashes, exact=False
    )


@pytest.fixture
def known(site):
    return known_at(site, f"sha256:{SHA256}")


class Seen:
    """Collects what progress is told; may cancel."""

    def __init__(self, cancel_at=None):
        self.calls, self.cancel_at = [], cancel_at

    def __call__(self, done, total):
        self.calls.append((done, total))
        if self.cancel_at is not None and done >= self.cancel_at:
            raise KeyboardInterrupt


def never(question):
    raise AssertionError(question)


def get(store, known, ask=never, progress=None):
    return store.download(known, progress or Seen(), ask)


def files(store):
    return {p.name for p in store.folder.iterdir() if not p.name.endswith(".lock")}


def ranges(site):
    return [wanted for _, wanted in site.asked]


def test_a_file_comes_whole_and_is_verified(store, site, known):
    seen = Seen()
    found = get(store, known, progress=seen)
    assert found.trust is Trust.VERIFIED
    assert found.path == store.folder / known.stored
    assert found.path.read_bytes() == DATA
    assert seen.calls[0] == (0, len(DATA)) and seen.calls[-1] == (len(DATA),) * 2
    assert files(store) == {known.stored}
    get(store, known)
    assert len(site.asked) == 1  # what is here is not fetched again


@pytest.mark.parametrize(
    "given", ["sha256:" + SHA256[:6], "xxh128"], ids=["prefix", "xxh128"]
)
def test_all_kinds_of_hashes_are_compared(store, site, tmp_path, given):
    if given == "xxh128":
        (tmp_path / "data").write_bytes(DATA)
        given += ":" + pooch.file_hash(str(tmp_path / "data"), alg="xxh128")
    assert get(store, known_at(site, given)).trust is Trust.VERIFIED
    other = given[:-1] + ("0" if given[-1] != "0" else "1")
    path = store.folder / known_at(site).stored
    assert store.check(known_at(site, given, other), path).trust is Trust.WRONG


def test_an_interrupted_download_goes_on(store, site, known):
    site.stop_after = HALF
    with pytest.raises(ModelError, match="interrupted; what came is kept"):
        get(store, known)
    assert store.find(known) is None
    here = (store.folder / f"{known.stored}.part").stat().st_size
    assert 0 < here <= HALF
    assert get(store, known).path.read_bytes() == DATA
    assert ranges(site) == [None, f"bytes={here}-"]


def test_one_that_was_cancelled_goes_on(store, site, known):
    with pytest.raises(KeyboardInterrupt):
        get(store, known, progress=Seen(cancel_at=HALF))
    assert store.find(known) is None
    assert get(store, known).path.read_bytes() == DATA
    assert ranges(site)[1] is not None


@pytest.mark.parametrize("fault", ["ranges", "tag"])
def test_a_server_that_cannot_go_on_begins_anew(store, site, known, fault):
    setattr(site, fault, "" if fault == "tag" else False)
    site.stop_after = HALF
    with pytest.raises(ModelError, match="interrupted"):
        get(store, known)
    assert get(store, known).path.read_bytes() == DATA


@pytest.mark.parametrize("careless", [False, True])
def test_a_file_that_changed_is_not_glued_together(store, site, careless):
    site.careless = careless
    site.stop_after = HALF
    with pytest.raises(ModelError):
        get(store, known_at(site, f"sha256:{SHA256}"))
    site.data, site.tag = DATA[::-1], '"two"'
    sha256 = hashlib.sha256(site.data).hexdigest()
    found = get(store, known_at(site, f"sha256:{sha256}"))
    assert found.path.read_bytes() == DATA[::-1]
    assert ranges(site)[1] is not None


def test_a_part_that_is_complete_already_is_used(store, site, known):
    with pytest.raises(KeyboardInterrupt):
        get(store, known, progress=Seen(cancel_at=len(DATA)))
    assert get(store, known).path.read_bytes() == DATA
    assert len(site.asked) == 2
    assert files(store) == {known.stored}


def test_a_file_of_unknown_length_is_refused(store, site):
    site.length = False
    with pytest.raises(ModelError, match="does not say how long"):
        get(store, known_at(site), ask=lambda q: True)
    assert store.find(known_at(site)) is None


def test_a_wrong_hash_is_refused_and_nothing_stays(store, site):
    known = known_at(site, "sha256:" + "0" * 64)
    with pytest.raises(ModelError, match="what came is not SAM") as caught:
        get(store, known)
    assert SHA256[:12] in str(caught.value) and site.url in str(caught.value)
    assert files(store) == set()


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/x-any"])
def test_a_web_page_is_no_file(store, site, known, kind):
    site.data, site.kind = b"\n <!DOCTYPE html><html>Sign in</html>", kind
    with pytest.raises(ModelError, match=r"web page \(HTML\) came instead"):
        get(store, known)
    assert store.find(known) is None


def test_a_redirect_is_followed(store, site, known):
    site.redirect = "/elsewhere"
    assert get(store, known).trust is Trust.VERIFIED
    assert [path for path, _ in site.asked] == ["/tiny.pt", "/elsewhere/tiny.pt"]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (404, r"no such file on the server \(404\)"),
        (403, "sign in"),
        (500, "try again later"),
        (418, "answers 418"),
    ],
)
def test_refusals_are_explained(store, site, known, status, words):
    site.status = status
    with pytest.raises(ModelError, match=words) as caught:
        get(store, known)
    assert known.url in str(caught.value)
    assert files(store) == set()


def test_no_network_is_explained(store, known):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        known = dataclasses.replace(known, url=f"http://127.0.0.1:{port}/tiny.pt")
        with pytest.raises(ModelError, match="cannot be reached"):
            get(store, known)


def test_without_a_hash_one_is_asked_and_the_file_is_remembered(store, site):
    known, questions = known_at(site), []
    with pytest.raises(ModelError, match="nobody has agreed"):
        get(store, known, ask=lambda q: questions.append(q))
    assert site.asked == [] and "Apache-2.0" in questions[0]
    found = get(store, known, ask=lambda q: True)
    assert found.trust is Trust.REMEMBERED and "not verified" in found.trust.value
    note = json.loads((store.folder / "remembered.json").read_text())[known.name]
    assert note["sha256"] == SHA256 and note["url"] == known.url and note["date"]
    assert get(store, known).trust is Trust.REMEMBERED  # asks no more
    assert store.require(known) == found.path


def test_a_remembered_file_that_changed_is_refused(store, site):
    known = known_at(site)
    path = get(store, known, ask=lambda q: True).path
    path.write_bytes(DATA[1:])
    for use in (store.require, lambda known: get(store, known)):
        with pytest.raises(ModelError, match="is remembered, but the file has"):
            use(known)
    path.unlink()
    site.data = DATA[1:]
    with pytest.raises(ModelError, match=r"remembered\.json"):
        get(store, known)
    site.data = DATA
    assert get(store, known).trust is Trust.REMEMBERED


def test_a_file_that_somebody_put_there_must_be_agreed_to(store, site):
    known = known_at(site)
    store.folder.mkdir()
    (store.folder / known.stored).write_bytes(DATA)
    with pytest.raises(ModelError, match="nobody has agreed"):
        store.require(known)
    assert get(store, known, ask=lambda q: "already" in q).trust is Trust.REMEMBERED
    assert site.asked == []
    assert store.require(known)


def test_a_mirror_is_asked_instead(tmp_path, site, known):
    known = dataclasses.replace(known, url="http://127.0.0.1:9/never")
    store = Store(tmp_path / "models", mirror=f"{site.url}/all/")
    assert get(store, known).trust is Trust.VERIFIED
    assert site.asked == [(f"/all/{known.stored}", None)]


def test_a_folder_serves_offline(tmp_path, known, site):
    offline = tmp_path / "usb"
    store = Store(tmp_path / "models", mirror=str(offline))
    with pytest.raises(ModelError, match="no such file in the folder"):
        get(store, known)
    offline.mkdir()
    (offline / known.stored).write_bytes(DATA)
    assert store.require(known) == offline / known.stored  # used in place
    assert get(store, known).path == store.folder / known.stored  # or copied
    assert files(store) == {known.stored}
    assert site.asked == []
    (offline / known.stored).write_bytes(DATA[1:])
    (store.folder / known.stored).unlink()
    for use in (store.require, lambda known: get(store, known)):
        with pytest.raises(ModelError, match="its publisher gives"):
            use(known)
    assert files(store) == set()


def test_a_folder_that_cannot_be_made_is_named(tmp_path, known):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ModelError, match="nothing can be written there"):
        get(Store(tmp_path / "file" / "models", mirror=""), known)


def test_what_is_given_out_on_request_says_where(store):
    with pytest.raises(ModelError, match="facebook/sam3"):
        get(store, by_name("sam3"), ask=lambda q: True)


def test_a_catalog_name_loads_what_is_here_and_fetches_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("NAPARI_SAM_HOME", str(tmp_path))
    monkeypatch.delenv("NAPARI_SAM_MIRROR", raising=False)
    with pytest.raises(ModelError) as caught:
        load_model("sam2.1-tiny", device="cpu")
    for words in ("models download sam2.1-tiny", "about 156 MB", "Apache-2.0"):
        assert words in str(caught.value)
    assert not (tmp_path / "models").exists()
    # Any weights that can be loaded will do: agreed to, they are.
    ours = next(entry.path for entry in list_models() if entry.name == "pocket")
    store, known = Store(), by_name("sam2.1-tiny")
    store.folder.mkdir()
    (store.folder / known.stored).write_bytes(ours.read_bytes())
    get(store, known, ask=lambda q: True)
    assert load_model("sam2.1-tiny", device="cpu").info.name == known.stored
    (store.folder / known.stored).write_bytes(b"other")
    with pytest.raises(ModelError, match="this is not SAM"):
        load_model("sam2.1-tiny", device="cpu")


def test_the_segment_widget_looks_where_files_are_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("NAPARI_SAM_HOME", str(tmp_path / "elsewhere"))
    assert models_folder() == Shelf().folder
    monkeypatch.delenv("NAPARI_SAM_HOME")
    assert models_folder() == Shelf().folder


def test_the_list_is_in_order():
    for what in ("name", "stored", "title"):
        values = [getattr(known, what) for known in ALL]
        assert len(set(values)) == len(values)
    assert not {k.name for k in ALL} & {e.name for e in list_models()}
    for known in ALL:
        assert known.url.startswith("https://") or known.name == "sam3"
        assert known not in KNOWN or recognize(known.stored, known.size) is known
        for given in known.hashes:
            algorithm, _, digits = given.partition(":")
            int(digits, 16)
            assert algorithm in ("sha256", "xxh128")
            assert len(digits) == 32 or algorithm == "sha256"
