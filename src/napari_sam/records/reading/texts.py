"""Reading files that others wrote, with one line about what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.types import ImageError

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import ValidationError


def bytes_of(path: Path) -> bytes:
    """Return what is in a file.

    Raises
    ------
    ImageError
        If it cannot be read.
    """
    try:
        return path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise ImageError(
            f"{path}: this file cannot be read ({error.strerror}): check that it is "
            "there and may be read"
        ) from error


def first_line(error: ValidationError) -> str:
    """Return the first thing that is wrong, and where."""
    first = error.errors(include_url=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place or 'file'}: {first['msg']}"
