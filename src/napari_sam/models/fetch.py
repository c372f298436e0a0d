"""Fetches one large file: resumed where it stopped, never half-written.

What came so far lies in a `.part` file, and beside it what the server called this
version of the file: only the rest of the same version is ever added. No torch here.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import requests

from napari_sam.types import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Progress = Callable[[int, int | None], None]

_CHUNK: Final = 1 << 18
_WAIT: Final = (15, 60)  # seconds to connect, and between two pieces
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_KEPT: Final = "what came is kept, the same command goes on from there"
_PAGE: Final = (b"<!doctype", b"<html", b"<head", b"<body", b"<?xml")
_PART: Final = ".part"
_VERSION: Final = ".part.json"


def fetch(url: str, path: Path, progress: Progress) -> Path:
    """Download a file beside its place.

    Parameters
    ----------
    url : str
        http or https.
    path : Path
        Where it will lie once it was checked: see `settle`.
    progress : callable
        Is called with the bytes that are here and those there will be (None if the
        server does not say). What it raises ends the download; what came is kept.

    Returns
    -------
    Path
        The complete `.part` file.

    Raises
    ------
    ModelError
        If the file could not be had; the message says why and what to do.
    """
    part = path.with_name(path.name + _PART)
    with _explained(url, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not _attempt(url, part, progress):
            # The server has no such rest of the file: from the beginning, then.
            drop(path)
            _attempt(url, part, progress)
    return part


def settle(path: Path) -> None:
    """Give a complete `.part` file its name, once its bytes are on the disk."""
    part = path.with_name(path.name + _PART)
    with _explained("", path):
        with part.open("r+b") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
        sync_folder(path.parent)
        path.with_name(path.name + _VERSION).unlink(missing_ok=True)


def drop(path: Path) -> None:
    """Remove what came of a file."""
    for ending in (_PART, _VERSION):
        path.with_name(path.name + ending).unlink(missing_ok=True)


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write a small file that is never half-written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(values, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def read_json(path: Path) -> dict[str, Any]:
    """Read what `write_json` wrote; nothing if it is missing or damaged."""
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def sync_folder(folder: Path) -> None:
    """Wait until the names of the files in a folder are on the disk."""
    if os.name == "nt":
        return  # Windows has no handle of a folder to flush
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _attempt(url: str, part: Path, progress: Progress) -> bool:
    """Ask once; False if the server refuses to go on where we stopped."""
    have, version = _have(url, part)
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": version}
    with requests.get(url, headers=headers, stream=True, timeout=_WAIT) as answer:
        if have and answer.status_code == requests.codes.requested_range:
            # There is no rest: either all of it came already, or more than all.
            return answer.headers.get("Content-Range") == f"bytes */{have}"
        _check_answer(url, answer)
        if answer.status_code != requests.codes.partial:
            have = 0
        elif _start(answer) != have or _version(answer) not in ("", version):
            return False  # servers that do not understand If-Range
        _receive(url, answer, part, have, progress)
    return True


def _have(url: str, part: Path) -> tuple[int, str]:
    """Return how much came already of which version; nothing if that is not known."""
    noted = read_json(part.with_name(part.name + ".json"))
    version = noted.get("version")
    if noted.get("url") != url or not isinstance(version, str) or not version:
        return 0, ""
    try:
        return part.stat().st_size, version
    except OSError:
        return 0, ""


def _check_answer(url: str, answer: requests.Response) -> None:
    code = answer.status_code
    if url.startswith("https:") and not answer.url.startswith("https:"):
        raise ModelError(
            f"{url}: the server sends us on to {answer.url}, which is not encrypted; "
            "nothing was downloaded, get the file with a browser"
        )
    if code in (401, 403):
        raise ModelError(
            f"{url}: the server does not give this file to everybody ({code}); get it "
            "with a browser, where you can sign in"
        )
    if code in (404, 410):
        raise ModelError(
            f"{url}: there is no such file on the server ({code}); it may have moved: "
            "look at the model's page, and at NAPARI_SAM_MIRROR if you have set it"
        )
    if code >= 500:
        raise ModelError(f"{url}: the server has a problem ({code}); try again later")
    if code not in (200, 206):
        raise ModelError(f"{url}: the server answers {code}; get it with a browser")
    if answer.headers.get("Content-Type", "").lower().startswith("text/html"):
        raise _no_file(url)


def _no_file(url: str) -> ModelError:
    return ModelError(
        f"{url}: a web page (HTML) came instead of the file: perhaps a login page of "
        "this network; open a web page in a browser, sign in, and try again"
    )


def _start(answer: requests.Response) -> int | None:
    match = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _receive(
    url: str, answer: requests.Response, part: Path, have: int, progress: Progress
) -> None:
    total = _total(url, answer, have)
    if not have:
        part.write_bytes(b"")  # before the note: the two never belong to two versions
        note = {"url": url, "version": _version(answer)}
        write_json(part.with_name(part.name + ".json"), note)
    progress(have, total)
    with part.open("ab") as file:
        for chunk in answer.iter_content(_CHUNK):
            if not have and chunk.lstrip(b"\xef\xbb\xbf \t\r\n")[:9].lower().startswith(
                _PAGE
            ):
                raise _no_file(url)
            file.write(chunk)
            have += len(chunk)
            progress(have, total)
    if total is not None and have < total:
        raise requests.exceptions.ConnectionError("it ended early")


def _total(url: str, answer: requests.Response, have: int) -> int | None:
    """Return how long the file will be; None where only its end will tell."""
    length = answer.headers.get("Content-Length", "")
    if length.isdecimal() and not _packed(answer):
        return have + int(length)
    if "chunked" in answer.headers.get("Transfer-Encoding", "").lower():
        return None
    raise ModelError(
        f"{url}: the server does not say how long the file is, so that one that is cut "
        "off could not be told from a whole one; get it with a browser"
    )


def _packed(answer: requests.Response) -> bool:
    """Whether the bytes on the wire are not those of the file, though we asked."""
    return answer.headers.get("Content-Encoding", "identity").lower() != "identity"


def _version(answer: requests.Response) -> str:
    """Return what tells this version of the file from others; empty if nothing."""
    if _packed(answer):
        return ""
    tag = answer.headers.get("ETag", "")
    if tag and not tag.startswith("W/"):  # a weak one says nothing about bytes
        return tag
    return answer.headers.get("Last-Modified", "")


@contextlib.contextmanager
def _explained(url: str, path: Path) -> Iterator[None]:
    """Turn errors of the network and the disk into one clear line."""
    try:
        yield
    except requests.exceptions.Timeout as error:
        raise ModelError(
            f"{url}: the server does not answer; {_KEPT}, or get the file with a "
            "browser on a computer that has a network"
        ) from error
    except requests.exceptions.ChunkedEncodingError as error:
        raise ModelError(f"{url}: the download was interrupted; {_KEPT}") from error
    except requests.exceptions.RequestException as error:
        if isinstance(error, requests.exceptions.ConnectionError) and _came(path):
            raise ModelError(f"{url}: the download was interrupted; {_KEPT}") from error
        raise ModelError(
            f"{url}: the server cannot be reached ({type(error).__name__}); check the "
            "network and proxy, or give a folder with the files as NAPARI_SAM_MIRROR"
        ) from error
    except OSError as error:
        full = error.errno in _FULL
        why = "the disk is full" if full else error.strerror or str(error)
        do = f"free some space: {_KEPT}" if full else "check the folder's permissions"
        raise ModelError(f"{path} cannot be written, {why}; {do}") from error


def _came(path: Path) -> bool:
    part = path.with_name(path.name + _PART)
    return part.is_file() and part.stat().st_size > 0
