"""What recipe, list of states and files cost, as a share of a run.

    python benchmarks/overhead.py                       # the nuclei that ship
    python benchmarks/overhead.py DATA --planes 50 --rounds 5 --busy

200 planes of 512 × 512 pixels, as one stack and as a file each, are annotated with the
built-in model and detector in three ways, in turns, in one process that is warm:

- bare: models loaded, files opened, planes cut and annotated, nothing kept;
- `run`, which writes label TIFFs and the table of objects, and can be resumed;
- `run` that writes COCO, too.

All three do everything from loading the models on, so that what `run` takes longer is
what keeping results costs. With `DATA`, a folder with `dsb2018/` (images/, index.csv),
the planes are its fluorescence images, mirrored at their edges.

Exit code 1 where keeping results takes more than 5 % of a run, or where a run finds
other objects than the bare loop.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import tifffile
import torch
from skimage import io

from napari_sam.data import demo_images
from napari_sam.images import open_image
from napari_sam.records.run import run
from napari_sam.segment.annotate import annotate_plane, load_parts
from napari_sam.segment.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

MOST, SIDE = 0.05, 512
RECIPE = Recipe(device="cpu")
WAYS = {"bare": (), "run, tiff": ("tiff",), "run, tiff and coco": ("tiff", "coco")}


def pictures(data: Path | None) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield planes of nuclei, of which no two are the same."""
    if data is None:
        (sample,) = (image for image in demo_images() if image.key == "fluorescence")
        found = [tifffile.imread(sample.image)]
    else:
        with (data / "dsb2018" / "index.csv").open(newline="") as file:
            rows = [r for r in csv.DictReader(file) if r["modality"] == "fluorescence"]
        files = sorted((data / "dsb2018" / "images").iterdir())
        wanted = {row["id"] for row in rows}
        found = [io.imread(path) for path in files if path.stem in wanted]
    for turn in range(1000):
        for image in found:
            grey = image if image.ndim == 2 else image[..., 0]
            turned = np.roll(grey[:: (-1) ** turn], 17 * turn, (0, 1))
            missing = [(0, max(0, SIDE - length)) for length in turned.shape]
            wide = np.pad(turned, missing, mode="symmetric")
            yield np.ascontiguousarray(wide[:SIDE, :SIDE])


def bare(inputs: list[Path]) -> int:
    """Annotate everything and keep nothing; return the number of objects."""
    model, detector = load_parts(RECIPE)
    objects = 0
    for path in inputs:
        with open_image(path) as stack:
            contrast = RECIPE.contrast(stack)
            for index in stack.indices():
                plane = stack.plane(index, contrast)
                result = annotate_plane(plane, model, detector, RECIPE)
                objects += len(result.objects["id"])
    return objects


def kept(inputs: list[Path], formats: tuple[str, ...]) -> int:
    """Do it as `annotate` does; return the number of objects."""
    output = tempfile.mkdtemp(dir=inputs[0].parent.parent)
    report = run(inputs, output, RECIPE, formats=formats)
    if not report.ok:
        sys.exit(f"the run failed: {report.failed}")
    return sum(item.objects for item in report.inputs)


def measure(inputs: list[Path], planes: int, rounds: int) -> tuple[float, bool]:
    """Print what the ways take; return the largest share, and whether all agree."""
    names = list(WAYS)
    times: dict[str, list[float]] = {name: [] for name in names}
    found = set()
    for turn in range(rounds):
        # Each comes first, second and third equally often.
        for name in names[turn % 3 :] + names[: turn % 3]:
            os.sync()  # what the one before has written is not for this one to wait for
            began = time.perf_counter()
            formats = WAYS[name]
            found.add(kept(inputs, formats) if formats else bare(inputs))
            times[name].append(time.perf_counter() - began)
    alone = statistics.median(times["bare"])
    low, high = min(times["bare"]), max(times["bare"])
    print(f"  bare {alone:.2f} s ({low:.2f} to {high:.2f}), {min(found)} objects")
    largest = 0.0
    for name in names[1:]:
        pairs = zip(times["bare"], times[name], strict=True)
        share = statistics.median((whole - part) / whole for part, whole in pairs)
        whole = statistics.median(times[name])
        more = (whole - alone) / planes * 1000
        largest = max(largest, share)
        print(
            f"  {name} {whole:.2f} s ({min(times[name]):.2f} to {max(times[name]):.2f})"
            f": keeping is {share:.1%} of it, {more:.1f} ms a plane",
            flush=True,
        )
    if len(found) > 1:
        print(f"  NOT the same numbers of objects: {sorted(found)}")
    return largest, len(found) == 1


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", type=Path)
    parser.add_argument("--planes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--busy", action="store_true", help="do not judge the time")
    given = parser.parse_args()
    busy = psutil.cpu_percent(interval=1.0)
    if busy > 15 and not given.busy:
        sys.exit(f"the processor is {busy:.0f} % busy: timings would say nothing")
    print(
        f"{platform.processor() or platform.machine()}, {psutil.cpu_count()} cores, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"{busy:.0f} % busy before"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "images")
        folder.mkdir()
        source = pictures(given.data)
        planes: list[npt.NDArray[Any]] = [next(source) for _ in range(given.planes)]
        stack = folder / "stack.tif"
        tifffile.imwrite(stack, np.stack(planes), imagej=True, metadata={"axes": "ZYX"})
        files = [folder / f"plane_{number:04}.tif" for number in range(given.planes)]
        for path, plane in zip(files, planes, strict=True):
            tifffile.imwrite(path, plane, photometric="minisblack")
        bare(files[:3])  # so that nothing is done for the first time
        kept(files[:3], WAYS["run, tiff and coco"])
        results = []
        for what, inputs in (("one stack", [stack]), ("a file each", files)):
            print(f"{given.planes} planes of {SIDE} × {SIDE}, {what}:", flush=True)
            results.append(measure(inputs, given.planes, given.rounds))
    share = max(share for share, _ in results)
    print(f"at most {share:.1%}, wanted {MOST:.0%}")
    if given.busy:
        print("not judged: the figures have to be taken while nothing else runs")
    same = all(equal for _, equal in results)
    return 0 if same and (given.busy or share <= MOST) else 1


if __name__ == "__main__":
    sys.exit(main())
