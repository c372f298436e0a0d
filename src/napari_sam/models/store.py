"""Checkpoints of others on this computer: fetched when asked, checked at every use.

A file is *verified* when it has the hash that its publisher gives. Where none is given
the hash of what came first is written down, and the file is only *remembered*: it is
what it was, nobody says that it is what it should be.
"""

from __future__ import annotations

import datetime
import os
import re
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import platformdirs
from filelock import FileLock, Timeout

from napari_sam.models.known import Known, by_name
from napari_sam.models.parts import drop, part_of, read_json, settle, write_json
from napari_sam.models.sniff import file_sha256
from napari_sam.types import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_sam.models.parts import Progress

MIRROR: Final = "NAPARI_SAM_MIRROR"
"""The environment variable with the address or folder that files are taken from."""

_HOME: Final = "NAPARI_SAM_HOME"
_NOTES: Final = "remembered.json"
_PIECE: Final = 1 << 22  # bytes that are copied at once
_LOOK: Final = 0.2  # seconds between two looks at another process's lock
_HEX: Final = re.compile(r"[0-9a-f]{6,64}")


class Trust(Enum):
    """What is known about a file that is here."""

    VERIFIED = "verified: it has the hash that its publisher gives"
    REMEMBERED = "remembered, not verified: it is what was first downloaded"
    NEW = "not verified: its publisher gives no hash, and none is remembered"
    WRONG = "wrong: it is not what it should be"


@dataclass(frozen=True, slots=True)
class Checked:
    """What a look at a file found.

    Attributes
    ----------
    path : Path
    sha256 : str
    trust : Trust
    why : str
        What is wrong with it; empty if nothing is.
    """

    path: Path
    sha256: str
    trust: Trust
    why: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a download would do, before anything is fetched.

    Attributes
    ----------
    known : Known
    source : str
        The address, or the file in the offline folder, that it comes from.
    path : Path
        Where it will lie.
    have : int
        Bytes that came already; it goes on from there, if it still can.
    vouched : bool
        There is a hash to check it against. Otherwise nothing but the person's word
        says that it is right.
    free : int or None
        Bytes that are free where it will lie, as far as that is known.
    here : bool
        The file is there already, and right: nothing would be fetched.
    """

    known: Known
    source: str
    path: Path
    have: int
    vouched: bool
    free: int | None
    here: bool


def models_folder() -> Path:
    """Return where files of models lie; it need not exist."""
    chosen = os.environ.get(_HOME)
    root = (
        Path(chosen)
        if chosen
        else platformdirs.user_data_path("napari-sam", appauthor=False)
    )
    return root / "models"


class Store:
    """Knows which checkpoints are here, and fetches those that a person asks for.

    Parameters
    ----------
    folder : Path, optional
        Where they are kept; by default `models_folder`.
    mirror : str, optional
        An address (http, https) below which the files lie, or a folder with them; by
        default what `NAPARI_SAM_MIRROR` says, if anything.
    """

    def __init__(self, folder: Path | None = None, mirror: str | None = None) -> None:
        self.folder = models_folder() if folder is None else folder
        self.mirror = os.environ.get(MIRROR, "") if mirror is None else mirror
        self._notes = self.folder / _NOTES

    def find(self, known: Known) -> Path | None:
        """Return where its file lies, in our folder or in the offline one."""
        offline = self._offline()
        for folder in (self.folder, *([] if offline is None else [offline])):
            if (folder / known.stored).is_file():
                return folder / known.stored
        return None

    def plan(self, known: Known) -> Plan:
        """Say what `download` would do; reads files, fetches nothing.

        Raises
        ------
        ModelError
            If it cannot be had, or what is in its place is something else.
        """
        path = self.folder / known.stored
        here = path.is_file()
        if here and (found := self.check(known, path)).trust is Trust.WRONG:
            raise _wrong(known, found)
        source = str(path) if here else self._source(known)
        part = part_of(path)
        have = part.stat().st_size if part.is_file() and _is_url(source) else 0
        vouched = bool(known.hashes or self._remembered(known))
        return Plan(known, source, path, have, vouched, _free(self.folder), here)

    def check(
        self, known: Known, path: Path, tick: Callable[[], None] = lambda: None
    ) -> Checked:
        """Hash a file, and compare that with what is known; `tick` may raise to end it.

        Raises
        ------
        ModelError
            If it cannot be read.
        """
        try:
            sha256 = file_sha256(path, tick)
            wrong = next(
                (h for h in known.hashes if not _has_hash(path, sha256, h)), None
            )
        except OSError as error:
            raise ModelError(
                f"{path}: the file cannot be read ({error.strerror}); check its "
                "permissions"
            ) from error
        if wrong is not None:
            return Checked(
                path,
                sha256,
                Trust.WRONG,
                f"its publisher gives {wrong}, but the file has sha256 {sha256[:12]}…",
            )
        if known.hashes:
            return Checked(path, sha256, Trust.VERIFIED)
        before = self._remembered(known)
        if before and before != sha256:
            return Checked(
                path,
                sha256,
                Trust.WRONG,
                f"sha256 {before[:12]}… is remembered, but the file has "
                f"{sha256[:12]}… (if it may have changed: remove {known.name} from "
                f"{self._notes})",
            )
        return Checked(path, sha256, Trust.REMEMBERED if before else Trust.NEW)

    def require(self, known: Known) -> Path:
        """Return a file that may be loaded; nothing is downloaded.

        Raises
        ------
        ModelError
            If it is not here, is not what it should be, or nobody has agreed to use
            it; the message says what to do.
        """
        path = self.find(known)
        if path is None:
            raise ModelError(
                f'the model "{known.name}" is not on this computer ({known.says_size}, '
                f"licence: {known.licence}), and nothing is downloaded unasked: "
                + (
                    f"run: napari-sam models download {known.name}"
                    if known.url or self.mirror
                    else f"get it from {known.where}, then give the file's path"
                )
            )
        found = self.check(known, path)
        if found.trust is Trust.WRONG:
            raise _wrong(known, found)
        if found.trust is Trust.NEW:
            raise ModelError(
                f"{path}: nobody has agreed to use this file, and its publisher gives "
                f"no hash; run: napari-sam models download {known.name} (it asks, and "
                "remembers the hash)"
            )
        return path

    def download(
        self,
        known: Known,
        progress: Progress,
        ask: Callable[[str], bool],
        waits: Callable[[], None] = lambda: None,
    ) -> Checked:
        """Get a checkpoint into our folder, checked.

        Parameters
        ----------
        known : Known
        progress : callable
            As for `napari_sam.models.fetch.fetch`; what it raises cancels.
        ask : callable
            Is asked one question where nothing but the person's word says that the
            file is right; False means no.
        waits : callable
            Is called again and again while somebody else fetches the same file.

        Raises
        ------
        ModelError
            If it cannot be had, is not what it should be, or the answer was no.
        """
        path = self.folder / known.stored
        with self._alone(path, progress, waits):
            if path.is_file():
                found = self.check(known, path)
                if found.trust is Trust.WRONG:
                    raise _wrong(known, found)
                if found.trust is Trust.NEW:
                    _agree(known, f"{path} is here already", ask)
                return self._remember(known, found, str(path))
            source = self._source(known)
            if not known.hashes and not self._remembered(known):
                _agree(known, f"It comes from {source}", ask)
            part = self._get(source, path, progress)
            size = part.stat().st_size
            found = self.check(known, part, lambda: progress(size, size))
            if found.trust is Trust.WRONG:
                drop(path)
                raise ModelError(
                    f"{source}: what came is not {known.title}: {found.why}; it was "
                    "removed, try again, or from another network"
                )
            found = self._remember(known, found, source)
            settle(path)
            return replace(found, path=path)

    def _offline(self) -> Path | None:
        return Path(self.mirror) if self.mirror and not _is_url(self.mirror) else None

    def _source(self, known: Known) -> str:
        """Return the address or path from which a file comes."""
        offline = self._offline()
        if offline is not None:
            if not (offline / known.stored).is_file():
                raise ModelError(
                    f"{offline / known.stored}: there is no such file in the folder "
                    f"that {MIRROR} names; put it there, or unset {MIRROR}"
                )
            return str(offline / known.stored)
        if self.mirror:
            return f"{self.mirror.rstrip('/')}/{quote(known.stored)}"
        if not known.url:
            raise ModelError(
                f"{known.title} is given out only to those who ask for it: get the "
                f"file from {known.where}"
                + ("" if known.loadable else "; this version cannot load it yet")
            )
        return known.url

    def _get(self, source: str, path: Path, progress: Progress) -> Path:
        if _is_url(source):
            from napari_sam.models.fetch import fetch

            return fetch(source, path, progress)
        part = part_of(path)
        try:
            size = os.stat(source).st_size
            with open(source, "rb") as file, part.open("wb") as copy:
                while piece := file.read(_PIECE):
                    copy.write(piece)
                    progress(copy.tell(), size)
        except OSError as error:
            raise ModelError(
                f"{source}: the file cannot be copied to {path.parent} "
                f"({error.strerror}); free some space, and check the permissions"
            ) from error
        return part

    @contextmanager
    def _alone(
        self, path: Path, progress: Progress, waits: Callable[[], None]
    ) -> Iterator[None]:
        """Let no other process fetch the same file; wait until it has."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path.with_name(f".{path.name}.lock"))
            while True:
                try:
                    lock.acquire(timeout=_LOOK)
                except Timeout:
                    waits()
                    progress(0, None)  # so that waiting can be cancelled
                else:
                    break
        except OSError as error:
            raise ModelError(
                f"{self.folder}: nothing can be written there ({error.strerror}); "
                f"check its permissions, or name another folder with {_HOME}"
            ) from error
        try:
            yield
        finally:
            lock.release()

    def _remembered(self, known: Known) -> str:
        note = read_json(self._notes).get(known.name)
        sha256 = note.get("sha256") if isinstance(note, dict) else None
        return sha256 if isinstance(sha256, str) else ""

    def _remember(self, known: Known, found: Checked, source: str) -> Checked:
        """Write down the hash of what nobody gives a hash for."""
        if found.trust is not Trust.NEW:
            return found
        with FileLock(self.folder / f".{_NOTES}.lock"):
            notes = read_json(self._notes)
            notes[known.name] = {
                "sha256": found.sha256,
                "url": source,
                "date": datetime.datetime.now(datetime.UTC).isoformat("T")[:19],
            }
            write_json(self._notes, notes)
        return replace(found, trust=Trust.REMEMBERED)


def stored_path(name: str) -> Path | None:
    """Return the checked file of a checkpoint; None if no checkpoint is called so.

    Raises
    ------
    ModelError
        As `Store.require`.
    """
    known = by_name(name)
    return None if known is None else Store().require(known)


def _free(folder: Path) -> int | None:
    """Return how many bytes there is room for."""
    there = next((one for one in (folder, *folder.parents) if one.is_dir()), None)
    try:
        return None if there is None else shutil.disk_usage(there).free
    except OSError:
        return None


def _is_url(text: str) -> bool:
    return text.startswith(("http://", "https://"))


def _has_hash(path: Path, sha256: str, given: str) -> bool:
    """Whether a file has a hash, of which the first digits may be given."""
    import pooch

    algorithm, _, digits = given.partition(":")
    if algorithm == "sha256" and _HEX.fullmatch(digits):
        return sha256.startswith(digits)
    return bool(pooch.file_hash(str(path), alg=algorithm) == digits)


def _agree(known: Known, where: str, ask: Callable[[str], bool]) -> None:
    question = (
        f"{known.title} ({known.says_size}, licence: {known.licence}): no hash of its "
        f"publisher is known, so that nothing can verify it. {where}. Use it, and "
        "remember its hash"
    )
    if not ask(question):
        raise ModelError(
            f"{known.name}: nothing was downloaded or changed, since nobody has agreed "
            "to a file that cannot be verified; in scripts say --yes"
        )


def _wrong(known: Known, found: Checked) -> ModelError:
    return ModelError(
        f"{found.path}: this is not {known.title}: {found.why}; delete or move the "
        f"file, then get it again (napari-sam models download {known.name})"
    )
