"""Run by test_late_torch.py: a window is drawn, then a lane brings torch."""

from __future__ import annotations

import sys
import time
from importlib.util import find_spec

import napari
import numpy as np
from qtpy.QtWidgets import QApplication

from napari_sam.models import runtime
from napari_sam.models.lane import Priority, acquire


def draw(viewer):
    QApplication.processEvents()
    return viewer.screenshot(canvas_only=True, flash=False)[..., :3].max() > 0


def translate():
    """Translate a kernel with triton's LLVM; no GPU is needed for that."""
    import triton
    import triton.language as tl
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    def double(values, count, BLOCK: tl.constexpr):
        at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        inside = at < count
        tl.store(values + at, tl.load(values + at, mask=inside) * 2, mask=inside)

    # Triton reads the names in the kernel from its module.
    globals()["tl"] = tl
    source = ASTSource(
        fn=triton.jit(double),
        signature={"values": "*fp32", "count": "i32", "BLOCK": "constexpr"},
        constexprs={"BLOCK": 64},
    )
    return triton.compile(source, target=GPUTarget("cuda", 80, 32)).asm["ptx"]


viewer = napari.Viewer()
viewer.add_image(np.random.default_rng(0).random((64, 64)))
assert draw(viewer)
assert "torch" not in sys.modules
ended = []
lane = acquire(owner=viewer.title, post=lambda function: function())
lane.submit(
    lambda: runtime.warm("torchvision"),
    slot="warm",
    priority=Priority.BATCH,
    done=ended.append,
    failed=ended.append,
)
while not ended:
    assert draw(viewer)
    time.sleep(0.01)
assert ended == [None], ended
assert "torchvision" in sys.modules
if find_spec("triton"):  # not with every torch
    assert ".visible .entry double" in translate()
assert draw(viewer)
lane.close()
viewer.close()
print("alive")
