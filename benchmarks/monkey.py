"""A monkey works with the widget: nothing may break, leak or stay behind.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/monkey.py

Random actions with mouse and keys, as Qt delivers them, in a real window: prompts,
undo, brush strokes, deleted and renamed layers, slices, models, other images, saving,
the widget closed and opened. Every seed is a process of its own. Exit code 1 where
something was raised, logged as an error or warned of, where what is known about the
objects is not what is in their layer, where memory grows, or where a thread of ours
outlives the window. `--seed N --actions M` does the same again.

Memory is what Python and NumPy hold, and torch's tensors. The process itself grows by
more: `keep_programs` keeps every layer's shaders, which in napari alone is 8 to 17 MB
for three layers added and removed.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import importlib
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import tracemalloc
import warnings
from collections import Counter, deque
from pathlib import Path
from typing import Any

from monkey_actions import Monkey
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QTimer, qInstallMessageHandler
from qtpy.QtWidgets import QApplication
from window import make_stack, random_mobile_sam

from napari_sam.live.labels.scan import scan

ACTIONS, SEEDS = 1000, (1, 2, 3)
SLICES = 8
# Between the first and the third quarter, with the widget closed both times.
GROWTH = 50 * 2**20
ENOUGH = 200  # actions; after fewer, everything has not been used once
CHECKED = 25  # actions from one look at the objects to the next
HANGS = 120  # seconds for one action
# What others say, and rightly or harmlessly: of their own old code, of a line of no
# length drawn in 3-D, of a turned image seen from the side, of an outline given up.
_IGNORED = ("PydanticDeprecated", "vispy/visuals/tube.py", "Non-orthogonal slicing")
_TOLD = "Polygons must have three or more vertices"
# What napari 0.9.2 raises without us too: points pasted in a stack, and a box drawn
# in a turned image with the axes rolled.
_NAPARIS = ("_paste_data", "_set_drag_start")
_IDLE_QT = ("propagateSizeHints", "XDG_RUNTIME_DIR")


class Ears:
    """Hears of everything that goes wrong in this process."""

    def __init__(self, trace: Path) -> None:
        self.heard: list[str] = []
        self._recent: deque[str] = deque(maxlen=12)
        self._trace = trace.open("w", buffering=1)
        sys.excepthook = lambda *raised: self._raised(*raised)
        sys.unraisablehook = lambda raised: self._raised(
            raised.exc_type, raised.exc_value, raised.exc_traceback
        )
        threading.excepthook = lambda raised: self._raised(
            raised.exc_type, raised.exc_value, raised.exc_traceback
        )
        warnings.simplefilter("default")
        warnings.showwarning = self._warned
        qInstallMessageHandler(self._qt)
        notification_manager.notification_ready.connect(self._notified)
        self._listen("", logging.ERROR)
        self._listen("napari_sam", logging.WARNING)

    def begin(self, number: int) -> None:
        """Hear that an action begins, in a place that outlives this process."""
        self._recent.append(f"{number}")
        self._trace.write(f"{number} ")
        self._trace.flush()

    def know(self, name: str) -> None:
        """Hear what the action was."""
        self._recent[-1] += f" {name}"
        self._trace.write(f"{name}\n")

    def hear(self, what: str) -> None:
        """Note something, and what was done before it."""
        text = f"{what.rstrip()}\n  after {', '.join(self._recent)}"
        self.heard.append(text)
        print(text, flush=True)

    def _listen(self, name: str, level: int) -> None:
        handler = logging.Handler(level)
        handler.emit = self._logged  # type: ignore[method-assign]
        logging.getLogger(name).addHandler(handler)

    def _raised(self, kind: Any, error: Any, where: Any) -> None:
        names = [frame.name for frame in traceback.extract_tb(where)]
        if not any(name in _NAPARIS for name in names[-4:]):
            self.hear("".join(traceback.format_exception(kind, error, where)))

    def _warned(self, message: Any, category: Any, name: str, line: int, *_: Any):
        text = f"{name}:{line}: {category.__name__}: {message}"
        if not any(words in text for words in _IGNORED):
            stack = "".join(traceback.format_stack(limit=12)[:-1])
            self.hear(f"{stack}{text}")

    def _qt(self, kind: Any, _: Any, text: str) -> None:
        if not any(words in text for words in _IDLE_QT):
            self.hear(f"Qt: {text}")

    def _notified(self, notification: Any) -> None:
        text = str(notification.message)
        wrong = str(notification.severity) in ("warning", "error")
        if wrong and not text.startswith(_TOLD):
            self.hear(f"napari says: {text}")

    def _logged(self, record: logging.LogRecord) -> None:
        text = logging.Formatter().format(record)
        self.hear(f"logged by {record.name}: {text}")


def inconsistent(monkey: Monkey) -> str:
    """Return what is known wrongly about the objects."""
    store = None if monkey.bridge is None else monkey.session.store
    found = None if store is None else scan(store.labels)
    if store is None or found is None:
        return ""
    if {number: dict(on) for number, on in store.extents.items()} != found.extents:
        return f"the objects lie elsewhere: {store.extents} is {found.extents}"
    if store.records.keys() != found.extents.keys():
        return f"records of {[*store.records]}, objects {[*found.extents]}"
    if store.next_id < found.next_id:
        return f"the next id is {store.next_id}, an object has {found.next_id - 1}"
    return ""


def memory(monkey: Monkey) -> int:
    """Return the bytes that are held when nobody works with it."""
    import torch

    monkey.rest()
    for _ in range(3):
        monkey.wait(0.5)
        gc.collect()
    tensors = [
        each for each in gc.get_objects() if issubclass(type(each), torch.Tensor)
    ]
    storages = [each.untyped_storage() for each in tensors]
    held = {each.data_ptr(): each.nbytes() for each in storages}
    used = tracemalloc.get_traced_memory()[0] + sum(held.values())
    monkey.open_widget()
    return used


def our_threads() -> list[str]:
    """Return those of our threads that run."""
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith("napari-sam")]


def worker(seed: int, actions: int, folder: Path) -> int:
    """Let the monkey work; return how often something went wrong."""
    if actions >= ENOUGH:
        # Some 60 MB of code, which count as growth if a detector loads it later.
        for name in ("torchvision", "ultralytics.nn.tasks"):
            importlib.import_module(name)
        tracemalloc.start()
    ears = Ears(folder / "trace.txt")
    stack, _ = make_stack()
    models = ["pocket", str(folder / "mobile_sam.pt")]
    monkey = Monkey(stack[:SLICES], seed, models, folder / "saved")
    timer = QTimer()

    def dialogs() -> None:
        dialog = QApplication.activeModalWidget()
        if dialog is not None:
            ears.hear(f"a dialog stands in the way: {dialog.windowTitle()}")
            dialog.close()

    timer.timeout.connect(dialogs)
    timer.start(500)
    began, done, used = time.monotonic(), Counter[str](), {}
    for number in range(1, actions + 1):
        faulthandler.dump_traceback_later(HANGS, exit=True)
        ears.begin(number)
        try:
            name = monkey.act()
        except Exception:  # what it called itself, not from an event
            ears.hear(traceback.format_exc())
            name = "failed"
        ears.know(name)
        done[name] += 1
        if number % CHECKED == 0 and (wrong := inconsistent(monkey)):
            ears.hear(wrong)
        for quarter in (1, 3):
            if actions >= ENOUGH and number == quarter * actions // 4:
                used[quarter] = memory(monkey)
    monkey.wait(2)
    if wrong := inconsistent(monkey):
        ears.hear(wrong)
    growth = used.get(3, 0) - used.get(1, 0)
    if growth > GROWTH:
        ears.hear(f"memory grew by {growth / 2**20:.0f} MB")
    ears.begin(actions + 1)
    ears.know("close")
    timer.stop()
    monkey.close()
    end = time.monotonic() + 20
    while our_threads() and time.monotonic() < end:
        monkey.wait(0.05)
    if left := our_threads():
        ears.hear(f"still running: {', '.join(left)}")
    faulthandler.cancel_dump_traceback_later()
    print(
        f"seed {seed}: {actions} actions of {len(done)} kinds in "
        f"{time.monotonic() - began:.0f} s, memory {growth / 2**20:+.0f} MB, "
        f"{len(ears.heard)} wrong"
    )
    return len(ears.heard)


def run(seed: int, actions: int, folder: Path) -> bool:
    """Let a process of its own work; return whether all went well."""
    environment = {
        **os.environ,
        "NAPARI_SAM_HOME": str(folder / "home"),
        "NAPARI_CONFIG": str(folder / "settings.yaml"),
    }
    command = [sys.executable, "-X", "faulthandler", __file__]
    command += ["--worker", str(folder), "--seed", str(seed)]
    command += ["--actions", str(actions)]
    ended = subprocess.run(command, env=environment).returncode
    if ended not in (0, 1):
        lines = (folder / "trace.txt").read_text().splitlines()
        print(f"seed {seed}: ended with {ended} after {', '.join(lines[-12:])}")
    if ended:
        print(f"again: {Path(__file__).name} --seed {seed} --actions {actions}")
    return ended == 0


def main() -> int:
    """Let one monkey after the other work, and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--actions", type=int, default=ACTIONS)
    parser.add_argument("--seed", type=int, action="append")
    parser.add_argument("--worker", metavar="FOLDER", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    seeds = arguments.seed or SEEDS
    if arguments.worker:
        folder = Path(arguments.worker)
        return int(worker(seeds[0], arguments.actions, folder) > 0)
    well = True
    for seed in seeds:
        with tempfile.TemporaryDirectory() as name:
            random_mobile_sam(Path(name))
            well &= run(seed, arguments.actions, Path(name))
    print("all targets are met" if well else "MISSED")
    return int(not well)


if __name__ == "__main__":
    sys.exit(main())
