"""From a YOLO's raw predictions to boxes, each object once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torchvision.ops import batched_nms

from napari_sam.models.ultra import load_ultralytics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

_MOST = 30000  # boxes that overlap is looked for among, as in ultralytics
_MOST_TURNED = 5000  # every one of them is compared with every other
_FAR = 7680  # pixels between classes, as in ultralytics


def read_rows(prediction: Tensor, count: int, conf: float) -> Tensor:
    """Read boxes with their best class from a head that needs suppression.

    Parameters
    ----------
    prediction : float (4 + count + more, A)
        Centre x, centre y, width, height; one score per class; anything else.
    count : int
        Number of classes.
    conf : float
        Boxes must have a higher score.

    Returns
    -------
    float (N, 6 + more)
        x0, y0, x1, y1, score, class; anything else.
    """
    more = prediction[4 + count :]
    scores = prediction[4 : 4 + count]
    scores, classes = scores.max(0)
    kept = (scores > conf).nonzero()[:, 0]
    centre, half = prediction[:2, kept].T, prediction[2:4, kept].T / 2
    columns = [
        centre - half,
        centre + half,
        scores[kept, None],
        classes[kept, None],
        more[:, kept].T,
    ]
    return torch.cat([column.float() for column in columns], 1)


def read_turned(prediction: Tensor, count: int, conf: float) -> Tensor:
    """Read turned boxes with their best class from a head that needs suppression.

    Parameters
    ----------
    prediction : float (4 + count + 1, A)
        Centre x, centre y, width, height; one score per class; angle in radians.
    count : int
    conf : float
        Boxes must have a higher score.

    Returns
    -------
    float (N, 7)
        Centre x, centre y, width, height, score, class, angle.
    """
    scores, classes = prediction[4 : 4 + count].max(0)
    kept = (scores > conf).nonzero()[:, 0]
    columns = [
        prediction[:4, kept].T,
        scores[kept, None],
        classes[kept, None],
        prediction[4 + count, kept, None],
    ]
    return torch.cat([column.float() for column in columns], 1)


def read_final(prediction: Tensor, conf: float) -> Tensor:
    """Read boxes from a head that gives every object once.

    Parameters
    ----------
    prediction : float (K, 6 + more)
        x0, y0, x1, y1, score, class; anything else. Best first.
    conf : float

    Returns
    -------
    float (N, 6 + more)
    """
    return prediction[prediction[:, 4] > conf].float()


def only(rows: Tensor, classes: Sequence[int] | None) -> Tensor:
    """Keep the rows (N, 6 + more) of some classes; None keeps all."""
    if classes is None:
        return rows
    wanted = torch.tensor(list(classes), dtype=rows.dtype, device=rows.device)
    return rows[torch.isin(rows[:, 5], wanted)]


def suppress(rows: Tensor, iou: float, *, agnostic: bool = False) -> Tensor:
    """Keep the best of the boxes of a class that overlap by more than `iou`.

    Parameters
    ----------
    rows : float (N, 6 + more)
    iou : float
    agnostic : bool
        Classes do not matter: of any boxes that overlap the best is kept.

    Returns
    -------
    float (M, 6 + more)
        Best first.
    """
    if len(rows) > _MOST:
        rows = rows[rows[:, 4].argsort(descending=True, stable=True)[:_MOST]]
    classes = torch.zeros_like(rows[:, 5]) if agnostic else rows[:, 5]
    return rows[batched_nms(rows[:, :4], rows[:, 4], classes, iou)]


def suppress_turned(rows: Tensor, iou: float) -> Tensor:
    """Keep the best of the turned boxes of a class that overlap, as ultralytics does.

    Parameters
    ----------
    rows : float (N, 7)
        From `read_turned`.
    iou : float
        Of the boxes as normal distributions (Llerena et al. 2021, arXiv:2106.06072).

    Returns
    -------
    float (M, 7)
        Best first.
    """
    best = rows[:, 4].argsort(descending=True, stable=True)
    rows = rows[best[:_MOST_TURNED]]
    nms = load_ultralytics("ultralytics.utils.nms").TorchNMS
    overlap = load_ultralytics("ultralytics.utils.metrics").batch_probiou
    # Classes are moved apart, so that they do not overlap.
    apart = rows[:, 5:6] * _FAR
    boxes = torch.cat([rows[:, :2] + apart, rows[:, 2:4], rows[:, 6:]], 1)
    return rows[nms.fast_nms(boxes, rows[:, 4], iou, iou_func=overlap)]


def hulls(rows: Tensor) -> Tensor:
    """Turn turned boxes (N, 7) into the upright ones around them (N, 6)."""
    centre, half, angle = rows[:, :2], rows[:, 2:4].abs() / 2, rows[:, 6]
    sine, cosine = angle.sin().abs(), angle.cos().abs()
    reach = torch.stack(
        [
            half[:, 0] * cosine + half[:, 1] * sine,
            half[:, 0] * sine + half[:, 1] * cosine,
        ],
        1,
    )
    return torch.cat([centre - reach, centre + reach, rows[:, 4:6]], 1)
