"""From what a user names (files, folders, patterns) to the images in it."""

from __future__ import annotations

import glob
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from napari_sam.images.readers import is_zarr
from napari_sam.types import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SUFFIXES = (".tif", ".tiff", ".btf", ".tf8", ".png", ".jpg", ".jpeg")


@dataclass(frozen=True, slots=True)
class InputFile:
    """One image to work on, or the reason why there is none.

    Attributes
    ----------
    path : Path
    relative : PurePosixPath
        Name for results, without suffix; with the subfolders below the folder
        that was named.
    error : ImageError or None
        Why this input cannot be used; to be reported, the others go on.
    """

    path: Path
    relative: PurePosixPath
    error: ImageError | None = None


def find_inputs(
    inputs: Sequence[str | Path], *, exclude: Path | None = None
) -> list[InputFile]:
    """Find the images that files, folders, patterns and Zarr folders stand for.

    Parameters
    ----------
    inputs : sequence of str or Path
    exclude : Path, optional
        A folder to leave out (where results go).

    Returns
    -------
    list of InputFile
        In the order of `inputs`, folders and patterns sorted, every image
        once. What cannot be found is there with its error.
    """
    hidden = None if exclude is None else exclude.resolve()
    seen: set[Path] = set()
    found: list[InputFile] = []
    for given in inputs:
        for item in _expand(str(given), hidden):
            key = item.path.resolve()
            if key not in seen:
                seen.add(key)
                found.append(item)
    return found


def stem_of(path: Path | PurePosixPath) -> str:
    """Return a file's name without suffix; "a.ome.tif" gives "a"."""
    stem = path.name[: len(path.name) - len(path.suffix)]
    return stem[:-4] if stem.lower().endswith(".ome") and len(stem) > 4 else stem


def _expand(given: str, hidden: Path | None) -> Iterator[InputFile]:
    path = Path(given)
    if is_zarr(path) or path.is_file():
        yield _named(path, path.parent)
    elif path.is_dir():
        yield from _or_error(_walk(path, hidden), path, _no_images(path))
    elif glob.has_magic(given):
        root = _fixed_part(path)
        pattern = str(path.relative_to(root))
        names = sorted(glob.glob(pattern, root_dir=root, recursive=True))
        matches = (root / name for name in names)
        images = (
            _named(p, root)
            for p in matches
            if _is_image(p) and not _inside(p, hidden) and not _in_zarr(p, root)
        )
        message = f"{given}: no image matches this pattern: check it"
        yield from _or_error(images, path, message)
    else:
        message = f"{given}: there is no such file or folder: check the name"
        yield _failed(path, message)


def _no_images(folder: Path) -> str:
    kinds = ", ".join(SUFFIXES)
    return f"{folder}: no images in this folder: looked for {kinds} and .zarr"


def _walk(folder: Path, hidden: Path | None) -> Iterator[InputFile]:
    """Yield the images below a folder; what cannot be listed is an error."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as exc:
        yield _failed(folder, f"{folder}: the folder cannot be read ({exc.strerror})")
        return
    for path in entries:
        if path.name.startswith(".") or _inside(path, hidden):
            continue
        if _is_image(path):
            yield InputFile(path, PurePosixPath(stem_of(path)))
        elif path.is_dir() and not path.is_symlink():
            for item in _walk(path, hidden):
                yield InputFile(item.path, path.name / item.relative, item.error)


def _is_image(path: Path) -> bool:
    return is_zarr(path) or (path.suffix.lower() in SUFFIXES and path.is_file())


def _inside(path: Path, hidden: Path | None) -> bool:
    return hidden is not None and path.resolve().is_relative_to(hidden)


def _in_zarr(path: Path, root: Path) -> bool:
    below = path.relative_to(root).parents
    return any(is_zarr(root / parent) for parent in below if parent.name)


def _fixed_part(pattern: Path) -> Path:
    """Return the folder before the first wildcard.

    A folder that is there is no wildcard, whatever its name.
    """
    root = Path(pattern.anchor)
    for part in pattern.relative_to(root).parts[:-1]:
        if glob.has_magic(part) and not (root / part).is_dir():
            break
        root /= part
    return root


def _named(path: Path, root: Path) -> InputFile:
    folder = PurePosixPath(*path.parent.relative_to(root).parts)
    return InputFile(path, folder / stem_of(Path(os.path.abspath(path))))


def _failed(path: Path, message: str) -> InputFile:
    return InputFile(path, PurePosixPath(stem_of(path)), ImageError(message))


def _or_error(
    items: Iterator[InputFile], path: Path, message: str
) -> Iterator[InputFile]:
    empty = True
    for item in items:
        empty = False
        yield item
    if empty:
        yield _failed(path, message)
