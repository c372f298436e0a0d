"""How well labels agree with the truth, object by object.

A predicted object counts as right at a threshold when its IoU with the true
object that it is paired with is at least (>=) that threshold, as in StarDist,
Cellpose and COCO. Above 0.5 nobody has a second candidate, since objects of
one label image do not overlap; at exactly 0.5 two halves of one object both
qualify, and the pairs are chosen by optimal assignment, so only one counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from napari_sam.segment.overlap import Overlaps, best_pairs, count_overlaps
from napari_sam.types import IntArray, NapariSamError

if TYPE_CHECKING:
    from collections.abc import Sequence

THRESHOLDS: Final = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
"""IoUs at which F1 is reported."""


class LabelError(NapariSamError):
    """Two label images cannot be compared."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Counts that say how well predicted objects agree with true ones.

    Agreements of several files add up (`+`, `sum(…, Agreement())`): the sum
    counts every object once, whatever file it lies in.

    Attributes
    ----------
    n_true, n_pred : int
        Number of objects.
    tp : tuple of int
        Pairs whose IoU reaches each of `THRESHOLDS`.
    iou_sum : float
        Sum of the IoUs of the pairs that reach 0.5.
    """

    n_true: int = 0
    n_pred: int = 0
    tp: tuple[int, ...] = (0,) * len(THRESHOLDS)
    iou_sum: float = 0.0

    def __add__(self, other: Agreement) -> Agreement:
        return Agreement(
            self.n_true + other.n_true,
            self.n_pred + other.n_pred,
            tuple(a + b for a, b in zip(self.tp, other.tp, strict=True)),
            self.iou_sum + other.iou_sum,
        )

    @property
    def fp(self) -> tuple[int, ...]:
        """Predicted objects that are not there, at each threshold."""
        return tuple(self.n_pred - tp for tp in self.tp)

    @property
    def fn(self) -> tuple[int, ...]:
        """True objects that were not found, at each threshold."""
        return tuple(self.n_true - tp for tp in self.tp)

    @property
    def f1(self) -> tuple[float, ...]:
        """F1 = 2 tp / (n_true + n_pred) at each threshold.

        1 where there is nothing to find and nothing was found.
        """
        total = self.n_true + self.n_pred
        return tuple(2 * tp / total if total else 1.0 for tp in self.tp)

    @property
    def mean_f1(self) -> float:
        """Mean of `f1` over the thresholds."""
        return sum(self.f1) / len(THRESHOLDS)

    @property
    def mean_iou(self) -> float | None:
        """Mean IoU of the pairs that reach 0.5; None without any."""
        return self.iou_sum / self.tp[0] if self.tp[0] else None

    def f1_at(self, threshold: float) -> float:
        """F1 at one of `THRESHOLDS`."""
        return self.f1[THRESHOLDS.index(threshold)]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, with one entry per threshold."""
        keys = [f"{threshold:.2f}" for threshold in THRESHOLDS]
        per_threshold = {"f1": self.f1, "tp": self.tp, "fp": self.fp, "fn": self.fn}
        return {
            "n_true": self.n_true,
            "n_pred": self.n_pred,
            "mean_iou": self.mean_iou,
            "mean_f1": self.mean_f1,
            **{k: dict(zip(keys, v, strict=True)) for k, v in per_threshold.items()},
        }


class Comparison:
    """Compares two label images that arrive in parts, for example by planes.

    An object is all pixels of one id in all parts, so a 3-D object is compared
    as one, and only the counts of pairs that touch are held.

    Examples
    --------
    >>> comparison = Comparison()
    >>> for part in range(3):
    ...     comparison.add(np.eye(4, dtype=int), np.eye(4, dtype=int))
    >>> comparison.agreement().f1_at(0.95)
    1.0
    """

    def __init__(self) -> None:
        self._true: dict[int, int] = {}
        self._pred: dict[int, int] = {}
        self._shared: dict[tuple[int, int], int] = {}

    def add(self, true: npt.NDArray[Any], pred: npt.NDArray[Any]) -> None:
        """Take one part of both images; both parts have one shape.

        Raises
        ------
        LabelError
            If the shapes differ or something is no label image.
        """
        _check(true, pred)
        part = count_overlaps(true, pred)
        _count(self._true, part.first_ids.tolist(), part.first_areas)
        _count(self._pred, part.second_ids.tolist(), part.second_areas)
        first = part.first_ids[part.first].tolist()
        second = part.second_ids[part.second].tolist()
        _count(self._shared, list(zip(first, second, strict=True)), part.shared)

    def overlaps(self) -> Overlaps:
        """Return what all parts so far share; the truth comes first."""
        true, pred = sorted(self._true), sorted(self._pred)
        pairs = np.array(sorted(self._shared), np.int64).reshape(-1, 2)
        shared = [self._shared[a, b] for a, b in pairs.tolist()]
        return Overlaps(
            np.array(true, np.int64),
            np.array(pred, np.int64),
            np.array([self._true[i] for i in true], np.int64),
            np.array([self._pred[i] for i in pred], np.int64),
            np.searchsorted(true, pairs[:, 0]).astype(np.int64),
            np.searchsorted(pred, pairs[:, 1]).astype(np.int64),
            np.array(shared, np.int64),
        )

    def agreement(self) -> Agreement:
        """Return how well all parts so far agree."""
        overlaps = self.overlaps()
        iou = overlaps.iou[matches(overlaps)]
        return Agreement(
            overlaps.first_ids.size,
            overlaps.second_ids.size,
            tuple(int((iou >= threshold).sum()) for threshold in THRESHOLDS),
            float(iou.sum()),
        )


def matches(overlaps: Overlaps, threshold: float = 0.5) -> IntArray:
    """Return which pairs match: one to one, each with an IoU >= `threshold`.

    With 0.5 or more this is the largest possible number of pairs, and the pairs
    above any higher threshold are those of that threshold's own matching.
    """
    iou = overlaps.iou
    able = np.flatnonzero(iou >= threshold)
    chosen = best_pairs(overlaps.first[able], overlaps.second[able], iou[able])
    return np.asarray(able[chosen], np.int64)


def compare_labels(
    true: npt.NDArray[Any], pred: npt.NDArray[Any], axes: str | None = None
) -> Agreement:
    """Compare two label images of one shape and any number of dimensions.

    Parameters
    ----------
    true, pred : integer array
        0 is background.
    axes : str, optional
        One letter per dimension, for example "TZYX". With a T axis an object is
        what has one id at one time point, so that linking through time or not
        makes no difference here. Without `axes` an object is all pixels of one
        id in the whole image.

    Returns
    -------
    Agreement

    Raises
    ------
    LabelError
        If the images cannot be compared.
    """
    _check(true, pred)
    if axes is not None and len(axes) != true.ndim:
        raise LabelError(
            f"the axes {axes!r} do not fit a label image of the shape {true.shape}: "
            "name one letter for each dimension"
        )
    if axes is not None and "T" in axes.upper():
        at = axes.upper().index("T")
        rest = axes[:at] + axes[at + 1 :]
        frames = zip(np.moveaxis(true, at, 0), np.moveaxis(pred, at, 0), strict=True)
        return sum((compare_labels(a, b, rest) for a, b in frames), Agreement())
    comparison = Comparison()
    for index in np.ndindex(true.shape[:-2]):
        comparison.add(np.asarray(true[index]), np.asarray(pred[index]))
    return comparison.agreement()


def _check(true: npt.NDArray[Any], pred: npt.NDArray[Any]) -> None:
    for what, labels in (("ground truth", true), ("prediction", pred)):
        if labels.dtype.kind not in "iub":
            raise LabelError(
                f"the {what} has pixels of type {labels.dtype}: labels must be integers"
            )
        if labels.dtype.kind == "i" and labels.size and labels.min() < 0:
            raise LabelError(f"the {what} has negative labels: ids start at 1")
    if true.shape != pred.shape:
        raise LabelError(
            f"the prediction has the shape {pred.shape}, the ground truth "
            f"{true.shape}: they must be the same"
        )


def _count(total: dict[Any, int], keys: Sequence[Any], amounts: IntArray) -> None:
    for key, amount in zip(keys, amounts.tolist(), strict=True):
        total[key] = total.get(key, 0) + amount
