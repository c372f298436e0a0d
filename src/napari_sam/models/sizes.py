"""How much memory values take, without knowing whose arrays they hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any


def nbytes_of(value: Any) -> int:
    """Add up the arrays and tensors in a value, however deep they are in it.

    Examples
    --------
    >>> import numpy as np
    >>> nbytes_of({"a": (np.zeros(3), [np.zeros(2, np.uint8)])})
    26
    """
    if value is None or isinstance(value, (str, int, float)):
        return 0
    nbytes = getattr(value, "nbytes", None)
    if isinstance(nbytes, int):
        return nbytes
    if hasattr(value, "element_size") and hasattr(value, "nelement"):
        return int(value.element_size() * value.nelement())
    if isinstance(value, Mapping):
        return sum(nbytes_of(each) for each in value.values())
    if isinstance(value, (tuple, list, set, frozenset)):
        return sum(nbytes_of(each) for each in value)
    if is_dataclass(value):
        return sum(nbytes_of(getattr(value, field.name)) for field in fields(value))
    return sum(nbytes_of(each) for each in getattr(value, "__dict__", {}).values())
