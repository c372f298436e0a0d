"""Fetches one large file over the network, resumed where it stopped.

What came so far lies in a `.part` file, and beside it what the server called this
version of the file: only the rest of the same version is ever added. No torch here.
Imported only for a download: with `requests` alone come probes of the network.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Final

import requests

from napari_sam.models.parts import (
    KEPT,
    disk_explained,
    drop,
    part_of,
    read_json,
    version_of,
    write_json,
)
from napari_sam.models.wire import Wire
from napari_sam.types import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_sam.models.parts import Progress

_PAGE: Final = (b"<!doctype", b"<html", b"<head", b"<body", b"<?xml")


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
        server does not say, or has not yet), several times a second also while
        nothing comes. What it raises ends the download at once; what came is kept.

    Returns
    -------
    Path
        The complete `.part` file.

    Raises
    ------
    ModelError
        If the file could not be had; the message says why and what to do.
    """
    with disk_explained(path), _explained(url, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not _attempt(url, path, progress):
            # The server has no such rest of the file: from the beginning, then.
            drop(path)
            _attempt(url, path, progress)
    return part_of(path)


class _Told:
    """What progress was told last, to be told again while nothing comes."""

    def __init__(self, progress: Progress, have: int) -> None:
        self._progress = progress
        self._last: tuple[int, int | None] = have, None

    def __call__(self, have: int, total: int | None) -> None:
        self._last = have, total
        self._progress(have, total)

    def again(self) -> None:
        self._progress(*self._last)


def _attempt(url: str, path: Path, progress: Progress) -> bool:
    """Ask once; False if the server refuses to go on where we stopped."""
    have, version = _have(url, path)
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": version}
    told = _Told(progress, have)
    with Wire(url, headers, told.again) as wire:
        answer = wire.answer
        if have and answer.status_code == requests.codes.requested_range:
            # There is no rest: either all of it came already, or more than all.
            return answer.headers.get("Content-Range") == f"bytes */{have}"
        _check_answer(url, answer)
        if answer.status_code != requests.codes.partial:
            have = 0
        elif _start(answer) != have or _version(answer) not in ("", version):
            return False  # servers that do not understand If-Range
        _receive(url, wire, path, have, told)
    return True


def _have(url: str, path: Path) -> tuple[int, str]:
    """Return how much came already of which version; nothing if that is not known."""
    noted = read_json(version_of(path))
    version = noted.get("version")
    if noted.get("url") != url or not isinstance(version, str) or not version:
        return 0, ""
    try:
        return part_of(path).stat().st_size, version
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


def _receive(url: str, wire: Wire, path: Path, have: int, progress: Progress) -> None:
    answer = wire.answer
    total = _total(url, answer, have)
    if not have:
        part_of(path).write_bytes(
            b""
        )  # before the note: the two never belong to two versions
        note = {"url": url, "version": _version(answer)}
        write_json(version_of(path), note)
    progress(have, total)
    with part_of(path).open("ab") as file:
        for chunk in wire.chunks():
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
    """Turn errors of the network into one clear line."""
    try:
        yield
    except requests.exceptions.Timeout as error:
        raise ModelError(
            f"{url}: the server does not answer; {KEPT}, or get the file with a "
            "browser on a computer that has a network"
        ) from error
    except requests.exceptions.ChunkedEncodingError as error:
        raise ModelError(f"{url}: the download was interrupted; {KEPT}") from error
    except requests.exceptions.RequestException as error:
        if isinstance(error, requests.exceptions.ConnectionError) and _came(path):
            raise ModelError(f"{url}: the download was interrupted; {KEPT}") from error
        raise ModelError(
            f"{url}: the server cannot be reached ({type(error).__name__}); check the "
            "network and proxy, or give a folder with the files as NAPARI_SAM_MIRROR"
        ) from error


def _came(path: Path) -> bool:
    part = part_of(path)
    return part.is_file() and part.stat().st_size > 0
