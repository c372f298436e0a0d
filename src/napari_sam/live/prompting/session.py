"""The logic behind prompting: prepare, answer, commit, undo. No Qt, no napari.

Every public method is called on one thread (the viewer's main thread), and the
listener is told on that thread: whatever comes from elsewhere passes through `post`.
Models are loaded on one thread, planes are read on another, models run on the lane.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from napari_sam.live.prompting.asked import Asked, ask, described, reopened
from napari_sam.live.prompting.commits import Commit
from napari_sam.live.prompting.listing import Listing
from napari_sam.live.prompting.looser import MOST
from napari_sam.live.prompting.news import News
from napari_sam.live.prompting.state import Listener, Status
from napari_sam.live.prompting.steps import Added, Edit, Said
from napari_sam.types import NapariSamError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from napari_sam.live.labels.changes import Change, Refusal
    from napari_sam.live.labels.history import Step
    from napari_sam.live.labels.store import LabelStore
    from napari_sam.live.prompting.planes import Prepared
    from napari_sam.live.prompting.reading import Look
    from napari_sam.live.source import Source
    from napari_sam.live.values import Index, Key, Mark
    from napari_sam.models.cache import EmbeddingCache
    from napari_sam.models.protocol import PromptableModel
    from napari_sam.types import Mask

__all__ = ["Listener", "Session", "Status"]

STOPPED = "stopped; click again to go on"
# What was found and keeps less of itself beside the objects that are there already
# is one of them again.
_MIN_KEPT: Final = 0.5


class Session(Listing):
    """Turns what a person draws on one image into objects.

    Parameters
    ----------
    post : callable
        Runs a function on the thread that uses the session.
    listener : Listener
    annotator : str
        Is kept with every object.

    Attributes
    ----------
    source : Source or None
    store : LabelStore or None
        Where objects go.
    index : tuple of int or None
        The slice on screen.
    history : History
    rule : Rule
    one_click : bool
        For those who look at the session; nothing here depends on it.
    class_id : int
        Of new objects.
    classes : ClassList
        What objects can be; see `list_classes`.
    on_classes : callable
        Is called when there is another list, or another class of new objects.
    preferred_scale : float or None
        The size of candidates that the person chose last, from 0 (smallest) to 1.
    outline : int
        How many pixels looser than the model draws them outlines are suggested.
    on_change : callable
        Gets every edit of labels and records, and the reverse of what is undone.
    on_answered : callable
        Gets every question that a model has answered, before what follows from it.
    on_kept : callable
        Is told which object a person has kept, or added to, last.
    on_prepared : callable
        Is told when `prepared` may have another answer, or in one line why there
        will be none.
    """

    # The image and the model.

    def open(self, source: Source, store: LabelStore) -> None:
        """Work on another image; open suggestions are dropped."""
        self._empty()
        self.source, self.store = source, store
        self._planes.open(source)
        self._go_on()
        self._flush()

    def see(self, source: Source) -> None:
        """Show the same image to models in another way; what is open is asked anew."""
        if self.source is None:
            return
        self.source = source
        self._answering.stop()
        self._planes.see(source)
        for key in self._board:
            self._board.update(self._board[key].again())
            self._news.redraw([self._board[key]])
        self._go_on()
        self._flush()
        self.on_prepared("")

    def attach(self, store: LabelStore) -> None:
        """Let objects go to other labels of the same image from now on."""
        self._commits.clear()
        self.store = store
        theirs = [k for k, one in self.suggestions.items() if one.object_id is not None]
        self._swap(dict.fromkeys(theirs))
        self.history.clear()
        self._flush()

    def leave(self) -> None:
        """Work on no image."""
        self._empty()
        self._flush()

    def use_model(self, name: str, device: str = "auto") -> None:
        """Let another model answer, also what has been asked already."""
        if self._engine.choose(name, device):
            self._answering.stop()
            self._planes.use(None, None)
        self._go_on()
        self._report()
        self.on_prepared("")

    def keep_in(self, cache: EmbeddingCache | None) -> None:
        """Keep prepared slices on the disk, too; None: in memory only."""
        self._engine.keep_in(cache)

    @property
    def memory(self) -> tuple[int, int]:
        """Bytes that prepared slices take in memory, and how many they may."""
        return self._planes.nbytes, self._planes.budget

    def look_at(self, index: Index) -> None:
        """Prepare the slice on screen, and then its neighbours."""
        self.index = tuple(int(i) for i in index)
        self._planes.retry(self.index)
        self._go_on()
        self._report()

    def need(self, index: Index | None) -> None:
        """Prepare a plane for somebody else too; None: nobody needs one any more."""
        self._needed = index
        if index is not None:
            self._planes.retry(index)
            self._go_on()
        self._report()

    def prepared(self, index: Index) -> tuple[PromptableModel, Prepared] | None:
        """Return a plane as the model has it, None where it is not prepared (yet)."""
        model, plane = self._engine.model, self._planes.get(index)
        return None if model is None or plane is None else (model, plane)

    def look(
        self,
        index: Index,
        done: Callable[[Look], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Read a plane as models see it; where there is no image nothing is told."""
        self._planes.look(index, done, failed)

    # What the person says.

    def ask(self, key: Key, index: Index, marks: Sequence[Mark]) -> None:
        """Say all there is to say about one object; no marks drop it."""
        self.ask_all({key: (index, tuple(marks))})

    def ask_all(self, asked: Mapping[Key, tuple[Index, tuple[Mark, ...]]]) -> None:
        """Say all there is to say about several objects, in one step."""
        if self.source is None:
            return
        new: dict[Key, Asked | None] = {}
        for key, (index, marks) in asked.items():
            old = self._board.get(key)
            if marks:
                where = tuple(int(i) for i in index)
                if old is not None and old.says(where, marks):
                    continue
                new[key] = ask(old, key, where, tuple(marks))
                self._planes.retry(where)
            elif old is not None:
                new[key] = None
        if new:
            self._go_on()
            self._say(new)
            self._flush()

    def drop(self, keys: Iterable[Key] | None = None) -> None:
        """Drop suggestions; by default all."""
        new = dict.fromkeys(self._chosen(keys))
        if new:
            self._say(new)
            self._news.keys |= dict.fromkeys(new)
            self._flush()

    def cycle(self, step: int = 1, key: Key | None = None) -> None:
        """Show another candidate; its size is preferred from now on."""
        key = self.current if key is None else key
        asked = None if key is None else self._board.get(key)
        turned = None if asked is None else asked.turned(step)
        if turned is not None:
            self.preferred_scale = turned.scale
            self._board.update(turned)
            self._news.redraw([turned])
            self._flush()

    def set_outline(self, pixels: int) -> None:
        """Let outlines be looser by some pixels, tighter below 0, from now on."""
        wanted = max(-MOST, min(MOST, pixels))
        if wanted == self.outline:
            return
        self.outline = wanted
        self._answering.stop()
        for key in self._board:
            self._board.update(self._board[key].redrawn())
            self._news.redraw([self._board[key]])
        self._flush()

    def commit(
        self, keys: Iterable[Key] | None = None, into: int | None = None
    ) -> None:
        """Make objects of suggestions, by default of all.

        Those whose answer is still to come are added as soon as it does.

        Parameters
        ----------
        keys : iterable of key, optional
        into : int, optional
            An object that gets them instead, beside what it has on these slices
            already. An object that was opened again stays the one that it is.
        """
        chosen = self._chosen(keys)
        if chosen and self.store is not None:
            self._commits.request(chosen, into)
            self._flush()

    def reopen(self, object_id: int, index: Index) -> Key:
        """Let an object be a suggestion again; until it is committed nothing changes.

        Raises
        ------
        NapariSamError
            If it is not on this slice.
        """
        where = tuple(int(i) for i in index)
        mask = None if self.store is None else self.store.mask_of(object_id, where)
        if self.store is None or mask is None:
            raise NapariSamError(f"object {object_id} is not on this slice")
        for key, shown in self.suggestions.items():
            if (shown.object_id, shown.index) == (object_id, where):
                return key
        asked = reopened(self.store.records[object_id], where, mask)
        key = asked.shown.key
        before = self._swap({key: asked})
        self.history.push(Said(f"Open object {object_id}", before, self._swap))
        self._flush()
        return key

    def edit(self, change: Change | None) -> None:
        """Take in an edit that somebody else made in the store."""
        if change is not None:
            self.note(Edit(change, self._apply))
            self._news.changes.append(change)
            self._flush()

    def add_found(
        self,
        index: Index,
        found: Sequence[tuple[Mask, Mapping[str, Any]]],
        after: Added | None = None,
    ) -> tuple[Added | None, list[Refusal]]:
        """Add objects that a detector has found, as one step.

        Of the fields of their records, those that everybody knows are set here. A
        `class_name` among them is looked for in the list, and added to it.

        Parameters
        ----------
        index : tuple of int
        found : sequence of (Mask, mapping)
        after : Added, optional
            The step that this goes on with. Where something else was done since then
            it is a step of its own.

        Returns
        -------
        Added or None
            The step that they are in now; `after` where none was added.
        list of Refusal
            Why some were not.
        """
        if self.store is None:
            return after, []
        known = {
            "source": "detector",
            "class_id": self.class_id,
            "annotator": self._annotator,
        }
        objects = [(mask, {**known, **self._of_class(about)}) for mask, about in found]
        change, refused = self.store.add_all(
            index, objects, self.rule, min_kept=_MIN_KEPT
        )
        if change is None:
            return after, refused
        count = len(found) - len(refused)
        return self._go_on_with(after, change, count), refused

    def follow_on(
        self,
        index: Index,
        masks: Mapping[int, Mask],
        what: str,
        after: Added | None = None,
    ) -> tuple[Added | None, list[Refusal]]:
        """Put objects on another slice, where they were followed to.

        Parameters
        ----------
        index : tuple of int
        masks : mapping of int to Mask
            See `LabelStore.spread`.
        what : str
            What the step is called.
        after : Added, optional
            As for `add_found`.

        Returns
        -------
        Added or None
        list of Refusal
            As from `add_found`.
        """
        if self.store is None:
            return after, []
        change, refused = self.store.spread(index, masks, min_kept=_MIN_KEPT)
        if change is None:
            return after, refused
        return self._go_on_with(after, change, 0, what), refused

    def _go_on_with(
        self, after: Added | None, change: Change, count: int, what: str = ""
    ) -> Added:
        """Make an edit a part of a step, or a step of its own."""
        self._commits.edited()
        step = Added(count, (change,), self._apply_all, what)
        if after is not None and self.history.newest is after:
            step = after.and_(step)
            self.history.replace(step)
        else:
            self.history.push(step)
        self._news.changes.append(change)
        self._flush()
        return step

    def undo(self) -> bool:
        """Take the last step back; False where there is none."""
        return self._travel(self.history.undo)

    def redo(self) -> bool:
        """Do again what was taken back; False where there is nothing."""
        return self._travel(self.history.redo)

    def cancel(self) -> None:
        """Stop preparing and answering, at once."""
        if self._engine.loading:
            self._engine.stop()
            self._error = STOPPED
        self._stopped = True
        self._planes.stop()
        self._answering.stop()
        self._give_up(None, STOPPED)
        self._report()
        self.on_prepared(STOPPED)

    def close(self) -> None:
        """End everything, and tell nobody; the session can be used again."""
        self._empty()
        self._news = News()
        self._planes.close()
        self._engine.close()
        self._set_phase()

    def _chosen(self, keys: Iterable[Key] | None) -> list[Key]:
        return [
            key for key in (self._board if keys is None else keys) if key in self._board
        ]

    def _say(self, new: Mapping[Key, Asked | None]) -> None:
        """Change open suggestions, as one step."""
        before = self._swap(new)
        self.history.push(Said(described(before, new), before, self._swap))
        self._news.keys.clear()  # whoever said it knows it already

    def _travel(self, move: Callable[[], Step | None]) -> bool:
        step = move()
        while isinstance(step, Commit) and step.empty:
            step = move()  # what it was to add was withdrawn
        self._flush()
        return step is not None
