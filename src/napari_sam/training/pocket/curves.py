"""Draw the curves of trainings, several over each other, and tell where they ended.

    python -m napari_sam.training.pocket.curves RUN [RUN2 ...] [--out PNG]

A run is a folder that `train` has written, or is still writing. Without `--out` one
run gets its `curves.png`, and several get one beside them. What they reached last is
printed as a table in Markdown. `--by minutes` draws over the time that a run took.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from matplotlib.axes import Axes

Curve = dict[str, "npt.NDArray[np.float64]"]
LOSSES = ("centre", "foreground", "box", "sides", "entropy", "dice", "score")
TRAINING = {"loss": "loss (first round)", "iou": "IoU, training crops"}
VALIDATION = {
    "box": "box, nuclei",
    "centre_click": "centre click, nuclei",
    "any_click": "click anywhere, nuclei",
    "third_click": "third click",
    "phase_box": "box, cells",
    "phase_centre_click": "centre click, cells",
    "score_error": "expected IoU is off by",
}
_SMOOTH = 5  # rows of a training curve, each the mean of 20 steps


def read_curve(path: Path) -> Curve:
    """Read one CSV of a run; what is missing is NaN.

    A training that was killed goes on from its last checkpoint and logs some steps
    again: what was logged first is left out.
    """
    rows: dict[int, dict[str, str]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            step = int(row["step"])
            rows = {s: r for s, r in rows.items() if s < step} | {step: row}
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    return {
        name: np.array([float(row.get(name) or "nan") for row in rows.values()])
        for name in names
    }


def save_curves(runs: Sequence[Path], out: Path, *, by: str = "step") -> None:
    """Draw losses and validation of one or more runs as a PNG.

    Parameters
    ----------
    runs : sequence of Path
        Folders; the files that are not there yet are left out.
    out : Path
    by : str
        "step" or "minutes": what the curves are drawn over.
    """
    figure = Figure(figsize=(12, 9), layout="constrained")
    panels = figure.subplots(3, 3, sharex=True)
    for axes, (name, title) in zip(
        panels.flat, (TRAINING | VALIDATION).items(), strict=True
    ):
        for number, run in enumerate(runs):
            _draw(axes, run, name, by, f"C{number}")
        axes.set_title(title, fontsize=10)
        axes.grid(alpha=0.3)
    for axes in panels[-1]:
        axes.set_xlabel(by)
    legends = [axes.get_legend_handles_labels() for axes in panels.flat]
    named = max(legends, key=lambda legend: len(legend[1]))  # some have no row yet
    figure.legend(*named, loc="outside lower left", ncols=4)
    figure.savefig(out, dpi=80)


def table(runs: Sequence[Path]) -> str:
    """Return where each run stood at its last validation, in Markdown."""
    lines = [
        "| run | steps | minutes | " + " | ".join(VALIDATION.values()) + " |",
        "|---" * (3 + len(VALIDATION)) + "|",
    ]
    for run in runs:
        curve = read_curve(run / "validation.csv")
        values = [f"{curve[name][-1]:.3f}" for name in VALIDATION]
        steps, minutes = curve["step"][-1], curve["seconds"][-1] / 60
        lines.append(
            f"| {run.name} | {steps:.0f} | {minutes:.0f} | {' | '.join(values)} |"
        )
    return "\n".join(lines)


def _draw(axes: Axes, run: Path, name: str, by: str, colour: str) -> None:
    training = name in TRAINING
    path = run / ("curve.csv" if training else "validation.csv")
    if not path.exists():
        return
    curve = read_curve(path)
    values = sum(curve[n] for n in LOSSES) if name == "loss" else curve[name]
    along = curve["step"] if by == "step" else curve["seconds"] / 60
    if training:
        axes.plot(along, values, colour, alpha=0.25, linewidth=0.8)
        values = ndimage.uniform_filter1d(values, _SMOOTH)
    marker = None if training else "."
    axes.plot(along, values, colour, marker=marker, label=run.name)


def main() -> None:
    """Parse arguments, draw and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--by", choices=("step", "minutes"), default="step")
    arguments = parser.parse_args()
    runs = [run.resolve() for run in arguments.runs]
    folder = runs[0] if len(runs) == 1 else runs[0].parent
    out = arguments.out or folder / "curves.png"
    save_curves(runs, out, by=arguments.by)
    print(table([run for run in runs if (run / "validation.csv").exists()]))
    print(out)


if __name__ == "__main__":
    main()
