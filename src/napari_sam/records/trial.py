"""Try a recipe on a few slices that are drawn at random, before all are done."""

from __future__ import annotations

import json
import math
import random
import re
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import tifffile
from PIL import Image

from napari_sam.images import open_image
from napari_sam.images.planes import is_large
from napari_sam.models.protocol import detector_for
from napari_sam.records.files import atomic_file, explained, prepare_folder, write_text
from napari_sam.records.layout import image_name, matching, select_inputs
from napari_sam.records.work import TRIAL
from napari_sam.segment.annotate import annotate_plane, load_parts
from napari_sam.types import ImageError, NapariSamError, OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_sam.images import ImageStack, InputFile
    from napari_sam.models.protocol import Detector, PromptableModel
    from napari_sam.segment.recipe import Recipe
    from napari_sam.types import IntBox

TABLE: Final = "tried.json"
COUNT: Final = 3
_WINDOW: Final = 1024  # pixels of a large plane along each side
_OURS: Final = re.compile(r"\d+(\.png|_labels\.tif)")


@dataclass(frozen=True, slots=True)
class Tried:
    """What was found on one slice.

    Attributes
    ----------
    image : str
        As in `objects.csv`.
    path : str
        The image file.
    index : tuple of int
        Which slice, along `stack_axes`.
    stack_axes : str
    box : tuple of int
        What was looked at: (y0, x0, y1, x1), a part of large planes.
    share : float
        How much of the slice that is, from 0 to 1.
    objects : int
    seconds : float
        Without loading models.
    planes : int
        How many the image has.
    picture, labels : str
        Names of the files: what the models saw, uint8 (H, W, 3), and labels.
    """

    image: str
    path: str
    index: tuple[int, ...]
    stack_axes: str
    box: IntBox
    share: float
    objects: int
    seconds: float
    planes: int
    picture: str
    labels: str


def try_slices(
    inputs: Sequence[str | Path],
    output: str | Path,
    recipe: Recipe,
    *,
    count: int = COUNT,
    seed: int = 0,
    only: Sequence[str] = (),
    told: Callable[[Tried], None] = lambda one: None,
    failed: Callable[[str], None] = lambda line: None,
) -> list[Tried]:
    """Find the objects of some slices; nothing but pictures of them is written.

    Images are drawn first, none twice where there are enough, then a slice of each; no
    slice is tried twice. Of planes that are too large to be read at once a part is
    looked at.

    Parameters
    ----------
    inputs : sequence of str or Path
        Files, folders, patterns, as for `run`.
    output : str or Path
        The pictures go into `output/try`, those of an earlier trial are replaced.
    recipe : Recipe
    count, seed : int
        How many at most, and which.
    only : sequence of str
        As for `run`: of which images.
    told : callable
        Gets each as soon as it is there.
    failed : callable
        Gets one line for each image that cannot be used; another one is drawn.

    Raises
    ------
    NapariSamError
        No such model, no image that can be used, or the pictures cannot be written.
    """
    output = Path(output)
    folder = output / TRIAL
    _check_ours(folder)
    items = matching(select_inputs(inputs, output), only)
    model, detector = load_parts(recipe)
    prepare_folder(folder)
    _clear(folder)
    drawn = random.Random(seed)
    tried: list[Tried] = []
    left, turn = list(items), []  # type: list[InputFile], list[InputFile]
    while left and len(tried) < count:
        if not turn:
            turn = drawn.sample(left, len(left))
        item = turn.pop()
        try:
            if item.error is not None:
                raise item.error
            one = _try(item, tried, folder, recipe, model, detector, drawn)
        except OutputError:
            raise
        except NapariSamError as error:
            failed(str(error))
            left.remove(item)
            continue
        if one is None:  # all that it has was looked at
            left.remove(item)
            continue
        tried.append(one)
        _write(folder, tried)
        told(one)
    if not tried:
        raise ImageError(
            "no slice could be tried: none of the images can be used"
            if items
            else "no image to try: name files, folders or patterns"
        )
    return tried


def read_tried(output: str | Path) -> list[Tried]:
    """Return what the last trial found so far; nothing where there was none."""
    try:
        rows = json.loads((Path(output) / TRIAL / TABLE).read_bytes())
        return [
            Tried(**{**row, "index": tuple(row["index"]), "box": tuple(row["box"])})
            for row in rows
        ]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def _check_ours(folder: Path) -> None:
    if folder.exists() and not (folder / TABLE).exists() and any(folder.iterdir()):
        raise OutputError(
            f"{folder} is there already and not from a trial: choose another folder "
            "with --output"
        )


def _clear(folder: Path) -> None:
    """Remove an earlier trial, and say from now on that the folder is ours."""
    _write(folder, [])
    for path in list(folder.iterdir()):
        if _OURS.fullmatch(path.name):
            with explained(path):
                path.unlink(missing_ok=True)


def _write(folder: Path, tried: Sequence[Tried]) -> None:
    table = json.dumps([asdict(each) for each in tried], indent=1)
    write_text(folder / TABLE, table)


def _try(
    item: InputFile,
    tried: Sequence[Tried],
    folder: Path,
    recipe: Recipe,
    model: PromptableModel,
    detector: Detector,
    drawn: random.Random,
) -> Tried | None:
    """Look at a slice that was not tried yet; None where there is none left."""
    name, number = image_name(item), len(tried) + 1
    whole = {one.index for one in tried if one.image == name and one.share == 1}
    with open_image(
        item.path, axes=recipe.axes, channels=recipe.channels, name=name
    ) as stack:
        indices = [each for each in stack.indices() if each not in whole]
        if not indices:
            return None
        index = drawn.choice(indices)
        diameter = stack.pixels_of(recipe.diameter)
        plane = stack.plane(index, recipe.contrast(stack), diameter)
        own = detector_for(detector, str(item.relative), stack)
        box = (0, 0, *stack.plane_shape)
        if is_large(stack.plane_shape) and own is detector:  # no boxes of a file
            box = _part(stack, drawn)
            plane = plane.crop(box)
        began = time.perf_counter()
        result = annotate_plane(plane, model, own, recipe.sized(diameter))
        seconds = time.perf_counter() - began
        picture, labels = f"{number}.png", f"{number}_labels.tif"
        with atomic_file(folder / picture) as file:
            Image.fromarray(plane.pixels).save(file, "PNG")
        with atomic_file(folder / labels) as file:
            tifffile.imwrite(file, result.labels, compression="zlib")
        return Tried(
            name,
            str(item.path.absolute()),
            index,
            stack.stack_axes,
            box,
            math.prod(plane.shape) / math.prod(stack.plane_shape),
            len(np.unique(result.labels[result.labels > 0])),
            seconds,
            len(stack),
            picture,
            labels,
        )


def _part(stack: ImageStack, drawn: random.Random) -> IntBox:
    """Draw a part of a plane."""
    height, width = stack.plane_shape
    side_y, side_x = min(_WINDOW, height), min(_WINDOW, width)
    top, left = drawn.randint(0, height - side_y), drawn.randint(0, width - side_x)
    return top, left, top + side_y, left + side_x
