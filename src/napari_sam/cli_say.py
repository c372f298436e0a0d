"""How the command line speaks: one line on stderr, however long."""

from __future__ import annotations

import sys
from typing import NoReturn

import typer


def fail(message: str, code: int = 2) -> NoReturn:
    """Print one line on stderr and end."""
    say(f"error: {message}")
    sys.exit(code)


def say(message: str) -> None:
    """Print one line on stderr, however long."""
    typer.echo(" ".join(message.split()), err=True)
