"""The command line of a process that ends with the one that started it.

Its standard input is a pipe that nobody writes to. Where that is closed, on purpose or
because whoever held it is gone, the command ends in order, as after Ctrl-C. Signals
would do so on some systems only.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
from contextlib import suppress

from napari_sam.cli import main

_NICE = 5  # leaves a busy core to whoever looks at the results


def run() -> None:
    """Run the command line of this process."""
    # It may be ignored where a script has started the viewer in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_watch, daemon=True).start()
    if hasattr(os, "nice"):  # elsewhere the process is started so
        os.nice(_NICE)
    main()


def _watch() -> None:
    # Not through `sys.stdin`: Python aborts if that is being read when it ends.
    with suppress(OSError):
        while os.read(0, 1):
            pass
    if sys.platform == "win32":
        _thread.interrupt_main()
    else:  # wakes the main thread where it waits
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


if __name__ == "__main__":
    run()
