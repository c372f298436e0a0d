"""What a second worker gives, and what a lost one costs.

    python benchmarks/workers.py                # 24 images
    python benchmarks/workers.py --images 6 --busy

The nuclei that ship (512 × 512 pixels, mirrored and shifted) are annotated as files
with the built-in model and detector: by one worker and by two, with one thread each,
turn by turn. The time counts from the first image that a worker begins to the last that
is done: workers take some seconds to start, and one to end. Then by four workers, one
of which is killed when the first image is done.

Exit code 1 where two workers are less than 1.6 times as fast as one, or where any
labels or tables differ.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
import tifffile

from napari_sam.data import demo_images
from napari_sam.records.distributed import Workers
from napari_sam.records.run import run
from napari_sam.segment.recipe import Recipe

if TYPE_CHECKING:
    from napari_sam.records.report import Progress

LEAST, ROUNDS = 1.6, 3


def write_images(folder: Path, count: int) -> list[Path]:
    """Write nuclei, each time a little different."""
    (sample,) = (image for image in demo_images() if image.key == "fluorescence")
    pixels = tifffile.imread(sample.image)
    paths = []
    for number in range(count):
        path = folder / f"nuclei_{number:03}.tif"
        moved = np.roll(pixels[:: (-1) ** number], 17 * number, (0, 1))
        tifffile.imwrite(path, moved, photometric="minisblack")
        paths.append(path)
    return paths


def annotate(images: list[Path], output: Path, workers: int, *, kill: bool) -> float:
    """Run it; return the seconds from the first image's begin to the last one's end."""
    times: list[float] = []
    killed: list[int] = []

    def listen(event: Progress) -> None:
        if event.kind in ("start", "done"):
            times.append(time.perf_counter())
        if kill and event.kind == "done" and not killed:
            children = psutil.Process().children(recursive=True)
            (*_, one) = (c for c in children if "spawn_main" in " ".join(c.cmdline()))
            one.kill()
            killed.append(one.pid)

    recipe = Recipe(device="cpu")
    who = Workers(workers, threads=1)
    report = run(images, output, recipe, workers=who, progress=listen)
    if not report.ok or (kill and not killed):
        sys.exit(f"{workers} workers did not do it: {report.failed}")
    return times[-1] - times[0]


def equal(one: Path, other: Path) -> bool:
    """Whether labels and tables are the same."""
    names = sorted(path.name for path in (one / "labels").iterdir())
    files = ["objects.csv", *(f"labels/{name}" for name in names)]
    return all((one / f).read_bytes() == (other / f).read_bytes() for f in files)


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--busy", action="store_true", help="do not judge the time")
    given = parser.parse_args()
    busy = psutil.cpu_percent(interval=1.0)
    if busy > 15 and not given.busy:
        sys.exit(f"the processor is {busy:.0f} % busy: timings would say nothing")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "images").mkdir()
        images = write_images(folder / "images", given.images)
        ratios = []
        same = True
        for turn in range(ROUNDS):
            one, two = folder / f"one_{turn}", folder / f"two_{turn}"
            alone = annotate(images, one, 1, kill=False)
            shared = annotate(images, two, 2, kill=False)
            ratios.append(alone / shared)
            same &= equal(one, two)
            print(
                f"{given.images} images: one worker {alone:.1f} s, two {shared:.1f} s, "
                f"{ratios[-1]:.2f} times as fast",
                flush=True,
            )
        annotate(images, folder / "lost", 4, kill=True)
        complete = equal(folder / "one_0", folder / "lost")
    print(f"labels of one and two workers are {'' if same else 'NOT '}equal")
    print(f"with one of four killed they are {'' if complete else 'NOT '}equal")
    ratio = statistics.median(ratios)
    print(f"median {ratio:.2f}, wanted {LEAST}")
    return 0 if same and complete and (given.busy or ratio >= LEAST) else 1


if __name__ == "__main__":
    sys.exit(main())
