"""What passes between session, store, journal and layers. numpy only.

Coordinates are (y, x) in data pixels; pixel (i, j) covers [i, i+1) × [j, j+1). A
plane is named by its index along the stack axes, () for a single image.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from napari_sam.types import Candidates, FloatArray, Mask

Index: TypeAlias = tuple[int, ...]
Key: TypeAlias = Hashable
MarkKind: TypeAlias = Literal["click", "box", "ellipse", "polygon", "scribble"]
SourceKind: TypeAlias = Literal["person", "detector", "propagation", "import"]


class Rule(Enum):
    """What happens where a new object meets existing ones."""

    KEEP = "keep"  # existing objects keep their pixels, the new one gets the rest
    REPLACE = "replace"  # the new object takes its pixels from them
    BACKGROUND = "background"  # an object that lies on another one is not added


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """One thing that a person has drawn about one object.

    Attributes
    ----------
    kind : {"click", "box", "ellipse", "polygon", "scribble"}
    vertices : float32 array, shape (N, 2)
        (y, x). A click has one; a box and an ellipse have the four corners of
        their bounding rectangle (which may be rotated), in order; a polygon has
        its corners, a scribble the points along its path.
    positive : bool
        False where it says "not this".
    """

    kind: MarkKind
    vertices: FloatArray
    positive: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class PlaneMarks:
    """What was said about an object on one plane, kept with the object."""

    index: Index
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ObjectRecord:
    """Where an object comes from; its pixels are in the label array.

    Attributes
    ----------
    id : int
        Its label: never changed, never used again.
    source : {"person", "detector", "propagation", "import"}
    class_id : int
        0 for none.
    annotator : str
    reviewed : bool
    model, model_sha256 : str
        Which model outlined it; empty where none did.
    score, stability : float
        Of the mask that was taken, see `Mask`; NaN where no model said so.
    prompts : tuple of PlaneMarks
    """

    id: int
    source: SourceKind = "person"
    class_id: int = 0
    annotator: str = ""
    reviewed: bool = False
    model: str = ""
    model_sha256: str = ""
    score: float = float("nan")
    stability: float = float("nan")
    prompts: tuple[PlaneMarks, ...] = ()


@dataclass(frozen=True, slots=True)
class Origin:
    """Which candidate became an object, or a part of one.

    Attributes
    ----------
    answer : (number, place)
        Of the answer in the session, and of the question among those that were
        answered together.
    choice : int
        Of its candidates.
    object_id : int
    joins : bool
        The pixels that the object had on this plane stayed its own, too.
    rule : Rule
    """

    answer: tuple[int, int]
    choice: int
    object_id: int
    joins: bool
    rule: Rule


@dataclass(frozen=True, slots=True, eq=False)
class Suggestion:
    """An object that is being prompted and not committed yet.

    Attributes
    ----------
    key : hashable
        What the prompt layers call it.
    index : tuple of int
        The plane that it was asked on.
    marks : tuple of Mark
    candidates : Candidates or None
        None until the first answer.
    choice : int
        Which of the candidates is shown and would be committed.
    waiting : bool
        An answer to the newest marks is still to come.
    error : str
        One line for people, where it could not be answered.
    object_id : int or None
        The committed object that is being refined, if it is one.
    """

    key: Key
    index: Index
    marks: tuple[Mark, ...]
    candidates: Candidates | None = None
    choice: int = 0
    waiting: bool = True
    error: str = ""
    object_id: int | None = None

    @property
    def mask(self) -> Mask | None:
        """The candidate that is shown."""
        return None if self.candidates is None else self.candidates.masks[self.choice]
