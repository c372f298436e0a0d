"""Does again what was recorded: the labels, without a window."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam.live.disk.scratch import new_labels
from napari_sam.live.labels.changes import Change, Refusal
from napari_sam.live.labels.store import LabelStore
from napari_sam.live.prompting.reading import Reader
from napari_sam.live.replay.answering import Answers, Context
from napari_sam.live.replay.images import Images
from napari_sam.live.replay.recorder import wrote
from napari_sam.live.replay.text import (
    Ask,
    Edit,
    Keep,
    Labels,
    Model,
    Redo,
    ReplayError,
    See,
    Undo,
    digest,
)
from napari_sam.records.labels import label_dtype, write_labels
from napari_sam.types import NapariSamError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import numpy.typing as npt

    from napari_sam.live.labels.changes import IntBox
    from napari_sam.live.replay.text import Action, Part, Replay
    from napari_sam.live.values import Index
    from napari_sam.models.protocol import PromptableModel

_SAYS: Final = "say with --image where it is"


@dataclass(frozen=True, slots=True)
class Played:
    """What came of it.

    Attributes
    ----------
    output : Path
    actions, objects : int
    same : bool
        The labels equal those that were saved, to the pixel.
    differs : str
        The first action that wrote other pixels; empty where none did.
    """

    output: Path
    actions: int
    objects: int
    same: bool
    differs: str


def play(
    path: Path,
    replay: Replay,
    output: Path,
    *,
    images: Sequence[Path] = (),
    device: str = "",
    overwrite: bool = False,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Played:
    """Do again what was recorded, and write the labels.

    Parameters
    ----------
    path : Path
        Of the file, for messages.
    replay : Replay
    output : Path
        A TIFF.
    images : sequence of Path
        Where the image is now, and its further channels; by default where it was.
    device : str
        Where models run; by default where they ran.
    overwrite : bool
    progress : callable
        Gets how many actions of how many are done.

    Raises
    ------
    NapariSamError
        If the image, the weights or the file are others than they were.
    """
    if output.exists() and not overwrite:
        raise ReplayError(f"{output} is there already: replace it with --overwrite")
    if not images and not replay.image.path:
        raise ReplayError(f"{path} does not know the file of its image: {_SAYS}")
    found = Images(images or [Path(replay.image.path)], replay.image)
    answers = Answers(partial(_load, path, device))
    try:
        player = _Player(path, replay, found, answers)
        for number, action in enumerate(replay.actions):
            player.do(number, action)
            progress(number + 1, len(replay.actions))
        store = player.store
        shape = store.labels.shape
        write_labels(
            output,
            _planes(store),
            axes=replay.image.stack_axes + "YX",
            shape=shape,
            dtype=label_dtype(max(store.records, default=0)),
            pixel_size={},
        )
    finally:
        answers.close()
        found.close()
    return Played(
        output,
        len(replay.actions),
        len(store.records),
        digest(_planes(store)) == replay.labels_sha256,
        player.differs,
    )


class _Player:
    """Does one action after the other."""

    def __init__(
        self, path: Path, replay: Replay, images: Images, answers: Answers
    ) -> None:
        self._path, self._images, self._answers = path, images, answers
        self._shape = replay.image.shape
        self._dtype = "<u4"
        self.store = LabelStore(new_labels(self._shape))
        self.differs = ""
        self._reader: Reader | None = None
        self._model: Model | None = None
        # What is taken back, or done again, later; the others need no memory.
        self._wanted = {a.action for a in replay.actions if isinstance(a, Undo | Redo)}
        self._changes: dict[int, Change] = {}
        self._refused: set[int] = set()

    def do(self, number: int, action: Action) -> None:
        try:
            change = self._done(action)
        except NapariSamError as error:
            raise ReplayError(
                f"{self._path}: action {number} ({action.do}) cannot be done again: "
                f"{error}"
            ) from error
        if isinstance(change, Refusal):
            self._refused.add(number)
            self._differ(number, action, change.text)
            return
        if isinstance(action, Keep) and change and wrote(change) != action.wrote:
            self._differ(number, action, "it has other pixels")
        if number in self._wanted and change is not None:
            self._changes[number] = change

    def _differ(self, number: int, action: Action, why: str) -> None:
        what = f"object {action.object}" if isinstance(action, Keep) else action.do
        self.differs = self.differs or f"action {number} ({what}): {why}"

    def _done(self, action: Action) -> Change | Refusal | None:
        match action:
            case Labels():
                self._begin(action)
            case See():
                self._reader = Reader(self._images.seen(action))
            case Model():
                self._model = action
            case Ask():
                if self._reader is None or self._model is None:
                    raise ReplayError("nothing says how the image is seen")
                self._answers.add(Context(self._reader, self._model, action))
            case Keep():
                return self._keep(action)
            case Edit():
                return self.store.write(self._pixels(action.parts), action.what)
            case Undo() | Redo() if action.action in self._refused:
                pass  # it was named already
            case Undo():
                self.store.undo(self._change(action.action))
            case Redo():
                self.store.redo(self._change(action.action))
        return None

    def _begin(self, action: Labels) -> None:
        self._dtype = action.dtype
        labels = new_labels(self._shape, dtype=self._dtype)
        self.store = LabelStore(labels, next_id=action.next_id)
        self.store.write(self._pixels(action.parts), "Begin")

    def _pixels(
        self, parts: Iterable[Part]
    ) -> Iterator[tuple[Index, IntBox, npt.NDArray[Any]]]:
        height, width = self._shape[-2:]
        for part in parts:
            if part.box[2] > height or part.box[3] > width:
                raise ReplayError(f"{part.box} is no part of the image")
            yield part.index, part.box, part.array(self._dtype)

    def _keep(self, action: Keep) -> Change | Refusal:
        answer, place = action.answer
        mask, _ = self._answers.candidate(answer, place, action.candidate)
        return self.store.add(
            self._answers.index_of(answer),
            mask,
            action.overlaps,
            object_id=action.object,
            joins=action.joins,
            class_id=action.class_id,
        )

    def _change(self, number: int) -> Change:
        change = self._changes.get(number)
        if change is None:
            raise ReplayError(f"action {number} has changed nothing")
        return change


def _planes(store: LabelStore) -> Iterator[npt.NDArray[Any]]:
    """Yield all planes of labels, wherever they lie."""
    for index in np.ndindex(*store.stack_shape):
        yield np.asarray(store.labels[index])


def _load(path: Path, device: str, said: Model) -> PromptableModel:
    """Load a model where it ran; refuse other weights."""
    from napari_sam.models.catalog import load_model

    model = load_model(said.model, device or said.device)
    info = model.info
    if info.sha256 != said.sha256:
        raise ReplayError(
            f"{path} was recorded with the model {info.name} {said.version} "
            f"{said.sha256}, and here it is {info.version} {info.sha256}: get the same "
            "weights"
        )
    return model
