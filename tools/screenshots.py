"""Make the pictures of the widgets in the documentation; needs a display.

xvfb-run -a -s "-screen 0 1600x1000x24" .venv/bin/python tools/screenshots.py

With names behind it only those are made: `auto_annotate`, `tracks`, `segment`,
`find_all`, `find_stack`, `follow`, `fill`, `complete`, `proofread`, `seeing`,
`prepared`, `on_disk`, `models`, `hover`, `outline`, `classes`, `batch`, `live_loop`.

More than 500 lines: a picture is a function or two that nothing else uses.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari
import numpy as np
import tifffile
from PIL import Image
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QLineEdit, QScrollArea, QWidget
from skimage.filters import sobel

from napari_sam.data import FOLDER
from napari_sam.widgets.segment.form import ON_DISK
from napari_sam.widgets.segment.keyboard.canvas import canvases
from napari_sam.widgets.segment.sections.find_where import Choice
from napari_sam.widgets.segment.view import Fold

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SAMPLES = FOLDER / "images"
IMAGES = Path(__file__).parents[1] / "docs" / "images"
PLUGIN = "napari-sam-annotator"
LEFT = Qt.MouseButton.LeftButton
PLAIN = Qt.KeyboardModifier.NoModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
_GIF_WIDTH = 880
_FRAME = 3  # of the nuclei over time
_SLICE = 47  # of the plant nuclei


def main(names: list[str]) -> None:
    """Make those that are named, or all."""
    if names[:1] == ["--here"]:
        globals()[names[1]]()
        return
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name in names or [
        made.__name__
        for made in (
            auto_annotate,
            tracks,
            segment,
            find_all,
            find_stack,
            follow,
            fill,
            complete,
            proofread,
            seeing,
            prepared,
            on_disk,
            models,
            hover,
            outline,
            classes,
            batch,
            live_loop,
        )
    ]:
        with tempfile.TemporaryDirectory() as home:
            # What is shown is what a newcomer sees, whoever makes the pictures.
            environment = {
                **os.environ,
                "NAPARI_CONFIG": str(Path(home) / "settings.yaml"),
                "NAPARI_SAM_HOME": home,
                "NAPARI_SAM_CACHE": str(Path(home) / "slices"),
            }
            command = [sys.executable, __file__, "--here", name]
            subprocess.run(command, env=environment, check=True)


def auto_annotate() -> None:
    """Show the nuclei over time, half-way through the frames, all found."""
    viewer = napari.Viewer()
    viewer.window.resize(1280, 800)
    _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, "Auto-annotate")
    image, truth = viewer.open_sample(PLUGIN, "nuclei_timelapse")
    viewer.layers.remove(truth)
    panel.find_all()
    wait(lambda: not panel.session.state.busy)
    viewer.dims.set_current_step(0, image.data.shape[0] // 2)
    viewer.reset_view()
    pause(1)
    shoot(viewer, "auto-annotate")
    viewer.layers.remove(viewer.layers[-1])
    viewer.window.resize(1280, 960)
    other = second_channel(viewer, image)
    panel.form.image.value = image
    panel.sight.parent().button.click()
    panel.sight.second.value = other
    wait(lambda: other.name in panel.sight.says.text())
    panel.find_all()
    wait(lambda: not panel.session.state.busy)
    pause(1)
    shoot(viewer, "auto-annotate-seen")
    viewer.close()


def second_channel(viewer: napari.Viewer, image: Any) -> Any:
    """Add what stands for a second channel: none is among the images that ship."""
    rims = np.stack([sobel(frame) for frame in np.asarray(image.data, float)])
    place = {key: getattr(image, key) for key in ("scale", "units", "axis_labels")}
    other = viewer.add_image(rims, name="membranes", blending="additive", **place)
    image.colormap, other.colormap = "red", "green"
    return other


def tracks() -> None:
    """Show nuclei that were followed through time, on the last frame."""
    viewer = napari.Viewer()
    viewer.window.resize(1280, 800)
    _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, "Auto-annotate")
    image, truth = viewer.open_sample(PLUGIN, "nuclei_timelapse")
    viewer.layers.remove(truth)
    panel.form.link.value = "time"
    panel.find_all()
    wait(lambda: not panel.session.state.busy)
    viewer.dims.set_current_step(0, image.data.shape[0] - 1)
    viewer.reset_view()
    pause(1)
    shoot(viewer, "auto-annotate-tracks")
    viewer.close()


def segment() -> None:
    """Show every state of the widget that labels by clicking."""
    viewer = napari.Viewer()
    viewer.window.resize(1280, 800)
    _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, "Segment")
    pause(1)
    shoot(viewer, "segment-1-empty")
    desk = Desk(viewer, panel)
    pause(0.5)
    shoot(viewer, "segment-2-ready")
    unsure = desk.ambiguous()
    second, third, *others = (at for at in desk.nuclei() if at != unsure)
    desk.click(unsure)
    desk.answered()
    shoot(viewer, "segment-3-suggestion")
    desk.press(Qt.Key.Key_Tab)
    pause(0.3)
    shoot(viewer, "segment-4-next")
    desk.press(Qt.Key.Key_Return)
    pause(0.3)
    desk.click(second)
    desk.answered()
    desk.click((second[0] + 14, second[1]), SHIFT)
    desk.answered()
    shoot(viewer, "segment-5-not-part-of-it")
    desk.press(Qt.Key.Key_Return)
    panel.view.tools["box"].click()
    for place in (third, *others[:2]):
        desk.box(place)
    desk.answered()
    shoot(viewer, "segment-6-boxes")
    desk.press(Qt.Key.Key_Return)
    panel.view.tools["click"].click()
    panel.form.one_click.value = True
    for place in others[2:8]:
        desk.click(place)
        desk.answered()
    pause(0.5)
    shoot(viewer, "segment-7-one-click")
    desk.press(Qt.Key.Key_Return)
    pause(0.5)
    panel.hint.buttons["Got it"].click()
    for fold in panel.findChildren(Fold):
        if "Shortcuts" in fold.button.text():
            fold.button.click()
            pause(0.5)
            scroll_to(panel, fold)
    shoot(viewer, "segment-8-shortcuts")
    viewer.close()
    pause(1)
    restore()


def batch() -> None:
    """Show a folder of images: tried, half-way, done, and one of them opened."""
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "plate 7"
        wells(folder)
        viewer = napari.Viewer()
        viewer.window.resize(1280, 1000)
        _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, "Batch")
        panel.places.show_images(str(folder))
        wait(lambda: bool(panel.session.state.found))
        panel.try_slices()
        wait(lambda: not panel.session.state.busy)
        pause(1)
        scroll_to(panel, panel.slices)
        shoot(viewer, "batch-tried")
        panel.start()
        wait(lambda: words_in(panel, "done") >= 4)
        scroll_to(panel, panel.list)
        pause(1)
        shoot(viewer, "batch-running")
        wait(lambda: not panel.session.state.busy)
        pause(2)
        panel.list.setCurrentIndex(panel.items.index(0))
        panel.open_chosen()
        wait(lambda: len(viewer.layers) == 2)
        viewer.reset_view()
        pause(1)
        shoot(viewer, "batch-done")
        viewer.close()
        pause(1)


def words_in(panel: Any, state: str) -> int:
    """Count the images of a batch in a state."""
    return sum(item.state == state for item in panel.session.state.items)


def wells(folder: Path) -> None:
    """Write images as a plate has them, and one that nobody can read."""
    folder.mkdir()
    for row, name in enumerate(("nuclei_timelapse", "fluorescence", "phase_contrast")):
        pixels = tifffile.imread(SAMPLES / f"{name}.tif")
        planes = pixels if name == "nuclei_timelapse" else pixels[None]
        for column in range(4):
            plane = np.rot90(planes[column % len(planes)], column)
            tifffile.imwrite(folder / f"{'BCD'[row]}{column + 2:02}.tif", plane)
    (folder / "C05.tif").write_bytes(b"II*\x00 cut off")


def find_all() -> None:
    """Show all nuclei of a frame, found at once and not added yet."""
    viewer = napari.Viewer()
    viewer.window.resize(1280, 900)
    _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, "Segment")
    panel.hint.hide()
    Desk(viewer, panel)
    fold = panel.find.parent()
    assert isinstance(fold, Fold)
    fold.button.click()
    panel.find.start.click()
    wait(lambda: panel.bridge.finder.state.phase == "found")
    pause(1)
    shoot(viewer, "segment-11-find-all")
    panel.find.layers.edges.click()
    wait(lambda: panel.find.layers.edging.part is None)
    panel.find.layers.boxes.click()
    pause(1)
    panel.find.drop.click()
    pause(0.5)
    shoot(viewer, "segment-18-boxes-and-edges")
    viewer.close()
    pause(0.5)


def complete() -> None:
    """Show a frame of which one region is complete, and another is worked on."""
    viewer = napari.Viewer()
    viewer.window.resize(1280, 900)
    _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, "Segment")
    panel.hint.hide()
    desk = Desk(viewer, panel)
    fold = panel.complete.parent()
    assert isinstance(fold, Fold)
    fold.button.click()
    for frame in (_FRAME - 1, _FRAME):
        viewer.dims.set_current_step(0, frame)
        panel.find.start.click()
        wait(panel.find.add.isEnabled)
        panel.find.add.click()
        wait(lambda: panel.bridge.finder.found is None)
        panel.bridge.standing.set_complete(frame < _FRAME)
    section = panel.complete
    section.rectangle.click()
    desk.box((100, 50), 40)
    pause(0.5)
    section.regions.item(0).setCheckState(Qt.CheckState.Checked)
    section.outline.click()
    for corner in ((20, 110), (20, 190), (180, 190), (180, 110), (100, 130)):
        desk.click(corner)
        pause(0.1)
    desk.press(Qt.Key.Key_Escape)
    wait(lambda: section.regions.count() == 2)
    pause(0.5)
    scroll_to(panel, fold)
    pause(0.5)
    shoot(viewer, "segment-12-complete")
    viewer.close()
    pause(0.5)


def proofread() -> None:
    """Show a doubtful object: two nuclei that another program took for one."""
    viewer = napari.Viewer()
    viewer.window.resize(1280, 900)
    _, labels = viewer.open_sample(PLUGIN, "nuclei_timelapse")
    _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, "Segment")
    panel.hint.hide()
    labels.name = "from another program"
    damage(labels.data)
    labels.refresh()
    viewer.dims.set_current_step(0, _FRAME)
    wait(lambda: panel.bridge.session.status.phase == "ready")
    panel.form.labels.value = labels
    wait(lambda: panel.bridge.desk.labels is not None)
    panel.bridge.desk.use("click")
    fold = panel.proofread.parent()
    assert isinstance(fold, Fold)
    fold.button.click()
    reader, section = panel.bridge.proofreader, panel.proofread
    section.ask.value = True
    section.start.click()
    wait(lambda: reader.asking.state.phase == "done")
    section.start.click()  # those that the model doubts are the first now
    wait(lambda: reader.current is not None)
    section.accept.click()
    pause(1)
    shoot(viewer, "segment-10-proofread")
    viewer.close()
    pause(0.5)


def models() -> None:
    """Show which models there are, and what getting one would fetch."""
    viewer = napari.Viewer()
    viewer.window.resize(1280, 900)
    _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, "Segment")
    panel.hint.hide()
    Desk(viewer, panel)
    fold = panel.models.parent()
    assert isinstance(fold, Fold)
    fold.button.click()
    tree = panel.models.tree
    wait(lambda: tree.topLevelItem(0).child(0).text(1) != "")
    tree.topLevelItem(1).child(1).setSelected(True)
    panel.models.get.click()
    box = panel.models.box
    wait(lambda: box.getting.state.phase == "offered")
    # The folder of these pictures is nobody's.
    for said in (panel.models.about, box.says):
        said.setText(said.text().replace(os.environ["NAPARI_SAM_HOME"], "…/napari-sam"))
    pause(0.5)
    scroll_to(panel, fold)
    pause(0.5)
    shoot(viewer, "segment-14-models")
    viewer.close()
    pause(0.5)


def hover() -> None:
    """Show what a click would give under the mouse, beside objects that are there."""
    viewer = napari.Viewer()
    viewer.window.resize(1280, 800)
    _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, "Segment")
    panel.hint.hide()
    desk = Desk(viewer, panel)
    panel.form.hover.value = True
    first, second, _, _, third, *_ = desk.nuclei()
    desk.click(first)
    desk.answered()
    desk.press(Qt.Key.Key_Return)
    desk.click(second)
    desk.answered()
    desk.press(Qt.Key.Key_Return)
    pause(0.3)
    QTest.mouseMove(desk.canvas, desk.at(third))
    wait(lambda: panel.hover.hovering.guess is not None)
    pause(0.3)
    film = Film(viewer, desk)
    film.mouse = desk.at(third)
    film.shoot("segment-15-hover")
    viewer.close()
    pause(0.5)


def outline() -> None:
    """Show a suggestion that is looser than the model draws it."""
    viewer = napari.Viewer()
    viewer.window.resize(1280, 800)
    _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, "Segment")
    panel.hint.hide()
    desk = Desk(viewer, panel)
    place = desk.nuclei()[0]
    camera = viewer.scene.camera
    camera.center = (0, *place)
    camera.zoom *= 4
    desk.click(place)
    desk.answered()
    for _ in range(3):
        desk.press(Qt.Key.Key_Period)
    desk.answered()
    pause(0.5)
    shoot(viewer, "segment-16-looser")
    viewer.close()
    pause(0.5)


def classes() -> None:
    """Show nuclei of three classes, in their colours."""
    viewer = napari.Viewer()
    viewer.window.resize(1280, 900)
    _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, "Segment")
    panel.hint.hide()
    desk = Desk(viewer, panel)
    section, session = panel.classes, panel.bridge.session
    fold = section.parent()
    assert isinstance(fold, Fold)
    fold.button.click()
    for name in ("interphase", "mitosis", "debris"):
        section.add.click()
        pause(0.1)
        line = section.table.findChild(QLineEdit)
        line.setText(name)
        QTest.keyClick(line, Qt.Key.Key_Return)
        pause(0.1)
    section.table.selectRow(1)
    panel.find.start.click()
    wait(panel.find.add.isEnabled)
    panel.find.add.click()
    wait(lambda: panel.bridge.desk.labels is not None)
    desk.canvas.setFocus()
    pixels, labels = desk.image.data[_FRAME], panel.bridge.desk.labels.layer
    whole = [i for i in np.unique(labels.data[_FRAME, 12:-12, 12:-12]) if i]
    inside = {i: labels.data[_FRAME] == i for i in whole}
    bright = sorted(whole, key=lambda i: -pixels[inside[i]].mean())
    small = sorted(bright[3:], key=lambda i: inside[i].sum())
    for i, key in (
        *((i, Qt.Key.Key_2) for i in bright[:3]),
        *((i, Qt.Key.Key_3) for i in small[:3]),
    ):
        places = np.argwhere(inside[i])
        middle = np.linalg.norm(places - places.mean(0), axis=1).argmin()
        QTest.mouseMove(desk.canvas, desk.at(tuple(places[middle])))
        pause(0.2)
        desk.press(key, Qt.KeyboardModifier.AltModifier)
    section.by_class.value = True
    wait(lambda: len(getattr(labels.colormap, "color_dict", ())) > 2)
    pause(0.5)
    scroll_to(panel, fold)
    pause(1)
    shoot(viewer, "segment-13-classes")
    assert len({one.class_id for one in session.store.records.values()}) > 2
    viewer.close()
    pause(0.5)


def damage(labels: np.ndarray[Any, Any]) -> None:
    """Let some neighbours be one object, as a program that errs leaves them."""
    plane = labels[_FRAME]
    left = [int(i) for i in np.unique(plane[40:-40, 40:-40]) if i]
    middles = {i: np.argwhere(plane == i).mean(0) for i in left}
    for _ in range(4):
        first = left.pop(0)
        far = [float(np.linalg.norm(middles[i] - middles[first])) for i in left]
        labels[labels == left.pop(int(np.argmin(far)))] = first


def find_stack() -> None:
    """Show all nuclei of all frames, found, while others are looked for still."""
    viewer = napari.Viewer()
    viewer.window.resize(1280, 900)
    _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, "Segment")
    panel.hint.hide()
    Desk(viewer, panel)
    fold = panel.find.parent()
    assert isinstance(fold, Fold)
    fold.button.click()
    panel.find.where.value = Choice.ALL
    panel.find.start.click()
    wait(lambda: panel.bridge.finder.searched == 3)
    pause(0.6)
    shoot(viewer, "segment-16-find-stack")
    panel.find.cancel.click()
    viewer.close()
    pause(0.5)


def follow() -> None:
    """Show plant nuclei that were clicked on one slice, five slices further."""
    viewer = napari.Viewer()
    viewer.window.resize(1280, 900)
    _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, "Segment")
    panel.hint.hide()
    desk = Desk(viewer, panel, "plant_nuclei_3d", _SLICE)
    panel.form.one_click.value = True
    for place in desk.nuclei()[:9]:
        desk.click(place)
        desk.answered()
    desk.press(Qt.Key.Key_Return)
    pause(0.5)
    fold = panel.follow.parent()
    assert isinstance(fold, Fold)
    fold.button.click()
    panel.follow.start.click()
    wait(lambda: panel.bridge.following.state.phase == "done")
    viewer.dims.set_current_step(0, _SLICE + 5)
    pause(0.6)
    scroll_to(panel, fold)
    shoot(viewer, "segment-17-follow")
    viewer.close()
    pause(0.5)


def fill() -> None:
    """Show a plant nucleus that is outlined on three slices and filled in between."""
    viewer = napari.Viewer()
    viewer.window.resize(1280, 900)
    _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, "Segment")
    panel.hint.hide()
    desk = Desk(viewer, panel, "plant_nuclei_3d", _SLICE)
    pixels = desk.image.data[_SLICE]
    place, other = sorted(
        desk.nuclei(), key=lambda at: -float(pixels[round(at[0]), round(at[1])])
    )[:2]
    for index, modifier in ((_SLICE, PLAIN), (_SLICE + 3, SHIFT), (_SLICE - 3, SHIFT)):
        viewer.dims.set_current_step(0, index)
        wait(lambda: panel.bridge.session.status.phase == "ready")
        desk.click(place)
        desk.answered()
        desk.press(Qt.Key.Key_Return, modifier)
        pause(0.5)
    fold = panel.follow.parent()
    assert isinstance(fold, Fold)
    fold.button.click()
    panel.follow.fill.one.click()
    wait(lambda: panel.bridge.filling.state.phase == "done")
    viewer.dims.set_current_step(0, _SLICE + 2)
    desk.click(other)
    desk.answered()
    scroll_to(panel, fold)
    pause(0.6)
    shoot(viewer, "segment-19-fill")
    viewer.close()
    pause(0.5)


def seeing() -> None:
    """Show what models see of nuclei and another channel of the same place."""
    viewer = napari.Viewer()
    viewer.window.resize(1280, 900)
    _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, "Segment")
    panel.hint.hide()
    desk = Desk(viewer, panel)
    other = second_channel(viewer, desk.image)
    panel.form.image.value = desk.image
    fold = panel.seeing.parent()
    assert isinstance(fold, Fold)
    fold.button.click()
    panel.seeing.second.value = other
    wait(lambda: "membranes" in panel.seeing.says.text())
    desk.click(desk.nuclei()[0])
    desk.answered()
    scroll_to(panel, fold)
    shoot(viewer, "segment-20-seen")
    viewer.close()
    pause(0.5)


def prepared() -> None:
    """Show how all slices of a stack are prepared ahead."""
    viewer = napari.Viewer()
    viewer.window.resize(1280, 900)
    _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, "Segment")
    panel.hint.hide()
    Desk(viewer, panel, "plant_nuclei_3d", 50)
    fold = panel.slices.parent()
    assert isinstance(fold, Fold)
    fold.button.click()
    preparing = panel.bridge.preparing
    panel.slices.prepare.click()
    wait(lambda: preparing.state.done >= 30)
    # The folder of these pictures is nobody's.
    folder, said = os.environ["NAPARI_SAM_CACHE"], panel.slices.disk
    said.setText(said.text().replace(folder, "…/napari-sam/slices"))
    scroll_to(panel, fold)
    shoot(viewer, "segment-21-prepared")
    viewer.close()
    pause(0.5)


def on_disk() -> None:
    """Show where new objects are kept on the disk."""
    viewer = napari.Viewer()
    viewer.window.resize(1280, 900)
    _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, "Segment")
    panel.hint.hide()
    Desk(viewer, panel)
    panel.form.labels.value = ON_DISK
    pause(1)
    shoot(viewer, "segment-22-on-disk")
    viewer.close()
    pause(0.5)


def restore() -> None:
    """Show the offer of what was not saved before."""
    viewer = napari.Viewer()
    viewer.window.resize(1280, 800)
    _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, "Segment")
    Desk(viewer, panel)
    wait(panel.left.isVisible)
    pause(0.5)
    shoot(viewer, "segment-9-restore")
    viewer.close()
    pause(0.5)


def live_loop() -> None:
    """Show click, next, Enter and undo as a moving picture."""
    viewer = napari.Viewer()
    viewer.window.resize(1280, 760)
    _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, "Segment")
    panel.hint.hide()
    desk = Desk(viewer, panel)
    unsure = desk.ambiguous()
    others = [at for at in desk.nuclei() if at != unsure]
    film = Film(viewer, desk)
    film.take(0.8)
    film.click(unsure)
    film.take(0.9)
    session = panel.bridge.session
    for _ in session.suggestions[session.current].candidates.masks:
        desk.press(Qt.Key.Key_Tab)
        pause(0.1)
        film.take(0.8)
    desk.press(Qt.Key.Key_Return)
    pause(0.3)
    film.take(0.7)
    panel.form.one_click.value = True
    for place in others[:8]:
        film.click(place)
        film.take(0.25)
    desk.press(Qt.Key.Key_Return)
    pause(0.3)
    film.take(1.0)
    desk.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    pause(0.3)
    film.take(0.8)
    desk.press(Qt.Key.Key_Return)
    pause(0.3)
    film.take(1.6)
    film.write(IMAGES / "segment.gif")
    viewer.close()


class Desk:
    """Works on a sample as a person does: with mouse and keys."""

    def __init__(
        self,
        viewer: napari.Viewer,
        panel: Any,
        sample: str = "nuclei_timelapse",
        index: int = _FRAME,
    ) -> None:
        self.viewer, self.panel = viewer, panel
        self.image, truth = viewer.open_sample(PLUGIN, sample)
        self.truth = truth.data[index]
        viewer.layers.remove(truth)
        viewer.dims.set_current_step(0, index)
        pause(0.3)
        viewer.reset_view()
        (self.canvas,) = canvases(viewer)
        self.canvas.setFocus()
        wait(lambda: panel.bridge.session.status.phase == "ready")

    def nuclei(self) -> list[tuple[float, float]]:
        """Return the middles of nuclei, from the middle of the picture outwards."""
        ids = np.unique(self.truth[30:-30, 30:-30])
        middles = [np.argwhere(self.truth == i).mean(0) for i in ids if i]
        centre = np.array(self.truth.shape) / 2
        middles.sort(key=lambda place: float(np.linalg.norm(place - centre)))
        return [(float(y), float(x)) for y, x in middles]

    def ambiguous(self) -> tuple[float, float]:
        """Return the middle of a nucleus for which there are several suggestions."""
        session = self.panel.bridge.session
        for place in self.nuclei():
            self.click(place)
            self.answered()
            count = max(
                len(one.candidates.masks)
                for one in session.suggestions.values()
                if one.candidates is not None
            )
            self.press(Qt.Key.Key_Escape)
            pause(0.2)
            if count > 1:
                return place
        raise SystemExit("every click has one answer only")

    def at(self, place: tuple[float, float]) -> QPoint:
        """Return where a pixel is on the canvas."""
        camera = self.viewer.scene.camera
        world = np.array(self.image.data_to_world((_FRAME, *place)))[-2:]
        middle = np.array([self.canvas.height(), self.canvas.width()]) / 2
        row, column = middle + (world - camera.center[-2:]) * camera.zoom
        return QPoint(round(column), round(row))

    def click(self, place: tuple[float, float], modifier: Any = PLAIN) -> None:
        """Click on a pixel."""
        at = self.at(place)
        QTest.mouseMove(self.canvas, at)
        QTest.mouseClick(self.canvas, LEFT, modifier, at)

    def box(self, place: tuple[float, float], half: float = 16) -> None:
        """Drag a box around a pixel."""
        y, x = place
        start, end = self.at((y - half, x - half)), self.at((y + half, x + half))
        QTest.mouseMove(self.canvas, start)
        QTest.mousePress(self.canvas, LEFT, PLAIN, start)
        for part in (0.3, 0.7, 1.0):
            QTest.mouseMove(self.canvas, start + (end - start) * part)
            pause(0.05)
        QTest.mouseRelease(self.canvas, LEFT, PLAIN, end)
        pause(0.1)

    def press(self, key: Any, modifier: Any = PLAIN) -> None:
        """Press a key where the keyboard is."""
        target = QApplication.focusWidget() or self.canvas
        QTest.keyClick(target, key, modifier)

    def answered(self) -> None:
        """Wait until nothing is asked any more."""
        pause(0.2)
        session = self.panel.bridge.session
        wait(lambda: not any(one.waiting for one in session.suggestions.values()))
        pause(0.2)


class Film:
    """Pictures of the window, one after the other, with the mouse in them."""

    def __init__(self, viewer: napari.Viewer, desk: Desk) -> None:
        self.viewer, self.desk = viewer, desk
        self.frames: list[Image.Image] = []
        self.seconds: list[float] = []
        self.mouse = desk.at(desk.nuclei()[-1])

    def click(self, place: tuple[float, float]) -> None:
        """Move the mouse to a pixel, and click there."""
        start, end = self.mouse, self.desk.at(place)
        for part in self._parts():
            self.mouse = start + (end - start) * part
            QTest.mouseMove(self.desk.canvas, self.mouse)
            pause(0.03)
            self.take(0.06)
        self.desk.click(place)
        self.desk.answered()

    @staticmethod
    def _parts() -> Iterator[float]:
        yield from (0.35, 0.7, 0.92, 1.0)

    def take(self, seconds: float) -> None:
        """Take a picture that is shown for so long."""
        pixels = self.viewer.screenshot(canvas_only=False, flash=False)
        picture = Image.fromarray(pixels[..., :3])
        self._draw_mouse(picture, pixels.shape)
        left = self._on_window(QPoint(0, 0), pixels.shape)[0]
        picture = picture.crop((round(left), 0, picture.width, picture.height))
        height = round(picture.height * _GIF_WIDTH / picture.width)
        picture = picture.resize((_GIF_WIDTH, height), Image.Resampling.LANCZOS)
        self.frames.append(picture)
        self.seconds.append(seconds)

    def shoot(self, name: str) -> None:
        """Take a picture of the whole window, with the mouse in it."""
        pixels = self.viewer.screenshot(canvas_only=False, flash=False)
        picture = Image.fromarray(pixels[..., :3])
        self._draw_mouse(picture, pixels.shape)
        picture.save(IMAGES / f"{name}.png")

    def _draw_mouse(self, picture: Image.Image, shape: tuple[int, ...]) -> None:
        from PIL import ImageDraw

        x, y = self._on_window(self.mouse, shape)
        arrow = [(0, 0), (0, 17), (4, 13), (7, 19), (10, 18), (7, 12), (12, 12)]
        corners = [(x + dx, y + dy) for dx, dy in arrow]
        ImageDraw.Draw(picture).polygon(corners, fill="white", outline="black")

    def _on_window(self, at: QPoint, shape: tuple[int, ...]) -> tuple[float, float]:
        window = self.desk.canvas.window()
        at = self.desk.canvas.mapTo(window, at)
        scale = shape[1] / window.width()
        return at.x() * scale, at.y() * scale

    def write(self, path: Path) -> None:
        """Write the moving picture, all frames with the same colours."""
        palette = self._palette()
        first, *rest = (
            frame.quantize(palette=palette, dither=Image.Dither.NONE)
            for frame in self.frames
        )
        first.save(
            path,
            save_all=True,
            append_images=rest,
            duration=[round(1000 * s) for s in self.seconds],
            loop=0,
            optimize=True,
        )

    def _palette(self) -> Image.Image:
        """Return one for all frames: the few coloured pixels count as the grey ones."""
        seen = np.concatenate([np.asarray(f)[::3, ::3] for f in self.frames[::3]])
        pixels = seen.reshape(-1, 3)
        coloured = np.ptp(pixels.astype(int), axis=1) > 24
        colours: list[int] = []
        for part, count in ((pixels[coloured], 176), (pixels[~coloured], 80)):
            few = Image.fromarray(part[None]).quantize(count)
            colours += (few.getpalette() or [])[: 3 * count]
        palette = Image.new("P", (1, 1))
        palette.putpalette(colours)
        return palette


def shoot(viewer: napari.Viewer, name: str) -> None:
    """Take a picture of the whole window."""
    path = IMAGES / f"{name}.png"
    viewer.screenshot(path, canvas_only=False, flash=False)


def scroll_to(panel: Any, widget: QWidget) -> None:
    """Bring a part of the panel on the screen."""
    panel.findChild(QScrollArea).ensureWidgetVisible(widget)


def pause(seconds: float) -> None:
    """Let the window live for a while."""
    end = time.monotonic() + seconds
    wait(lambda: time.monotonic() > end)


def wait(condition: Callable[[], bool], seconds: float = 300) -> None:
    """Let the window live until something holds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("it did not happen in time")
        QApplication.processEvents()
        time.sleep(0.01)


if __name__ == "__main__":
    main(sys.argv[1:])
