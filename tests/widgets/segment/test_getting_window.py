"""A model is got from inside a window, from a real server, and used."""

import dataclasses
import hashlib
import shutil
from contextlib import suppress

import napari
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from tests.models.weights_server import serving

from napari_sam.models import known as known_ones
from napari_sam.models.catalog import list_models
from napari_sam.models.known import by_name, in_bytes
from napari_sam.widgets.segment.sections import models as section
from napari_sam.widgets.segment.view import Fold

pytestmark = pytest.mark.window
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture(scope="module")
def data():
    """Return weights that can be loaded, as a publisher may give them."""
    return next(e.path for e in list_models() if e.name == "pocket").read_bytes()


@pytest.fixture
def site(data):
    with serving(data) as site:
        yield site


@pytest.fixture
def published(site, data, monkeypatch):
    """Let our server be the publisher of two models, one of them without a hash."""
    sha256 = f"sha256:{hashlib.sha256(data).hexdigest()}"
    size = len(data)
    ones = [
        dataclasses.replace(
            by_name(name), url=f"{site.url}/{name}", size=size, hashes=hashes
        )
        for name, hashes in (("mobile-sam", (sha256,)), ("sam2.1-tiny", ()))
    ]
    every = (*ones, by_name("sam3"))
    monkeypatch.setattr(known_ones, "KNOWN", every)
    monkeypatch.setattr(section, "KNOWN", every)
    monkeypatch.delenv("NAPARI_SAM_MIRROR", raising=False)
    return ones


@pytest.fixture
def window(published, monkeypatch, tmp_path, qtbot):
    """Open windows with the section "Models" unfolded."""
    monkeypatch.setenv("NAPARI_SAM_HOME", str(tmp_path / "home"))
    opened = []

    def open_one():
        viewer = napari.Viewer()
        viewer.window.resize(1200, 900)
        _, panel = viewer.window.add_plugin_dock_widget(
            "napari-sam-annotator", "Segment"
        )
        panel.hint.hide()
        opened.append(viewer)
        fold = panel.models.parent()
        assert isinstance(fold, Fold)
        QTest.mouseClick(fold.button, LEFT)
        qtbot.waitUntil(lambda: "In use" in panel.models.now.text(), timeout=60_000)
        return panel

    yield open_one
    for viewer in opened:
        with suppress(RuntimeError):  # closed already
            viewer.close()
    qtbot.wait(200)


@pytest.fixture
def panel(window):
    return window()


def row(panel, name):
    tree = panel.models.tree
    groups = [tree.topLevelItem(i) for i in range(tree.topLevelItemCount())]
    items = [group.child(i) for group in groups for i in range(group.childCount())]
    return next(item for item in items if item.text(0) == name)


def select(panel, name):
    panel.models.tree.clearSelection()
    row(panel, name).setSelected(True)


def click(button):
    assert button.isVisible() and button.isEnabled()
    QTest.mouseClick(button, LEFT)


def offered(panel, name, qtbot):
    select(panel, name)
    click(panel.models.get)
    box = panel.models.box
    qtbot.waitUntil(lambda: box.getting.state.phase == "offered", timeout=20_000)
    return box.says.text()


def in_phase(panel, phase, qtbot):
    state = panel.models.box.getting
    qtbot.waitUntil(lambda: state.state.phase == phase, timeout=60_000)


def offered_models(panel):
    native = panel.form.model.native
    return [native.itemText(i) for i in range(native.count())]


def test_two_clicks_get_a_model_and_a_third_one_uses_it(
    panel, site, published, qtbot, tmp_path
):
    known, models = published[0], panel.models
    text = offered(panel, "MobileSAM", qtbot)
    path = tmp_path / "home" / "models" / known.stored
    for said in (known.says_size[1:], known.licence, known.url, str(path), "hash"):
        assert said in text
    assert "not verified" not in text
    assert not site.asked and not path.exists()
    site.hold_after = len(site.data) // 2
    click(models.box.agree)
    assert models.box.agree.isHidden() and not models.get.isEnabled()
    size = in_bytes(len(site.data))
    qtbot.waitUntil(lambda: f"of {size}" in models.box.says.text(), timeout=20_000)
    qtbot.waitUntil(lambda: 0 < models.box.bar.value() < 1000, timeout=20_000)
    assert models.box.bar.isVisible()
    site.hold.set()
    in_phase(panel, "done", qtbot)
    assert "MobileSAM is here (verified)" in models.box.says.text()
    qtbot.waitUntil(lambda: known.file in offered_models(panel), timeout=20_000)
    (item,) = models.tree.selectedItems()
    assert item.text(0) == "MobileSAM" and models.use.isEnabled()
    assert panel.form.model.value == "pocket"  # nobody has chosen it yet
    click(models.box.use)
    qtbot.waitUntil(
        lambda: f"In use: {known.file}" in models.now.text(), timeout=60_000
    )
    assert not models.box.isVisible()


def test_one_without_a_hash_says_so_on_the_button_too(panel, site, published, qtbot):
    known, models = published[1], panel.models
    text = offered(panel, known.title, qtbot)
    assert "Remembered, not verified" in text
    assert models.box.agree.text() == "Download, though not verified"
    click(models.box.away)
    assert not models.box.isVisible() and not site.asked
    offered(panel, known.title, qtbot)
    click(models.box.agree)
    in_phase(panel, "done", qtbot)
    assert "(remembered, not verified)" in models.box.says.text()


def test_it_is_stopped_and_gone_on_with(panel, site, published, qtbot):
    box = panel.models.box
    offered(panel, "MobileSAM", qtbot)
    site.hold_after = len(site.data) // 2
    click(box.agree)
    qtbot.waitUntil(lambda: box.getting.state.have > 0, timeout=20_000)
    assert site.held.wait(20)
    click(box.stop)
    assert "can go on from there later" in box.says.text()
    assert box.bar.isHidden()
    click(box.agree)
    in_phase(panel, "done", qtbot)
    assert site.asked[-1][1].startswith("bytes=")


def test_closing_the_window_ends_it_and_another_window_goes_on(
    window, site, qtbot, no_thread_is_left
):
    first = window()
    offered(first, "MobileSAM", qtbot)
    site.hold_after = len(site.data) // 2
    click(first.models.box.agree)
    qtbot.waitUntil(lambda: first.models.box.getting.state.have > 0, timeout=20_000)
    assert site.held.wait(20)
    second = window()
    assert "came before" in offered(second, "MobileSAM", qtbot)
    click(second.models.box.agree)
    qtbot.waitUntil(
        lambda: "another window or program" in second.models.box.says.text(),
        timeout=20_000,
    )
    first._viewer.window.remove_dock_widget(first.parent())
    in_phase(second, "done", qtbot)
    assert first.models.box.getting.state.phase == "nothing"


def test_closing_the_viewer_ends_it(window, site, qtbot, no_thread_is_left, tmp_path):
    panel = window()
    offered(panel, "MobileSAM", qtbot)
    site.hold_after = len(site.data) // 2
    click(panel.models.box.agree)
    qtbot.waitUntil(lambda: panel.models.box.getting.state.have > 0, timeout=20_000)
    assert site.held.wait(20)
    panel._viewer.close()
    qtbot.waitUntil(
        lambda: panel.models.box.getting.state.phase == "nothing", timeout=20_000
    )
    (part,) = (tmp_path / "home" / "models").glob("*.part")
    assert part.stat().st_size > 0


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"status": 404}, "no such file on the server (404)"),
        ({"kind": "text/html"}, "a web page (HTML) came instead of the file"),
        ({"data": b"something else" * 9000}, "it was removed, try again"),
    ],
)
def test_what_goes_wrong_is_said_and_the_way_out(panel, site, qtbot, fault, words):
    box, good = panel.models.box, vars(site).copy()
    offered(panel, "MobileSAM", qtbot)
    vars(site).update(fault)
    click(box.agree)
    in_phase(panel, "failed", qtbot)
    assert words in box.says.text() and box.says.text().startswith("⚠ ")
    assert "\n" not in box.says.text()
    vars(site).update({name: good[name] for name in fault})
    click(box.agree)  # try again
    in_phase(panel, "done", qtbot)


def test_a_full_disk_keeps_what_came(panel, site, qtbot):
    resource = pytest.importorskip("resource")  # Windows has no such limits
    box = panel.models.box
    offered(panel, "MobileSAM", qtbot)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 21, hard))
    try:
        click(box.agree)
        in_phase(panel, "failed", qtbot)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "the disk is full; free some space: what came is kept" in box.says.text()
    click(box.agree)
    in_phase(panel, "done", qtbot)
    assert site.asked[-1][1].startswith("bytes=")


def test_one_that_must_be_asked_for_has_no_button(panel, qtbot):
    select(panel, "SAM 3")
    assert not panel.models.get.isEnabled()
    assert "huggingface.co/facebook/sam3" in panel.models.about.text()


def test_looking_at_another_model_puts_an_offer_away(panel, published, qtbot):
    offered(panel, "MobileSAM", qtbot)
    select(panel, "SAM 3")
    assert not panel.models.box.isVisible()


def test_a_file_that_is_here_is_taken_instead(
    panel, published, data, tmp_path, qtbot, site
):
    file = tmp_path / "from a stick" / published[0].file
    file.parent.mkdir()
    file.write_bytes(data)
    offered(panel, "MobileSAM", qtbot)
    panel.models.try_file(file)
    qtbot.waitUntil(
        lambda: "In use: mobile_sam.pt" in panel.models.now.text(), timeout=60_000
    )
    assert not site.asked
    assert panel.form.model.value == str(file)
    shutil.rmtree(file.parent)
