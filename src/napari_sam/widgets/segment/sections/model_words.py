"""What the sections about models and other layers say."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from napari_sam.models.known import in_bytes
from napari_sam.widgets.segment.words import device_title, model_title

if TYPE_CHECKING:
    from pathlib import Path

    from napari_sam.live.disk.shelf import Here
    from napari_sam.live.prompting.session import Status
    from napari_sam.models.catalog import CatalogEntry
    from napari_sam.models.known import Known


WORDS = (
    "To find objects by a word: get SAM 3 (listed above, with its page), or a file of "
    "YOLOE or YOLO-World, and choose it under “Find all objects”."
)
# Readable on dark and on light themes; links are underlined too.
_LINK = "color: #2f8fff"


def in_use(status: Status) -> str:
    """Say which model is used now, and where it runs."""
    title = model_title(status.model)
    if status.device:
        return f"In use: {title}, on {device_title(status.device)}."
    if status.phase == "loading":
        return f"Loading “{title}”…"
    if status.phase == "failed":
        return f"⚠ “{title}” could not be loaded: choose another one."
    return f"Chosen: {title}."


def built_in(entry: CatalogEntry, count: int | None) -> str:
    """Describe a model that ships, as HTML."""
    return _facts(
        model_title(entry.name),
        entry.description.removeprefix("built-in model: "),
        _joined(in_bytes(count), entry.licence),
    )


def here(one: Here) -> str:
    """Describe a file that is on this computer, as HTML."""
    lies = f"In {one.path.parent}"
    if one.size is None:
        return _facts(one.path.name, "The file is not there any more.", lies)
    if one.known is None:
        return _facts(one.path.name, "Your own file.", in_bytes(one.size), lies)
    known = one.known
    facts = _joined(in_bytes(one.size), known.licence)
    return _facts(known.title, f"Good for {known.good_for}.", facts, lies)


def to_be_had(known: Known, folder: Path, *, mirror: str = "") -> str:
    """Describe a model that can be had, and say how, as HTML."""
    address, site = escape(known.where, quote=True), escape(_site(known.where))
    page = f'<a href="{address}" style="{_LINK}">{site}</a>'
    file = (
        "then choose it with “Use my checkpoint…”, or put it into "
        f"{escape(str(folder))}"
    )
    if known.url or mirror:
        how = (
            "Nothing is downloaded unasked: “Get it…” first says what would be. Or "
            f"take the file from {page}, {file}."
        )
    else:
        how = (
            "It is given out only to those who agree to its publisher's terms: do that "
            f"on {page}, and download {escape(known.file)} there, {file}."
        )
    return (
        _facts(
            known.title,
            f"Good for {known.good_for}.",
            _joined(known.says_size, f"licence: {known.licence}"),
            known.file,
        )
        + f"<br>{how}"
    )


def looking(name: str) -> str:
    """Say that a file is being checked."""
    return f"Looking at {name}…"


def usable(name: str) -> str:
    """Say that a file is a model, and is used from now on."""
    return f"{name} is a model: it is used from now on, and stays in the list."


def adopted(taken: int, offered: int, layer: str) -> str:
    """Say how many suggestions were made from another layer.

    Examples
    --------
    >>> adopted(12, 12, "spots")
    'Asked about 12 objects from the layer “spots”. Press Add to keep them.'
    >>> adopted(0, 3, "spots")
    'Nothing in the layer “spots” lies on this image.'
    """
    if not offered:
        return f"The layer “{layer}” is empty."
    if not taken:
        return f"Nothing in the layer “{layer}” lies on this image."
    what = f"{taken:,} object{'s' * (taken != 1)}"
    them = "them" if taken != 1 else "it"
    text = f"Asked about {what} from the layer “{layer}”. Press Add to keep {them}."
    left = offered - taken
    if not left:
        return text
    were = "were" if left != 1 else "was"
    return (
        f"{text} {left:,} {were} left out: beside the image, or more than can be asked "
        "at once."
    )


def _facts(name: str, *lines: str) -> str:
    shown = [f"<b>{escape(name)}</b>", *(escape(line) for line in lines if line)]
    return "<br>".join(shown)


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _site(address: str) -> str:
    """Return what is read of a link.

    Examples
    --------
    >>> _site("https://bioimage.io/#/?id=noisy-ox")
    'bioimage.io'
    """
    site = address.partition("://")[2]
    return "/".join(site.split("#")[0].strip("/").split("/")[:3])
