"""Crops of one field are told to belong together."""

from __future__ import annotations

from itertools import combinations

import pytest
import tifffile

from napari_sam.data import demo_images
from napari_sam.training.pocket.fields import find_fields


@pytest.mark.parametrize("key", ["fluorescence", "histology"])
def test_neighbouring_crops_are_one_field_and_others_are_not(key, tmp_path):
    demo = next(d for d in demo_images() if d.key == key)
    image = tifffile.imread(demo.image)
    files = {}
    for name, rows, columns in (
        ("a", (0, 100), (0, 120)),
        ("b", (0, 100), (120, 240)),  # right of a
        ("c", (100, 200), (120, 240)),  # below b
        ("d", (131, 231), (7, 127)),  # overlaps, but no side goes on in it
    ):
        files[name] = tmp_path / f"{name}.tif"
        tifffile.imwrite(files[name], image[slice(*rows), slice(*columns)])
    files["e"] = tmp_path / "e.tif"
    tifffile.imwrite(files["e"], image[:50, :50])  # of another size
    field = find_fields(files)
    together = {p for p in combinations("abcde", 2) if field[p[0]] == field[p[1]]}
    assert together == set(combinations("abc", 2))
