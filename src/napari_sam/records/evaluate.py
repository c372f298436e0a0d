"""Compare label files with the truth, file by file and over all objects."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sam.images import ImageStack, find_inputs, open_image
from napari_sam.segment.metrics import THRESHOLDS, Agreement, Comparison
from napari_sam.types import ImageError, NapariSamError

if TYPE_CHECKING:
    from collections.abc import Sequence

    pass


@dataclass(frozen=True, slots=True)
class FileScore:
    """How well one file agrees with the truth.

    Attributes
    ----------
    name : str
        Relative path without suffix.
    predicted, ground_truth : Path
    agreement : Agreement
    """

    name: str
    predicted: Path
    ground_truth: Path
    agreement: Agreement


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How well labels agree with the truth.

    Attributes
    ----------
    files : tuple of FileScore
    failures : tuple of str
        One line for each file that could not be scored, and why.
    """

    files: tuple[FileScore, ...]
    failures: tuple[str, ...] = ()

    @property
    def total(self) -> Agreement:
        """The agreement over all objects of all files."""
        return sum((file.agreement for file in self.files), Agreement())

    @property
    def exit_code(self) -> int:
        """0 if every file was scored, 2 otherwise."""
        return 2 if self.failures else 0

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        files = [
            {
                "name": file.name,
                "predicted": str(file.predicted),
                "ground_truth": str(file.ground_truth),
                **file.agreement.to_dict(),
            }
            for file in self.files
        ]
        return {
            "thresholds": list(THRESHOLDS),
            "all": self.total.to_dict() if self.files else None,
            "files": files,
            "failures": list(self.failures),
        }


def evaluate(predicted: str | Path, ground_truth: str | Path) -> Evaluation:
    """Score label images against the truth.

    Parameters
    ----------
    predicted, ground_truth : str or Path
        Two label files, or two folders in which files belong together that
        have the same relative path without suffix. The output folder of
        `napari-sam annotate` stands for the labels in it.

    Returns
    -------
    Evaluation
        Objects of a stack are compared as 3-D objects, within each time point
        where there is a T axis. Files are read plane by plane.

    Raises
    ------
    NapariSamError
        If there is nothing to compare at all.
    """
    pred, true = (_labels_in(Path(path)) for path in (predicted, ground_truth))
    if not _is_folder(pred) and not _is_folder(true):
        return _score_all([(pred.name, pred, true)], [])
    found, failures = _listed(pred)
    wanted, more = _listed(true)
    failures += more
    failures += (
        f"{path}: its ground truth is not in {true}: add it, or remove this file"
        for name, path in found.items()
        if name not in wanted
    )
    failures += (
        f"{path}: its prediction is not in {pred}: annotate its image"
        for name, path in wanted.items()
        if name not in found
    )
    pairs = [(n, path, wanted[n]) for n, path in found.items() if n in wanted]
    if not pairs:
        failures.append(
            f"{pred} and {true} have no file in common: files belong together that "
            "have the same relative path without suffix"
        )
    return _score_all(pairs, failures)


def _labels_in(path: Path) -> Path:
    """Return the labels of an output folder of ours; other paths as they are."""
    if not path.exists():
        raise ImageError(f"{path}: there is no such file or folder: check the name")
    labels = path / "labels"
    return labels if (path / "objects.csv").is_file() and labels.is_dir() else path


def _is_folder(path: Path) -> bool:
    items = find_inputs([path]) if path.is_dir() else []
    # A Zarr image is a folder too, but one image.
    return path.is_dir() and [item.path for item in items] != [path]


def _listed(path: Path) -> tuple[dict[str, Path], list[str]]:
    """Return label files by name, and what cannot be used."""
    named: dict[str, Path] = {}
    failures: list[str] = []
    for item in find_inputs([path]):
        name = str(item.relative)
        if item.error is not None:
            failures.append(str(item.error))
        elif name in named:
            failures.append(
                f"{item.path}: {named[name]} has the same name without suffix, and "
                "was taken: move one of them elsewhere"
            )
        else:
            named[name] = item.path
    return named, failures


def _score_all(
    pairs: Sequence[tuple[str, Path, Path]], failures: list[str]
) -> Evaluation:
    scores = []
    for name, pred, true in pairs:
        try:
            scores.append(FileScore(name, pred, true, compare_files(pred, true)))
        except NapariSamError as error:
            text = str(error)
            failures.append(text if str(pred) in text else f"{pred}: {text}")
    return Evaluation(tuple(scores), tuple(failures))


def compare_files(predicted: Path, ground_truth: Path) -> Agreement:
    """Score one label file; planes are read one by one.

    Raises
    ------
    NapariSamError
        If one of them is no label image or they do not fit each other.
    """
    with _open(ground_truth) as true, _open(predicted) as pred:
        if pred.label_shape != true.label_shape:
            raise ImageError(
                f"{predicted} has the shape {pred.label_shape}, its ground truth "
                f"{ground_truth} has {true.label_shape}: they must be the same"
            )
        if not (_reads_planes(true) and _reads_planes(pred)):
            raise ImageError(
                f"{predicted}: label images must end in the axes Y and X, these have "
                f"{pred.label_axes} and {true.label_axes}: turn them first"
            )
        # A plain file of pages does not say whether they are z or t.
        axes = pred.stack_axes if "T" in pred.stack_axes else true.stack_axes
        comparisons: dict[int, Comparison] = {}
        for index in true.indices():
            frame = index[axes.index("T")] if "T" in axes else 0
            part = comparisons.setdefault(frame, Comparison())
            part.add(true.read(index), pred.read(index))
        return sum((part.agreement() for part in comparisons.values()), Agreement())


def _open(path: Path) -> ImageStack:
    image = open_image(path)
    if image.rgb or image.shape != image.label_shape:
        image.close()
        raise ImageError(
            f"{path}: this is a picture with colours or channels (axes {image.axes}), "
            "not a label image: labels are one number per pixel"
        )
    return image


def _reads_planes(image: ImageStack) -> bool:
    return image.label_axes.endswith("YX")
