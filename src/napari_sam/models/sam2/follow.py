"""Objects followed from plane to plane with SAM 2's memory.

The rules are those of Meta's `SAM2VideoPredictor` (Ravi et al. 2024), with which the
answers agree, and of its demonstration: planes that a person corrects are remembered
as prompted ones. Holes in masks are not filled afterwards: rings are objects, too.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_sam.models.followed import check_plane, chosen
from napari_sam.models.sam1.geometry import INPUT
from napari_sam.models.sam1.prompts import Batch
from napari_sam.types import check_prompts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_sam.models.protocol import Embed
    from napari_sam.models.sam1.decoder import Decoded
    from napari_sam.models.sam2.encoder import Features
    from napari_sam.models.sam2.memory import Seen
    from napari_sam.models.sam2.model import Sam2Model
    from napari_sam.types import BoolArray, Embedding, Mask, Prompt

KEPT: Final = 2 * 1024**3  # bytes of memories of planes that nobody prompted

# The prompt encoder takes no prompt at all for a point that does not count.
NOTHING: Final = Batch((), torch.zeros(1, 1, 2), torch.tensor([[-1]]), None, None, True)

_ABSENT: Final = -1024.0  # the logit of every pixel where there is no object
_SURE: Final = 10.0  # and of those that somebody has drawn
_MOST: Final = 32.0  # of a logit that goes back in as a prompt
_TOGETHER: Final = 8  # objects that are decoded at once
_SIZE: Final = 4096 * 64 * 2 + 256 * 256 * 4 + 256 * 4  # bytes of an answer


@dataclass(frozen=True, slots=True, eq=False)
class _Answer:
    """What was answered for an object on a plane, and what is remembered of it."""

    logits: Tensor  # float32 (1, 1, 256, 256)
    score: float
    pointer: Tensor
    present: bool
    prompted: bool
    memory: Tensor | None = None  # bfloat16 (4096, 64)


@dataclass(slots=True, eq=False)
class _Object:
    prompted: dict[int, _Answer] = field(default_factory=dict)
    passed: dict[int, _Answer] = field(default_factory=dict)
    backwards: dict[int, bool] = field(default_factory=dict)  # how a plane was reached

    def on(self, plane: int) -> _Answer | None:
        return self.prompted.get(plane) or self.passed.get(plane)


class Sam2Follower:
    """Follow objects through a stack.

    Parameters
    ----------
    model : Sam2Model
    embed : callable
        Returns this model's embedding of a plane by its number. Each plane is asked
        for once in a run.
    count : int
        Planes in the stack.
    kept : int
        Bytes of memories to keep of planes that nobody prompted. A correction
        remembers as much of the planes before it as is left.
    """

    def __init__(
        self, model: Sam2Model, embed: Embed, count: int, kept: int = KEPT
    ) -> None:
        self._model, self._embed, self._count = model, embed, count
        self._kept = kept
        self._objects: dict[int, _Object] = {}

    @torch.inference_mode()
    def prompt(self, number: int, plane: int, prompt: Prompt) -> Mask:
        """Say where an object is on a plane; return how that was understood.

        Parameters
        ----------
        number : int
            The object's.
        plane : int
        prompt : Prompt
            All that is said about the object on this plane; what was said before
            is forgotten, but not the last answer, which this one refines. A mask and
            nothing else is taken as it is.

        Raises
        ------
        PromptError
            If there is no such plane, or the prompt does not fit it.
        """
        check_plane(plane, self._count)
        one = self._objects.get(number, _Object())
        embedding = self._embed(plane)
        check_prompts([prompt], embedding.shape)
        features = self._model.features_of(embedding)
        if prompt.mask is not None and not len(prompt.points) and prompt.box is None:
            answer = self._given(features, prompt.mask > 0)
        else:
            answer = self._asked(one, plane, features, embedding.shape, prompt)
        one.prompted[plane] = answer
        one.passed.pop(plane, None)
        self._objects[number] = one
        return self._mask(embedding.shape, answer)

    def run(
        self, planes: range, numbers: Sequence[int] | None = None
    ) -> Iterator[tuple[int, dict[int, Mask]]]:
        """Follow objects from one plane to another, forwards or backwards.

        Parameters
        ----------
        planes : range
            In steps of 1 or -1.
        numbers : sequence of int, optional
            Only these objects.

        Yields
        ------
        plane : int
        masks : dict of int to Mask
            Of each object; on planes where it was prompted what that has given.

        Raises
        ------
        PromptError
            If nothing was said about an object.
        """
        wanted = chosen(self._objects, numbers)
        for plane in planes:
            embedding = self._embed(plane)
            yield plane, self._pass(plane, embedding, wanted, planes.step < 0)

    @torch.inference_mode()
    def _pass(
        self, plane: int, embedding: Embedding, numbers: list[int], back: bool
    ) -> dict[int, Mask]:
        features = self._model.features_of(embedding)
        seen: Seen | None = None
        open_ = [n for n in numbers if plane not in self._objects[n].prompted]
        for begin in range(0, len(open_), _TOGETHER):
            part = open_[begin : begin + _TOGETHER]
            seen = seen or self._model.memory.see(features.top)
            images = torch.stack(
                [self._recall(self._objects[n], plane, seen, back) for n in part]
            )
            chunks = self._model.ask(features, images, NOTHING, several=True)
            answers = [each for chunk in chunks for each in self._read(chunk, False)]
            for number, answer in zip(part, answers, strict=True):
                self._keep(number, plane, self._remembered(features, answer))
        for number in numbers:
            self._objects[number].backwards[plane] = back
        found = {n: self._objects[n].on(plane) for n in numbers}
        shape = embedding.shape
        return {n: self._mask(shape, each) for n, each in found.items() if each}

    def _given(self, features: Features, mask: BoolArray) -> _Answer:
        """Take a mask as it is; the decoder only finds the word for the object."""
        device = features.top.device
        large = torch.from_numpy(mask).to(device, torch.float32)[None, None]
        if large.shape[-2:] != (INPUT, INPUT):
            size = (INPUT, INPUT)
            large = F.interpolate(large, size, mode="bilinear", antialias=True)
            large = (large >= 0.5).float()
        logits = F.interpolate(
            (2 * large - 1) * _SURE,
            (INPUT // 4, INPUT // 4),
            mode="bilinear",
            antialias=True,
        )
        batch = replace(NOTHING, masks=self._model.shrunk(large))
        image = self._model.alone(features)
        (chunk,) = self._model.ask(features, image, batch, several=False)
        (found,) = self._read(chunk, prompted=True)
        # The decoder may doubt it; somebody has seen it.
        return replace(found, logits=logits, score=1.0, present=True)

    def _asked(
        self,
        one: _Object,
        plane: int,
        features: Features,
        shape: tuple[int, int],
        prompt: Prompt,
    ) -> _Answer:
        batch = self._model.batch_of(shape, prompt)
        before = one.on(plane)
        if before is not None and batch.masks is None:
            batch = replace(batch, masks=before.logits.clamp(-_MOST, _MOST))
        if plane in one.backwards:  # it was reached from others
            seen = self._model.memory.see(features.top)
            image = self._recall(one, plane, seen, one.backwards[plane])[None]
        else:
            image = self._model.alone(features)
        said = len(prompt.points) + 2 * (prompt.box is not None)
        (chunk,) = self._model.ask(features, image, batch, several=said <= 1)
        (answer,) = self._read(chunk, prompted=True)
        return answer

    def _read(self, chunk: Decoded, prompted: bool) -> Iterator[_Answer]:
        """Yield the best answer to each prompt, or that there is no object."""
        for i, scores in enumerate(chunk.iou):
            best = int(scores.argmax())
            there = chunk.present is None or bool(chunk.present[i] > 0)
            logits = chunk.logits[i, best][None, None]
            yield _Answer(
                logits if there else torch.full_like(logits, _ABSENT),
                float(scores[best]),
                self._model.memory.pointer(chunk.token[i], present=there),
                there,
                prompted,
            )

    def _recall(self, one: _Object, plane: int, seen: Seen, back: bool) -> Tensor:
        """See a plane with what is remembered of an object: (256, 64, 64)."""
        memory, step = self._model.memory, -1 if back else 1
        for at, answer in one.prompted.items():
            if answer.memory is None:
                features = self._model.features_of(self._embed(at))
                one.prompted[at] = self._remembered(features, answer)
        said = [answer.memory for answer in one.prompted.values()]
        passed = (
            (away, one.passed[plane - step * away].memory)
            for away in range(memory.planes, 0, -1)
            if plane - step * away in one.passed
        )
        most = min(self._count, memory.pointers)
        pointers = [
            ((plane - at) * step, answer.pointer)
            for at, answer in one.prompted.items()
            if (plane - at) * step >= 0
        ]
        pointers += [
            (away, one.passed[plane - step * away].pointer)
            for away in range(1, most)
            if plane - step * away in one.passed
        ]
        return memory.recall(
            seen,
            [each for each in said if each is not None],
            [(away, each) for away, each in passed if each is not None],
            pointers,
            most,
        )

    def _remembered(self, features: Features, answer: _Answer) -> _Answer:
        memory = self._model.memory.remember(
            features.top,
            answer.logits,
            present=answer.present,
            prompted=answer.prompted,
        )
        return replace(answer, memory=memory)

    def _keep(self, number: int, plane: int, answer: _Answer) -> None:
        """Keep an answer, and forget the oldest ones where there are too many."""
        passed = self._objects[number].passed
        passed.pop(plane, None)  # the order is that in which they came
        passed[plane] = answer
        least = self._model.memory.pointers  # what the next plane looks back on
        most = max(least, self._kept // (_SIZE * len(self._objects)))
        while len(passed) > most:
            del passed[next(iter(passed))]

    def _mask(self, shape: tuple[int, int], answer: _Answer) -> Mask:
        return self._model.mask_of(shape, answer.logits, answer.score)
