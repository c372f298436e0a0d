"""Start and memory of a run over very many small inputs.

Writes tiny TIFFs, annotates them until `--until` are done, and prints how long it took
until the first was opened, and the memory that was held after 100 and at the end.

    python benchmarks/many_inputs.py --inputs 10000 --until 500

Exit code 1 where the start takes 10 s or more.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
import tifffile

from napari_sam.records.run import run
from napari_sam.segment.recipe import Recipe

if TYPE_CHECKING:
    from napari_sam.records.report import Progress

START_S = 10.0


class Enough(Exception):
    """As many are done as were asked for."""


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--until", type=int, default=10_000)
    options = parser.parse_args()
    image = np.full((48, 48), 100, np.uint16)
    image[16:32, 16:32] = 900
    first = memory = 0.0

    def told(event: Progress) -> None:
        nonlocal first, memory
        if event.kind == "start" and not first:
            first = time.perf_counter() - began
        if event.kind == "done" and event.number == min(100, options.until):
            memory = held()
        if event.kind == "done" and event.number == options.until:
            raise Enough

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "in")
        place.mkdir()
        for number in range(options.inputs):
            tifffile.imwrite(place / f"image{number:05d}.tif", image)
        began = time.perf_counter()
        try:
            run(
                [place],
                Path(folder, "out"),
                Recipe(detector="threshold", device="cpu"),
                progress=told,
            )
        except Enough:
            pass
        print(f"{options.inputs} inputs: the first was opened after {first:.1f} s")
        print(f"memory after 100: {memory:.0f} MB, at the end: {held():.0f} MB")
    return int(first >= START_S)


def held() -> float:
    """Return the memory of this process in MB."""
    return float(psutil.Process().memory_info().rss) / 2**20


if __name__ == "__main__":
    sys.exit(main())
