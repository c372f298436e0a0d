"""The command line of a process that ends with the one that started it.

Its standard input is a pipe that nobody writes to. Where that is closed, on purpose or
because whoever held it is gone, the command ends in order, as after Ctrl-C. Signals
would do so on some systems only.
"""

from __future__ import annotations

import _thread
import os
import sys
import threading

from napari_sam.cli import main

_NICE = 5  # leaves a busy core to whoever looks at the results


def run() -> None:
    """Run the command line of this process."""
    threading.Thread(target=_watch, daemon=True).start()
    if hasattr(os, "nice"):  # elsewhere the process is started so
        os.nice(_NICE)
    main()


def _watch() -> None:
    # Not `sys.stdin`: a reader that waits in it is fatal when the interpreter ends.
    while os.read(sys.stdin.fileno(), 1):
        pass
    _thread.interrupt_main()


if __name__ == "__main__":
    run()
