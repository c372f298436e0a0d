"""The section "Models": real files, the real loader, the real built-in model."""

import html
import shutil

import pytest
from napari.components import ViewerModel

from napari_sam.live.disk.shelf import Shelf
from napari_sam.models.catalog import list_models
from napari_sam.models.known import KNOWN, in_bytes
from napari_sam.widgets.segment.form import FILE
from napari_sam.widgets.segment.panel import Segment

DIALOG = "napari_sam.widgets.segment.sections.models.QFileDialog.getOpenFileName"


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    """Keep what must not be lost where the test ends."""
    monkeypatch.setenv("NAPARI_SAM_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def open_panel(qtbot, no_thread_is_left):
    """Open panels that have looked for files already."""
    opened = []

    def open_one():
        panel = Segment(ViewerModel())
        qtbot.addWidget(panel)
        opened.append(panel)
        qtbot.waitUntil(lambda: bool(sizes(panel)), timeout=10_000)
        return panel

    yield open_one
    for panel in opened:
        panel.end()


@pytest.fixture
def panel(open_panel):
    return open_panel()


@pytest.fixture
def mine(tmp_path):
    """Return a file with a model of ours, as somebody may have it."""
    weights = next(entry.path for entry in list_models() if entry.name == "pocket")
    path = tmp_path / "my cells.safetensors"
    shutil.copy(weights, path)
    return path


def rows(panel):
    """Return the items of all models, by name."""
    tree = panel.models.tree
    groups = [tree.topLevelItem(i) for i in range(tree.topLevelItemCount())]
    items = [group.child(i) for group in groups for i in range(group.childCount())]
    return {item.text(0): item for item in items}


def sizes(panel):
    return rows(panel)["Built-in model"].text(1)


def select(panel, name):
    panel.models.tree.clearSelection()
    rows(panel)[name].setSelected(True)
    return panel.models.about.text()


def offered(panel):
    native = panel.form.model.native
    return [native.itemText(i) for i in range(native.count())]


def in_use(panel, qtbot, words):
    qtbot.waitUntil(lambda: words in panel.models.now.text(), timeout=60_000)


def test_it_says_what_is_used_and_where(panel, qtbot):
    in_use(panel, qtbot, "In use: Built-in model, on the processor.")
    about = select(panel, "Built-in model")
    assert "clicks and boxes on nuclei and cells" in about
    shipped = next(entry.path for entry in list_models() if entry.name == "pocket")
    assert "AGPL-3.0-or-later" in about
    assert in_bytes(shipped.stat().st_size) in about
    assert not panel.models.use.isEnabled()
    assert not panel.models.forget.isEnabled()


@pytest.mark.parametrize(
    "known", [each for each in KNOWN if each.loadable], ids=lambda known: known.name
)
def test_it_says_what_can_be_had(panel, known, home):
    about = select(panel, known.title)
    for text in (known.good_for, known.licence, known.file, known.where):
        assert text in html.unescape(about)
    assert ("Nothing is downloaded unasked" in about) == bool(known.url)
    assert ("agree to its publisher's terms" in html.unescape(about)) != bool(known.url)
    assert panel.models.get.isEnabled() == bool(known.url)
    assert str(home / "models") in about
    assert rows(panel)[known.title].text(1).endswith("B")
    assert not panel.models.use.isEnabled()


def test_it_says_what_understands_words(panel):
    text = panel.models.understand.text()
    assert all(name in text for name in ("SAM 3", "YOLOE", "YOLO-World"))


def test_a_file_that_is_no_model_is_refused_in_one_line(panel, qtbot, tmp_path):
    in_use(panel, qtbot, "In use")
    path = tmp_path / "thesis.pt"
    path.write_text("<html>not found</html>")
    models = panel.models
    models.try_file(path)
    assert not models.add.isEnabled()  # it is looked at on a thread
    assert models.says.text() == "Looking at thesis.pt…"
    qtbot.waitUntil(lambda: "⚠" in models.says.text(), timeout=60_000)
    assert "thesis.pt" in models.says.text()
    assert "\n" not in models.says.text()
    assert models.add.isEnabled()
    assert panel.form.model.value == "pocket"
    assert panel.bridge.session.status.device == "cpu"
    assert "thesis.pt" not in rows(panel)
    assert Shelf().look() == ()


def test_a_model_of_ones_own_is_used_and_remembered(
    panel, open_panel, mine, qtbot, monkeypatch
):
    in_use(panel, qtbot, "In use")
    answers = [("", ""), (str(mine), "")]
    monkeypatch.setattr(DIALOG, lambda *_: answers.pop(0))
    panel.models.add.click()
    assert panel.models.add.isEnabled()  # nothing was chosen
    panel.models.add.click()
    in_use(panel, qtbot, "In use: my cells.safetensors, on the processor.")
    assert panel.form.model.value == str(mine)
    assert "my cells.safetensors is a model" in panel.view.notice.text()
    qtbot.waitUntil(lambda: mine.name in rows(panel), timeout=10_000)
    assert not panel.models.says.text()
    again = open_panel()
    assert mine.name in rows(again)
    assert mine.name in offered(again)
    assert again.form.model.value == "pocket"


def test_a_file_that_was_chosen_above_is_remembered_too(
    panel, mine, qtbot, monkeypatch
):
    in_use(panel, qtbot, "In use")
    dialog = "napari_sam.widgets.segment.form.QFileDialog.getOpenFileName"
    monkeypatch.setattr(dialog, lambda *_: (str(mine), ""))
    panel.form.model.value = FILE
    qtbot.waitUntil(lambda: mine.name in rows(panel), timeout=60_000)
    assert [one.path for one in Shelf().look()] == [mine]


def test_one_is_chosen_in_the_list(open_panel, mine, qtbot):
    Shelf().add(mine)
    panel = open_panel()
    about = select(panel, mine.name)
    assert str(mine.parent) in about
    panel.models.use.click()
    in_use(panel, qtbot, "In use: my cells.safetensors")
    assert panel.form.model.value == str(mine)
    assert not panel.models.use.isEnabled()
    select(panel, "Built-in model")
    panel.models.use.click()
    assert panel.form.model.value == "pocket"
    in_use(panel, qtbot, "In use: Built-in model")


def test_one_is_forgotten_and_its_file_stays(open_panel, mine, qtbot):
    Shelf().add(mine)
    panel = open_panel()
    select(panel, mine.name)
    panel.models.forget.click()
    qtbot.waitUntil(lambda: mine.name not in rows(panel), timeout=10_000)
    assert mine.name not in offered(panel)
    assert mine.is_file()
    assert Shelf().look() == ()


def test_one_that_is_used_can_be_forgotten(open_panel, mine, qtbot):
    Shelf().add(mine)
    panel = open_panel()
    panel.form.pick(str(mine))
    in_use(panel, qtbot, "In use: my cells.safetensors")
    select(panel, mine.name)
    panel.models.forget.click()
    qtbot.waitUntil(lambda: mine.name not in rows(panel), timeout=10_000)
    assert panel.form.model.value == str(mine)
    assert "In use: my cells.safetensors" in panel.models.now.text()


def test_one_that_is_gone_cannot_be_used(open_panel, mine):
    Shelf().add(mine)
    mine.unlink()
    panel = open_panel()
    about = select(panel, f"{mine.name} (gone)")
    assert "not there any more" in about
    assert not panel.models.use.isEnabled()
    assert panel.models.forget.isEnabled()
    assert mine.name not in offered(panel)


def test_a_known_checkpoint_in_our_folder_is_found(open_panel, home):
    mobile = next(known for known in KNOWN if known.title == "MobileSAM")
    (home / "models").mkdir(parents=True)
    with (home / "models" / mobile.file).open("wb") as file:
        file.truncate(mobile.size)
    panel = open_panel()
    assert len([name for name in rows(panel) if name == "MobileSAM"]) == 1
    about = select(panel, "MobileSAM")
    assert mobile.good_for in about and str(home / "models") in about
    assert panel.models.use.isEnabled()
    assert not panel.models.forget.isEnabled()
    assert mobile.file in offered(panel)


def test_what_is_selected_stays_selected(panel, mine, qtbot):
    in_use(panel, qtbot, "In use")
    select(panel, "MobileSAM")
    Shelf().add(mine)
    panel.models.scan()
    qtbot.waitUntil(lambda: mine.name in rows(panel), timeout=10_000)
    (item,) = panel.models.tree.selectedItems()
    assert item.text(0) == "MobileSAM"
