"""What the package costs: memory of long stacks, time to import, size of the wheel.

Runs the real command line on two stacks that it makes itself, with the built-in
model and detector, and compares the highest anonymous memory (what cannot be
given back to files) that each process reached. Linux only.

    python benchmarks/memory.py                # 50 and 2,000 planes: some minutes
    python benchmarks/memory.py --planes 200   # a quick look

Exit code 1 where the long stack needs more than 64 MB above the short one, where
`import napari_sam` takes 0.3 s or more (best of five) or brings torch along, or
where the wheel is larger than 25 MB.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import tifffile

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE = 512
OBJECTS = 20
SHORT = 50
ALLOWED_MB = 64.0
COMMAND = "from napari_sam.cli import main; main()"
IMPORT = """
import sys, time
began = time.perf_counter()
import napari_sam
print(time.perf_counter() - began)
sys.exit("torch" in sys.modules)
"""
IMPORT_S = 0.3
WHEEL_MB = 25.0
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Run:
    """What one run took."""

    planes: int
    peak_mb: float
    seconds: float


def draw_planes(count: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield planes with discs that move slowly, like nuclei in a time-lapse."""
    random = np.random.default_rng(1)
    places = random.uniform(30, SIZE - 30, (OBJECTS, 2))
    radii = random.uniform(9, 15, OBJECTS)
    y, x = np.mgrid[:SIZE, :SIZE]
    for _ in range(count):
        plane = np.full((SIZE, SIZE), 12, np.uint8)
        for (cy, cx), radius in zip(places, radii, strict=True):
            plane[(y - cy) ** 2 + (x - cx) ** 2 < radius**2] = 170
        yield plane
        places = np.clip(places + random.normal(0, 1, places.shape), 30, SIZE - 30)


def write_stack(path: Path, count: int) -> None:
    """Write a time-lapse as TIFF."""
    tifffile.imwrite(
        path,
        draw_planes(count),
        shape=(count, SIZE, SIZE),
        dtype=np.uint8,
        compression="zlib",
        imagej=True,
        metadata={"axes": "TYX"},
        rowsperstrip=SIZE,
        maxworkers=1,
    )


def anonymous_mb(pid: int) -> float:
    """Return the anonymous memory of a process now; 0 once it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    sizes = (line.split()[1] for line in lines if line.startswith("RssAnon:"))
    return int(next(sizes, "0")) / 1024


def measure(folder: Path, count: int) -> Run:
    """Annotate a stack of `count` planes and watch the process."""
    image = folder / f"stack_{count}.tif"
    write_stack(image, count)
    arguments = ["annotate", str(image), "--output", str(folder / f"out_{count}")]
    arguments += ["--link", "stack", "--format", "tiff,yolo,coco"]
    began, peak = time.perf_counter(), 0.0
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, *arguments], stdout=subprocess.DEVNULL
    ) as process:
        while process.poll() is None:
            peak = max(peak, anonymous_mb(process.pid))
            time.sleep(0.02)
    if process.returncode != 0:
        sys.exit(f"annotate ended with exit code {process.returncode}")
    return Run(count, peak, time.perf_counter() - began)


def import_seconds() -> float:
    """Return the best of five times that a fresh process takes to import us."""
    times = []
    for _ in range(5):
        done = subprocess.run(
            [sys.executable, "-c", IMPORT], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            sys.exit(f"import napari_sam failed or brought torch: {done.stderr}")
        times.append(float(done.stdout))
    return min(times)


def wheel_mb() -> float:
    """Build the wheel and return its size."""
    with tempfile.TemporaryDirectory() as name:
        command = [sys.executable, "-m", "build", "--wheel", "--outdir", name, ROOT]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (wheel,) = Path(name).glob("*.whl")
        return wheel.stat().st_size / 2**20


def main() -> None:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--planes", type=int, default=2000, help="planes of the long stack"
    )
    planes = parser.parse_args().planes
    if not Path("/proc/self/status").exists():
        sys.exit("this reads /proc, which only Linux has")
    with tempfile.TemporaryDirectory() as name:
        runs = [measure(Path(name), count) for count in (SHORT, planes)]
    for run in runs:
        print(
            f"{run.planes:6,} planes of {SIZE} × {SIZE}: peak anonymous memory "
            f"{run.peak_mb:7.1f} MB, {run.seconds:7.1f} s "
            f"({1000 * run.seconds / run.planes:.0f} ms a plane)"
        )
    more = runs[1].peak_mb - runs[0].peak_mb
    met = more <= ALLOWED_MB
    print(
        f"difference {more:+.1f} MB, allowed {ALLOWED_MB:+.0f} MB: "
        f"{'met' if met else 'MISSED'}"
    )
    seconds, size = import_seconds(), wheel_mb()
    print(f"import napari_sam: {seconds:.3f} s without torch, wanted < {IMPORT_S} s")
    print(f"wheel: {size:.1f} MB, wanted <= {WHEEL_MB:.0f} MB")
    met = met and seconds < IMPORT_S and size <= WHEEL_MB
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
