"""What a monkey does in a real napari window with the widget "Segment"."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractButton, QFileDialog, QMessageBox
from window import Window

from napari_sam.widgets.segment.form import NEW

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

LEFT = Qt.MouseButton.LeftButton
PLAIN = Qt.KeyboardModifier.NoModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
CTRL = Qt.KeyboardModifier.ControlModifier
KEYS = {
    "enter": (Qt.Key.Key_Return, PLAIN),
    "escape": (Qt.Key.Key_Escape, PLAIN),
    "tab": (Qt.Key.Key_Tab, PLAIN),
    "back_tab": (Qt.Key.Key_Backtab, SHIFT),
    "undo": (Qt.Key.Key_Z, CTRL),
    "redo": (Qt.Key.Key_Z, CTRL | SHIFT),
    "delete": (Qt.Key.Key_Delete, PLAIN),
    "reopen": (Qt.Key.Key_O, PLAIN),
    "new_object": (Qt.Key.Key_N, PLAIN),
    "toggle": (Qt.Key.Key_Q, PLAIN),
    "merge": (Qt.Key.Key_J, SHIFT),
    "split": (Qt.Key.Key_S, SHIFT),
    "fill": (Qt.Key.Key_F, SHIFT),
    "smooth": (Qt.Key.Key_G, SHIFT),
    "looser": (Qt.Key.Key_Period, PLAIN),
    "tighter": (Qt.Key.Key_Comma, PLAIN),
    "next_label": (Qt.Key.Key_M, PLAIN),
    "copy": (Qt.Key.Key_C, CTRL),
    "paste": (Qt.Key.Key_V, CTRL),
    "select_all": (Qt.Key.Key_A, PLAIN),
}
# How often each is done, where all others are done once.
OFTEN = {
    "click": 14,
    "shift_click": 5,
    "box": 6,
    "ellipse": 3,
    "outline": 4,
    "scribble": 4,
    "tool": 6,
    "brush": 6,
    "slice": 6,
    "enter": 9,
    "escape": 3,
    "tab": 5,
    "undo": 7,
    "redo": 4,
    "delete": 2,
    "reopen": 3,
    "rest": 4,
}
MOST_LAYERS = 14  # nobody keeps more


class Monkey(Window):
    """Does anything, in any order.

    Parameters
    ----------
    stack : array, shape (Z, H, W)
    seed : int
        Together with its number it determines an action, whatever came before.
    models : sequence of str
    folder : Path
        Where it saves.
    """

    def __init__(
        self, stack: npt.NDArray[Any], seed: int, models: list[str], folder: Path
    ) -> None:
        super().__init__(stack)
        self._seed, self._number, self._names = seed, 0, 0
        self.random = random.Random(seed)
        self._stack, self._models, self._folder = stack, models, folder
        self.image = self.viewer.layers[0]
        self._answer_dialogs()
        self.open_widget()
        self.viewer.reset_view()
        self.wait(0.2)
        names = [*(n[4:] for n in dir(self) if n.startswith("_do_")), *KEYS]
        self._all = dict.fromkeys(sorted(names), 1) | OFTEN

    def act(self) -> str:
        """Do the next thing, and return its name."""
        self._number += 1
        self.random = random.Random(f"{self._seed} {self._number}")
        names, often = zip(*self._all.items(), strict=True)
        (name,) = self.random.choices(names, often)
        # From too fast for an answer to slow enough for all.
        pause = self.random.choice((0, 0, 0.01, 0.05, 0.15))
        if name in KEYS:
            self._press(*KEYS[name])
        else:
            getattr(self, f"_do_{name}")()
        self.wait(pause)
        self._tidy()
        return name

    def rest(self) -> None:
        """Close the widget, and let nothing be there but the image as it was."""
        self._close_widget()
        layers = self.viewer.layers
        for layer in [each for each in layers if each is not self.image]:
            layers.remove(layer)
        self.image.data, self.image.visible = self._stack, True
        self.image.scale, self.image.rotate = (1, 1, 1), 0
        self.viewer.dims.ndisplay = 2
        self.viewer.dims.order = tuple(sorted(self.viewer.dims.order))
        self.wait(1)

    @property
    def bridge(self) -> Any:
        """What joins the widget's parts; None while it is closed."""
        return None if self.panel is None else self.panel.bridge

    @property
    def desk(self) -> Any:
        """The layers around the image; None where none is labelled."""
        return None if self.bridge is None else self.bridge.desk

    def _tidy(self) -> None:
        layers = self.viewer.layers
        while len(layers) > MOST_LAYERS:
            others = [each for each in layers if each is not self.image]
            layers.remove(self.random.choice(others))

    def _answer_dialogs(self) -> None:
        """Let dialogs that cannot be clicked away be answered at once."""
        buttons = QMessageBox.StandardButton

        def folder(*_: Any) -> str:
            names = ("", "one", "two", "three")
            name = self.random.choice(names)
            return str(self._folder / name) if name else ""

        def question(*_: Any) -> Any:
            return self.random.choice((buttons.Save, buttons.Cancel))

        QFileDialog.getExistingDirectory = staticmethod(folder)
        QFileDialog.getOpenFileName = staticmethod(lambda *_: ("", ""))
        QFileDialog.getSaveFileName = staticmethod(lambda *_: ("", ""))
        QMessageBox.question = staticmethod(question)

    # Mouse and keys.

    def _somewhere(self) -> QPoint:
        """Return a place on the canvas, mostly on the image."""
        desk = self.desk
        if desk is not None and self.viewer.dims.ndisplay == 2:
            shape = desk.source.shape[-2:]
            y, x = (self.random.uniform(-0.03, 1.03) * n for n in shape)
            return self._inside(self.place(y, x))
        size = self.canvas.width(), self.canvas.height()
        return QPoint(*(self.random.randrange(n) for n in size))

    def _inside(self, at: QPoint) -> QPoint:
        x = min(max(at.x(), 1), self.canvas.width() - 2)
        return QPoint(x, min(max(at.y(), 1), self.canvas.height() - 2))

    def _near(self, at: QPoint, most: int = 60) -> QPoint:
        step = QPoint(*(self.random.randint(-most, most) for _ in range(2)))
        return self._inside(at + step)

    def _press(self, key: Any, modifier: Any) -> None:
        QTest.mouseMove(self.canvas, self._somewhere())
        self.wait(0.01)
        self.canvas.setFocus()
        QTest.keyClick(self.canvas, key, modifier)

    def _click(self, at: QPoint, modifier: Any = PLAIN) -> None:
        QTest.mouseMove(self.canvas, at)
        QTest.mouseClick(self.canvas, LEFT, modifier, at)

    def _drag(self, at: QPoint, steps: int = 3) -> None:
        QTest.mouseMove(self.canvas, at)
        QTest.mousePress(self.canvas, LEFT, PLAIN, at)
        for _ in range(steps):
            at = self._near(at)
            QTest.mouseMove(self.canvas, at)
            self.wait(0.01)
        QTest.mouseRelease(self.canvas, LEFT, PLAIN, at)

    def _use(self, tool: str) -> None:
        if self.panel is not None:
            self.panel.view.tools[tool].click()

    # What is drawn.

    def _do_click(self) -> None:
        self._use("click")
        self._click(self._somewhere())

    def _do_shift_click(self) -> None:
        self._use("click")
        self._click(self._somewhere(), SHIFT)

    def _do_box(self) -> None:
        self._use("box")
        for _ in range(self.random.randint(1, 3)):
            self._drag(self._somewhere())

    def _do_ellipse(self) -> None:
        self._use("outline")
        if self.desk is not None:
            self.desk.prompts.shapes.mode = "add_ellipse"
            self._drag(self._somewhere())

    def _do_outline(self) -> None:
        self._use("outline")
        self._drag(self._somewhere(), self.random.randint(1, 8))

    def _do_scribble(self) -> None:
        self._use("scribble")
        self._drag(self._somewhere(), self.random.randint(1, 8))

    def _do_corners(self) -> None:
        """Draw with one of napari's own tools, and perhaps leave it unfinished."""
        self._use("outline")
        if self.desk is not None:
            modes = ("add_polygon", "add_polyline")
            self.desk.prompts.shapes.mode = self.random.choice(modes)
        at = self._somewhere()
        for _ in range(self.random.randint(1, 6)):
            self._click(at)
            self.wait(0.01)
            at = self._near(at)
        end = self.random.choice(("escape", "enter", "nothing"))
        if end != "nothing":
            self._press(*KEYS[end])

    def _do_any_drag(self) -> None:
        """With whatever the mouse does now."""
        self._drag(self._somewhere(), self.random.randint(1, 6))

    def _do_select(self) -> None:
        layers = () if self.desk is None else self.desk.prompts.layers
        if layers:
            layer = self.random.choice(layers)
            self.viewer.layers.selection.active = layer
            layer.mode = self.random.choice(("select", "pan_zoom"))
            self._drag(self._somewhere())

    def _do_brush(self) -> None:
        labels = None if self.desk is None else self.desk.labels
        if labels is None:
            return
        layer = labels.layer
        self.viewer.layers.selection.active = layer
        layer.mode = self.random.choice(("paint", "paint", "erase", "fill", "polygon"))
        layer.selected_label = self.random.randrange(1, 30)
        layer.brush_size = self.random.randrange(1, 40)
        self._drag(self._somewhere(), self.random.randint(1, 5))

    # The panel.

    def _do_tool(self) -> None:
        if self.panel is not None:
            view = self.panel.view
            buttons = (*view.tools.values(), *view.signs.values())
            self.random.choice(buttons).click()

    def _do_button(self) -> None:
        if self.panel is not None:
            view, find = self.panel.view, self.panel.find
            buttons = (view.add, view.drop, view.next, view.undo, view.redo)
            self.random.choice((*buttons, find.add, find.drop, find.cancel)).click()

    def _do_any_button(self) -> None:
        """Press whatever there is on the panel, except what would fetch something."""
        if self.panel is not None:
            found = self.panel.findChildren(QAbstractButton)
            usable = [b for b in found if b.isVisible() and b.isEnabled()]
            usable = [b for b in usable if "ownload" not in b.text()]
            self.random.choice(usable).click()

    def _do_cancel(self) -> None:
        if self.panel is not None:
            self.panel.view.cancel.click()

    def _do_find(self) -> None:
        if self.panel is not None:
            self.panel.find.start.click()

    def _do_filter(self) -> None:
        if self.panel is not None:
            self.panel.find.confidence.value = self.random.choice((0.2, 0.5, 0.8))

    def _do_save(self) -> None:
        if self.panel is not None:
            self.panel.view.save.click()

    def _do_restore(self) -> None:
        if self.panel is not None and self.panel.left.isVisible():
            self.random.choice([*self.panel.left.buttons.values()]).click()

    def _do_one_click(self) -> None:
        self._set("one_click", lambda box: not box.value)

    def _do_rule(self) -> None:
        self._set("rule", lambda box: self.random.choice(box.choices))

    def _do_image(self) -> None:
        self._set("image", lambda box: self.random.choice(box.choices or (None,)))

    def _set(self, name: str, value: Callable[[Any], Any]) -> None:
        if self.panel is not None:
            box = getattr(self.panel.form, name)
            chosen = value(box)
            if chosen is not None:
                box.value = chosen

    def _do_model(self) -> None:
        if self.panel is not None:
            self.panel.form.pick(self.random.choice(self._models))

    def _do_labels(self) -> None:
        """Let objects go to labels that are there, to unfit ones, or to new ones."""
        if self.desk is None:
            return
        if self.random.random() < 0.5:
            for layer in self.desk.candidates()[2:]:
                self.viewer.layers.remove(layer)  # or there would be ever more
            shape = self.desk.source.shape
            labels = np.zeros(self.random.choice((shape, (9, 9))), np.int32)
            labels[..., 2:50, 2:60] = self.random.randrange(1, 100)
            self.viewer.add_labels(labels, name=self._name())
        there = self.panel.form.labels.choices
        self.panel.form.labels.value = self.random.choice((*there, NEW))

    def _do_close_and_open(self) -> None:
        if self.panel is None:
            self.open_widget()
            return
        self._close_widget()
        if self.random.random() < 0.5:
            self.wait(self.random.choice((0, 0.2)))
            self.open_widget()

    def _close_widget(self) -> None:
        if self.panel is None:
            return
        dock = self.panel.parent()
        while not hasattr(dock, "destroyOnClose"):
            dock = dock.parent()
        dock.destroyOnClose()
        self.panel = None

    # The viewer.

    def _do_slice(self) -> None:
        key = self.random.choice((Qt.Key.Key_Left, Qt.Key.Key_Right))
        if self.random.random() < 0.5:
            self._press(key, PLAIN)
        else:
            at = self.random.randrange(len(self.image.data))
            self.viewer.dims.set_current_step(0, at)

    def _do_delete_layer(self) -> None:
        ours = [each for each in self.viewer.layers if each is not self.image]
        if ours:
            self.viewer.layers.remove(self.random.choice(ours))

    def _do_hide(self) -> None:
        layer = self.random.choice(self.viewer.layers)
        layer.visible = not layer.visible

    def _do_rename(self) -> None:
        self.random.choice(self.viewer.layers).name = self._name()

    def _do_reorder(self) -> None:
        layers = self.viewer.layers
        layers.move(self.random.randrange(len(layers)), 0)

    def _do_activate(self) -> None:
        layers = self.viewer.layers
        layers.selection.active = self.random.choice(layers)

    def _do_pixels(self) -> None:
        """Give the image other pixels, sometimes of another shape."""
        stack = self._stack
        cut = stack[: len(stack) // 2, :300, :260]
        chosen = self.random.choice((stack, stack[::-1], stack[..., ::-1], cut))
        self.image.data = np.ascontiguousarray(chosen)

    def _do_second_image(self) -> None:
        others = [e for e in self.viewer.layers if "another" in e.metadata]
        if others:
            self.viewer.layers.remove(others[0])
        else:
            data = np.ascontiguousarray(self._stack[:, :200, :150])
            self.viewer.add_image(data, name=self._name(), metadata={"another": True})

    def _do_turn(self) -> None:
        """Look at the stack another way, and come back after a while."""
        dims = self.viewer.dims
        if dims.ndisplay == 3 or tuple(dims.order) != tuple(sorted(dims.order)):
            dims.ndisplay = 2
            dims.order = tuple(sorted(dims.order))
        elif self.random.random() < 0.5:
            dims.ndisplay = 3
        else:
            dims.roll()

    def _do_zoom(self) -> None:
        self.viewer.reset_view()
        if self.random.random() < 0.5:
            self.viewer.scene.camera.zoom *= self.random.uniform(0.5, 3)

    def _do_move_image(self) -> None:
        # Never thicker slices: beside a layer of thinner ones the view stands between
        # two, and there napari alone raises as soon as a box is drawn.
        self.image.scale = self.random.choice(((1, 1, 1), (1, 0.5, 0.5)))
        self.image.rotate = self.random.choice((0, 0, 20))
        self.viewer.reset_view()

    def _do_rest(self) -> None:
        self.wait(1)

    def _name(self) -> str:
        self._names += 1
        return f"layer {self._names}"
