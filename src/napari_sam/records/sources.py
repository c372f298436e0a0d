"""Labels that exist already: annotated, saved in the viewer, or made elsewhere.

Each label image comes with what lies beside it: the table that says what class an
object is of, and the image that says which pixels are the truth.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pydantic import BaseModel, ValidationError

from napari_sam.images import ImageStack, find_inputs, open_image
from napari_sam.models.given.rows import BoxTable
from napari_sam.records.formats.training import MASKS
from napari_sam.segment.link import Linked
from napari_sam.segment.result import PlaneResult
from napari_sam.segment.table import make_table
from napari_sam.types import ImageError, Mask, NapariSamError, OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from napari_sam.models.given.rows import Row
    from napari_sam.records.reading import Read
    from napari_sam.types import BoolArray, LabelArray, ObjectTable

_KNOWN: Final = "known"
_PROMPTS: Final = "prompts.json"
NO_CLASS: Final = "object"  # what a class without a name is called
_HIGHEST: Final = np.iinfo(np.uint32).max
Index = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """One label image.

    Attributes
    ----------
    path : Path
    relative : PurePosixPath
        Name for results, without suffix.
    table : BoxTable or None
        What is known about its objects.
    known : Path or None
        Which pixels are the truth; without it all are.
    error : str
        Why it cannot be used.
    load : callable, optional
        Reads it, where it is a file of another program; takes the shape of the image.
    image : str
        What such a file calls its image.
    """

    path: Path
    relative: PurePosixPath
    table: BoxTable | None = None
    known: Path | None = None
    error: str = ""
    load: Callable[[Sequence[int] | None], Read] | None = None
    image: str = ""


def find_sources(given: Sequence[str | Path], *, complete: bool) -> list[Source]:
    """Find the label images that files and folders stand for.

    Parameters
    ----------
    given : sequence of str or Path
        Label images, folders of them, results of `napari-sam annotate`, folders that
        the viewer saved.
    complete : bool
        Every slice counts as complete, whatever the folders say.

    Raises
    ------
    NapariSamError
        If a table cannot be read, or a saved folder does not say what is complete.
    """
    found: list[Source] = []
    for one in given:
        path = Path(one)
        folder, table = path, None
        if (path / "labels").is_dir() and (path / "objects.csv").is_file():
            folder, table = path / "labels", BoxTable(path / "objects.csv")
        for item in find_inputs([folder]):
            error = "" if item.error is None else str(item.error)
            known = None if complete or error else _known(path, item.relative)
            name = item.relative
            if path.name.lower().endswith(f"{MASKS}{path.suffix.lower()}"):
                name = name.with_name(name.name[: -len(MASKS)])
            found.append(Source(item.path, name, table, known, error))
    return found


class _Saved(BaseModel):
    """What is read of the file that the viewer saves."""

    state: dict[str, Any] = {}


def _known(folder: Path, relative: PurePosixPath) -> Path | None:
    """Return the image of what is known, of a folder that the viewer saved."""
    known = folder / _KNOWN / f"{relative}.tif"
    if known.is_file():
        return known
    prompts = folder / _PROMPTS
    if not prompts.is_file():
        return None
    try:
        saved = _Saved.model_validate_json(prompts.read_bytes())
    except (OSError, ValidationError) as error:
        raise OutputError(
            f"{prompts} cannot be read, so nobody knows which slices are complete: "
            "take it from a copy, or add --complete to take all of them as complete"
        ) from error
    if "progress" not in saved.state:
        raise OutputError(
            f"{folder}: nobody has said which slices are complete: say it in the "
            "section What is complete, or add --complete to take all as complete"
        )
    return None


def class_names_of(sources: Sequence[Source]) -> tuple[str, ...]:
    """Return the names of the classes, in the order of their numbers.

    Raises
    ------
    OutputError
        If two tables call one number by two names.
    """
    names: dict[int, tuple[str, Path]] = {0: (NO_CLASS, Path())}
    for table in {id(s.table): s.table for s in sources if s.table}.values():
        for number, name in enumerate(table.class_names):
            plain = "" if name == str(number) else name
            before, where = names.get(number, ("", table.path))
            if plain and before not in ("", NO_CLASS, plain):
                raise OutputError(
                    f"{where} and {table.path} call class {number} {before!r} and "
                    f"{plain!r}: export them into two folders"
                )
            if plain or number not in names:
                names[number] = (plain, table.path)
    return tuple(
        names[number][0] or str(number) if number in names else str(number)
        for number in range(max(names) + 1)
    )


class LabelSource:
    """Labels that are read plane by plane.

    Parameters
    ----------
    stack : ImageStack
    class_names : sequence of str
    known : ImageStack, optional
        Where the labels are the truth.
    rows : mapping of index to sequence of row
        What is known about the objects, as a table has it.
    parents : bool
        The rows say from whom a track comes.
    number : callable
        Reads a whole number of a row.
    """

    def __init__(
        self,
        stack: ImageStack,
        class_names: Sequence[str] = (NO_CLASS,),
        *,
        known: ImageStack | None = None,
        rows: Mapping[Index, Sequence[Row]] | None = None,
        parents: bool = False,
        number: Callable[[Row, str], int] = lambda row, name: int(row.get(name) or 0),
    ) -> None:
        self.stack = stack
        self._names = class_names
        self._known = known
        self._rows = rows or {}
        self._parents = parents
        self._value = number

    @classmethod
    def of(
        cls, source: Source, class_names: Sequence[str], axes: str | None = None
    ) -> LabelSource:
        """Open a label image, and what lies beside it.

        Parameters
        ----------
        source : Source
        class_names : sequence of str
        axes : str, optional
            What its axes are, where the image says it better.

        Raises
        ------
        NapariSamError
            If it cannot be read, or is no label image.
        """
        stack = open_labels(source.path, axes)
        try:
            known = None if source.known is None else _opened_like(stack, source)
            table = source.table
            if table is None or "id" not in table.columns:
                return cls(stack, class_names, known=known)
            return cls(
                stack,
                class_names,
                known=known,
                rows=_rows_of(table, source, stack.stack_axes),
                parents="parent" in table.columns,
                number=table.number,
            )
        except BaseException:
            stack.close()
            raise

    def close(self) -> None:
        """Close the files."""
        self.stack.close()
        if self._known is not None:
            self._known.close()

    def labels(self, index: Index) -> LabelArray:
        """Return a plane with ids of this plane alone, 1 to n."""
        return self._compact(index)[0]

    @property
    def partly(self) -> bool:
        """Whether something says where the labels are the truth."""
        return self._known is not None

    def known(self, index: Index) -> BoolArray | None:
        """Return where the labels of a plane are the truth; None: everywhere."""
        return None if self._known is None else self._known.read(index) > 0

    def linked(self, index: Index, *, tracks: bool = False) -> Linked:
        """Return what the ids of a plane are in the file.

        Parameters
        ----------
        index : tuple of int
        tracks : bool
            An id is a track, also where no table says so.
        """
        _, values = self._compact(index)
        linked = Linked.new(len(values), flags=False)
        linked.ids[1:] = values
        if not tracks and not self._parents:
            return linked
        parents = {
            self._value(row, "id"): self._value(row, "parent")
            for row in self._rows.get(index, ())
        }
        known = [0, *(parents.get(value, 0) for value in values.tolist())]
        return replace(linked, parents=np.array(known, np.uint32))

    def result(self, index: Index) -> PlaneResult:
        """Return a plane with its objects and what the table says about them."""
        from scipy import ndimage

        labels, values = self._compact(index)
        known = {self._value(row, "id"): row for row in self._rows.get(index, ())}
        masks = []
        for number, place in enumerate(ndimage.find_objects(labels), start=1):
            y, x = place
            row = known.get(int(values[number - 1]), {})
            masks.append(
                Mask(
                    (y.start, x.start, y.stop, x.stop),
                    labels[place] == number,
                    _number(row.get("score")),
                    _number(row.get("stability")),
                )
            )
        rows = [known.get(int(value), {}) for value in values]
        classes = [self._value(row, "class_id") if row else 0 for row in rows]
        scores = [_number(row.get("detection_score")) for row in rows]
        table: ObjectTable = make_table(
            masks,
            classes=np.array(classes, np.int64),
            detection_scores=np.array(scores, np.float32),
            class_names=self._names,
        )
        return PlaneResult(index, labels, table)

    @property
    def _where(self) -> str:
        return str(self.stack.path or self.stack.name)

    def ids(self, index: Index) -> npt.NDArray[Any]:
        """Return a plane as it is in the file, whole numbers of 0 to 2**32 - 1."""
        plane = self.stack.read(index)
        if plane.dtype.kind not in "iub" or plane.ndim != 2:
            raise ImageError(
                f"{self._where}: labels must be whole numbers in one channel; "
                f"this is {plane.dtype} of the shape {plane.shape}"
            )
        if int(plane.min()) < 0 or int(plane.max()) > _HIGHEST:
            raise ImageError(
                f"{self._where}: it holds numbers below 0 or above {_HIGHEST}, "
                "which are no labels"
            )
        return plane

    def _compact(self, index: Index) -> tuple[LabelArray, npt.NDArray[np.int64]]:
        plane = self.ids(index)
        values, places = np.unique(plane, return_inverse=True)
        compact = places.reshape(plane.shape).astype(np.uint32)
        if values[0] != 0:
            compact += 1
        return compact, values[values > 0].astype(np.int64)


def _rows_of(
    table: BoxTable, source: Source, axes: str
) -> Mapping[Index, Sequence[Row]]:
    name = str(source.relative)
    # In a folder of one image its file may be called otherwise than the image is.
    if name not in table.images and len(table.images) == 1:
        (name,) = table.images
    return table.of(name, axes)


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return float("nan")


def open_labels(path: Path, axes: str | None = None) -> ImageStack:
    """Open a label image.

    Raises
    ------
    ImageError
        If it cannot be read, or is a picture.
    """
    stack = open_image(path, axes=axes)
    if stack.rgb or stack.shape != stack.label_shape:
        stack.close()
        raise ImageError(
            f"{path}: this is a picture with colours or channels (axes {stack.axes}), "
            "not a label image: labels are one number per pixel"
        )
    return stack


def _opened_like(labels: ImageStack, source: Source) -> ImageStack:
    path = source.known
    assert path is not None
    known = open_labels(path, labels.axes)
    if known.label_shape != labels.label_shape:
        known.close()
        raise ImageError(
            f"{path} has the shape {known.label_shape}, {source.path} has "
            f"{labels.label_shape}: save both again"
        )
    return known


def image_of(source: Source, images: Path, found: Mapping[str, Path]) -> ImageStack:
    """Open the image that labels belong to.

    Parameters
    ----------
    source : Source
    images : Path
        As it was given.
    found : mapping of str to Path
        The images in it by their relative path without suffix.

    Raises
    ------
    NapariSamError
        If there is none, or it has another shape than a label image.
    """
    name = str(source.relative)
    path = found.get(name) or found.get(name.removesuffix(MASKS))
    if path is None and source.load is not None:
        # Other programs have other folders.
        alike = [
            key for key in found if PurePosixPath(key).name == source.relative.name
        ]
        path = found[alike[0]] if len(alike) == 1 else None
    if path is None and len(found) == 1 and not images.is_dir():
        path = next(iter(found.values()))
    if path is None:
        raise ImageError(
            f"{source.path}: its image is not in {images}: images and labels belong "
            "together that have the same path without suffix"
        )
    image = open_image(path)
    if source.load is not None:
        return image
    labels = _shape_of(source.path, image)
    if labels != image.label_shape:
        image.close()
        raise ImageError(
            f"{source.path} has the shape {labels}, its image {path} has "
            f"{image.label_shape} without channels: they must be the same"
        )
    return image


def _shape_of(path: Path, image: ImageStack) -> tuple[int, ...]:
    try:
        with open_labels(path, image.label_axes) as labels:
            return labels.label_shape
    except NapariSamError:
        with open_labels(path) as labels:  # other axes: say its shape
            return labels.label_shape
