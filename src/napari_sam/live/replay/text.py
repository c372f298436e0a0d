"""The file `replay.toml`: what was done on one image, in its order.

version = 1
labels_sha256 = "0f3a…"       # of the pixels that came of it

[image]
name = "nuclei"
path = "plates/a1.tif"

[[actions]]
do = "ask"                    # see | model | ask | keep | edit | undo | redo | labels
index = [0]
"""

from __future__ import annotations

import difflib
import hashlib
import json
import tomllib
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import tomli_w
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    field_validator,
)

from napari_sam.live.disk.kept.entries import Packed
from napari_sam.live.disk.kept.saved import ImageText
from napari_sam.live.values import Rule
from napari_sam.types import NapariSamError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from napari_sam.live.labels.changes import IntBox
    from napari_sam.live.values import Index

REPLAY: Final = "replay.toml"
VERSION: Final = 1
_HEAD: Final = "# What was done in SAM Annotator. Again: napari-sam replay"

Place: TypeAlias = tuple[NonNegativeInt, ...]


class ReplayError(NapariSamError):
    """What was recorded cannot be read, or not be done again here."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Part(_Strict):
    """The pixels of a box of one plane after an edit.

    Attributes
    ----------
    index : tuple of int
    box : (y0, x0, y1, x1)
    pixels : str
        Of the type of the labels, lowest byte first, row by row, zlib, base64.
    """

    index: Place
    box: tuple[NonNegativeInt, NonNegativeInt, NonNegativeInt, NonNegativeInt]
    pixels: str

    @field_validator("box")
    @classmethod
    def _has_area(cls, box: IntBox) -> IntBox:
        if box[0] >= box[2] or box[1] >= box[3]:
            raise ValueError("there is nothing in such a box")
        return box

    @classmethod
    def of(cls, packed: Packed) -> Part:
        """Make text of pixels."""
        plain = [int(n) for n in packed.box]
        return cls(
            index=tuple(int(i) for i in packed.index),
            box=(plain[0], plain[1], plain[2], plain[3]),
            pixels=b64encode(packed.data).decode(),
        )

    def array(self, dtype: str) -> npt.NDArray[Any]:
        """Return the pixels.

        Raises
        ------
        NapariSamError
            If they are damaged.
        """
        try:
            data = b64decode(self.pixels, validate=True)
        except Base64Error as error:
            raise ReplayError(f"its pixels are damaged ({error})") from error
        return Packed(self.index, self.box, np.dtype(dtype), data).array()


class Labels(_Strict):
    """From here on objects go to these labels; without parts they are empty."""

    do: Literal["labels"] = "labels"
    dtype: Annotated[str, Field(pattern=r"^[<|][iu][1248]$")]
    next_id: NonNegativeInt = 1
    parts: tuple[Part, ...] = ()


class See(_Strict):
    """How models see the image from here on; see `Source`.

    Attributes
    ----------
    channels : tuple of str
        The fingerprints of further channels.
    """

    do: Literal["see"] = "see"
    mode: Literal["stack", "plane"]
    percentiles: tuple[float, float]
    ranges: tuple[tuple[float, float], ...] | None = None
    diameter: float | None = None
    channels: tuple[str, ...] = ()


class Model(_Strict):
    """What answers from here on."""

    do: Literal["model"] = "model"
    model: str
    version: str
    sha256: str
    device: str
    threads: PositiveInt


class Question(_Strict):
    """What was asked about one object.

    Attributes
    ----------
    marks : tuple of mark
        Clicks, boxes, outlines, scribbles; see `napari_sam.live.marks`.
    refines : (answer, question, candidate), optional
        What it begins with.
    base : Part, optional
        The object that it begins with, 1 where it is.
    """

    marks: tuple[dict[str, Any], ...]
    refines: tuple[NonNegativeInt, NonNegativeInt, NonNegativeInt] | None = None
    base: Part | None = None


class Ask(_Strict):
    """Questions that were answered together.

    Attributes
    ----------
    answer : int
    index : tuple of int
    outline : int
        How many pixels looser outlines were wanted than the model draws them.
    rounded : bool
        The slice came from the disk, where numbers have half precision.
    questions : tuple of Question
    """

    do: Literal["ask"] = "ask"
    answer: NonNegativeInt
    index: Place
    outline: int = 0
    rounded: bool = False
    questions: Annotated[tuple[Question, ...], Field(min_length=1)]


class Keep(_Strict):
    """A candidate becomes an object, or a part of one.

    Attributes
    ----------
    answer : (answer, question)
    candidate : int
    object : int
    joins : bool
        What the object had on the slice stayed, too.
    overlaps : str
        See `Rule`.
    class_id : int
    wrote : str
        A checksum of the pixels that it wrote.
    """

    do: Literal["keep"] = "keep"
    answer: tuple[NonNegativeInt, NonNegativeInt]
    candidate: NonNegativeInt
    object: Annotated[int, Field(gt=0)]
    joins: bool = False
    overlaps: Rule = Rule.KEEP
    class_id: int = 0
    wrote: str


class Edit(_Strict):
    """Anything else that changed pixels, as the pixels that it wrote."""

    do: Literal["edit"] = "edit"
    what: str
    made_by: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()


class Undo(_Strict):
    """An action is taken back."""

    do: Literal["undo"] = "undo"
    action: NonNegativeInt


class Redo(_Strict):
    """An action that was taken back is done again."""

    do: Literal["redo"] = "redo"
    action: NonNegativeInt


Action: TypeAlias = Annotated[
    Labels | See | Model | Ask | Keep | Edit | Undo | Redo, Field(discriminator="do")
]
_KINDS: Final = (Labels, See, Model, Ask, Keep, Edit, Undo, Redo)


class Replay(_Strict):
    """What stands in the file."""

    version: Literal[1] = VERSION
    program: str = ""
    image: ImageText
    labels_sha256: str
    actions: tuple[Action, ...] = ()

    @property
    def threads(self) -> int | None:
        """With how many threads models ran; None where none did."""
        models = (one for one in self.actions if isinstance(one, Model))
        return next((one.threads for one in models), None)


def digest(planes: Iterable[npt.NDArray[Any]]) -> str:
    """Return the checksum of label planes, whatever type they have."""
    found = hashlib.sha256()
    for plane in planes:
        found.update(np.ascontiguousarray(plane, "<u4").data)
    return found.hexdigest()


def line_of(action: BaseModel) -> str:
    """Return an action as it is appended to the file."""
    values = action.model_dump(mode="json", exclude_defaults=True, exclude={"do"})
    rows = [f"{name} = {_value(value)}\n" for name, value in values.items()]
    return f'\n[[actions]]\ndo = "{action.do}"\n{"".join(rows)}'  # type: ignore[attr-defined]


def text_of(
    image: ImageText, program: str, labels_sha256: str, actions: Iterable[str]
) -> Iterator[str]:
    """Yield the parts of a file."""
    head = {
        "version": VERSION,
        "program": program,
        "labels_sha256": labels_sha256,
        "image": image.model_dump(mode="json"),
    }
    yield f"{_HEAD} {REPLAY}\n\n{tomli_w.dumps(head)}"
    yield from actions


def read_replay(path: Path) -> Replay:
    """Read what was recorded.

    Raises
    ------
    ReplayError
        In one line that names the file, what is wrong in it, and what may be meant.
    """
    try:
        table = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise ReplayError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ReplayError(
            f"{path} is damaged, it is not TOML ({error}): take it from a copy"
        ) from error
    if table.get("version") != VERSION:
        raise ReplayError(
            f"{path} is of version {table.get('version')}, and this program reads "
            f"version {VERSION}: install the newest napari-sam-annotator"
        )
    try:
        return Replay.model_validate(table)
    except ValidationError as error:
        raise ReplayError(f"{path}: {_message(error)}") from None


def _value(value: object) -> str:
    """Return a value as TOML on one line, which tomli_w does not do."""
    if isinstance(value, dict):
        pairs = (f"{name} = {_value(one)}" for name, one in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_value, value))}]"
    # JSON's strings and numbers are TOML's, but for one character.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _message(error: ValidationError) -> str:
    """Say what is wrong first, and where; a word that is not known says most."""
    errors = error.errors(include_url=False, include_context=False)
    strange = [one for one in errors if one["type"] == "extra_forbidden"]
    first = (strange or errors)[0]
    # pydantic adds which kind of action it took it for.
    kinds = {kind.model_fields["do"].default for kind in _KINDS}
    where = [
        f"number {part}" if isinstance(part, int) else part
        for part in first["loc"]
        if part not in kinds
    ]
    name = where.pop() if first["type"] in ("extra_forbidden", "missing") else ""
    at = f"[{' '.join(where)}] " if where else ""
    if first["type"] == "missing":
        return f"{at}{name} is missing"
    if not strange:
        return at + " ".join(first["msg"].split())
    known = {name: None for kind in (*_KINDS, Replay) for name in kind.model_fields}
    close = difflib.get_close_matches(name, known, n=1)
    hint = f": did you mean {close[0]}?" if close else ""
    return f"{at}there is no setting {name}{hint}"


def checksum(parts: Iterable[tuple[Index, tuple[int, ...], npt.NDArray[Any]]]) -> str:
    """Return a short checksum of written pixels."""
    found = hashlib.sha256()
    for index, box, pixels in parts:
        found.update(repr((tuple(map(int, index)), tuple(map(int, box)))).encode())
        found.update(np.ascontiguousarray(pixels, "<i8").data)
    return found.hexdigest()[:16]
