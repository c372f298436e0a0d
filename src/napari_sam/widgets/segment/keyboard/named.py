"""Texts that name keys, and follow the keys that a person has chosen."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QAbstractButton, QLabel, QWidget

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAMED = re.compile(r"{(\w+)}")
_SAID = ("text", "toolTip")  # properties of Qt's


def names_keys(widget: QAbstractButton | QLabel, text: str = "", tip: str = "") -> None:
    """Let a widget say keys.

    Parameters
    ----------
    widget : QAbstractButton or QLabel
    text, tip : str
        With the names of actions in braces: "Add ({add})". Nothing is said, and
        what is said already stays, where one is empty.
    """
    for name, value in zip(_SAID, (text, tip), strict=True):
        if value:
            widget.setProperty(name, value)
        if _NAMED.search(value):
            widget.setProperty(f"{name} with keys", value)


def name_keys(parent: QWidget, keys: Mapping[str, str]) -> None:
    """Say the keys, by the names of their actions, on all that is in a widget."""
    for widget in (*parent.findChildren(QAbstractButton), *parent.findChildren(QLabel)):
        for name in _SAID:
            if value := widget.property(f"{name} with keys"):
                widget.setProperty(name, _NAMED.sub(lambda m: keys[m[1]], value))
