"""The section "Classes", without a window, on real frames of nuclei."""

import csv

import numpy as np
import pytest
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QColor
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QColorDialog, QFileDialog

from napari_sam.live.class_text import FILE, from_text, read_classes
from napari_sam.live.classes import NO_COLOUR, ClassList
from napari_sam.live.disk import loading
from napari_sam.live.values import Rule
from napari_sam.types import Mask
from napari_sam.widgets.segment.panel import Segment


@pytest.fixture(autouse=True)
def _home(monkeypatch, tmp_path):
    """Keep what must not be lost where the test ends."""
    monkeypatch.setenv("NAPARI_SAM_HOME", str(tmp_path / "home"))


@pytest.fixture
def panel(viewer, image, qtbot):
    panel = Segment(viewer)
    qtbot.addWidget(panel)
    yield panel
    panel.end()


@pytest.fixture
def section(panel):
    return panel.classes


@pytest.fixture
def session(panel):
    return panel.bridge.session


@pytest.fixture
def three(section, session):
    """A list of three, and an object of each of the first two on the first frame."""
    for name in ("nucleus", "mitosis", "debris"):
        section.add.click()
        section._edit(session.class_id, "name", name)
    for number in (1, 2):
        add(session, (10, 20 * number), number)
    return section


def add(session, corner, class_id, index=(0,)):
    y, x = corner
    mask = Mask((y, x, y + 10, x + 10), np.ones((10, 10), bool), 0.9)
    change = session.store.add(index, mask, Rule.KEEP, class_id=class_id)
    session.edit(change)
    return session.store.next_id - 1


def shown(section):
    """Return what stands in the table, without the swatches."""
    table = section.table
    return [
        tuple(table.item(row, column).text() for column in (1, 2, 3))
        for row in range(table.rowCount())
    ]


def swatches(section):
    icons = [section.table.item(row, 0).icon() for row in range(len(shown(section)))]
    return [icon.pixmap(8).toImage().pixelColor(4, 4).name() for icon in icons]


def type_in(section, row, column, text):
    section.table.item(row, column).setText(text)


def point_at(viewer, y, x, z=0):
    viewer.cursor.position = (z, y, x)


def press(viewer, key):
    """Press a key where napari looks for it first: on the selected layer."""
    keymap = viewer.layers.selection.active.keymap
    (act,) = [act for bound, act in keymap.items() if str(bound) == key]
    act(viewer.layers.selection.active)


def labels_of(panel):
    return panel.bridge.desk.labels.layer


def test_a_list_is_made_and_counted(three, session):
    assert shown(three) == [
        ("none", "Alt+0", "0"),
        ("nucleus", "Alt+1", "1"),
        ("mitosis", "Alt+2", "1"),
        ("debris", "Alt+3", "0"),
    ]
    assert swatches(three) == [NO_COLOUR, *session.classes.colours.values()]
    add(session, (40, 20), 3)
    session.edit(session.store.delete([1]))
    assert [row[2] for row in shown(three)] == ["0", "0", "1", "1"]
    session.undo()
    assert [row[2] for row in shown(three)] == ["0", "1", "1", "1"]


def test_names_and_keys_are_typed_into_the_table(three, session, panel):
    type_in(three, 2, 1, "dividing")
    type_in(three, 2, 2, "shift+w")
    one = session.classes.get(2)
    assert (one.name, one.key) == ("dividing", "Shift+W")
    assert shown(three)[2] == ("dividing", "Shift+W", "1")
    assert "Change class dividing" in session.history.undo_text
    for row, column, text, why in (
        (2, 1, "Nucleus", "is taken already"),
        (2, 1, "", "cannot be the name"),
        (2, 2, "Alt+1", 'by the class "nucleus"'),
        (2, 2, "Shift+S", "taken already: Split the object"),
        (2, 2, "Y", "taken already: Proofreading"),
        (2, 2, "M", "cannot be|taken already"),
        (2, 2, "Shift+1", "Alt with a digit"),
    ):
        type_in(three, row, column, text)
        assert any(part in panel.view.notice.text() for part in why.split("|")), text
        assert shown(three)[2] == ("dividing", "Shift+W", "1")
    type_in(three, 2, 2, "")
    assert session.classes.get(2).key == ""


def test_keys_of_napari_are_taken(three, session, panel):
    for key in ("A", "Shift+A", "V"):  # select all, of points; show a layer
        if key in {str(k) for cls in viewer_keymaps() for k in cls}:
            type_in(three, 1, 2, key)
            assert "napari's own" in panel.view.notice.text()
    assert session.classes.get(1).key == "Alt+1"


def viewer_keymaps():
    from napari.components import ViewerModel
    from napari.layers import Points, Shapes

    return [cls.class_keymap for cls in (ViewerModel, Points, Shapes, Labels)]


def test_a_colour_is_chosen(three, session, monkeypatch):
    asked = []

    def choose(initial, parent, title):
        asked.append((initial.name(), title))
        return QColor("#123456")

    monkeypatch.setattr(QColorDialog, "getColor", choose)
    old = session.classes.get(2).colour
    three.table.cellDoubleClicked.emit(2, 0)
    three.table.cellDoubleClicked.emit(0, 0)  # of none there is no other
    assert asked == [(old, "Colour: mitosis")]
    assert session.classes.get(2).colour == "#123456"
    assert swatches(three)[2] == "#123456"
    session.undo()
    assert swatches(three)[2] == old


def test_the_chosen_class_is_that_of_new_objects(three, session):
    three.table.selectRow(2)
    assert session.class_id == 2
    three.table.selectRow(0)
    assert session.class_id == 0
    assert not three.remove.isEnabled()


def test_a_key_gives_the_class_to_what_is_under_the_mouse(
    three, session, panel, viewer
):
    store = session.store
    point_at(viewer, 15, 25)
    press(viewer, "Alt+2")
    assert store.records[1].class_id == 2
    assert panel.view.notice.text() == "Object 1: mitosis."
    assert [row[2] for row in shown(three)] == ["0", "0", "2", "0"]
    steps = len(session.history)
    press(viewer, "Alt+2")
    assert len(session.history) == steps
    press(viewer, "Alt+0")
    assert store.records[1].class_id == 0
    assert panel.view.notice.text() == "Object 1: no class."
    session.undo()
    session.undo()
    assert store.records[1].class_id == 1
    point_at(viewer, 80, 80)
    press(viewer, "Alt+1")
    assert session.class_id == 1
    assert panel.view.notice.text() == "New objects: nucleus."


def test_keys_follow_list_and_layer(three, session, panel, viewer, image):
    def bound(layer):
        return {str(key) for key in layer.keymap if str(key).startswith("Alt+")}

    prompts = panel.bridge.desk.prompts
    labels = labels_of(panel)
    viewer.layers.selection.active = labels
    assert bound(labels) == {"Alt+0", "Alt+1", "Alt+2", "Alt+3"}
    assert not bound(prompts.points)
    type_in(three, 1, 2, "Alt+9")
    assert bound(labels) == {"Alt+0", "Alt+9", "Alt+2", "Alt+3"}
    viewer.layers.selection.active = image
    assert not bound(labels)
    assert not bound(image)
    prompts_layer = prompts.points
    viewer.layers.remove(prompts_layer)
    panel.bridge.desk.use("click")
    assert bound(panel.bridge.desk.prompts.points) == {
        "Alt+0",
        "Alt+9",
        "Alt+2",
        "Alt+3",
    }
    panel.end()
    assert not any(bound(layer) for layer in viewer.layers)


def test_a_removed_class_leaves_its_objects_without_one(three, session, panel):
    three.table.selectRow(2)
    three.remove.click()
    assert session.classes.names == {1: "nucleus", 3: "debris"}
    assert session.store.records[2].class_id == 0
    assert session.class_id == 0
    assert "1 object has none now" in panel.view.notice.text()
    assert shown(three)[0] == ("none", "Alt+0", "1")
    assert panel.view.undo.toolTip() == "Take back: remove class mitosis (Ctrl+Z)"
    panel.view.undo.click()
    assert shown(three)[2] == ("mitosis", "Alt+2", "1")


def test_the_picked_object_gets_the_chosen_class(three, session, panel):
    three.table.selectRow(3)
    labels_of(panel).selected_label = 77
    three.set.click()
    assert "Pick an object first" in panel.view.notice.text()
    labels_of(panel).selected_label = 2
    three.set.click()
    assert session.store.records[2].class_id == 3


def test_the_table_of_the_layer_has_names(three, session, panel, qtbot):
    layer = labels_of(panel)
    qtbot.waitUntil(lambda: len(layer.features) == 2, timeout=5000)
    assert layer.features["class"].tolist() == ["nucleus", "mitosis"]
    type_in(three, 1, 1, "cell")
    qtbot.waitUntil(lambda: layer.features["class"][0] == "cell", timeout=5000)


# Colours.


def colour_at(layer, number):
    return QColor.fromRgbF(*(float(v) for v in layer.get_color(number)[:3])).name()


def by_class(layer, session):
    """Return whether every object has the colour of its class."""
    colours = {0: NO_COLOUR, **session.classes.colours}
    records = session.store.records.values()
    return isinstance(layer.colormap, DirectLabelColormap) and all(
        colour_at(layer, one.id) == colours[one.class_id] for one in records
    )


def test_objects_are_coloured_by_class_until_it_is_off(three, session, panel, qtbot):
    layer = labels_of(panel)
    before = layer.colormap
    three.by_class.value = True
    qtbot.waitUntil(lambda: by_class(layer, session), timeout=30_000)
    three.table.selectRow(3)
    new = add(session, (60, 20), 3)
    qtbot.waitUntil(
        lambda: new in layer.colormap.color_dict and by_class(layer, session)
    )
    three.give(0)
    session.edit(session.store.update([1], class_id=2))
    qtbot.waitUntil(lambda: by_class(layer, session))
    session.undo()
    qtbot.waitUntil(lambda: by_class(layer, session))
    three._edit(1, "colour", "#010203")
    qtbot.waitUntil(lambda: by_class(layer, session))
    assert colour_at(layer, 1) == "#010203"
    three.by_class.value = False
    assert layer.colormap is before


def test_what_is_on_the_screen_has_the_colours(three, session, panel, qtbot):
    layer = labels_of(panel)
    three.by_class.value = True
    qtbot.waitUntil(lambda: by_class(layer, session), timeout=30_000)
    pixels = layer.colormap.map(layer.data[0])
    assert QColor.fromRgbF(*(float(v) for v in pixels[15, 25, :3])).name() == (
        session.classes.get(1).colour
    )
    assert not pixels[0, 0].any()


def test_colours_of_a_person_are_left_alone(three, session, panel, qtbot):
    layer = labels_of(panel)
    three.by_class.value = True
    qtbot.waitUntil(lambda: by_class(layer, session), timeout=30_000)
    mine = DirectLabelColormap(color_dict={None: "red", 1: "blue"})
    layer.colormap = mine
    assert not three.by_class.value
    add(session, (60, 20), 3)
    assert layer.colormap is mine


def test_a_layer_that_is_left_looks_as_before(three, session, panel, qtbot):
    layer = labels_of(panel)
    before = layer.colormap
    three.by_class.value = True
    qtbot.waitUntil(lambda: by_class(layer, session), timeout=30_000)
    panel.end()
    assert layer.colormap is before


# Texts.


def test_a_list_is_written_and_read_as_text(
    three, session, panel, tmp_path, qtbot, monkeypatch
):
    path = tmp_path / "mine.txt"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))
    three.save.click()
    qtbot.waitUntil(lambda: "saved in" in panel.view.notice.text(), timeout=5000)
    assert read_classes(path).classes == session.classes.classes
    path.write_text("cyst\nNUCLEUS, #000001, M\n")
    three.load.click()
    qtbot.waitUntil(lambda: "2 classes." in panel.view.notice.text(), timeout=5000)
    assert session.classes.names == {4: "cyst", 1: "NUCLEUS", 2: "mitosis"}
    assert "1 more stays" in panel.view.notice.text()
    assert session.classes.get(1).key == ""  # M is napari's
    path.write_text("a\n\na\n")
    three.load.click()
    qtbot.waitUntil(lambda: "line 3" in panel.view.notice.text(), timeout=5000)
    assert len(session.classes) == 3
    session.undo()
    assert session.classes.names == {1: "nucleus", 2: "mitosis", 3: "debris"}


def kept(panel):
    folder = panel.bridge.keeper.folder
    path = None if folder is None else folder / FILE
    return read_classes(path) if path is not None and path.exists() else None


def test_the_list_lies_beside_the_journal_and_is_restored(
    three, session, panel, viewer, image, qtbot
):
    qtbot.waitUntil(lambda: kept(panel) is not None, timeout=10_000)
    type_in(three, 1, 1, "cell")
    qtbot.waitUntil(lambda: kept(panel).names[1] == "cell", timeout=10_000)
    classes = session.classes
    panel.end()
    for layer in [one for one in viewer.layers if one is not image]:
        viewer.layers.remove(layer)
    again = Segment(viewer)
    qtbot.addWidget(again)
    qtbot.waitUntil(lambda: again._found is not None, timeout=30_000)
    now = again.bridge.session
    now.list_classes(ClassList().add("other"))  # made before it is restored
    now.class_id = 1
    again.left.buttons["Restore"].click()
    qtbot.waitUntil(lambda: len(now.classes) == 4, timeout=30_000)
    assert now.classes.names == {**classes.names, 4: "other"}
    assert now.class_id == 4
    assert now.classes.get(1) == classes.get(1)
    assert [row[2] for row in shown(again.classes)] == ["0", "1", "1", "0", "0"]
    again.end()


def test_a_panel_that_is_opened_again_knows_the_list(
    three, session, panel, viewer, qtbot
):
    classes = session.classes
    panel.end()
    again = Segment(viewer)
    qtbot.addWidget(again)
    now = again.bridge.session
    qtbot.waitUntil(lambda: len(now.classes) == 3, timeout=30_000)
    assert now.classes == classes
    again.end()


def test_save_writes_names_and_list(three, panel, image, session, tmp_path, qtbot):
    done = []
    folder = tmp_path / "saved"
    panel.bridge.keeper.save(
        folder, image, overwrite=False, done=done.append, failed=lambda: done.append(0)
    )
    qtbot.waitUntil(lambda: len(done) == 1, timeout=30_000)
    assert from_text((folder / FILE).read_text("utf-8")).classes == (
        session.classes.classes
    )
    table = (folder / "objects.csv").read_text("utf-8")
    assert ",1,nucleus," in table
    assert ",2,mitosis," in table
    loaded = loading.load(folder)
    assert loaded.class_list.classes == session.classes.classes
    (folder / FILE).unlink()
    assert loading.load(folder).class_list.names == session.classes.names
    assert {one.id: one.class_id for one in loaded.records} == {1: 1, 2: 2}


def test_columns_of_a_person_are_saved_with_the_objects(
    three, panel, session, tmp_path, qtbot, monkeypatch
):
    layer = labels_of(panel)
    panel.bridge.desk.labels.tabulate()
    layer.features["note, mine"] = ["round", None]
    layer.features["area"] = [7, 8]  # the table has its own
    folder = tmp_path / "saved"
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(folder))
    panel.view.save.click()
    qtbot.waitUntil(lambda: "saved in" in panel.view.notice.text(), timeout=30_000)
    with (folder / "objects.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["note, mine"] for row in rows] == ["round", ""]
    assert [row["area"] for row in rows] == ["100", "100"]
    assert [row["class_name"] for row in rows] == ["nucleus", "mitosis"]
    assert len(loading.load(folder).records) == 2


def test_a_list_of_somebody_else_is_not_overwritten(
    three, panel, image, tmp_path, qtbot
):
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / FILE).write_text("mine\n")
    done = []
    panel.bridge.keeper.save(
        folder, image, overwrite=False, done=done.append, failed=lambda: done.append(0)
    )
    qtbot.waitUntil(lambda: done == [0], timeout=30_000)
    assert "was not saved here" in panel.view.notice.text()
    assert (folder / FILE).read_text() == "mine\n"


@pytest.mark.window
def test_keys_of_classes_at_a_window(person, frames, qtbot):
    image = person.viewer.add_image(frames, name="nuclei")
    person.show(image)
    section = person.panel.classes
    section.add.click()
    section.add.click()
    section.table.selectRow(1)
    person.labels_one(33.2, 44.2)
    records = person.session.store.records
    assert records[1].class_id == 1
    place = person.at(33.2, 44.2)
    QTest.mouseMove(person.canvas, place + QPoint(3, 0))
    QTest.mouseMove(person.canvas, place)
    person.press(Qt.Key.Key_2, Qt.KeyboardModifier.AltModifier)
    assert records[1].class_id == 2
    person.viewer.layers.selection.active = person.labels
    person.press(Qt.Key.Key_1, Qt.KeyboardModifier.AltModifier)
    assert records[1].class_id == 1
    person.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert records[1].class_id == 2
    section.by_class.value = True
    qtbot.waitUntil(lambda: by_class(person.labels, person.session), timeout=30_000)
    colour = QColor(person.session.classes.get(2).colour)
    seen = person.viewer.screenshot(flash=False)
    y, x = round(place.y()), round(place.x())
    scale = seen.shape[0] / person.canvas.height()
    pixel = seen[round(y * scale), round(x * scale), :3].astype(int)
    # It lies over the image, so only its hue is left.
    hue = QColor(*(int(v) for v in pixel)).hue()
    assert abs(hue - colour.hue()) < 25
