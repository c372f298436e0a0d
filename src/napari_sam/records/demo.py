"""The main job on the images that ship: annotate, score, draw."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
import tifffile

from napari_sam.data import FOLDER, DemoImage, demo_images
from napari_sam.images import open_image
from napari_sam.records.files import write_text
from napari_sam.records.overlays import Panel, save_picture
from napari_sam.records.run import run
from napari_sam.segment.metrics import Agreement, compare_labels
from napari_sam.segment.recipe import Recipe
from napari_sam.types import OutputError

if TYPE_CHECKING:
    from napari_sam.records.report import Listener

Labels = npt.NDArray[Any]

# Says that a folder is the demo's own, so that a later version may replace it.
_SCORES = "demo.json"
_SHOWN_PLANES = 6


@dataclass(frozen=True, slots=True)
class DemoScore:
    """How one image went.

    Attributes
    ----------
    title, modality : str
    planes : int
    in_planes : Agreement
        Objects of every plane on their own.
    linked : Agreement
        Objects through the whole stack; for a single plane the same.
    picture : Path
        The image with outlines.
    """

    title: str
    modality: str
    planes: int
    in_planes: Agreement
    linked: Agreement
    picture: Path


@dataclass(frozen=True, slots=True)
class DemoReport:
    """What the demo did.

    Attributes
    ----------
    output : Path
    scores : tuple of DemoScore
    """

    output: Path
    scores: tuple[DemoScore, ...]

    def rows(self) -> list[tuple[str, ...]]:
        """Return the table that people read, its header first."""
        header = ("image", "planes", "true", "found", "F1", "F1 linked", "mean IoU")
        return [header, *(_row(score) for score in self.scores)]


def run_demo(output: str | Path, progress: Listener | None = None) -> DemoReport:
    """Annotate the images that ship, score the result and draw it.

    Parameters
    ----------
    output : str or Path
        Gets what `run` writes, `overlays/` with one picture per image, and the
        scores as `demo.json`.
    progress : callable, optional
        Handed to `run`.

    Raises
    ------
    NapariSamError
        If the folder cannot be written, or holds results of something else.
    """
    output = Path(output)
    report = run(
        [FOLDER / "images"],
        output,
        Recipe(link="stack"),
        overwrite=(output / _SCORES).is_file(),
        progress=progress,
    )
    if not report.ok:
        reasons = [report.stopped, *(item.message for item in report.failed)]
        raise OutputError("; ".join(reason for reason in reasons if reason))
    pictures = output / "overlays"
    pictures.mkdir(exist_ok=True)
    scores = tuple(_score(image, output, pictures) for image in demo_images())
    result = DemoReport(output, scores)
    text = json.dumps([_plain(score) for score in scores], indent=1)
    write_text(output / _SCORES, text + "\n")
    return result


def _score(image: DemoImage, output: Path, pictures: Path) -> DemoScore:
    truth = tifffile.imread(image.truth)
    found = tifffile.imread(output / "labels" / f"{image.key}.tif")
    planes = _planes(truth), _planes(found)
    score = DemoScore(
        image.title,
        image.modality,
        len(planes[0]),
        sum(map(compare_labels, *planes), Agreement()),
        compare_labels(truth, found),
        pictures / f"{image.key}.png",
    )
    _draw(image, *planes, score)
    return score


def _planes(labels: Labels) -> Labels:
    return labels.reshape(-1, *labels.shape[-2:])


def _draw(image: DemoImage, truth: Labels, found: Labels, score: DemoScore) -> None:
    with open_image(image.image) as stack:
        indices = list(stack.indices())
        count = min(_SHOWN_PLANES, len(indices))
        shown = [(2 * i + 1) * len(indices) // (2 * count) for i in range(count)]
        contrast = stack.normalization()
        pixels = [stack.plane(indices[i], contrast).pixels for i in shown]
    if len(indices) == 1:
        panels = [Panel(pixels[0]), Panel(pixels[0], found[0], truth[0])]
    else:
        kind = {"T": "frame", "Z": "slice"}[image.axes[0]]
        panels = [
            Panel(plane, found[i], truth[i], f"{kind} {i}")
            for i, plane in zip(shown, pixels, strict=True)
        ]
    save_picture(
        score.picture,
        panels,
        title=f"{image.title} ({image.modality})",
        caption=_caption(score),
        columns=2 if len(indices) == 1 else 3,
    )


def _caption(score: DemoScore) -> str:
    agreement = score.in_planes
    where = "" if score.planes == 1 else f" in {score.planes} planes"
    return (
        f"{agreement.n_true} objects{where}, {agreement.n_pred} found, "
        f"F1 {agreement.f1_at(0.5):.2f} at IoU 0.5"
    )


def _row(score: DemoScore) -> tuple[str, ...]:
    planes = score.in_planes
    linked = f"{score.linked.f1_at(0.5):.2f}" if score.planes > 1 else ""
    iou = "" if planes.mean_iou is None else f"{planes.mean_iou:.2f}"
    counts = (score.planes, planes.n_true, planes.n_pred)
    f1 = f"{planes.f1_at(0.5):.2f}"
    return score.title, *(f"{count:,}" for count in counts), f1, linked, iou


def _plain(score: DemoScore) -> dict[str, Any]:
    return {
        "image": score.title,
        "planes": score.planes,
        "in planes": score.in_planes.to_dict(),
        "linked": score.linked.to_dict(),
    }
