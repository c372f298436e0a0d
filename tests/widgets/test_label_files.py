"""Files that are opened and saved by napari itself."""

import json
from pathlib import Path

import napari
import numpy as np
import pytest
from napari.layers import Labels
from napari.utils import notifications
from npe2 import PluginManager, PluginManifest

from napari_sam.types import NapariSamError

PLUGIN = "napari-sam-annotator"


def stack() -> np.ndarray:
    labels = np.zeros((2, 40, 50), np.uint16)
    labels[0, 5:15, 5:25] = 3
    labels[0, 8:11, 9:13] = 0
    labels[1, 30:, 40:] = 9
    return labels


@pytest.fixture(autouse=True)
def manager():
    """Let napari know our plugin."""
    manager = PluginManager.instance()
    if PLUGIN not in manager:
        manager.register(PluginManifest.from_distribution(PLUGIN))
    return manager


@pytest.fixture
def said() -> list[str]:
    """What napari tells its user."""
    lines: list[str] = []

    def hear(notice) -> None:
        lines.append(str(notice.message))

    notifications.notification_manager.notification_ready.connect(hear)
    yield lines
    notifications.notification_manager.notification_ready.disconnect(hear)


@pytest.mark.parametrize("name", ["a.ome.zarr", "a.geojson", "a.zip", "a.json"])
def test_a_layer_is_saved_and_opened_again(tmp_path: Path, name: str) -> None:
    viewer = napari.components.ViewerModel()
    layer = viewer.add_labels(
        stack(),
        axis_labels=("t", "y", "x"),
        scale=(30, 0.5, 0.5),
        units=("s", "um", "um"),
    )
    path = tmp_path / name
    assert layer.save(str(path), plugin=PLUGIN) == [str(path)]
    # Folders are left to napari: a file in it stands for the folder.
    opened = path / "zarr.json" if path.is_dir() else path
    (again,) = viewer.open(str(opened), plugin=PLUGIN)
    assert isinstance(again, Labels)
    np.testing.assert_array_equal(again.data, stack())
    assert again.axis_labels == ("t", "y", "x")
    if name.endswith(".zarr"):
        assert tuple(again.scale) == (30, 0.5, 0.5)


def test_labels_keep_their_axes_in_a_tiff(tmp_path: Path) -> None:
    from napari_sam.images import open_image

    viewer = napari.components.ViewerModel()
    layer = viewer.add_labels(stack(), axis_labels=("t", "y", "x"))
    path = tmp_path / "a.tif"
    assert layer.save(str(path), plugin=PLUGIN) == [str(path)]
    with open_image(path) as image:
        assert image.axes == "TYX"


def test_a_bad_file_is_one_line_and_no_layer(tmp_path: Path, said: list[str]) -> None:
    viewer = napari.components.ViewerModel()
    path = tmp_path / "a.geojson"
    path.write_text("[1, 2")
    assert viewer.open(str(path), plugin=PLUGIN) == []
    assert len(viewer.layers) == 0
    (line,) = said
    assert str(path) in line and "\n" not in line


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    viewer = napari.components.ViewerModel()
    path = tmp_path / "a.ome.zarr"
    path.mkdir()
    layer = viewer.add_labels(stack())
    with pytest.raises(NapariSamError, match="is there already"):
        layer.save(str(path), plugin=PLUGIN)
    five = viewer.add_labels(np.ones((2, 2, 2, 4, 4), np.uint8))
    with pytest.raises(NapariSamError, match="5 axes"):
        five.save(str(tmp_path / "b.geojson"), plugin=PLUGIN)
    assert list(tmp_path.iterdir()) == [path]


def test_nobody_is_asked_who_reads_a_folder(manager, tmp_path: Path) -> None:
    readers = [each.plugin_name for each in manager.iter_compatible_readers([tmp_path])]
    assert PLUGIN not in readers


def test_plain_tiffs_stay_with_napari(manager) -> None:
    def readers(path: str) -> set[str]:
        return {one.plugin_name for one in manager.iter_compatible_readers([path])}

    assert PLUGIN not in readers("a.tif") | readers("a.csv") | readers("a.png")
    for name in ("a.geojson", "RoiSet.zip", "a_masks.tif", "coco.json", "a.txt"):
        assert PLUGIN in readers(name)


@pytest.mark.window
def test_a_dropped_file_gets_the_shape_of_the_image_on_the_screen(
    tmp_path: Path, qtbot
) -> None:
    viewer = napari.Viewer(show=False)
    try:
        viewer.add_image(np.zeros((3, 60, 70), np.uint8))
        ring = [[10, 20], [14, 20], [14, 26], [10, 26], [10, 20]]
        geometry = {"type": "Polygon", "coordinates": [ring]}
        path = tmp_path / "drawn.geojson"
        features = [{"type": "Feature", "geometry": geometry}]
        path.write_text(json.dumps({"features": features}))
        viewer.window._qt_viewer._qt_open([str(path)], stack=False)
        assert viewer.layers[-1].data.shape == (3, 60, 70)
        assert viewer.layers[-1].data[0, 20:26, 10:14].all()
    finally:
        viewer.close()
