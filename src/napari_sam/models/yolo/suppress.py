"""From a YOLO's raw predictions to boxes, each object once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torchvision.ops import batched_nms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

_MOST = 30000  # boxes that overlap is looked for among, as in ultralytics


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
    float (N, 6)
        x0, y0, x1, y1, score, class.
    """
    scores = prediction[4 : 4 + count]
    scores, classes = scores.max(0)
    kept = (scores > conf).nonzero()[:, 0]
    centre, half = prediction[:2, kept].T, prediction[2:4, kept].T / 2
    columns = [centre - half, centre + half, scores[kept, None], classes[kept, None]]
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
    float (N, 6)
    """
    return prediction[prediction[:, 4] > conf, :6].float()


def only(rows: Tensor, classes: Sequence[int] | None) -> Tensor:
    """Keep the rows (N, 6) of some classes; None keeps all."""
    if classes is None:
        return rows
    wanted = torch.tensor(list(classes), dtype=rows.dtype, device=rows.device)
    return rows[torch.isin(rows[:, 5], wanted)]


def suppress(rows: Tensor, iou: float) -> Tensor:
    """Keep the best of the boxes of a class that overlap by more than `iou`.

    Parameters
    ----------
    rows : float (N, 6)
    iou : float

    Returns
    -------
    float (M, 6)
        Best first.
    """
    if len(rows) > _MOST:
        rows = rows[rows[:, 4].argsort(descending=True, stable=True)[:_MOST]]
    return rows[batched_nms(rows[:, :4], rows[:, 4], rows[:, 5], iou)]
