"""What one large plane costs: memory, time, and whether its tiles show.

    python benchmarks/large_plane.py [DATA]            # 4,096² and 8,192² pixels
    python benchmarks/large_plane.py [DATA] --full     # and 20,000²: an hour or so
    python benchmarks/large_plane.py [DATA] --no-time  # also on a busy machine

Planes (uint16) are laid out from real fields of nuclei, 512 pixels wide: those of
520 × 696 pixels of the 2018 Data Science Bowl (DATA/dsb2018), or else the one that
ships. `napari-sam annotate` runs on each in a process of its own, with the built-in
model and detector. Then some of the fields are annotated alone, and the objects are
compared that lie away from the edges of their field. Linux only.

Exit code 1 where a process needs 4 GB of anonymous memory (what cannot be given back
to files) or more, where the time for a pixel differs by more than 20 % between the
sizes, or where F1 at IoU 0.5 with the fields alone is below 0.99.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil
import tifffile
from skimage import io

from napari_sam.data import demo_images
from napari_sam.images import make_plane, open_image
from napari_sam.models.catalog import load_detector, load_model
from napari_sam.segment import annotate_plane, make_recipe
from napari_sam.segment.overlap import count_overlaps

SIDES = (4096, 8192)
FULL = 20_000
FIELD = 512
AWAY = 64  # pixels, of the objects that are compared from the edge of their field
COMPARED = 24
MOST_GB, SPREAD, LEAST_F1 = 4.0, 0.2, 0.99
MOST_OBJECTS = "1000"
COMMAND = "from napari_sam.cli import main; main()"


@dataclass(frozen=True)
class Run:
    """What one run took."""

    side: int
    peak_gb: float
    seconds: float

    @property
    def per_megapixel(self) -> float:
        """Seconds."""
        return self.seconds / (self.side**2 / 1e6)


def fields(data: Path | None) -> list[npt.NDArray[np.uint16]]:
    """Return real fields of nuclei of one kind, FIELD pixels wide and high."""
    if data is None:
        (sample,) = (image for image in demo_images() if image.key == "fluorescence")
        found = [tifffile.imread(sample.image)]
    else:
        folder = data / "dsb2018"
        with (folder / "index.csv").open(encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if _alike(row)]
        found = [_grey(io.imread(folder / "images" / f"{r['id']}.png")) for r in rows]
    cut = [each[:FIELD, left : left + FIELD] for each in found for left in (0, 184)]
    return [each.astype(np.uint16) * 200 for each in cut]


def _alike(row: dict[str, str]) -> bool:
    size = int(row["h"]), int(row["w"])
    return row["modality"] == "fluorescence" and size == (520, 696)


def _grey(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return pixels if pixels.ndim == 2 else pixels[..., 0]


def write_plane(path: Path, side: int, parts: list[npt.NDArray[np.uint16]]) -> None:
    """Lay fields out in a random order, mirrored at random."""
    random = np.random.default_rng(side)
    plane = tifffile.memmap(path, shape=(side, side), dtype=np.uint16)
    for y in range(0, side, FIELD):
        for x in range(0, side, FIELD):
            part = parts[random.integers(len(parts))]
            part = part[:: random.choice([-1, 1]), :: random.choice([-1, 1])]
            plane[y : y + FIELD, x : x + FIELD] = part[: side - y, : side - x]
    plane.flush()


def anonymous_gb(pid: int) -> float:
    """Return the anonymous memory of a process now; 0 once it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    sizes = (line.split()[1] for line in lines if line.startswith("RssAnon:"))
    return int(next(sizes, "0")) / 2**20


def annotate(image: Path, output: Path) -> tuple[float, float]:
    """Run the command line; return its highest memory (GB) and its time (s)."""
    arguments = ["annotate", str(image), "--output", str(output)]
    arguments += ["--device", "cpu", "--max-det", MOST_OBJECTS]
    began, peak = time.perf_counter(), 0.0
    with subprocess.Popen([sys.executable, "-c", COMMAND, *arguments]) as process:
        while process.poll() is None:
            peak = max(peak, anonymous_gb(process.pid))
            time.sleep(0.02)
    if process.returncode != 0:
        sys.exit(f"annotate ended with exit code {process.returncode}")
    return peak, time.perf_counter() - began


def measure(folder: Path, side: int, parts: list[npt.NDArray[np.uint16]]) -> Run:
    """Annotate a plane; what a process takes to begin does not count."""
    small, image = folder / "small.tif", folder / f"plane_{side}.tif"
    tifffile.imwrite(small, parts[0][:64, :64])
    write_plane(image, side, parts)
    # The first one of all also reads torch from the disk: the second one counts.
    begin = min(annotate(small, folder / f"small_{side}_{n}")[1] for n in (1, 2))
    peak, seconds = annotate(image, folder / f"out_{side}")
    return Run(side, peak, seconds - begin)


def agreement(folder: Path, side: int) -> tuple[float, int]:
    """Return F1 at IoU 0.5 with fields alone, and how many objects were compared."""
    model = load_model("pocket", device="cpu")
    most = int(MOST_OBJECTS)
    detector = load_detector("nuclei", model=model, device="cpu", max_det=most)
    recipe = make_recipe(max_det=most)
    random = np.random.default_rng(0)
    cells = np.array(list(np.ndindex(side // FIELD, side // FIELD)))
    labels = folder / f"out_{side}" / "labels" / f"plane_{side}.tif"
    both = missed = added = 0
    with open_image(folder / f"plane_{side}.tif") as stack, open_image(labels) as made:
        contrast = stack.normalization()
        for y, x in (random.permutation(cells)[:COMPARED] * FIELD).tolist():
            box = (y, x, y + FIELD, x + FIELD)
            alone = make_plane(stack.read((), box), contrast)
            wanted = annotate_plane(alone, model, detector, recipe).labels
            pairs = count_overlaps(wanted, made.read((), box))
            same = pairs.iou > 0.5
            true, found = inner(wanted), inner(made.read((), box))
            matched = set(pairs.first_ids[pairs.first[same]].tolist())
            both += len(true & matched)
            missed += len(true - matched)
            added += len(found - set(pairs.second_ids[pairs.second[same]].tolist()))
    return 2 * both / max(1, 2 * both + missed + added), both + missed


def inner(labels: npt.NDArray[np.integer]) -> set[int]:
    """Return the objects that lie away from the edges of a field."""
    edge = np.ones(labels.shape, np.bool_)
    edge[AWAY:-AWAY, AWAY:-AWAY] = False
    return set(np.unique(labels).tolist()) - set(np.unique(labels[edge]).tolist()) - {0}


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?", help="real microscopy with truth")
    parser.add_argument("--full", action="store_true", help=f"{FULL:,}² pixels, too")
    parser.add_argument("--no-time", action="store_true", help="do not judge the time")
    parser.add_argument("--sides", type=int, nargs="+", default=SIDES)
    options = parser.parse_args()
    if not Path("/proc/self/status").exists():
        sys.exit("this reads /proc, which only Linux has")
    busy = psutil.cpu_percent(interval=1.0)
    if busy > 15 and not options.no_time:
        sys.exit(f"the processor is {busy:.0f} % busy: timings would say nothing")
    sides = [*options.sides, *([FULL] if options.full else [])]
    with tempfile.TemporaryDirectory() as name:
        return judge(Path(name), sides, fields(options.data), not options.no_time)


def judge(
    folder: Path, sides: list[int], parts: list[npt.NDArray[np.uint16]], timed: bool
) -> int:
    """Run all sizes, one after the other."""
    runs, met = [], True
    for side in sides:
        run = measure(folder, side, parts)
        f1, count = agreement(folder, side)
        runs.append(run)
        met &= run.peak_gb < MOST_GB and f1 >= LEAST_F1
        time_text = f"{run.per_megapixel:.2f} s a megapixel, " if timed else ""
        print(
            f"{side:6,}²: {run.peak_gb:.2f} GB of anonymous memory, {time_text}"
            f"F1 {f1:.4f} with {count:,} objects of fields alone",
            flush=True,
        )
    print(f"wanted: below {MOST_GB} GB, F1 at least {LEAST_F1}")
    if timed and len(runs) > 1:
        each = [run.per_megapixel for run in runs]
        ratio = max(each) / min(each)
        print(f"time a megapixel differs by {ratio:.2f}, wanted at most {1 + SPREAD}")
        met &= ratio <= 1 + SPREAD
    print("all targets are met" if met else "MISSED")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
