"""Keys and mouse as a person uses them: through Qt, in a real window."""

import napari
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels, Points, Shapes
from qtpy.QtCore import QEvent, QPoint, QPointF, QSize, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_sam.live.source import Source
from napari_sam.widgets.post import Poster
from napari_sam.widgets.segment.desk import MODES
from napari_sam.widgets.segment.keyboard.canvas import canvases
from napari_sam.widgets.segment.keyboard.keys import SHORTCUTS, Keys, Shortcut
from napari_sam.widgets.segment.layers.prompt_layers import PromptLayers

SHIFT, NO = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.NoModifier
CTRL = Qt.KeyboardModifier.ControlModifier
LEFT, NONE = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton


class Window:
    """A viewer with prompt layers, a mouse and a keyboard."""

    def __init__(self, frames):
        self.viewer = napari.Viewer()
        self.viewer.window.resize(1000, 800)
        image = self.viewer.add_image(frames, name="nuclei")
        self.viewer.dims.set_point(0, 0)
        (self.canvas,) = canvases(self.viewer)
        self.told, self.pressed = [], []
        self.prompts = PromptLayers(
            self.viewer,
            image,
            Source.from_layer(image),
            self.told.append,
            post=Poster(self.canvas).post,
        )
        self.prompts.activate()
        self.keys = Keys(
            self.viewer,
            {one.name: self._presser(one.name) for one in SHORTCUTS},
        )
        self.keys.attach(*self.prompts.layers)

    def _presser(self, name):
        return lambda: self.pressed.append(name)

    def place(self, y, x):
        """Return where a pixel of the image is on the canvas."""
        camera = getattr(self.viewer, "scene", self.viewer).camera
        size = self.canvas.size()
        return QPoint(
            round((x - camera.center[-1]) * camera.zoom + size.width() / 2),
            round((y - camera.center[-2]) * camera.zoom + size.height() / 2),
        )

    def click(self, y, x, modifier=NO):
        QTest.mouseClick(self.canvas, LEFT, modifier, self.place(y, x), 30)
        QTest.qWait(50)

    def drag(self, *places):
        QTest.mousePress(self.canvas, LEFT, NO, self.place(*places[0]), 30)
        for place in places[1:]:
            QTest.qWait(30)
            at = QPointF(self.place(*place))
            there = QPointF(self.canvas.mapToGlobal(self.place(*place)))
            event = QMouseEvent(QEvent.Type.MouseMove, at, there, NONE, LEFT, NO)
            QApplication.sendEvent(self.canvas, event)
        QTest.mouseRelease(self.canvas, LEFT, NO, self.place(*places[-1]), 30)
        QTest.qWait(50)

    def key(self, key, modifier=NO):
        QTest.keyClick(self.canvas.window().focusWidget(), key, modifier, 10)

    def state(self):
        return list(self.told[-1].values()) if self.told else []


@pytest.fixture
def window(frames, qapp, qtbot):
    window = Window(frames)
    qtbot.waitUntil(lambda: window.canvas.size() != QSize(0, 0))
    window.canvas.window().activateWindow()
    window.canvas.setFocus()
    qtbot.waitUntil(window.canvas.hasFocus)
    yield window
    window.keys.close()
    window.prompts.close()
    window.viewer.close()


@pytest.mark.window
def test_a_click_says_this_and_with_shift_not_this(window):
    window.click(40, 50)
    window.click(60, 30, SHIFT)
    window.click(20, 20)
    assert len(window.told) == 3
    ((index, marks),) = window.state()
    assert index == (0,)
    assert [mark.positive for mark in marks] == [True, False, True]
    for mark, (y, x) in zip(marks, [(40, 50), (60, 30), (20, 20)], strict=True):
        np.testing.assert_allclose(mark.vertices[0], (y + 0.5, x + 0.5), atol=0.4)
    points = window.prompts.points
    assert [str(symbol) for symbol in points.symbol] == ["disc", "x", "disc"]


@pytest.mark.window
def test_switched_over_shift_means_this(window):
    window.prompts.positive = False
    window.click(40, 50)
    window.click(60, 30, SHIFT)
    ((_, marks),) = window.state()
    assert [mark.positive for mark in marks] == [False, True]


@pytest.mark.window
def test_a_point_that_is_dragged_is_told_once_at_the_end(window):
    window.click(40, 50)
    window.prompts.points.mode = "select"
    window.drag((40, 50), (42, 52), (50, 60), (60, 70))
    assert len(window.told) == 2
    ((_, (mark,)),) = window.state()
    np.testing.assert_allclose(mark.vertices[0], (60.5, 70.5), atol=0.6)


@pytest.mark.window
@pytest.mark.parametrize("mode", ["add_rectangle", "add_ellipse", "add_path"])
def test_a_shape_that_is_drawn_is_told_once_at_the_end(window, mode):
    shapes = window.prompts.shapes
    window.viewer.layers.selection.active = shapes
    shapes.mode = mode
    window.drag((20, 20), (22, 24), (30, 40), (50, 60))
    assert len(window.told) == 1
    ((_, (mark,)),) = window.state()
    assert mark.kind == {"add_rectangle": "box", "add_ellipse": "ellipse"}.get(
        mode, "scribble"
    )
    np.testing.assert_allclose(mark.vertices.min(0), (20.5, 20.5), atol=1)
    np.testing.assert_allclose(mark.vertices.max(0), (50.5, 60.5), atol=3)


@pytest.mark.window
def test_an_outline_is_drawn_in_one_go(window):
    shapes = window.prompts.shapes
    window.viewer.layers.selection.active = shapes
    shapes.mode = MODES["outline"][1]
    window.drag((20, 20), (20, 40), (20, 60), (50, 60), (50, 40), (50, 20), (25, 20))
    assert len(window.told) == 1
    ((_, (mark,)),) = window.state()
    assert mark.kind == "polygon"
    np.testing.assert_allclose(mark.vertices.min(0), (20.5, 20.5), atol=1)
    np.testing.assert_allclose(mark.vertices.max(0), (50.5, 60.5), atol=1)


@pytest.mark.window
def test_a_box_pasted_on_another_slice_is_another_object(window):
    shapes = window.prompts.shapes
    window.viewer.layers.selection.active = shapes
    shapes.mode = "add_rectangle"
    window.drag((20, 20), (22, 24), (50, 60))
    shapes.mode = "select"
    shapes.selected_data = {0}
    window.key(Qt.Key.Key_C, CTRL)
    window.viewer.dims.set_point(0, 2)
    window.key(Qt.Key.Key_V, CTRL)
    QTest.qWait(50)
    assert [index for index, _ in window.state()] == [(0,), (2,)]


@pytest.mark.window
def test_what_is_shown_waits_until_the_drawing_is_done(window):
    window.click(40, 50)
    shapes = window.prompts.shapes
    window.viewer.layers.selection.active = shapes
    shapes.mode = "add_polygon"
    for place in ((10, 10), (10, 30), (30, 30)):
        window.click(*place)
    window.prompts.show({})  # what was clicked before is committed
    assert len(window.prompts.points.data) == 1 and len(window.told) == 1
    window.key(Qt.Key.Key_Return)
    QTest.qWait(50)
    ((_, (mark,)),) = window.state()
    assert mark.kind == "polygon" and len(window.prompts.points.data) == 0


@pytest.mark.window
def test_every_key_reaches_its_action_from_the_canvas(window):
    assert window.canvas.hasFocus()
    window.key(Qt.Key.Key_Tab)
    window.key(Qt.Key.Key_Tab)
    window.key(Qt.Key.Key_Backtab, SHIFT)
    window.key(Qt.Key.Key_Return)
    window.key(Qt.Key.Key_Enter)
    window.key(Qt.Key.Key_Escape)
    window.key(Qt.Key.Key_Z, CTRL)
    window.key(Qt.Key.Key_Z, CTRL | SHIFT)
    window.key(Qt.Key.Key_Delete)
    assert window.canvas.hasFocus()
    assert window.pressed == [
        *("next", "next", "previous", "add", "add", "drop", "undo", "redo", "delete")
    ]


@pytest.mark.window
def test_tab_moves_the_focus_as_ever_where_the_layer_is_not_ours(window):
    window.viewer.layers.selection.active = window.viewer.layers["nuclei"]
    window.key(Qt.Key.Key_Tab)
    window.key(Qt.Key.Key_Return)
    assert window.pressed == []
    window.canvas.setFocus()
    window.prompts.activate()
    window.keys.close()
    window.key(Qt.Key.Key_Tab)
    assert window.pressed == [] and not window.canvas.hasFocus()


@pytest.mark.window
def test_enter_and_escape_finish_a_shape_that_is_drawn_and_act_afterwards(window):
    shapes = window.prompts.shapes
    window.viewer.layers.selection.active = shapes
    shapes.mode = "add_polygon"
    for end in (Qt.Key.Key_Return, Qt.Key.Key_Escape):
        for place in ((10, 10), (10, 30), (30, 30)):
            window.click(*place)
        assert window.pressed == []
        window.key(end)
        QTest.qWait(50)
    assert window.pressed == [] and len(window.told) == 2
    window.click(60, 60)
    window.key(Qt.Key.Key_Escape)  # given up: two corners are no polygon
    QTest.qWait(50)
    assert window.pressed == [] and len(window.told) == 2
    window.key(Qt.Key.Key_Return)
    window.key(Qt.Key.Key_Escape)
    assert window.pressed == ["add", "drop"]


@pytest.mark.window
def test_delete_takes_selected_clicks_first(window):
    window.click(40, 50)
    window.key(Qt.Key.Key_Delete)
    QTest.qWait(50)
    assert window.told[-1] == {} and window.pressed == []
    window.key(Qt.Key.Key_Delete)
    assert window.pressed == ["delete"]


@pytest.mark.window
def test_a_held_key_acts_once(window):
    for _ in range(3):
        QTest.simulateEvent(
            window.canvas, True, int(Qt.Key.Key_Tab), NO, "\t", True, 10
        )
    assert window.pressed == []


def press(layer, key):
    for bound, act in layer.keymap.items():
        if str(bound) == key:
            act(layer)


def test_keys_can_be_chosen_and_are_listed():
    pressed = []
    actions = {
        name: lambda n=name: pressed.append(n) for name in ("add", "drop", "next")
    }
    layer = Points()
    chosen = {"add": "Ctrl-Shift-A", "drop": "", "next": "no key at all"}
    keys = Keys(ViewerModel(), actions, chosen)
    keys.attach(layer)
    assert [key for key, _ in keys.table()] == ["Ctrl+Shift+A", "Tab"]
    press(layer, "Ctrl+Shift+A")
    press(layer, "Escape")
    press(layer, "Tab")
    assert pressed == ["add", "next"]
    keys.close()


def test_keys_of_a_persons_layer_come_back():
    def mine(layer):
        pass

    layer = Labels(np.zeros((4, 4), int))
    layer.bind_key("Q", mine)
    keys = Keys(ViewerModel(), {"toggle": lambda: None, "add": lambda: None})
    keys.attach(layer)
    keys.attach(layer)
    assert len(layer.keymap) == 2
    keys.detach(layer)
    assert list(layer.keymap.values()) == [mine]
    keys.detach(layer)


def test_while_a_polygon_of_labels_is_drawn_enter_and_escape_are_naparis():
    pressed = []
    layer = Labels(np.zeros((20, 20), int))
    keys = Keys(ViewerModel(), {"add": lambda: pressed.append("add")})
    keys.attach(layer)
    layer.mode = "polygon"
    press(layer, "Enter")
    assert pressed == []
    layer.mode = "paint"
    press(layer, "Enter")
    assert pressed == ["add"]
    keys.close()


@pytest.mark.parametrize("layer", [Points, Shapes, Labels])
def test_no_key_of_napari_is_taken_besides_those_that_are_given_back(layer):
    theirs = {str(key) for key in layer.class_keymap} | {
        str(key) for key in ViewerModel.class_keymap
    }
    ours = {one.key for one in SHORTCUTS}
    # Undo of labels is the session's: it holds all edits in one line.
    given_back = {"Enter", "Escape", "Delete", "Ctrl+Z", "Ctrl+Shift+Z"}
    assert ours & theirs <= given_back


def test_shortcuts_say_what_they_do():
    assert len({one.name for one in SHORTCUTS}) == len(SHORTCUTS)
    assert len({one.key for one in SHORTCUTS}) == len(SHORTCUTS)
    assert all(isinstance(one, Shortcut) and one.what for one in SHORTCUTS)
