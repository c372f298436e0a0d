"""From prompts to batches that SAM's prompt encoder takes at once."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from napari_sam.models.sam1.memory import Memory
from napari_sam.types import check_prompts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from napari_sam.models.sam1.geometry import Frame
    from napari_sam.types import FloatArray, Prompt

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
    frame: Frame, prompts: Sequence[Prompt], multimask: bool | None, model: str
) -> Iterator[Batch]:
    """Put prompts of the same kind together.

    Of the same kind are those with the same number of points, with or without a
    box, with or without a mask: SAM's decoder takes only those at once, and an
    answer must not depend on what else was asked. A previous answer is a mask, too;
    where a prompt has both, the mask counts: that is what somebody says now.

    Parameters
    ----------
    frame : Frame
    prompts : sequence of Prompt
    multimask : bool, optional
        None: several candidates only for a click without anything else.
    model : str
        Hash of the model's weights, by which it knows its own answers.

    Raises
    ------
    PromptError
        If a mask or a previous answer does not fit the plane; before the first
        batch.
    """
    check_prompts(prompts, frame.shape)
    kinds: dict[tuple[int, bool, bool, bool], list[int]] = defaultdict(list)
    for number, prompt in enumerate(prompts):
        boxed = prompt.box is not None
        masked = prompt.mask is not None or prompt.previous is not None
        lone_click = len(prompt.points) == 1 and not boxed and not masked
        several = lone_click if multimask is None else multimask
        kinds[len(prompt.points), boxed, masked, several].append(number)
    for (*_, masked, several), numbers in kinds.items():
        most = _MOST_WITH_MASK if masked else _MOST
        for start in range(0, len(numbers), most):
            part = {i: prompts[i] for i in numbers[start : start + most]}
            yield _batch(frame, part, several, model)


def _batch(
    frame: Frame, prompts: Mapping[int, Prompt], multimask: bool, model: str
) -> Batch:
    asked = list(prompts.values())
    points = labels = boxes = masks = None
    if len(asked[0].points):
        at = frame.positions(np.stack([prompt.points for prompt in asked]))
        points = torch.from_numpy(at)
        labels = torch.from_numpy(np.stack([prompt.labels for prompt in asked]))
    given = [prompt.box for prompt in asked if prompt.box is not None]
    if given:
        boxes = torch.from_numpy(frame.boxes(given))
    known = [_known(frame, prompt, model) for prompt in asked]
    low = [logits for logits in known if logits is not None]
    if low:
        masks = torch.from_numpy(np.stack(low)[:, None])
    return Batch(tuple(prompts), points, labels, boxes, masks, multimask)


def _known(frame: Frame, prompt: Prompt, model: str) -> FloatArray | None:
    """Return the logits (256, 256) of the object, if anything is known of it."""
    if prompt.mask is not None:
        return frame.low_mask(prompt.mask)
    previous = prompt.previous
    if previous is None:
        return None
    memory = previous.memory
    if isinstance(memory, Memory) and memory.fits(model, frame.shape):
        return memory.logits.astype(np.float32)
    return frame.low_mask(previous.data, previous.box[:2])
