"""The two layers that a person draws in: clicks, and boxes and outlines."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from napari_sam.widgets.segment.layers import parsing
from napari_sam.widgets.segment.layers.copying import rows_of
from napari_sam.widgets.segment.layers.owners import Assignment, Owners
from napari_sam.widgets.segment.layers.pair import Pair
from napari_sam.widgets.segment.layers.showing import (
    rows_for,
    same,
    same_marks,
    same_rows,
    state_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image, Layer, Points, Shapes

    from napari_sam.live.source import Source
    from napari_sam.live.values import Index, Key, Mark
    from napari_sam.models.lane import Post
    from napari_sam.widgets.segment.layers.parsing import Row

    State: TypeAlias = dict[Key, tuple[Index, tuple[Mark, ...]]]

MOST = 1000  # of each kind; more were a mistake, and would hold up the viewer
TURNED = (
    "Nothing was asked: draw in the image's own slices. Leave the 3D view, or roll "
    "the axes back."
)


class PromptLayers:
    """Tells what is drawn about which object, once per action of a person.

    Parameters
    ----------
    viewer : ViewerModel
    image : Image
        The layers are named after it and lie exactly on it.
    source : Source
    changed : callable
        Is called with everything that is drawn now, key by key.
    post : callable
        Runs a function soon on the viewer's thread, never at once: it is called in
        the middle of napari's own work, and what it is given looks at the layers.
        napari tells of one action several times; we look once, when it is over.
    notice : callable, optional
        Is called with one line about what was drawn and cannot be used.
    gone : callable, optional
        Is called when a person has deleted one of the layers; `restore` brings
        them back.

    Attributes
    ----------
    points, shapes : napari layers
    source : Source
        May be replaced by another one with as many axes.
    one_click : bool
        Every positive click begins a new object.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        source: Source,
        changed: Callable[[State], None],
        *,
        post: Post,
        notice: Callable[[str], None] | None = None,
        gone: Callable[[], None] | None = None,
    ) -> None:
        self._viewer, self._image, self.source = viewer, image, source
        self._changed, self._later = changed, post
        self._notice, self._gone = notice, gone
        self.one_click = False
        self._positive = True
        self._owners = Owners()
        self._state: State = {}
        self._waiting: State | None = None
        self._posted = self._closed = False
        self._held = 0
        self._pair = Pair(viewer, image, self._press, self._soon)
        self._drawings = self._pair.drawings
        self.points, self.shapes = self._pair.points, self._pair.shapes
        self._aim()
        viewer.layers.events.removed.connect(self._removed)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Those of our layers that are in the viewer."""
        return self._pair.layers

    @property
    def state(self) -> State:
        """What `changed` was told last, or `show` has shown."""
        return dict(self._state)

    @property
    def current(self) -> Key:
        """The object to which the next marks belong; may be set."""
        return self._owners.key(self._owners.current)

    @current.setter
    def current(self, key: Key) -> None:
        self._owners.current = self._owners.number(key)
        self._aim()

    @property
    def positive(self) -> bool:
        """Whether the next marks say "this"; Shift-click says the opposite."""
        return self._positive

    @positive.setter
    def positive(self, positive: bool) -> None:
        self._positive = positive
        self._aim()

    @property
    def busy(self) -> bool:
        """Whether a person is drawing at this moment."""
        return any(drawing.busy for drawing in self._drawings)

    def activate(self) -> None:
        """Let the next click in the canvas be a prompt."""
        self.restore()
        self._viewer.layers.selection.active = self.points
        self.points.mode = "add"

    def new_object(self) -> int:
        """Let the next marks belong to a new object; return its key."""
        number = self._owners.begin()
        self._aim()
        return number

    def show(self, marks: Mapping[Key, tuple[Index, Sequence[Mark]]]) -> None:
        """Show exactly this; `changed` is not called.

        Where a person is drawing at the moment, it is shown as soon as they are
        done, and what they have drawn is kept.
        """
        wanted = {key: (index, tuple(given)) for key, (index, given) in marks.items()}
        if self.busy or self._posted or self._held:
            self._waiting = wanted
        else:
            self._show(wanted)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Call `changed` once for all that happens inside."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
            self._soon()

    def adopt(self, layer: Points | Shapes) -> int:
        """Take over what another layer holds, each point and shape as an object.

        The other layer stays as it is. Returns how many were taken (1,000 at most);
        `changed` follows.
        """
        drawing = self._pair.watch(layer)
        old = parsing.read(drawing.layer, self.source.shape)
        room = max(0, MOST - len(old))
        found = rows_of(layer, self._viewer, self._image, self.source, room)
        usable = [row for row in found if not row.problem]
        self._warn(len(found), parsing.count(layer))
        if len(usable) < len(found):
            self._say(parsing.BESIDE)
        new = [replace(row, number=self._owners.fresh()) for row in usable]
        self._pair.write(drawing, [*old, *new])
        self.new_object()
        self._soon()
        return len(new)

    def restore(self) -> None:
        """Bring layers back that a person has deleted."""
        self._pair.restore()

    def close(self) -> None:
        """Take the layers out of the viewer; nothing is told any more."""
        if self._closed:
            return
        self._closed = True
        self._viewer.layers.events.removed.disconnect(self._removed)
        self._pair.close()

    # What a person does.

    def _soon(self) -> None:
        if not self._posted and not self._closed:
            self._posted = True
            self._later(self._settle)

    def _settle(self) -> None:
        """Look at what there is now, unless somebody is in the middle of it."""
        self._posted = False
        if self._closed or self._held or self.busy:
            return  # the end of it calls again
        self._take_in()
        state = self._read()
        wanted, self._waiting = self._waiting, None
        touched = {
            key: value
            for key, value in state.items()
            if not same_marks(value, self._state.get(key))
        }
        news = bool(touched) or not same(state, self._state)
        self._state = state
        if wanted is not None:
            self._show(wanted | touched)
            news = bool(touched)
        if news:
            self._changed(self.state)

    def _take_in(self) -> None:
        """Say to which objects the new marks belong; drop what cannot be used."""
        rows = {d: parsing.read(d.layer, self.source.shape) for d in self._drawings}
        assignment = Assignment(self._owners, one_click=self.one_click)
        kept = {
            d: [assignment.keep(row) for row in rows[d][: d.known]]
            for d in self._drawings
        }
        for drawing in self._drawings:
            new = rows[drawing][drawing.known :]
            if new:
                usable = self._usable(new, MOST - len(kept[drawing]))
                assign = assignment.pasted if drawing.pasted else assignment.added
                kept[drawing] += assign(usable)
        for drawing in self._drawings:
            self._pair.bring(drawing, rows[drawing], kept[drawing])
        self._aim()

    def _usable(self, rows: Sequence[Row], room: int) -> list[Row]:
        dims = self._viewer.dims
        if dims.ndisplay != 2 or set(dims.displayed) != {dims.ndim - 2, dims.ndim - 1}:
            self._say(TURNED)
            return []
        good = [row for row in rows if not row.problem]
        if len(good) < len(rows):
            self._say(next(row.problem for row in rows if row.problem))
        self._warn(min(len(good), room), len(good))
        return good[: max(0, room)]

    # What is shown.

    def _show(self, wanted: State) -> None:
        for drawing, rows in zip(
            self._drawings, rows_for(wanted, self._owners), strict=True
        ):
            if not same_rows(parsing.read(drawing.layer, self.source.shape), rows):
                self._pair.write(drawing, rows)
        if self.current in self._state and self.current not in wanted:
            self._owners.begin()
        self._state = self._read()
        self._aim()

    def _read(self) -> State:
        rows = [
            row
            for drawing in self._drawings
            for row in parsing.read(drawing.layer, self.source.shape)
        ]
        return state_of(rows, self._owners)

    def _press(self, other: bool) -> None:
        self._aim(self._positive != other)

    def _aim(self, positive: bool | None = None) -> None:
        positive = self._positive if positive is None else positive
        self._pair.aim(self._owners.current, positive)

    def _removed(self, event: Any) -> None:
        if self._gone is not None and event.value in (self.points, self.shapes):
            self._later(self._tell_gone)

    def _tell_gone(self) -> None:
        if not self._closed and self._gone is not None and len(self.layers) < 2:
            self._gone()

    def _warn(self, taken: int, offered: int) -> None:
        if taken < offered:
            self._say(f"Only the first {taken:,} of {offered:,} were taken.")

    def _say(self, text: str) -> None:
        if self._notice is not None:
            self._notice(text)
