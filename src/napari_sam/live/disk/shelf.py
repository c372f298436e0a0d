"""Files of models on this computer: those in our folder, and those that were added.

A small text file beside the sessions keeps which ones a person has added. Everything
here reads or writes files: not for the thread that draws.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import TypeAdapter, ValidationError

from napari_sam.live.disk.keeping import home
from napari_sam.models.known import Known, recognize
from napari_sam.models.runtime import warm
from napari_sam.records.files import write_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_sam.models.protocol import ModelInfo

_ENDINGS: Final = (".pt", ".pth", ".safetensors")
_LIST: Final = TypeAdapter(list[str])
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Here:
    """A file that may be a model.

    Attributes
    ----------
    path : Path
    size : int or None
        Bytes; None where the file is not there any more.
    known : Known or None
        What it is by its name and size, where that is known.
    added : bool
        A person has added it; otherwise it lies in our folder.
    """

    path: Path
    size: int | None
    known: Known | None
    added: bool


class Shelf:
    """Knows which files of models there are.

    Parameters
    ----------
    root : Path, optional
        The folder of all that we keep; by default what `NAPARI_SAM_HOME` says, or the
        system's folder for a user's data.

    Attributes
    ----------
    folder : Path
        Files that are put here are found; it need not exist.
    """

    def __init__(self, root: Path | None = None) -> None:
        root = home(root).parent
        self.folder = root / "models"
        self._list = root / "models.json"

    def look(self) -> tuple[Here, ...]:
        """Return all files, those that were added first."""
        added = self._added()
        others = [path for path in self._lying() if path not in added]
        return tuple(_here(path, added=path in added) for path in (*added, *others))

    def add(self, path: Path) -> None:
        """Remember a file.

        Raises
        ------
        OutputError
            If that cannot be written down.
        """
        path, added = path.absolute(), self._added()
        if path not in added:
            self._write([*added, path])

    def forget(self, path: Path) -> None:
        """Forget a file that was added; the file itself stays.

        Raises
        ------
        OutputError
            If that cannot be written down.
        """
        path, added = path.absolute(), self._added()
        if path in added:
            self._write([each for each in added if each != path])

    def _added(self) -> list[Path]:
        try:
            names = _LIST.validate_json(self._list.read_bytes())
        except FileNotFoundError:
            return []
        except (OSError, ValidationError) as error:
            _log.warning("%s cannot be read: %s", self._list, error)
            return []
        return list(dict.fromkeys(Path(name) for name in names))

    def _write(self, paths: Iterable[Path]) -> None:
        names = [str(path) for path in paths]
        write_text(self._list, _LIST.dump_json(names, indent=1).decode() + "\n")

    def _lying(self) -> list[Path]:
        try:
            paths = sorted(self.folder.absolute().iterdir())
        except OSError:  # there is none, as a rule
            return []
        return [path for path in paths if path.suffix.lower() in _ENDINGS]


def check(path: Path) -> ModelInfo:
    """Load a file as the session would, and return what it is; nothing of it is kept.

    Raises
    ------
    ModelError
        In one line: why it is no model.
    """
    # torch comes in this way only, or an open window may take the process down.
    warm("torchvision")
    from napari_sam.models.catalog import load_model

    return load_model(path, device="cpu").info


def _here(path: Path, *, added: bool) -> Here:
    try:
        size = path.stat().st_size if path.is_file() else None
    except (OSError, ValueError):  # ValueError: a null byte in the path
        size = None
    known = None if size is None else recognize(path.name, size)
    return Here(path, size, known, added)
