"""The widget with a viewer that has no window, and the real built-in model."""

import subprocess
import sys

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import QWidget
from scipy import ndimage

from napari_sam.data import FOLDER
from napari_sam.live.values import Rule
from napari_sam.widgets.segment.form import FILE, NEW
from napari_sam.widgets.segment.keeping.leaving import Leaving
from napari_sam.widgets.segment.panel import Segment


@pytest.fixture(autouse=True)
def _home(monkeypatch, tmp_path):
    """Keep what must not be lost where the test ends."""
    monkeypatch.setenv("NAPARI_SAM_HOME", str(tmp_path / "home"))


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def panel(viewer, qtbot, no_thread_is_left):
    panel = Segment(viewer)
    qtbot.addWidget(panel)
    yield panel
    panel.end()


@pytest.fixture
def image(viewer, frames):
    layer = viewer.add_image(frames, name="nuclei")
    viewer.dims.set_current_step(0, 0)
    return layer


@pytest.fixture(scope="module")
def places():
    """Return the middles of some nuclei on the first frame."""
    truth = tifffile.imread(FOLDER / "truth" / "nuclei_timelapse.tif")[0, :96, :112]
    ids = [i for i in np.unique(truth[10:-10, 10:-10]) if i]
    return ndimage.center_of_mass(truth > 0, truth, ids)


def click(panel, place):
    panel.bridge.desk.prompts.points.add(np.array([[0, *place]]))


def ask(panel, qtbot, place):
    click(panel, place)
    qtbot.waitUntil(lambda: answered(panel), timeout=60_000)


def answered(panel):
    open_ones = panel.bridge.session.suggestions.values()
    return bool(open_ones) and not any(one.waiting for one in open_ones)


def says(panel):
    return panel.view.suggestion.text()


def test_without_an_image_it_says_where_to_find_one(panel):
    assert "Open an image first" in panel.view.status.text()
    assert not panel.view.tools["click"].isEnabled()
    assert not panel.view.add.isEnabled()


def test_nothing_has_to_be_set_up_before_the_first_click(
    panel, viewer, image, places, qtbot
):
    assert panel.form.image.value is image
    qtbot.waitUntil(panel.view.tools["click"].isChecked, timeout=5000)
    assert viewer.layers.selection.active is panel.bridge.desk.prompts.points
    ask(panel, qtbot, places[0])
    assert "confidence" in says(panel)
    assert panel.view.add.isEnabled()
    assert "Ready. Built-in model on the processor" in panel.view.status.text()


def test_the_buttons_do_what_the_keys_do(panel, viewer, image, places, qtbot):
    view = panel.view
    ask(panel, qtbot, places[0])
    before = says(panel)
    if view.next.isEnabled():
        view.next.click()
        assert says(panel) != before
    view.add.click()
    assert "1 object in the layer “nuclei: labels”" in view.count.text()
    assert panel.form.labels.current_choice == "nuclei: labels"
    assert not view.add.isEnabled()
    assert "add object 1" in view.undo.toolTip()
    view.undo.click()
    assert not viewer.layers["nuclei: labels"].data.any()
    assert view.redo.isEnabled()
    view.redo.click()
    assert viewer.layers["nuclei: labels"].data.any()
    ask(panel, qtbot, places[1])
    view.drop.click()
    assert not panel.bridge.session.suggestions
    assert says(panel) == "Click on an object."


def test_a_tool_is_a_layer_and_its_mode(panel, viewer, image):
    panel.view.tools["box"].click()
    assert viewer.layers.selection.active is panel.bridge.desk.prompts.shapes
    assert panel.bridge.desk.prompts.shapes.mode == "add_rectangle"
    panel.bridge.desk.prompts.shapes.mode = "add_polygon"
    assert panel.view.tools["outline"].isChecked()
    viewer.layers.selection.active = image
    assert not any(button.isChecked() for button in panel.view.tools.values())
    panel.view.tools["click"].click()
    assert viewer.layers.selection.active is panel.bridge.desk.prompts.points


def test_part_of_it_or_not(panel, image):
    panel.view.signs[False].click()
    assert not panel.bridge.desk.prompts.positive
    panel.bridge.toggle()
    assert panel.view.signs[True].isChecked()


def test_settings_reach_the_session(panel, image):
    panel.form.rule.value = Rule.REPLACE
    assert panel.bridge.session.rule is Rule.REPLACE
    panel.form.one_click.value = True
    assert panel.bridge.desk.prompts.one_click


def test_the_selected_image_is_taken(panel, viewer, frames):
    first, second = viewer.add_image(frames), viewer.add_image(frames)
    assert panel.bridge.desk.image is second
    viewer.layers.selection.active = first
    assert panel.bridge.desk.image is first
    viewer.layers.remove(first)
    assert panel.bridge.desk.image is second
    viewer.layers.remove(second)
    assert panel.bridge.desk is None
    assert not viewer.layers
    assert "Open an image first" in panel.view.status.text()


def test_objects_go_where_the_person_says(panel, viewer, image, places, frames, qtbot):
    mine = viewer.add_labels(np.zeros(frames.shape, int), name="mine")
    viewer.add_labels(np.zeros((3, 3), int), name="other")
    names = [name for name, _ in choices(panel.form.labels)]
    assert names == ["A new layer", "A new layer, on the disk", "mine", "other"]
    panel.form.labels.value = mine
    qtbot.waitUntil(lambda: panel.bridge.desk.labels is not None, timeout=10_000)
    ask(panel, qtbot, places[0])
    panel.view.add.click()
    assert mine.data.any()
    panel.form.labels.value = NEW
    ask(panel, qtbot, places[1])
    panel.view.add.click()
    assert set(np.unique(mine.data)) == {0, 1}
    assert viewer.layers["nuclei: labels"].data.any()


def choices(box):
    return [(box.native.itemText(i), i) for i in range(box.native.count())]


def test_a_file_that_is_no_model_is_refused_in_words(panel, image, qtbot, tmp_path):
    path = tmp_path / "thesis.pt"
    path.write_text("<html>not found</html>")
    panel.form.pick(str(path))
    qtbot.waitUntil(lambda: "⚠" in panel.view.status.text(), timeout=60_000)
    assert "thesis.pt" in panel.view.status.text()
    panel.form.model.value = "pocket"
    qtbot.waitUntil(lambda: "Ready" in panel.view.status.text(), timeout=60_000)


def test_a_file_is_chosen_in_a_dialog(panel, monkeypatch, tmp_path):
    dialog = "napari_sam.widgets.segment.form.QFileDialog.getOpenFileName"
    path = str(tmp_path / "cells.pth")
    answers = [("", ""), (path, "")]
    monkeypatch.setattr(dialog, lambda *_: answers.pop(0))
    panel.form.model.value = FILE
    assert panel.form.model.value == "pocket"
    panel.form.model.value = FILE
    assert panel.form.model.value == path


def test_the_first_steps_are_read_once(panel, viewer, qtbot):
    assert not panel.hint.isHidden()
    assert len(panel.hint.text.splitlines()) == 3
    panel.hint.buttons["Got it"].click()
    assert panel.hint.isHidden()
    again = Segment(viewer)
    qtbot.addWidget(again)
    assert again.hint.isHidden()
    again.end()
    reset_hint()


def reset_hint():
    from napari.settings import get_plugin_settings

    get_plugin_settings("napari-sam-annotator").labelling.hint = True


def test_the_shortcuts_are_listed(panel, image):
    shown = [
        panel.view.shortcuts.itemAt(i).widget().text()
        for i in range(panel.view.shortcuts.count())
    ]
    for key in ("Enter", "Tab", "Esc", "Delete"):
        assert any(key in text for text in shown)


@pytest.fixture
def chosen():
    """The page of napari's settings with our keys; as it was, afterwards."""
    from napari.settings import get_plugin_settings

    group = get_plugin_settings("napari-sam-annotator").shortcuts
    before = group.model_dump()
    yield group
    for name, key in before.items():
        setattr(group, name, key)


def test_chosen_keys_are_used_and_said_at_once(panel, image, chosen):
    view, keys = panel.view, panel.bridge.desk.keys
    layer = panel.bridge.desk.prompts.layers[0]
    assert view.add.text() == "Add (Enter)"
    assert "(Ctrl+Z)" in view.undo.toolTip()
    assert "Enter keeps the object" in panel.hint.text
    chosen.key_add = "Ctrl+G"
    chosen.key_undo = "U"
    chosen.key_complete = "Shift+P"
    assert view.add.text() == "Add (Ctrl+G)"
    assert "(U)" in view.undo.toolTip()
    assert "(Shift+P)" in panel.complete.complete.toolTip()
    assert "Ctrl+G keeps the object" in panel.hint.text
    now = panel.bridge.desk.keys
    assert now is not keys
    bound = {str(key) for key in layer.keymap}
    assert {"Ctrl+G", "U"} <= bound
    assert "Enter" not in bound
    shown = {
        view.shortcuts.itemAtPosition(row, 0).widget().text()
        for row in range(view.shortcuts.count() // 2)
    }
    assert {"Ctrl+G", "U", "Shift+P"} <= shown
    panel.end()
    chosen.key_add = "Ctrl+H"  # nobody listens any more
    assert view.add.text() == "Add (Ctrl+G)"


def test_a_window_with_unsaved_objects_asks(panel, image, places, qtbot):
    answers, saved = ["stay", "save", "save", "leave"], [False, True]
    window = QWidget()
    qtbot.addWidget(window)
    unsaved = [0]
    leaving = Leaving(
        panel,
        lambda: unsaved[0],
        lambda: saved.pop(0),
        lambda _: answers.pop(0),
        panel.end,
    )
    assert not leaving.eventFilter(window, QCloseEvent())
    assert not leaving.eventFilter(window, ByHand())
    unsaved[0] = 1
    assert not leaving.eventFilter(window, QCloseEvent())
    assert len(answers) == 4
    stays = [leaving.eventFilter(window, ByHand()) for _ in range(4)]
    assert stays == [True, True, False, False]


class ByHand(QCloseEvent):
    """As the window system sends it."""

    def spontaneous(self):
        return True


def test_saving_asks_for_a_folder(panel, image, places, qtbot, monkeypatch, tmp_path):
    dialog = (
        "napari_sam.widgets.segment.sections.saving.QFileDialog.getExistingDirectory"
    )
    monkeypatch.setattr(dialog, lambda *_: str(tmp_path / "out"))
    assert not panel.view.save.isEnabled()
    ask(panel, qtbot, places[0])
    panel.view.add.click()
    panel.view.save.click()
    qtbot.waitUntil(
        lambda: "1 object saved in" in panel.view.notice.text(), timeout=9000
    )
    assert (tmp_path / "out" / "objects.csv").is_file()
    assert panel.bridge.keeper.unsaved == 0
    monkeypatch.setattr(dialog, lambda *_: "")
    assert not panel.saving.save_and_wait()
    (tmp_path / "out" / "prompts.json").unlink()
    monkeypatch.setattr(dialog, lambda *_: str(tmp_path / "out"))
    assert not panel.saving.save_and_wait()
    assert "was not saved here" in panel.view.notice.text()


def test_earlier_work_is_offered(panel, viewer, image, places, frames, qtbot):
    ask(panel, qtbot, places[0])
    panel.view.add.click()
    panel.end()
    other = ViewerModel()
    again = Segment(other)
    qtbot.addWidget(again)
    other.add_image(frames, name="nuclei")
    qtbot.waitUntil(lambda: not again.left.isHidden(), timeout=20_000)
    assert "1 object" in again.left.text
    again.left.buttons["Restore"].click()
    qtbot.waitUntil(lambda: "nuclei: labels" in other.layers, timeout=20_000)
    assert again.left.isHidden()
    assert "1 object in the layer" in again.view.count.text()
    again.end()


def test_points_and_shapes_of_other_layers_become_suggestions(
    panel, viewer, image, places, qtbot
):
    spots = viewer.add_points([(0, *place) for place in places[:3]], name="spots")
    spots.add(np.array([[0, -50, 10]]))
    box = np.array([[0, 23, 32], [0, 23, 58], [0, 43, 58], [0, 43, 32]])
    boxes = viewer.add_shapes([box], shape_type="rectangle", name="R&D")
    empty = viewer.add_points(ndim=3, name="empty")
    viewer.layers.selection.active = image
    menu = panel.adopt.menu
    panel.adopt.offer()
    texts = [action.text() for action in menu.actions()]
    assert texts == ["empty (0)", "R&&D (1)", "spots (4)"]
    take(panel, "spots (4)")
    assert "Asked about 3 objects from the layer “spots”" in panel.view.notice.text()
    assert "1 was left out" in panel.view.notice.text()
    session = panel.bridge.session
    qtbot.waitUntil(lambda: len(session.suggestions) == 3, timeout=10_000)
    qtbot.waitUntil(lambda: answered(panel), timeout=60_000)
    assert panel.view.tools["click"].isChecked()
    take(panel, "R&&D (1)")
    assert "Asked about 1 object from" in panel.view.notice.text()
    qtbot.waitUntil(lambda: len(session.suggestions) == 4, timeout=10_000)
    take(panel, "empty (0)")
    assert panel.view.notice.text() == "The layer “empty” is empty."
    assert len(spots.data) == 4 and boxes.nshapes == 1 and not len(empty.data)
    assert session.history.can_undo


def take(panel, text):
    panel.adopt.offer()
    (action,) = (one for one in panel.adopt.menu.actions() if one.text() == text)
    action.trigger()


def test_without_other_layers_it_says_so(panel, image):
    panel.adopt.offer()
    (action,) = panel.adopt.menu.actions()
    assert action.text() == "There is no other Points or Shapes layer"
    assert not action.isEnabled()


def test_a_layer_beside_the_image_gives_nothing(panel, viewer, image):
    viewer.add_points([(0, 500, 500)], name="far")
    viewer.layers.selection.active = image
    take(panel, "far (1)")
    words = "Nothing in the layer “far” lies on this image."
    assert panel.view.notice.text() == words
    assert not panel.bridge.session.suggestions


def test_importing_the_widget_loads_no_torch():
    code = (
        "import sys, napari_sam.widgets.segment.panel; "
        "print([m for m in ('torch', 'torchvision', 'cv2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.decode().strip() == "[]"
