"""How much quicker `napari-sam annotate` is than ultralytics' `auto_annotate`.

    python benchmarks/annotate_speed.py [--planes 20] [--repeats 3]

Both get the same folder of planes of 520 × 696 pixels (the demo's fluorescent
nuclei, made smaller, mirrored and shifted, 60 or more a plane), the same detector
file (the YOLO of nuclei that ships, as ultralytics saves one), the same options and
one MobileSAM state dict with random weights, whose expected IoU is raised so that
`auto_annotate` drops no mask. Whole processes are timed, in turns, and the medians
compared. Then the models that ship are timed on the same folder, as information.

Exit code 1 where the ratio is below 2.5 or the numbers of masks differ.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import tifffile
import torch
from skimage import io, transform

from napari_sam.data import demo_images
from napari_sam.images import make_plane
from napari_sam.models.catalog import list_models, load_detector, load_model
from napari_sam.models.ultra import load_ultralytics
from napari_sam.models.yolo.shipped import load_shipped
from napari_sam.segment.propose import propose_plane

SHAPE = (520, 696)
LEAST_BOXES = 60
WANTED = 2.5
SMALLER = 0.57
THEIRS = """
import sys
from ultralytics.data.annotator import auto_annotate
data, detector, sam, output = sys.argv[1:]
auto_annotate(data, det_model=detector, sam_model=sam, device="cpu", output_dir=output)
"""
OURS = "from napari_sam.cli import main; main()"


def write_planes(folder: Path, count: int) -> None:
    """Write planes as PNG: every one the demo's nuclei in another arrangement."""
    sample = next(image for image in demo_images() if image.key == "fluorescence")
    pixels = make_plane(tifffile.imread(sample.image)).pixels[..., 0]
    small = transform.rescale(pixels, SMALLER, anti_aliasing=True, preserve_range=True)
    wide = np.tile(
        np.block([[small, small[:, ::-1]], [small[::-1], small[::-1, ::-1]]]), 2
    )
    random = np.random.default_rng(0)
    folder.mkdir()
    for number in range(count):
        y, x = (int(random.integers(0, n)) for n in small.shape)
        plane: npt.NDArray[Any] = wide[y : y + SHAPE[0], x : x + SHAPE[1]]
        picture = np.repeat(plane.round().astype(np.uint8)[..., None], 3, axis=2)
        io.imsave(folder / f"plane_{number:02}.png", picture, check_contrast=False)


def write_models(folder: Path) -> tuple[Path, Path]:
    """Write the detector as ultralytics does, and MobileSAM with random weights."""
    load_ultralytics()
    from ultralytics import YOLO
    from ultralytics.models.sam.build import build_mobile_sam

    (entry,) = (e for e in list_models() if e.name == "nuclei-yolo")
    assert entry.path is not None
    detector = YOLO("yolo11n.yaml")
    detector.model, _ = load_shipped(entry.path)
    detector_path = folder / "nuclei.pt"
    detector.save(detector_path)
    torch.manual_seed(0)
    sam = build_mobile_sam(None)
    # Else it would drop masks by an expected IoU that means nothing here.
    sam.mask_decoder.iou_prediction_head.layers[-1].bias.data.fill_(1.0)
    sam_path = folder / "mobile_sam.pt"
    torch.save(sam.state_dict(), sam_path)
    return detector_path, sam_path


def seconds(command: list[str], output: Path) -> float:
    """Return the time of one process that writes to a fresh folder."""
    shutil.rmtree(output, ignore_errors=True)
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{command} failed: {done.stderr[-2000:]}")
    return time.perf_counter() - began


def our_counts(planes: list[Path], detector: Path, sam: Path) -> list[int]:
    """Return how many masks we make for each plane."""
    model = load_model(sam, "cpu")
    finder = load_detector(str(detector), device="cpu", conf=0.25)
    return [
        len(propose_plane(make_plane(io.imread(path)), model, finder).masks)
        for path in planes
    ]


def their_counts(planes: list[Path], output: Path) -> list[int]:
    """Return how many rows `auto_annotate` wrote for each plane."""
    files = [output / f"{path.stem}.txt" for path in planes]
    return [len(f.read_text().splitlines()) if f.exists() else 0 for f in files]


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--planes", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    busy = psutil.cpu_percent(interval=1.0)
    if busy > 15:
        sys.exit(f"the processor is {busy:.0f} % busy: timings would say nothing")
    with tempfile.TemporaryDirectory() as name:
        return compare(Path(name), arguments.planes, arguments.repeats)


def compare(folder: Path, count: int, repeats: int) -> int:
    """Time both in turns on `count` planes."""
    images, theirs, ours = folder / "planes", folder / "theirs", folder / "ours"
    write_planes(images, count)
    detector, sam = write_models(folder)
    python = sys.executable
    their_command = [python, "-c", THEIRS, str(images), str(detector), str(sam)]
    our_command = [python, "-c", OURS, "annotate", str(images), "--output", str(ours)]
    our_command += ["--format", "yolo", "--device", "cpu"]
    same = ["--detector", str(detector), "--model", str(sam)]
    times: dict[str, list[float]] = {"theirs": [], "ours": [], "shipped": []}
    for _ in range(repeats):
        times["theirs"].append(seconds([*their_command, str(theirs)], theirs))
        times["ours"].append(seconds([*our_command, *same], ours))
        times["shipped"].append(seconds(our_command, ours))
    planes = sorted(images.iterdir())
    expected, made = their_counts(planes, theirs), our_counts(planes, detector, sam)
    ratio = median(times["theirs"]) / median(times["ours"])
    print(f"{platform.processor() or platform.machine()}, {psutil.cpu_count()} cores")
    print(f"torch {torch.__version__}, {count} planes of {SHAPE[0]} × {SHAPE[1]}")
    print(f"masks a plane: {min(expected)} to {max(expected)}, in all {sum(expected)}")
    print(f"auto_annotate, MobileSAM       {median(times['theirs']):8.1f} s")
    print(f"napari-sam annotate, the same  {median(times['ours']):8.1f} s")
    print(f"napari-sam annotate, built in  {median(times['shipped']):8.1f} s")
    print(f"{ratio:.2f} times faster, wanted >= {WANTED}")
    equal = expected == made
    print("numbers of masks are equal" if equal else f"masks: {expected} and {made}")
    met = ratio >= WANTED and equal and min(expected) >= LEAST_BOXES
    print("all targets are met" if met else "MISSED")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
