"""The pictures show what was found and what is true, and tell them apart."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from napari_sam.records.overlays import Panel, save_picture

ORANGE, BLUE = (255, 140, 26), (61, 224, 255)


@pytest.fixture
def disc():
    y, x = np.mgrid[:60, :80]
    return ((y - 30) ** 2 + (x - 40) ** 2 < 18**2).astype(np.uint16) * 7


def draw(path, *panels: Panel, columns: int = 1):
    save_picture(
        path, list(panels), title="Nuclei", caption="1 object", columns=columns
    )
    return np.asarray(Image.open(path)).astype(int)


def count(picture, colour) -> int:
    """Count pixels of about this colour, below the legend."""
    near = np.abs(picture - colour).max(-1) < 24
    return int(near[90:].sum())


def test_found_is_a_full_line_and_truth_a_dashed_one(tmp_path, disc):
    pixels = np.full((60, 80, 3), 90, np.uint8)
    found = draw(tmp_path / "found.png", Panel(pixels, found=disc))
    truth = draw(tmp_path / "truth.png", Panel(pixels, truth=disc))
    assert count(found, BLUE) == count(truth, ORANGE) == 0
    assert 0.3 < count(truth, BLUE) / count(found, ORANGE) < 0.7


def test_the_outline_runs_along_the_border_of_the_object(tmp_path, disc):
    pixels = np.full((60, 80, 3), 90, np.uint8)
    picture = draw(tmp_path / "p.png", Panel(pixels, found=disc))
    near = np.abs(picture - ORANGE).max(-1) < 24
    rows, columns = np.nonzero(near[90:])
    zoom = (1200 - 2 * 18) / 80
    assert np.ptp(columns) / zoom == pytest.approx(35, abs=1)
    assert np.ptp(rows) / zoom == pytest.approx(35, abs=1)


def test_a_panel_without_labels_shows_the_plane_alone(tmp_path):
    pixels = np.full((60, 80, 3), 90, np.uint8)
    picture = draw(tmp_path / "p.png", Panel(pixels), Panel(pixels), columns=2)
    assert count(picture, ORANGE) == count(picture, BLUE) == 0
    assert picture.shape[1] == 1200


def test_a_plane_without_objects_is_drawn_too(tmp_path):
    pixels = np.zeros((60, 80, 3), np.uint8)
    empty = np.zeros((60, 80), np.uint16)
    picture = draw(tmp_path / "p.png", Panel(pixels, empty, empty, "frame 0"))
    assert count(picture, ORANGE) == count(picture, BLUE) == 0
