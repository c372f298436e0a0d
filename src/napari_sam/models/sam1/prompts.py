"""From prompts to batches that SAM's prompt encoder takes at once."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from napari_sam.types import PromptError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_sam.models.sam1.geometry import Frame
    from napari_sam.types import Prompt

# An encoded mask prompt takes 4 MB, other prompts a few KB.
_MOST, _MOST_WITH_MASK = 512, 8


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Prompts of one kind, ready for the prompt encoder.

    Attributes
    ----------
    numbers : tuple of int
        Which prompts these are.
    points : float32 Tensor, shape (N, P, 2), or None
        SAM's (x, y).
    labels : int64 Tensor, shape (N, P), or None
    boxes : float32 Tensor, shape (N, 4), or None
        SAM's (x0, y0, x1, y1).
    masks : float32 Tensor, shape (N, 1, 256, 256), or None
        Logits.
    multimask : bool
        Three candidates for each, or one.
    """

    numbers: tuple[int, ...]
    points: Tensor | None
    labels: Tensor | None
    boxes: Tensor | None
    masks: Tensor | None
    multimask: bool


def batches(
    frame: Frame, prompts: Sequence[Prompt], multimask: bool | None
) -> Iterator[Batch]:
    """Put prompts of the same kind together.

    Of the same kind are those with the same number of points, with or without a
    box, with or without a mask: SAM's decoder takes only those at once, and an
    answer must not depend on what else was asked.

    Parameters
    ----------
    frame : Frame
    prompts : sequence of Prompt
    multimask : bool, optional
        None: several candidates only for a click without anything else.

    Raises
    ------
    PromptError
        If a mask has another shape than the plane; before the first batch.
    """
    kinds: dict[tuple[int, bool, bool, bool], list[int]] = defaultdict(list)
    for number, prompt in enumerate(prompts):
        if prompt.mask is not None and prompt.mask.shape != frame.shape:
            raise PromptError(
                f"prompt {number}: the mask is {prompt.mask.shape}, the plane is "
                f"{frame.shape}; they must be the same"
            )
        boxed, masked = prompt.box is not None, prompt.mask is not None
        lone_click = len(prompt.points) == 1 and not boxed and not masked
        several = lone_click if multimask is None else multimask
        kinds[len(prompt.points), boxed, masked, several].append(number)
    for (*_, masked, several), numbers in kinds.items():
        most = _MOST_WITH_MASK if masked else _MOST
        for start in range(0, len(numbers), most):
            yield _batch(frame, prompts, numbers[start : start + most], several)


def _batch(
    frame: Frame, prompts: Sequence[Prompt], numbers: list[int], multimask: bool
) -> Batch:
    asked = [prompts[number] for number in numbers]
    points = labels = boxes = masks = None
    if len(asked[0].points):
        at = frame.positions(np.stack([prompt.points for prompt in asked]))
        points = torch.from_numpy(at)
        labels = torch.from_numpy(np.stack([prompt.labels for prompt in asked]))
    given = [prompt.box for prompt in asked if prompt.box is not None]
    if given:
        boxes = torch.from_numpy(frame.boxes(given))
    low = [frame.low_mask(prompt.mask) for prompt in asked if prompt.mask is not None]
    if low:
        masks = torch.from_numpy(np.stack(low)[:, None])
    return Batch(tuple(numbers), points, labels, boxes, masks, multimask)
