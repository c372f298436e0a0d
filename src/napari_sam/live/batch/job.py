"""A command of ours in a process of its own, so that the viewer never waits for it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_ERROR: Final = "error: "
_WARNING: Final = "warning: "
_SOME_FAILED: Final = 2
_INTERRUPTED: Final = (130, 143)


class Job:
    """A running command; it ends when it is told to, or with this process.

    Parameters
    ----------
    arguments : sequence of str
        What would stand behind `napari-sam`.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self._guard = threading.Lock()
        self._lines: list[str] = []
        # A file: nobody has to read from it for the process to go on.
        self._said = tempfile.TemporaryFile()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "napari_sam.cli_attached", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._said,
                # Ctrl-C in the terminal of the viewer is for the viewer.
                start_new_session=True,
                creationflags=_flags(),
            )
        except BaseException:
            self._said.close()
            raise

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.code is None

    def stop(self) -> None:
        """Let it end in order; returns at once."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()

    def leave(self) -> None:
        """Let it end in order while nobody looks any more; returns at once."""
        self.stop()
        # Who is not waited for would stay in the system's list of processes.
        threading.Thread(target=self.wait, name="napari-sam job", daemon=True).start()

    def kill(self) -> None:
        """End it now: what it has finished is on the disk."""
        self._process.kill()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it has ended; return whether it has."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return not self.running

    @property
    def code(self) -> int | None:
        """How it ended: 0 all done, 2 something failed; None while it runs."""
        code = self._process.poll()
        if code is not None:
            self._close()
        return code

    @property
    def interrupted(self) -> bool:
        """Whether it ended because it was told to."""
        code = self.code
        return code is not None and (code < 0 or code in _INTERRUPTED)

    @property
    def error(self) -> str:
        """Why it ended, or what failed last; empty as long as it runs."""
        if not self.code:
            return ""
        for kind in (_ERROR, _WARNING):
            said = [line for line in self._lines if line.startswith(kind)]
            if said:
                return said[-1].removeprefix(kind)
        known = self.code == _SOME_FAILED or not self._lines
        return "" if known else self._lines[-1]

    def _close(self) -> None:
        """Take what it has said, and close its files."""
        with self._guard:
            if not self._said.closed:
                self._said.seek(0)
                text = self._said.read().decode("utf-8", "replace")
                self._lines = text.splitlines()
                self._said.close()
                self.stop()


def _flags() -> int:
    if sys.platform == "win32":
        return subprocess.CREATE_NO_WINDOW | subprocess.BELOW_NORMAL_PRIORITY_CLASS
    return 0
