"""What everybody who follows objects refuses, in the same words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.types import PromptError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


def check_plane(plane: int, count: int) -> None:
    """Raise a PromptError unless a stack of `count` planes has this one."""
    if not 0 <= plane < count:
        raise PromptError(f"there is no plane {plane}: the stack has {count}, from 0")


def chosen(known: Collection[int], numbers: Sequence[int] | None) -> list[int]:
    """Return whom to follow: these objects, or all of which something was said.

    Raises
    ------
    PromptError
        If nothing was said about one of them, or about any.
    """
    wanted = list(known) if numbers is None else list(numbers)
    unknown = sorted(set(wanted) - set(known))
    if wanted and not unknown:
        return wanted
    which = f"object {', '.join(map(str, unknown))}" if unknown else "any object"
    raise PromptError(f"nothing was said about {which}: prompt it on a plane first")
