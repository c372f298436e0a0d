"""Losses of the dense head and of the decoder."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def dense_loss(dense: Tensor, target: dict[str, Tensor]) -> dict[str, Tensor]:
    """Centre-ness, foreground and the object's box at every cell.

    Parameters
    ----------
    dense : (N, 6, h, w)
    target : dict
        `targets.dense_targets`, stacked.
    """
    centre, foreground = dense[:, 0], dense[:, 1]
    # Quality focal loss (Li et al. 2020, arXiv:2006.04388): soft targets.
    error = (target["centre"] - centre.sigmoid()).abs() ** 2
    peaks = F.binary_cross_entropy_with_logits(
        centre, target["centre"], reduction="none"
    )
    weight = target["weight"]
    total = weight.sum().clamp(min=1)
    # Outside of the image's own object a distance can be below zero for cells
    # that an object only touches; such cells learn half a pixel.
    wanted = target["distances"].clamp(min=0.5)
    got = dense[:, 2:].clamp(max=7).exp()
    shared = _area(torch.minimum(wanted, got))
    union = _area(wanted) + _area(got) - shared
    sides = (dense[:, 2:] - wanted.log()).abs().mean(1)
    return {
        "centre": 4 * (error * peaks).mean(),
        "foreground": F.binary_cross_entropy_with_logits(
            foreground, target["foreground"]
        ),
        # What a click is answered from: the weak side of a small model.
        "box": 2 * ((1 - shared / union) * weight).sum() / total,
        "sides": 0.5 * (sides * weight).sum() / total,
    }


def _area(distances: Tensor) -> Tensor:
    top, left, bottom, right = distances.unbind(1)
    return (top + bottom) * (left + right)


def mask_loss(
    logits: Tensor,
    score: Tensor,
    target: Tensor,
    valid: Tensor,
    missing: Tensor,
    edge: float = 0.0,
) -> tuple[dict[str, Tensor], Tensor]:
    """Cross-entropy, Dice and predicted IoU of masks in their regions.

    Parameters
    ----------
    logits, target, valid : (R, 64, 64)
    score : (R,)
        Logit of the predicted IoU.
    missing : (R,)
        Samples' worth of the object that lie outside of the region.
    edge : float
        What samples near the outline count more in the cross-entropy.

    Returns
    -------
    losses : dict
    iou : (R,)
        What the masks reach.
    """
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    weight = valid * (1 + edge * _outline(target)) if edge else valid
    entropy = (entropy * weight).sum((1, 2)) / weight.sum((1, 2)).clamp(min=1)
    soft = logits.sigmoid() * valid
    dice = 1 - (2 * (soft * target).sum((1, 2)) + 1) / (
        soft.sum((1, 2)) + target.sum((1, 2)) + 1
    )
    with torch.no_grad():
        mask = (logits > 0) * valid
        shared = (mask * target).sum((1, 2))
        union = mask.sum((1, 2)) + target.sum((1, 2)) + missing - shared
        iou = shared / union.clamp(min=1e-6)
    losses = {
        "entropy": 2 * entropy.mean(),
        "dice": dice.mean(),
        "score": 0.5 * F.binary_cross_entropy_with_logits(score, iou),
    }
    return losses, iou


def _outline(target: Tensor) -> Tensor:
    """Return 1 within two samples of an outline, 0 elsewhere."""
    high = F.max_pool2d(target[:, None], 5, 1, 2)
    low = -F.max_pool2d(-target[:, None], 5, 1, 2)
    return (high - low)[:, 0]
