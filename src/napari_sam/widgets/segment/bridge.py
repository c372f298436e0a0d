"""Joins the session with what a viewer shows; no Qt here.

The session knows no layers, the layers know no session: whatever one of them tells,
the bridge passes on to the others.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from napari_sam.live.following.filling import Filling
from napari_sam.live.following.following import Following
from napari_sam.live.marks import same
from napari_sam.live.prompting.preparing import Preparing
from napari_sam.live.prompting.session import Session
from napari_sam.live.proofreading.outlines import Outlines
from napari_sam.live.proofreading.proofreader import Proofreader
from napari_sam.live.proposals.finding import Finder
from napari_sam.live.source import Source
from napari_sam.live.threads import Threads, say
from napari_sam.types import NapariSamError
from napari_sam.widgets.segment.desk import Desk, empty_store
from napari_sam.widgets.segment.keeping.keeper import Keeper
from napari_sam.widgets.segment.keeping.places import Places
from napari_sam.widgets.segment.keeping.standing import Standing
from napari_sam.widgets.segment.keyboard.touch import Touch

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_sam.live.labels.changes import Change
    from napari_sam.live.prompting.session import Status
    from napari_sam.live.proposals.found import Found
    from napari_sam.live.values import Index, Key
    from napari_sam.models.lane import Post
    from napari_sam.types import Mask
    from napari_sam.widgets.segment.layers.outlines import Placed
    from napari_sam.widgets.segment.layers.prompt_layers import State
    from napari_sam.widgets.segment.told import Told
    from napari_sam.widgets.segment.watch import Watcher


NO_TARGET = (
    "There is no object to add to: keep one with Enter, or choose its number under "
    "“label” in napari's controls."
)


class Bridge:
    """Labels one image layer at a time of one viewer.

    Parameters
    ----------
    viewer : ViewerModel
    post : callable
        Runs a function on the thread that uses the viewer.
    told : Told
    annotator : str
        Is kept with every object.

    Attributes
    ----------
    session : Session
    desk : Desk or None
        The layers around the image, while there is one.
    keeper : Keeper
        Lets nothing be lost.
    places : Places
        Which layer the objects go to.
    touch : Touch
        What can be done with the object under the mouse.
    finder : Finder
        Finds all objects of the slice on screen.
    found_changed : callable
        Is called when there is something to say about what it finds.
    following : Following
        Follows objects through the stack.
    filling : Filling
        Fills slices between those with an object.
    preparing : Preparing
        Prepares all slices ahead.
    followed, follow_one : callable
        Are called when there is something to say about that, and by the key that
        follows the object under the mouse.
    proofreader : Proofreader
        Goes from one doubtful object to the next.
    outlines : Outlines
        Moves those of all objects of a slice.
    framed : callable
        Returns pictures that are drawn on a slice beside the suggestions.
    standing : Standing
        What is complete.
    watchers : list of Watcher
        Are told what happens; whoever wants to adds itself.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        post: Post,
        told: Told,
        *,
        annotator: str = "",
    ) -> None:
        self._viewer, self._post, self._told = viewer, post, told
        self._keys: Mapping[str, str] = {}
        self._one_click = False
        self._busy = 0  # while we talk to the session ourselves
        self._shown: Index | None = None
        self._outlined: Found | None = None  # what was found and is drawn
        self.desk: Desk | None = None
        self._threads = Threads(post)
        self.session = Session(post, self, annotator=annotator)
        self.finder = Finder(self.session, post, self._found, self._drawing)
        self.followed: Callable[[], None] = lambda: None
        self.follow_one: Callable[[], None] = lambda: None
        self.following = Following(self.session, post, lambda: self.followed())
        self.filling = Filling(self.session, post, lambda: self.followed())
        self.preparing = Preparing(self.session, post)
        self.proofreader = Proofreader(self.session, post)
        self.outlines = Outlines(self.session, post, self._noticed)
        self.framed: Callable[[Index], Sequence[Placed]] = lambda index: ()
        self.found_changed: Callable[[], None] = lambda: None
        self.watchers: list[Watcher] = []
        self.touch = Touch(self.session, lambda: self.desk, self._noticed)
        self.keeper = Keeper(self._threads, post, told.left_found, self._noticed)
        self.session.on_change = self.keeper.changed
        self.session.on_answered = self.keeper.recorder.answered
        self.session.on_kept = self._kept
        self.places = Places(self, self._threads, post, told)
        self.standing = Standing(self, viewer, post, told)

    # The image.

    def open(self, image: Image | None) -> None:
        """Label this image; None to label none."""
        if self.desk is not None and self.desk.image is image:
            return
        self.leave()
        if image is None:
            return
        try:
            source = Source.from_layer(image)
        except NapariSamError as error:
            self._noticed(say(error))
            return
        store = empty_store(source)
        self.session.open(source, store)
        self.desk = Desk(
            self._viewer,
            image,
            source,
            post=self._post,
            drawn=self._drawn,
            edited=self._edited,
            prompts_gone=self._prompts_gone,
            labels_gone=self.places.gone,
            notice=self._noticed,
            tool=self._told.tool_changed,
            actions=self.actions(),
            keys=self._keys,
            class_names=lambda: self.session.classes.names,
            picked=self._picked,
        )
        self.desk.prompts.one_click = self._one_click
        image.events.data.connect(self._image_changed)
        self._viewer.dims.events.point.connect(self._moved)
        self._viewer.layers.selection.events.active.connect(self._selected)
        self._moved()
        # A layer that is just being added is selected after all that it set off.
        self._post(partial(self._begin, self.desk))
        self.places.open(self.desk, store)
        self.work_changed()

    def _begin(self, desk: Desk) -> None:
        if self.desk is desk:
            desk.use("click")
            self._told.tool_changed()

    def see(self, source: Source) -> None:
        """Show the image to models in another way from now on; objects stay."""
        self.following.stop()
        self.preparing.stop()
        self.finder.cancel()
        self.session.see(source)

    def leave(self) -> None:
        """Label nothing any more; the objects stay in their layer."""
        desk, self.desk, self._shown = self.desk, None, None
        if desk is None:
            return
        desk.image.events.data.disconnect(self._image_changed)
        self._viewer.dims.events.point.disconnect(self._moved)
        self._viewer.layers.selection.events.active.disconnect(self._selected)
        self.places.leave(desk)
        self.following.stop()
        self.filling.stop()
        self.preparing.stop()
        self.finder.drop()
        self.session.leave()
        desk.close()
        self._told.suggestion_changed()
        self.work_changed()
        self.found_changed()

    def close(self) -> None:
        """End all work; the bridge can be used again."""
        self.leave()
        self.finder.close()
        self.following.close()
        self.filling.close()
        self.preparing.close()
        self.proofreader.close()
        self.outlines.close()
        self.session.close()
        self._threads.close()

    def _image_changed(self, event: Any = None) -> None:
        """Begin again where the image got other pixels."""
        desk = self.desk
        if desk is not None and not desk.source.holds(desk.image):
            self.leave()
            self._noticed("The image has changed: its open suggestions were dropped.")
            self.open(desk.image)

    def _moved(self, event: Any = None) -> None:
        desk = self.desk
        if desk is not None and (index := desk.index) != self._shown:
            self._shown = index
            self.session.look_at(index)
            self.finder.look_at(index)
            self._draw()
            self._told.suggestion_changed()
            self.found_changed()
            for watcher in self.watchers:
                watcher.slice_changed()

    def _selected(self, event: Any = None) -> None:
        self._told.tool_changed()

    # What the person draws.

    def _drawn(self, state: State) -> None:
        """Ask about what is new, and drop what was taken away."""
        session = self.session
        known = session.suggestions
        asked = {
            key: said
            for key, said in state.items()
            if key not in known
            or known[key].index != said[0]
            or not same(known[key].marks, said[1])
        }
        # One without marks was not drawn: it is an object that was opened again.
        for key, old in known.items():
            if key not in state and old.marks:
                asked[key] = (old.index, ())
        if not asked:
            return
        begun = [key for key in asked if key not in known]
        with self._quietly():
            if self._one_click and begun and known:
                session.commit([key for key in known if key not in asked])
            session.ask_all(asked)

    def _edited(self, change: Change) -> None:
        self.session.edit(change)

    def _prompts_gone(self) -> None:
        if self.desk is None:
            return
        self.session.drop()
        self._noticed(
            "The layer that you drew in was deleted: choose a tool to get a new one."
        )
        self._told.tool_changed()

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Show the marks only when several things have been told to the session."""
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1
        self._show_marks()

    # What the session tells.

    def suggestions_changed(self, indices: Collection[Index]) -> None:
        """Draw the suggestions of these planes anew."""
        if self._shown in indices:
            self._draw()
        self._told.suggestion_changed()

    def marks_changed(self, keys: Collection[Key]) -> None:
        """Let the prompt layers show what the session knows."""
        self._show_marks()
        self._told.suggestion_changed()
        self._told.objects_changed()

    def labels_changed(self, change: Change) -> None:
        """Show what was written."""
        desk, store = self.desk, self.session.store
        if desk is None or store is None:
            return
        if desk.labels is None:
            desk.show_labels(store)
            self._told.layers_changed()
        else:
            desk.labels.refresh(change)
        self._told.objects_changed()
        self.proofreader.follow(change)
        for watcher in self.watchers:
            watcher.labels_changed(change)

    def status_changed(self, status: Status) -> None:
        """Say what runs."""
        self._told.status_changed(status)

    def work_changed(self) -> None:
        """Say that the image, or the labels that objects go to, are others now."""
        self._told.layers_changed()
        self._told.objects_changed()
        self.proofreader.drop()
        for watcher in self.watchers:
            watcher.work_changed()

    def _draw(self) -> None:
        desk, session = self.desk, self.session
        if desk is None or self._shown is None:
            return
        shown = [
            (one.mask, key == session.current)
            for key, one in session.suggestions.items()
            if one.index == self._shown and one.mask is not None
        ]
        found = self.finder.found
        pictures = list(found.pictures) if found and found.index == self._shown else []
        pictures += self.framed(self._shown)
        if shown or pictures:
            desk.preview.show(self._shown, shown, pictures)
        else:
            desk.preview.clear()

    def _found(self) -> None:
        if self.finder.found is not self._outlined:
            self._outlined = self.finder.found
            self._draw()
        self.found_changed()

    def _drawing(self) -> Callable[[Sequence[Mask]], Sequence[Any]]:
        return (lambda masks: ()) if self.desk is None else self.desk.preview.drawing()

    def _show_marks(self) -> None:
        desk, session = self.desk, self.session
        if desk is None or self._busy:
            return
        prompts = desk.prompts
        open_ones = session.suggestions
        prompts.show({key: (one.index, one.marks) for key, one in open_ones.items()})
        if prompts.current not in open_ones:
            if session.current is not None:
                prompts.current = session.current
            else:
                prompts.new_object()

    # What the person wants.

    def actions(self) -> dict[str, Callable[[], object]]:
        """Return what keys can do, by name."""
        return {
            "add": self.add,
            "add_to": self.add_to,
            "drop": self.session.drop,
            "next": self.session.cycle,
            "previous": lambda: self.session.cycle(-1),
            "undo": self.undo,
            "redo": self.redo,
            "new_object": self.new_object,
            "toggle": self.toggle,
            "looser": lambda: self.set_outline(self.session.outline + 1),
            "tighter": lambda: self.set_outline(self.session.outline - 1),
            "follow": lambda: self.follow_one(),
            **self.touch.actions(),
            **self.standing.actions(),
            **self.proofreader.actions(),
        }

    def add(self) -> None:
        """Make objects of the open suggestions."""
        self.session.commit()
        self.new_object()

    def add_to(self) -> None:
        """Add the open suggestions to the object that is selected."""
        target = self.target
        if target is None:
            self._noticed(NO_TARGET)
        else:
            self.session.commit(into=target)
            self.new_object()

    @property
    def target(self) -> int | None:
        """The object that was kept, or selected in its layer, last."""
        labels = None if self.desk is None else self.desk.labels
        return None if labels is None else labels.picked

    def _kept(self, number: int) -> None:
        if self.desk is not None and self.desk.labels is not None:
            self.desk.labels.layer.selected_label = number

    def _picked(self) -> None:
        """Say which object is meant now."""
        self._told.suggestion_changed()
        self.followed()

    def undo(self) -> None:
        """Take the newest step back, a click or an object."""
        self.session.undo()
        self._told.objects_changed()

    def redo(self) -> None:
        """Do again what was taken back last."""
        self.session.redo()
        self._told.objects_changed()

    def new_object(self) -> None:
        """Let the next marks belong to another object."""
        if self.desk is not None:
            self.desk.prompts.new_object()

    def toggle(self) -> None:
        """Let the next marks say the opposite of what they say now."""
        if self.desk is not None:
            self.desk.prompts.positive = not self.desk.prompts.positive
            self._told.tool_changed()

    def set_keys(self, keys: Mapping[str, str]) -> None:
        """Use these keys, by the names of what they do, and the usual ones else."""
        self._keys = keys
        if self.desk is not None:
            self.desk.rebind(keys)

    def set_outline(self, pixels: int) -> None:
        """Suggest looser outlines than the model draws, tighter ones below 0."""
        self.session.set_outline(pixels)
        self._told.tool_changed()

    def set_one_click(self, on: bool) -> None:
        """Let every click begin another object, and keep the one before it."""
        self._one_click = self.session.one_click = on
        if self.desk is not None:
            self.desk.prompts.one_click = on

    def _noticed(self, text: str) -> None:
        self._told.noticed(text)
