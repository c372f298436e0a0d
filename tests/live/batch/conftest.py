"""What has been done in a folder, for those who look at it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_sam.records.run import run
from napari_sam.records.status import Item, read_items
from napari_sam.records.trial import Tried, try_slices
from napari_sam.segment.recipe import Recipe

RECIPE = Recipe(detector="threshold", device="cpu")


def draw_squares(shape, side=14):
    """Two bright squares on each plane, a little further right on each."""
    pixels = np.full(shape, 100, np.uint16)
    for index in np.ndindex(shape[:-2]):
        x = 8 + sum(index)
        pixels[(*index, slice(8, 8 + side), slice(x, x + side))] = 900
        pixels[(*index, slice(40, 40 + side), slice(x + 24, x + 24 + side))] = 700
    return pixels


@dataclass
class Done:
    """A run that has ended, and a trial."""

    images: Path
    output: Path
    recipe: Recipe
    tried: list[Tried]

    def item(self, name: str) -> Item:
        (found,) = (item for item in read_items(self.output)[1] if item.name == name)
        return found

    def labels(self, name: str):
        return tifffile.imread(self.output / "labels" / f"{name}.tif")

    def image(self, name: str):
        return tifffile.imread(self.images / f"{name}.tif")


@pytest.fixture(scope="session")
def done(tmp_path_factory) -> Done:
    """Return the results for a plane, a stack, channels and colour."""
    folder = tmp_path_factory.mktemp("done")
    images, output = folder / "in", folder / "out"
    (images / "deep").mkdir(parents=True)
    tifffile.imwrite(images / "plane.tif", draw_squares((64, 80)))
    axes = {"imagej": True, "metadata": {"axes": "TZYX"}}
    tifffile.imwrite(
        images / "deep" / "stack.tif", draw_squares((2, 3, 64, 80)), **axes
    )
    colour = (
        np.repeat(draw_squares((64, 80)) // 4, 3).reshape(64, 80, 3).astype(np.uint8)
    )
    tifffile.imwrite(images / "colour.tif", colour, photometric="rgb")
    (images / "broken.tif").write_bytes(b"no TIFF")
    run([images], output, RECIPE)
    tried = try_slices([images / "deep"], output, RECIPE, count=2)
    return Done(images, output, RECIPE, tried)


@pytest.fixture(scope="session")
def squares():
    return draw_squares


@pytest.fixture
def recipe():
    return RECIPE
