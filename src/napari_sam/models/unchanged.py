"""Keep what a library changes in the whole process as it was before."""

from __future__ import annotations

import copy
import logging
import warnings
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np
import torch
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

# Functions of other libraries that ultralytics replaces: its `Image.open` would
# install a package when a file is no image.
_REPLACED: Final = (
    (Image, "open"),
    (torch, "save"),
    (cv2, "imread"),
    (cv2, "imwrite"),
    (cv2, "imshow"),
)


@contextmanager
def numbers() -> Iterator[None]:
    """Undo changes to thread counts and to how arrays are printed."""
    threads, cv_threads = torch.get_num_threads(), cv2.getNumThreads()
    options: Any = torch._tensor_str.PRINT_OPTS
    printed = copy.copy(vars(options))
    array_options = np.get_printoptions()
    try:
        yield
    finally:
        # Setting them, even to the same number, costs; and in OpenMP the count
        # belongs to the thread that sets it.
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        if cv2.getNumThreads() != cv_threads:
            cv2.setNumThreads(cv_threads)
        vars(options).update(printed)
        np.set_printoptions(**array_options)


@contextmanager
def functions() -> Iterator[None]:
    """Undo replacements of other libraries' functions, and filters of warnings."""
    before = [getattr(owner, name) for owner, name in _REPLACED]
    level = logging.getLogger("coremltools").level
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        try:
            yield
        finally:
            logging.getLogger("coremltools").setLevel(level)
            for (owner, name), function in zip(_REPLACED, before, strict=True):
                setattr(owner, name, function)
