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

PATIENCE: Final = 30.0  # seconds that a process has to end in order
_NAME: Final = "napari-sam job"
_ERROR: Final = "error: "
_WARNING: Final = "warning: "
_INTERRUPTED: Final = (130, 143)


class Job:
    """A running command; it ends when it is told to, or with this process.

    Parameters
    ----------
    arguments : sequence of str
        What would stand behind `napari-sam`.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
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
        return self._process.poll() is None

    def stop(self) -> None:
        """Let it end in order; returns at once."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()

    def leave(self) -> None:
        """Let it end in order, and wait for that elsewhere."""
        self.stop()
        threading.Thread(target=self._see_off, name=_NAME, daemon=True).start()

    def _see_off(self) -> None:
        if not self.wait(PATIENCE):
            self.kill()
            self.wait()
        self.close()

    def close(self) -> None:
        """Let go of what was open for it; call this when it has ended."""
        self.stop()
        self._said.close()

    def kill(self) -> None:
        """End it now: what it has finished is on the disk."""
        self._process.kill()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it has ended; return whether it has."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    @property
    def code(self) -> int | None:
        """How it ended: 0 all done, 2 something failed; None while it runs."""
        return self._process.poll()

    @property
    def interrupted(self) -> bool:
        """Whether it ended because it was told to."""
        return self.code is not None and (self.code < 0 or self.code in _INTERRUPTED)

    @property
    def error(self) -> str:
        """Why it ended, if it said so; read this when it has."""
        self._said.seek(0)
        lines = self._said.read().decode("utf-8", "replace").splitlines()
        # A trial warns of images that cannot be used.
        for kind in (_ERROR, _WARNING):
            said = [line for line in lines if line.startswith(kind)]
            if said and self.code != 0:
                return said[-1].removeprefix(kind)
        # What failed of the images is in the results.
        return "" if self.code in (0, 2) or not lines else lines[-1]


def _flags() -> int:
    if sys.platform == "win32":
        return subprocess.CREATE_NO_WINDOW | subprocess.BELOW_NORMAL_PRIORITY_CLASS
    return 0
