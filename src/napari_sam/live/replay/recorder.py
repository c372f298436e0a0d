"""Writes down what is done on one image, so that it can be done again."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from napari_sam.live import marks
from napari_sam.live.disk import keeping
from napari_sam.live.disk.kept.entries import Packed
from napari_sam.live.disk.snapshot import Snapshot
from napari_sam.live.replay import text
from napari_sam.live.source import Source
from napari_sam.live.threads import say
from napari_sam.models.runtime import lane_threads, stand_back

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from pydantic import BaseModel

    from napari_sam.live.labels.changes import Change
    from napari_sam.live.labels.objects import Objects
    from napari_sam.live.prompting.answers import Together
    from napari_sam.live.prompting.asked import Asked

_log = logging.getLogger(__name__)


class Recorder:
    """Takes everything that decides what the labels of an image are, in its order.

    One thread tells it what is done, which costs that thread nothing; another one
    makes text of it. What was done is in memory until it is written, compressed.

    Parameters
    ----------
    failed : callable
        Is called with one line for people when something cannot be written down, on
        any thread.
    """

    def __init__(self, failed: Callable[[str], None] = _log.warning) -> None:
        self._failed = failed
        self._worker: ThreadPoolExecutor | None = None
        self.clear()

    def clear(self) -> None:
        """Begin with another image."""
        self.close()
        self._lines: list[str] = []
        self._trouble: list[Exception] = []
        self._last: Future[None] | None = None
        self._count = 0
        self._numbers: WeakKeyDictionary[Change, int] = WeakKeyDictionary()
        self._source: Source | None = None
        self._model: tuple[object, ...] = ()
        self._base: Snapshot | None = None
        self._begun: tuple[str, int] | None = None  # not yet written down

    def close(self) -> None:
        """Take nothing more."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.shutdown(wait=False)

    def attach(self, store: Objects) -> None:
        """Objects go to these labels from now on; they are looked at with the first."""
        dtype = np.dtype(store.labels.dtype).newbyteorder("<").str
        self._begun = dtype, store.next_id
        self._base = Snapshot(store) if store.records else None

    def answered(self, together: Together) -> None:
        """Take questions that were answered."""
        if together.source is not self._source:
            self._source = together.source
            self._add(partial(_see, together.source))
        info = together.model
        model = (together.chosen, info.version, info.sha256, info.device)
        if model != self._model:
            self._model = model
            self._add(partial(_model, *model))
        self._add(partial(_ask, together))

    def changed(self, change: Change) -> None:
        """Take an edit, or the reverse of one that is taken back."""
        if self._base is not None:
            self._base.changed(change)
        if self._begun is not None:
            self._add(partial(_labels, *self._begun, self._base))
            self._begun = None
        number = self._numbers.get(change)
        if number is not None:
            self._add(partial(text.Redo, action=number))
            return
        back = None if change.back is None else self._numbers.get(change.back)
        if back is not None:
            self._add(partial(text.Undo, action=back))
            return
        self._numbers[change] = self._count
        self._add(partial(_edit if change.origin is None else _keep, change))

    @property
    def count(self) -> int:
        """How many actions there were so far."""
        return self._count

    def until_now(self) -> Callable[[], Sequence[str] | None]:
        """Return a function that gives what was done until now, as text.

        It may be called on any thread, and may wait; where something could not be
        written down it returns None.
        """
        lines, trouble = self._lines, self._trouble
        last, count = self._last, self._count

        def text_of_it() -> Sequence[str] | None:
            if last is not None:
                last.result()
            return None if trouble else lines[:count]

        return text_of_it

    def _add(self, make: Callable[[], BaseModel]) -> None:
        lines, trouble, failed = self._lines, self._trouble, self._failed

        def work() -> None:
            if trouble:
                return
            try:
                lines.append(text.line_of(make()))
            except Exception as error:  # the labels are worth more
                trouble.append(error)
                failed(
                    f"what you do is not recorded for napari-sam replay: {say(error)}"
                )

        if self._worker is None:
            self._worker = ThreadPoolExecutor(
                1, "napari-sam record", initializer=stand_back
            )
        self._count += 1
        self._last = self._worker.submit(work)


def _see(source: Source) -> text.See:
    others = (
        Source(data, source.name, source.shape, source.stack_axes, False)
        for data in source.others
    )
    return text.See(
        mode=source.mode,
        percentiles=source.percentiles,
        ranges=source.ranges,
        diameter=source.diameter,
        channels=tuple(keeping.fingerprint(one) for one in others),
    )


def _model(chosen: str, version: str, sha256: str, device: str) -> text.Model:
    return text.Model(
        model=chosen,
        version=version,
        sha256=sha256,
        device=device,
        threads=lane_threads(),
    )


def _ask(together: Together) -> text.Ask:
    return text.Ask(
        answer=together.number,
        index=tuple(int(i) for i in together.index),
        outline=together.outline,
        rounded=together.rounded,
        questions=tuple(map(_question, together.questions)),
    )


def _question(asked: Asked) -> text.Question:
    base = asked.previous
    if base is None or asked.refines is not None:
        part = None
    else:
        pixels = base.data.astype(np.uint8)
        part = text.Part.of(Packed.of(asked.index, base.box, pixels))
    return text.Question(
        marks=tuple(marks.to_json(asked.shown.marks)), refines=asked.refines, base=part
    )


def _labels(dtype: str, next_id: int, base: Snapshot | None) -> text.Labels:
    parts = []
    if base is not None:
        base.read()
        for index in base.indices():
            packed = Packed.of_plane(index, base.plane(index))
            parts += [] if packed is None else [text.Part.of(packed)]
        base.finish()
    return text.Labels(dtype=dtype, next_id=next_id, parts=tuple(parts))


def _keep(change: Change) -> text.Keep:
    origin = change.origin
    if origin is None:
        raise ValueError("nothing was kept")
    record = change.records_after[origin.object_id]
    return text.Keep(
        answer=origin.answer,
        candidate=origin.choice,
        object=origin.object_id,
        joins=origin.joins,
        overlaps=origin.rule,
        class_id=0 if record is None else record.class_id,
        wrote=wrote(change),
    )


def _edit(change: Change) -> text.Edit:
    makers: dict[str, Any] = {}
    for number, record in change.records_after.items():
        if record is not None and change.records_before[number] is None:
            makers[" ".join(filter(None, (record.source, record.model)))] = None
    return text.Edit(
        what=change.what,
        made_by=tuple(makers),
        parts=tuple(
            text.Part.of(Packed.of(patch.index, patch.box, patch.after))
            for patch in change.patches
        ),
    )


def wrote(change: Change) -> str:
    """Return the checksum of what an edit has written."""
    return text.checksum((p.index, p.box, p.after) for p in change.patches)
