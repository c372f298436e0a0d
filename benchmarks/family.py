"""Every family of models against the package that it comes from.

    python benchmarks/family.py --micro-sam ENV/bin/python --sam3 ENV/bin/python

Both have the same random weights, are asked in turns, each in a process of its own, and
encode the same planes of 520 × 696 pixels: one plane, one click, 100 boxes, and a stack
of 20 planes of which everything is kept. Memory is what a process grew by while it
answered, at its highest. Takes about ten minutes on two quiet cores; `--only` names
some of the families. SAM b and SAM 3 take long for a plane, so their stacks are
shorter, and of SAM 3's 32 blocks there are 8; `--whole` takes 20 planes and all blocks,
and an hour.

micro-sam and Meta's sam3 do not fit beside napari, and need environments of their own:

    python -m venv micro && micro/bin/pip install micro-sam segment-anything-py \
        mobilesam-mirror timm
    python -m venv meta && meta/bin/pip install sam3==0.1.4 einops decord pycocotools

(and what these miss when they are imported). The other packages are in the extra
`bench`. What is not there is said, and counts as missed. Exit code 1 where a target is
missed. Linux only.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
import psutil
import torch
from decoder import (
    BOXES,
    MICRO_BATCH,
    MOBILE,
    SHAPE,
    THREADS,
    TINY,
    Contender,
    network,
    random_state,
    write_asked,
)

from napari_sam.models.sam3 import build as build3
from napari_sam.models.ultra import load_ultralytics, quiet

WORKER: Final = Path(__file__).with_name("family_worker.py")
BUSY: Final = 15.0  # per cent
EQUAL: Final = 0.97  # faster than this is not slower: the same network takes 3 % more
PLANES: Final = 20
BLOCKS: Final = 32
# Below this, what the allocator happens to have at hand is as much.
LITTLE_MB: Final = 200.0
LEANER: Final = 2.0
# What SAM 3's parts are called in Meta's file.
META3: Final = (
    ("image_encoder.", "detector.backbone."),
    ("memory_attention.", "tracker.transformer.encoder."),
    ("memory_encoder.", "tracker.maskmem_backbone."),
    ("", "tracker."),
)


@dataclass(frozen=True)
class Family:
    """A family, and what it is compared with.

    Attributes
    ----------
    title : str
    architecture : str
        As `family_worker.py` understands it.
    rival : str
        The contender's name there.
    module : str
        What must be importable where it runs.
    python : str, optional
        The option that says where that is; else it is here.
    planes : int
        Of the stack, unless all are asked for.
    batch : int
        Boxes that the rival is given at once.
    faster : dict of str to float
        By how much ours must be faster at a task; at others it must not be slower.
    """

    title: str
    architecture: str
    rival: str
    module: str
    python: str | None = None
    planes: int = PLANES
    batch: int = BOXES
    faster: Any = ()


FAMILIES: Final = {
    "sam1": Family("SAM b", "vit_b", "meta", "segment_anything", planes=3),
    "mobilesam": Family("MobileSAM", MOBILE, "meta", "mobile_sam"),
    "sam2": Family("SAM 2.1 tiny", TINY, "meta", "sam2", faster={"boxes": 2.0}),
    "sam3": Family("SAM 3, 8 of 32 blocks", "sam3:8", "meta3", "sam3", "sam3", 2),
    "fastsam": Family("FastSAM-s", "fastsam", "fastsam", "ultralytics"),
    "musam": Family(
        "µSAM (MobileSAM)",
        MOBILE,
        "micro",
        "micro_sam",
        "micro_sam",
        batch=MICRO_BATCH,
        faster={"stack": 1.3},
    ),
}
WHOLE_SAM3: Final = Family("SAM 3", f"sam3:{BLOCKS}", "meta3", "sam3", "sam3")


def write_weights(path: Path, architecture: str) -> None:
    """Write random weights as the rival's package names them."""
    if architecture == "fastsam":
        torch.save({"model": random_fastsam(), "train_args": {}}, path)
    elif architecture.startswith("sam3"):
        builders: Any = load_ultralytics("ultralytics.models.sam.build_sam3")
        sys.path.insert(0, str(WORKER.parent))
        from family_worker import cut

        whole = builders.ViT
        builders.ViT = partial(cut, whole, int(architecture.partition(":")[2]))
        try:
            state = random_state(build3.empty())
        finally:
            builders.ViT = whole
        torch.save({in_file(name): tensor for name, tensor in state.items()}, path)
    else:
        torch.save(random_state(network(architecture)), path)


def in_file(name: str) -> str:
    """Return what a tensor of SAM 3 is called in Meta's file."""
    ours, theirs = next(pair for pair in META3 if name.startswith(pair[0]))
    return theirs + name.removeprefix(ours)


def random_fastsam() -> Any:
    """Return FastSAM-s with random weights that outlines something everywhere."""
    tasks = load_ultralytics("ultralytics.nn.tasks")
    torch.manual_seed(0)
    with quiet(), torch.no_grad():
        module = tasks.SegmentationModel("yolov8s-seg.yaml", nc=1, verbose=False)
        scene = torch.rand(1, 3, 480, 640)
        for layer in module.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.momentum = None
        module.train()(scene)
        module.eval()
        for scale in module.model[-1].cv3:
            layer, seen = scale[-1], []
            hook = layer.register_forward_hook(lambda *a, s=seen: s.append(a[-1]))
            module(scene)
            hook.remove()
            gain = 1.2 / seen[0].std()
            layer.weight *= gain
            layer.bias.copy_((layer.bias - seen[0].mean()) * gain)
    module.names, module.task = {0: "object"}, "segment"
    module.args = {"imgsz": 640, "task": "segment"}
    return module


def measure(family: Family, folder: Path, options: argparse.Namespace) -> list[str]:
    """Compare one family; print its table and return what it misses."""
    planes = options.planes or (PLANES if options.whole else family.planes)
    # Those that take long for a plane are asked less often.
    repeats = options.repeats - (family.planes < PLANES and options.repeats > 1)
    python = options.pythons[family.python]
    checkpoint = folder / f"{family.rival}.pt"
    write_weights(checkpoint, family.architecture)
    asked = write_asked(folder, options)
    files = (family.architecture, str(checkpoint), *asked)
    boxes = np.load(folder / "boxes.npy")
    np.save(folder / "few.npy", boxes[:4])
    random = np.random.default_rng(0)
    stack = random.integers(0, 256, (planes, *SHAPE, 3), np.uint8)
    np.save(folder / "stack.npy", stack)
    names = {"ours": ("ours", sys.executable), "theirs": (family.rival, python)}
    sides = {k: Contender(*v, files, WORKER) for k, v in names.items()}
    lines = {
        "encode": ("encode", repeats),
        "click": ("click {y} 200.5", 5 * repeats),
        "boxes": (f"boxes {folder / 'boxes.npy'} {family.batch}", options.long),
        "stack": (f"stack {folder / 'stack.npy'}", options.long),
    }
    called = {"stack": f"stack of {planes} planes", "boxes": f"{len(boxes)} boxes"}
    for side in sides.values():  # none of these is counted
        side.ask("click 200 200.5")
        side.ask(f"boxes {folder / 'few.npy'} {family.batch}")
    missed: list[str] = []
    wanted = dict(family.faster)
    print(f"{'':20} {'ours':>9} {'theirs':>9} {'faster':>7} {'memory':>17} {'less':>6}")
    for task, (line, turns) in lines.items():
        answers: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
        for turn in range(turns):
            for name, side in sides.items():
                answers[name].append(side.ask(line.format(y=40 + 17 * turn % 400)))
        ours, theirs = (
            median(a["seconds"] for a in answers[side]) for side in ("ours", "theirs")
        )
        mine, other = (
            max(a["peak_mb"] for a in answers[side]) for side in ("ours", "theirs")
        )
        ratio, less = theirs / ours, other / max(1.0, mine)
        name = called.get(task, task)
        print(
            f"{name:20} {ours:7.3f} s {theirs:7.3f} s {ratio:5.2f} x "
            f"{mine:5.0f} /{other:6.0f} MB {less:4.1f} x",
            flush=True,
        )
        if ratio < wanted.get(task, EQUAL):
            missed.append(f"{name}: {ratio:.2f} x, wanted {wanted.get(task, 1.0)} x")
        if task in ("boxes", "stack") and other > LITTLE_MB and less < LEANER:
            missed.append(f"{name}: memory {less:.1f} x less, wanted {LEANER} x")
    for side in sides.values():
        side.close()
    return [f"missed: {family.title}, {each}" for each in missed]


def why_not(family: Family, options: argparse.Namespace) -> str | None:
    """Return why a family cannot be compared here; None if it can."""
    python = options.pythons[family.python]
    if python is None:
        return f"no environment with {family.module} was named, see --help"
    tried = subprocess.run(
        [python, "-c", f"import {family.module}"], capture_output=True, text=True
    )
    if tried.returncode:
        return f"{python} cannot import it: {tried.stderr.strip().splitlines()[-1]}"
    return None


def parsed() -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--micro-sam", help="Python of an environment that has it")
    parser.add_argument("--sam3", help="the same, with Meta's sam3")
    parser.add_argument("--only", nargs="+", choices=list(FAMILIES), metavar="FAMILY")
    parser.add_argument("--repeats", type=int, default=3, help="of encode; clicks 5x")
    parser.add_argument("--long", type=int, default=1, help="repeats of boxes, stack")
    parser.add_argument("--boxes", type=int, default=BOXES, help="100 are judged")
    parser.add_argument("--planes", type=int, help="of a stack, not judged")
    parser.add_argument("--threads", type=int, default=THREADS, help="2 are judged")
    parser.add_argument("--whole", action="store_true", help="20 planes, 32 blocks")
    parser.add_argument("--anyway", action="store_true", help="print, do not judge")
    options = parser.parse_args()
    options.pythons = {
        None: sys.executable,
        "micro_sam": options.micro_sam,
        "sam3": options.sam3,
    }
    return options


def main() -> int:
    """Measure, print, judge."""
    options = parsed()
    busy = psutil.cpu_percent(interval=1.0)
    if busy > BUSY and not options.anyway:
        sys.exit(
            f"the processor is {busy:.0f} % busy: timings would say nothing (--anyway "
            "prints them all the same)"
        )
    print(
        f"{platform.processor() or platform.machine()}, {psutil.cpu_count()} cores, "
        f"{options.threads} threads, torch {torch.__version__}, planes of "
        f"{SHAPE[0]} × {SHAPE[1]} pixels, medians of {options.repeats} turns (clicks "
        f"{5 * options.repeats}, boxes and stacks {options.long}; slow ones fewer)"
    )
    missed = []
    for name in options.only or FAMILIES:
        family = FAMILIES[name]
        if options.whole and name == "sam3":
            family = WHOLE_SAM3
        print(f"\n{family.title}, against {family.module}")
        if reason := why_not(family, options):
            print(f"NOT COMPARED: {reason}")
            missed.append(f"not compared: {family.title}")
            continue
        began = time.perf_counter()
        try:
            with tempfile.TemporaryDirectory() as folder:
                missed += measure(family, Path(folder), options)
        except SystemExit as ended:  # a contender; the others are still compared
            print(f"NOT COMPARED: {ended}")
            missed.append(f"not compared: {family.title}")
        print(f"({time.perf_counter() - began:.0f} s)")
    busy = psutil.cpu_percent(interval=1.0)
    judged = (options.boxes, options.threads, options.planes) == (BOXES, THREADS, None)
    if options.anyway or busy > BUSY or not judged:
        print("\nnot judged" + (f", {busy:.0f} % busy" if busy > BUSY else ""))
        return 0
    print("\n" + ("\n".join(missed) if missed else "all targets are met"))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
