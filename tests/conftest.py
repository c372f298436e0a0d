"""What all tests share: which display Qt talks to."""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from pathlib import Path

import pytest

HAS_DISPLAY = (
    sys.platform in ("win32", "darwin")
    or bool(os.environ.get("DISPLAY"))
    or bool(os.environ.get("WAYLAND_DISPLAY"))
)

if not HAS_DISPLAY:
    # Widgets still work without a display, OpenGL canvases do not.
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

# Of several bindings pytest-qt would take another one first than qtpy does.
for binding in ("PyQt6", "PyQt5"):
    if importlib.util.find_spec(binding) is not None:
        os.environ.setdefault("PYTEST_QT_API", binding.lower())
        break

# Neither read nor change the preferences of whoever runs the tests.
os.environ["NAPARI_CONFIG"] = str(Path(tempfile.mkdtemp()) / "settings.yaml")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what needs a window where there is no display, never in CI."""
    if HAS_DISPLAY or os.environ.get("CI"):
        return
    reason = "needs a display: `make test` brings one (Xvfb)"
    for item in items:
        if item.get_closest_marker("window"):
            item.add_marker(pytest.mark.skip(reason=reason))
