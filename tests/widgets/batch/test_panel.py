"""The widget with a viewer that has no window, real files and real processes."""

import shutil
import subprocess
import sys

import numpy as np
import tifffile
from qtpy.QtCore import QObject, QUrl, Slot
from qtpy.QtGui import QDesktopServices
from tests.widgets.batch.conftest import assert_equal, calm, labels_in, states

from napari_sam.records.run import run
from napari_sam.records.settings import read_settings
from napari_sam.records.status import read_status
from napari_sam.segment.recipe import Recipe
from napari_sam.widgets.batch import words

TYX = {"photometric": "minisblack", "metadata": {"axes": "TYX"}}
IMAGES = {"a", "b", "day 2/c", "s"}


def says(dock):
    return dock.view.status.text()


def test_newcomers_are_told_what_to_do_first(dock):
    assert dock.view.plan.text() == words.NO_IMAGES
    assert not dock.view.start_button.isEnabled()
    assert not dock.view.try_button.isEnabled()


def test_a_folder_is_done_opened_and_reported(dock, plate, viewer, until, tmp_path):
    dock.places.show_images(str(plate))
    until(lambda: calm(dock) and states(dock))
    assert dock.places.output == tmp_path / "plate results"
    assert states(dock) == dict.fromkeys(IMAGES, "waiting")
    assert "4 images" in dock.view.plan.text()

    dock.start()
    until(lambda: calm(dock))
    output = tmp_path / "plate results"
    assert states(dock) == dict.fromkeys(IMAGES, "done")
    assert says(dock).startswith("4 images done")
    run([plate], tmp_path / "alone", Recipe())
    assert_equal(labels_in(output), labels_in(tmp_path / "alone"))

    row = [item.name for item in dock.items.items].index("s")
    dock.list.setCurrentIndex(dock.items.index(row))
    dock.open_chosen()
    until(lambda: len(viewer.layers) == 2)
    image, labels = viewer.layers
    np.testing.assert_array_equal(image.data, tifffile.imread(plate / "s.tif"))
    np.testing.assert_array_equal(labels.data, labels_in(output)["s.tif"])
    assert tuple(labels.axis_labels) == ("t", "y", "x")
    dock.open_chosen()
    assert len(viewer.layers) == 2
    assert "open already" in says(dock)

    opened = []

    class Browser(QObject):
        @Slot(QUrl)
        def go(self, url):
            opened.append(url.toLocalFile())

    browser = Browser()
    QDesktopServices.setUrlHandler("file", browser, "go")
    try:
        dock.view.report_button.click()
        until(lambda: opened)
    finally:
        QDesktopServices.unsetUrlHandler("file")
    assert opened == [str(output / "report.html")]
    assert (output / "report.html").is_file()


def test_what_is_paused_goes_on_and_nothing_is_lost(dock, frames, until, tmp_path):
    folder, output = tmp_path / "stacks", tmp_path / "stacks results"
    folder.mkdir()
    for number in range(2):
        long = np.concatenate([np.roll(frames, 7 * n + number, 1) for n in range(6)])
        tifffile.imwrite(folder / f"{number}.tif", long, **TYX)
    dock.form.form.link.value = "stack"
    dock.places.show_images(str(folder))
    until(lambda: calm(dock) and states(dock))
    dock.start()
    until(lambda: any(item.finished for item in dock.session.state.items))
    dock.view.pause_button.click()
    until(lambda: calm(dock))
    assert says(dock).startswith("Paused")
    begun = read_status(output)
    assert not begun.running
    assert 0 < begun.finished < 48
    assert dock.view.start_button.text() == "Go on"
    dock.start()
    until(lambda: calm(dock))
    assert set(states(dock).values()) == {"done"}
    assert read_status(output).finished == 48


def test_closing_the_dock_ends_the_run_in_order(dock, frames, until, tmp_path):
    place = tmp_path / "long.tif"
    long = np.concatenate([frames] * 30)
    tifffile.imwrite(place, long, **TYX)
    dock.places.show_images(str(place))
    dock.places.show_output(str(tmp_path / "out"))
    until(lambda: calm(dock) and states(dock))
    dock.start()
    until(lambda: any(item.finished for item in dock.session.state.items))
    dock.end()
    until(lambda: not read_status(tmp_path / "out").running)
    status = read_status(tmp_path / "out")
    assert 0 < status.finished < len(long)
    assert status.images["unfinished"] == 1


def test_images_that_fail_are_named_and_the_others_done(dock, plate, until):
    (plate / "b.tif").write_bytes(b"II*\x00 cut off")
    dock.places.show_images(str(plate))
    until(lambda: calm(dock) and states(dock))
    dock.start()
    until(lambda: calm(dock))
    assert states(dock) == dict.fromkeys(IMAGES, "done") | {"b": "failed"}
    assert "1 failed" in says(dock)
    (row,) = [row for row, one in enumerate(dock.items.items) if one.name == "b"]
    text = dock.items.data(dock.items.index(row))
    assert text.splitlines()[0] == "b.tif"
    assert "damaged" in text


def test_a_run_of_another_program_is_watched(dock, frames, until, tmp_path):
    place, output = tmp_path / "long.tif", tmp_path / "out"
    long = np.concatenate([frames] * 30)
    tifffile.imwrite(place, long, **TYX)
    main = "from napari_sam.cli import main; main()"
    command = [sys.executable, "-c", main, "annotate", str(place)]
    with subprocess.Popen([*command, "--output", str(output)]) as other:
        dock.places.show_output(str(output))
        until(lambda: (output / "settings.toml").exists())
        dock.places.show_output(str(output))
        until(lambda: dock.session.state.elsewhere)
        assert "another program" in dock.view.progress.text()
        assert not dock.view.start_button.isEnabled()
        assert not dock.view.pause_button.isVisibleTo(dock)
        other.terminate()
    until(lambda: not dock.session.state.elsewhere)
    # Its images were filled in: it can be gone on with here.
    until(lambda: dock.places.places == (str(place),) and calm(dock))
    assert dock.view.start_button.text() == "Go on"
    assert dock.view.start_button.isEnabled()


def test_results_with_other_settings_are_replaced_only_when_told(
    dock, plate, until, tmp_path
):
    output = tmp_path / "plate results"
    run([plate], output, Recipe(conf=0.5))
    before = labels_in(output)
    dock.form.form.conf.value = 0.9
    dock.places.show_images(str(plate))
    until(lambda: calm(dock) and states(dock))
    assert "other settings" in dock.view.plan.text()
    assert dock.form.form.conf.value == 0.9
    dock.start()
    until(lambda: calm(dock))
    assert f"tick “{words.REPLACE}”" in says(dock)
    assert "--" not in says(dock)
    assert_equal(labels_in(output), before)
    dock.form.replace.value = True
    dock.start()
    until(lambda: calm(dock))
    assert not dock.form.replace.value
    assert read_settings(output / "settings.toml").options.conf == 0.9
    after = labels_in(output)
    assert all((after[name] > 0).sum() < (before[name] > 0).sum() for name in before)


def test_settings_of_results_are_shown_and_kept(dock, plate, until, tmp_path):
    output = tmp_path / "out"
    recipe = Recipe(conf=0.4, link="time", min_kept=0.7)
    run([plate / "s.tif"], output, recipe, formats=["tiff", "coco"])
    dock.places.show_output(str(output))
    until(lambda: dock.places.places)
    until(lambda: calm(dock) and states(dock))
    assert dock.places.places == (str(plate / "s.tif"),)
    assert dock.form.recipe() == recipe
    assert dock.form.formats == ("tiff", "coco")
    assert dock.view.start_button.text() == "Go on"


def test_what_cannot_be_is_said_before_the_start(dock, plate, until):
    dock.places.show_images(str(plate))
    until(lambda: calm(dock) and states(dock))
    assert dock.view.start_button.isEnabled()
    dock.form.axes.value = "Q1"
    assert dock.view.plan.text().startswith("Axes must be letters")
    assert not dock.view.start_button.isEnabled()
    dock.start()
    assert not dock.session.state.busy


def test_folders_that_are_empty_or_not_there_are_named(dock, until, tmp_path):
    (tmp_path / "none").mkdir()
    for name, text in (("none", "No images"), ("gone", "o such file or folder")):
        dock.places.show_images(str(tmp_path / name))
        until(lambda name=name: calm(dock) and set(states(dock)) == {name})
        assert text in dock.items.data(dock.items.index(0))
        assert not dock.view.start_button.isEnabled()


def test_a_layer_that_is_gone_is_not_done(dock, viewer, frames, until, tmp_path):
    layer = viewer.add_image(frames[0], name="one")
    viewer.add_image(frames[1], name="two")
    dock.places.kind.value = "layers"
    dock.places.show_output(str(tmp_path / "out"))
    until(lambda: set(states(dock)) == {"one", "two"})
    viewer.layers.remove(layer)
    until(lambda: set(states(dock)) == {"two"})


def test_an_image_that_vanished_is_said_when_it_is_opened(dock, plate, until):
    dock.places.show_images(str(plate))
    until(lambda: calm(dock) and states(dock))
    shutil.rmtree(plate)
    dock.list.setCurrentIndex(dock.items.index(0))
    dock.open_chosen()
    until(lambda: "a.tif" in says(dock))
    assert says(dock).startswith("⚠")
