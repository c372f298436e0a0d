"""One open suggestion with all that the session knows about it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from napari_sam.live.marks import same
from napari_sam.live.values import Suggestion
from napari_sam.models.sizes import nbytes_of
from napari_sam.types import Candidates

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_sam.live.values import Index, Key, Mark, ObjectRecord
    from napari_sam.models.protocol import ModelInfo
    from napari_sam.types import Mask

_AREAS: Final = ("box", "ellipse", "polygon")
_NOUNS: Final = {
    "click": "click",
    "box": "box",
    "ellipse": "outline",
    "polygon": "outline",
    "scribble": "stroke",
}


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A suggestion, and what its question starts from.

    Attributes
    ----------
    shown : Suggestion
        What everybody sees.
    previous : Mask or None
        The answer that the question refines.
    base : Mask or None
        The pixels of the committed object that was opened again.
    by : ModelInfo or None
        The model whose candidates are shown; None where they are `base`.
    drawn : tuple of Mask
        The candidates as the model draws them, without a person's wish for looser
        or tighter outlines; none where they are `base`.
    answer : (number, place) or None
        Which answer of the session the candidates are, see `Origin`.
    refines : (number, place, choice) or None
        Which candidate of which answer `previous` is; None where it is `base`.
    """

    shown: Suggestion
    previous: Mask | None = None
    base: Mask | None = None
    by: ModelInfo | None = None
    drawn: tuple[Mask, ...] = ()
    answer: tuple[int, int] | None = None
    refines: tuple[int, int, int] | None = None

    @property
    def index(self) -> Index:
        """The plane that it was asked on."""
        return self.shown.index

    @property
    def waiting(self) -> bool:
        """Whether an answer is still to come."""
        return self.shown.waiting

    @property
    def nbytes(self) -> int:
        """About how much memory it keeps."""
        shown = self.shown
        return nbytes_of((shown.candidates, self.drawn, self.previous, shown.marks))

    def says(self, index: Index, marks: Sequence[Mark]) -> bool:
        """Whether this is being asked or was answered already."""
        shown = self.shown
        return not shown.error and shown.index == index and same(shown.marks, marks)

    def again(self) -> Asked:
        """Return the same question, to be asked from the beginning."""
        if not self.shown.marks:
            return self
        shown = replace(self.shown, waiting=True, error="")
        return replace(self, shown=shown, previous=self.base, refines=None)

    def redrawn(self) -> Asked:
        """Return it to be answered once more, because outlines are wanted otherwise."""
        if self.by is None:
            return self
        return replace(self, shown=replace(self.shown, waiting=True, error=""))

    def answered(
        self,
        candidates: Candidates,
        choice: int,
        by: ModelInfo,
        drawn: tuple[Mask, ...],
        answer: tuple[int, int],
    ) -> Asked:
        """Return it with its answer."""
        shown = replace(
            self.shown, candidates=candidates, choice=choice, waiting=False, error=""
        )
        return replace(self, shown=shown, by=by, drawn=drawn, answer=answer)

    def failed(self, error: str) -> Asked:
        """Return it without an answer: an older one is not what was asked for."""
        shown = replace(
            self.shown, candidates=None, choice=0, waiting=False, error=error
        )
        return replace(self, shown=shown, previous=None, refines=None, drawn=())

    def turned(self, step: int) -> Asked | None:
        """Return it with another candidate shown; None where there is no other."""
        candidates = self.shown.candidates
        if self.waiting or candidates is None or len(candidates.masks) < 2:
            return None
        choice = (self.shown.choice + step) % len(candidates.masks)
        return replace(self, shown=replace(self.shown, choice=choice))

    @property
    def refined(self) -> Mask | None:
        """What a correction starts from: what is shown, as the model draws it."""
        return self.drawn[self.shown.choice] if self.drawn else self.shown.mask

    @property
    def refined_is(self) -> tuple[int, int, int] | None:
        """Which candidate of which answer `refined` is, where it is one."""
        if not self.drawn or self.answer is None:
            return None
        return (*self.answer, self.shown.choice)

    @property
    def scale(self) -> float | None:
        """How large the shown candidate is among all, from 0 to 1."""
        candidates = self.shown.candidates
        if candidates is None or len(candidates.masks) < 2:
            return None
        return self.shown.choice / (len(candidates.masks) - 1)


def reopened(record: ObjectRecord, index: Index, mask: Mask) -> Asked:
    """Return a committed object as a suggestion, with its pixels and its marks."""
    key = ("object", record.id, index)
    marks = tuple(m for p in record.prompts if p.index == index for m in p.marks)
    shown = Suggestion(
        key,
        index,
        marks,
        candidates=Candidates((mask,)),
        waiting=False,
        object_id=record.id,
    )
    return Asked(shown, base=mask)


def ask(old: Asked | None, key: Key, index: Index, marks: tuple[Mark, ...]) -> Asked:
    """Return the question that these marks are.

    Parameters
    ----------
    old : Asked or None
        What was asked about the object so far. Where only clicks and the like were
        added, the answer that is shown is refined; where something was moved or
        taken away, or an area drawn, the marks are answered from the beginning.
    key : hashable
    index : tuple of int
    marks : tuple of Mark
    """
    if old is None:
        return Asked(Suggestion(key, index, marks))
    if old.index != index:
        return Asked(Suggestion(key, index, marks, object_id=old.shown.object_id))
    added = _added(old.shown.marks, marks)
    refines = None
    if added is None:
        previous = old.base
    elif any(mark.positive and mark.kind in _AREAS for mark in added):
        previous = None
    elif old.waiting:
        previous, refines = old.previous, old.refines
    else:
        previous, refines = old.refined, old.refined_is
    shown = replace(old.shown, marks=marks, waiting=True, error="")
    return replace(old, shown=shown, previous=previous, refines=refines)


def described(old: Mapping[Key, Asked | None], new: Mapping[Key, Asked | None]) -> str:
    """Say what a person did, for the undo button."""
    if all(asked is None for asked in new.values()):
        return "Drop suggestion" if len(new) == 1 else f"Drop {len(new)} suggestions"
    if len(new) > 1:
        return f"Change {len(new)} suggestions"
    ((key, asked),) = new.items()
    was = old[key]
    before = () if was is None else was.shown.marks
    after = () if asked is None else asked.shown.marks
    if added := _added(before, after):
        return f"Add {_NOUNS[added[-1].kind]}"
    taken = _added(after, before)
    return f"Delete {_NOUNS[taken[-1].kind]}" if taken else "Move what is drawn"


def _added(old: Sequence[Mark], new: Sequence[Mark]) -> list[Mark] | None:
    """Return what is new, None where something old is not there any more."""
    added, left = [], list(old)
    for mark in new:
        if left and same(left[:1], [mark]):
            del left[0]
        else:
            added.append(mark)
    return None if left else added
