"""A small stand-in for the training data."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from napari_sam.data import demo_images
from napari_sam.training.pocket.split import load_split

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """Shipped images under the names of the split's training and validation images."""
    root = tmp_path_factory.mktemp("data")
    demos = {demo.key: demo for demo in demo_images()}
    kinds = {"dsb2018": "fluorescence", "usiigaci_phase": "phase_contrast"}
    for folder, parts in load_split().items():
        (root / folder / "images").mkdir(parents=True)
        (root / folder / "masks").mkdir()
        demo = demos[kinds[folder]]
        image = tifffile.imread(demo.image)[:280, :280]
        labels = tifffile.imread(demo.truth)[:280, :280].astype(np.uint16)
        names = parts["train"] + parts["validation"]
        for name in names:
            tifffile.imwrite(root / folder / "images" / f"{name}.tif", image)
            tifffile.imwrite(root / folder / "masks" / f"{name}.tif", labels)
        rows = [["id", "modality"], *([n, "fluorescence"] for n in names)]
        with (root / folder / "index.csv").open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    return root
