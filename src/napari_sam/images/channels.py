"""Which channels of an image are looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.types import ImageError

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_CHANNELS = 3


def choose_channels(
    wanted: Sequence[int | str], count: int, names: Sequence[str], where: str
) -> tuple[int, ...]:
    """Turn channel numbers and names into channel numbers.

    Parameters
    ----------
    wanted : sequence of int or str
        Numbers from 0, or names that the file gives to its channels.
    count : int
        Number of channels in the file.
    names : sequence of str
        Names of the channels, where the file has them.
    where : str
        The file's name, for messages.

    Raises
    ------
    ImageError
        If there is no such channel, one is named twice, or there are none or
        more than three.
    """
    if isinstance(wanted, str):
        wanted = wanted.split(",")
    chosen = tuple(_number(channel, count, names, where) for channel in wanted)
    if not 1 <= len(chosen) <= MAX_CHANNELS:
        raise ImageError(
            f"{where}: choose 1 to {MAX_CHANNELS} channels, not {len(chosen)}"
        )
    if len(set(chosen)) != len(chosen):
        raise ImageError(f"{where}: a channel is chosen twice: {_list(wanted)}")
    return chosen


def _number(channel: int | str, count: int, names: Sequence[str], where: str) -> int:
    if isinstance(channel, str):
        text = channel.strip()
        matches = [i for i, n in enumerate(names) if n.casefold() == text.casefold()]
        if len(matches) == 1:
            return matches[0]
        if len(matches) > 1:
            raise ImageError(
                f"{where}: the channels {_list(matches)} are all called {text!r}: "
                "choose by number"
            )
        channel = int(text) if text.isdecimal() else -1
        wanted = repr(text)
    else:
        wanted = str(channel)
    if not 0 <= channel < count:
        known = f" ({', '.join(names)})" if names else ""
        span = "only channel 0" if count == 1 else f"channels 0 to {count - 1}"
        raise ImageError(
            f"{where}: there is no channel {wanted}: the image has {span}{known}"
        )
    return int(channel)


def _list(items: Sequence[int | str]) -> str:
    return ", ".join(str(item) for item in items)
