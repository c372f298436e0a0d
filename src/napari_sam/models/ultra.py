"""The one door to ultralytics: it comes in without its side effects.

Importing it asks a name server whether the machine is online, writes a settings
file, sets thread counts and print options, and replaces functions of other
libraries; using it sends statistics and installs packages. Here all of that is off
or undone, also when another plugin has imported it before.
"""

from __future__ import annotations

import atexit
import importlib
import logging
import os
import platform
import shutil
import sys
import tempfile
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import nn

_LOCK: Final = threading.RLock()
_NAME: Final = "ultralytics"
_VARIABLES: Final = (
    "CUBLAS_WORKSPACE_CONFIG",
    "KINETO_LOG_LEVEL",
    "LD_LIBRARY_PATH",  # by cv2, as those of Qt
    "NUMEXPR_MAX_THREADS",
    "OMP_NUM_THREADS",
    "QT_QPA_FONTDIR",
    "QT_QPA_PLATFORM_PLUGIN_PATH",
    "TF_CPP_MIN_LOG_LEVEL",
    "TORCH_CPP_LOG_LEVEL",
)
# Constants that its modules copy from each other when they are imported.
_SWITCHES: Final = ("ONLINE", "AUTOINSTALL")


def load_ultralytics(module: str = _NAME) -> Any:
    """Import ultralytics, or one of its modules, without its side effects.

    Parameters
    ----------
    module : str
        For example "ultralytics.nn.tasks".

    Returns
    -------
    module
        `Any`, since ultralytics has no types.
    """
    with _LOCK, ExitStack() as stack:
        if module not in sys.modules:
            variables = {
                "YOLO_OFFLINE": "1",
                "YOLO_AUTOINSTALL": "false",
                "YOLO_VERBOSE": "false",
            }
            if _NAME not in sys.modules:
                variables["YOLO_CONFIG_DIR"] = str(_own_settings())
            stack.enter_context(_environment(variables))
            # Brings torch, before ultralytics sets OMP_NUM_THREADS to 1: torch would
            # have one thread for ever.
            from napari_sam.models.runtime import import_torch

            import_torch()
            from napari_sam.models import unchanged

            stack.enter_context(unchanged.numbers())
            stack.enter_context(unchanged.functions())
        loaded = importlib.import_module(module)
        _switch_off()
        _forget_plugins_of_cv2()
    return loaded


@contextmanager
def quiet() -> Iterator[None]:
    """Use ultralytics without a word, and with thread counts as they were."""
    from napari_sam.models import unchanged

    load_ultralytics()
    logger = logging.getLogger(_NAME)
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with _environment({}), unchanged.numbers():
            yield
    finally:
        logger.setLevel(level)


class YoloFile(NamedTuple):
    """A detector as its file has it.

    Attributes
    ----------
    module : nn.Module
        float32, on the CPU, for evaluation, not fused.
    names : tuple of str
        Of its classes, in their order.
    task : str
        What it was trained for: "detect", "segment", "obb", "pose", "classify" …
    stride : int
        Sides of its input must be multiples of this.
    imgsz : int
        Longer side of its input in pixels, as in training.
    """

    module: nn.Module
    names: tuple[str, ...]
    task: str
    stride: int
    imgsz: int


def load_yolo_module(path: Path) -> YoloFile:
    """Load ultralytics' own file of a detector (.pt), running no code of it.

    Raises
    ------
    ModelError
        If the file is missing, damaged, no detector, or holds anything but weights
        in layers that ultralytics and torch are known to have.
    """
    from napari_sam.models import yolo_file

    tasks = load_ultralytics("ultralytics.nn.tasks")
    with quiet():
        return yolo_file.read(path, tasks)


@contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for a while, and undo those that others set."""
    before = {name: os.environ.get(name) for name in (*_VARIABLES, *changes)}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _own_settings() -> Path:
    """Return a folder for settings that is gone when the process ends.

    The user's own settings are copied there, so that another plugin that uses
    ultralytics later in this process finds the folders that were chosen.
    """
    folder = Path(tempfile.mkdtemp(prefix="napari-sam-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    theirs = _users_settings()
    if theirs.is_file():
        (folder / "Ultralytics").mkdir()
        shutil.copyfile(theirs, folder / "Ultralytics" / theirs.name)
    return folder


def _users_settings() -> Path:
    """Return where ultralytics itself would look for its settings."""
    if chosen := os.environ.get("YOLO_CONFIG_DIR"):
        base = Path(chosen).expanduser()
    elif platform.system() == "Windows":
        base = Path.home() / "AppData" / "Roaming"
    elif platform.system() == "Darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return base / "Ultralytics" / "settings.json"


def _switch_off() -> None:
    """Switch statistics and installing off in what is loaded, in memory only."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] != _NAME:
            continue
        for switch in _SWITCHES:
            if vars(module).get(switch) is True:
                setattr(module, switch, False)
    # Its own `settings["sync"] = False` would write the user's settings file.
    dict.__setitem__(sys.modules[_NAME].SETTINGS, "sync", False)
    if (statistics := sys.modules.get(f"{_NAME}.utils.events")) is not None:
        statistics.events.enabled = False
        statistics.events.events = []


def _forget_plugins_of_cv2() -> None:
    """Keep Qt from loading the platform plugins that come with OpenCV's wheels."""
    for name in ("QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR"):
        if "cv2" in Path(os.environ.get(name, "")).parts:
            del os.environ[name]
