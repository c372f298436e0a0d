"""What a person has set in napari's preferences."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from napari.settings import get_plugin_settings

if TYPE_CHECKING:
    from collections.abc import Callable

PLUGIN = "napari-sam-annotator"
_log = logging.getLogger(__name__)


def annotator() -> str:
    """Return the name that is kept with every object."""
    group = _group("labelling")
    return "" if group is None else str(group.annotator).strip()


def hint_wanted() -> bool:
    """Whether the first steps are shown."""
    group = _group("labelling")
    return True if group is None else bool(group.hint)


def hint_read() -> None:
    """Show the first steps no more, also in the next session."""
    group = _group("labelling")
    if group is not None:
        group.hint = False


def slices_kept() -> tuple[bool, float]:
    """Whether prepared slices are kept on the disk, and how many GB of it."""
    group = _group("labelling")
    if group is None:
        return False, 1.0
    return bool(group.keep_slices), float(group.keep_slices_gb)


def keep_slices(on: bool, gigabytes: float) -> None:
    """Remember whether prepared slices are kept, also in the next session."""
    group = _group("labelling")
    if group is not None:
        group.keep_slices, group.keep_slices_gb = on, gigabytes


def shortcuts() -> dict[str, str]:
    """Return the keys that a person has chosen, by the name of what they do."""
    group = _group("shortcuts")
    if group is None:
        return {}
    # "key_" in front: napari's settings cannot have names such as "add".
    chosen = {
        name.removeprefix("key_"): str(getattr(group, name)).strip()
        for name in type(group).model_fields
    }
    return {name: key for name, key in chosen.items() if key}


def watch_shortcuts(changed: Callable[[], object], on: bool) -> None:
    """Call something when a person chooses keys; or do so no more."""
    group = _group("shortcuts")
    if group is not None:
        (group.events.connect if on else group.events.disconnect)(changed)


def _group(name: str) -> Any:
    """Return one page of our settings; None where they cannot be read."""
    try:
        return getattr(get_plugin_settings(PLUGIN), name)
    except Exception as error:  # another plugin's settings can be broken, too
        _log.warning("the plugin's settings cannot be read: %s", error)
        return None
