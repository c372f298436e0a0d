"""The section "Prepared slices": what is kept of them, and all of them ahead."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Final

from magicgui.widgets import CheckBox, FloatSpinBox
from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QProgressBar, QVBoxLayout, QWidget

from napari_sam.live.prompting.preparing import PreparingState
from napari_sam.live.threads import Threads, say
from napari_sam.models.cache import EmbeddingCache
from napari_sam.widgets.rows import Rows
from napari_sam.widgets.segment import settings
from napari_sam.widgets.segment.sections import slices_words as words
from napari_sam.widgets.segment.sections.hint import row_of
from napari_sam.widgets.segment.view import paragraph, push
from napari_sam.widgets.segment.watch import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam.models.lane import Post
    from napari_sam.widgets.segment.bridge import Bridge

_LEAST: Final = 0.25  # seconds; what is prepared faster is not worth a file
_STEPS: Final = 1000  # of the bar
_OFTEN_MS: Final = 1000  # between two looks at how much there is
_THREAD: Final = "slices"
_KEEP_TIP = "So that they are there at once when you open the same image again."
_LIMIT_TIP = (
    "And never more than a tenth of what is free. What was used longest ago is removed "
    "first."
)
_PREPARE_TIP = (
    "Now, so that nothing has to be waited for later. You can go on meanwhile: what "
    "you click goes first."
)


class Slices(QWidget, Watcher):
    """Says what is kept of prepared slices, and prepares all of an image.

    Parameters
    ----------
    bridge : Bridge
    post : callable
        Runs a function on the viewer's thread.
    notice : callable
        Is called with one line that should be read.
    """

    def __init__(
        self, bridge: Bridge, post: Post, notice: Callable[[str], None]
    ) -> None:
        super().__init__()
        self._bridge, self._post, self._notice = bridge, post, notice
        self._threads = Threads(post)
        self._cache: EmbeddingCache | None = None
        on, gigabytes = settings.slices_kept()
        self.keep = CheckBox(
            text="Keep prepared slices on this disk",
            label="",
            value=on,
            tooltip=_KEEP_TIP,
        )
        self.limit = FloatSpinBox(
            label="At most (GB)",
            value=gigabytes,
            min=0.1,
            max=100_000,
            step=1,
            tooltip=_LIMIT_TIP,
        )
        self.about = paragraph()
        self.about.setText(words.ABOUT)
        self.memory, self.disk, self.says = paragraph(), paragraph(), paragraph()
        self.prepare = push("", _PREPARE_TIP)
        self.cancel = push("Cancel", "Stop; what was prepared so far stays.")
        self.empty = push("Empty", "Remove prepared slices from this disk.")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(8)
        self.bar.setRange(0, _STEPS)
        lines = QVBoxLayout(self)
        lines.setContentsMargins(8, 0, 0, 6)
        for part in (
            self.about,
            row_of(self.prepare, self.cancel),
            self.bar,
            self.says,
            Rows(self.keep, self.limit),
            self.disk,
            self.memory,
            row_of(self.empty),
        ):
            lines.addWidget(part)
        self._look = QTimer(self)
        self._look.setInterval(_OFTEN_MS)
        self._look.timeout.connect(self._measure)
        self.prepare.clicked.connect(lambda _=False: self._prepare())
        self.cancel.clicked.connect(lambda _=False: bridge.preparing.stop())
        self.empty.clicked.connect(lambda _=False: self._empty())
        self.keep.changed.connect(lambda _: self._chosen())
        self.limit.changed.connect(lambda _: self._chosen())
        bridge.watchers.append(self)
        self.show_state()

    def begin(self) -> None:
        """Keep slices, where the person wants it."""
        self._bridge.preparing.changed = self.show_state
        self.limit.enabled = self.keep.value
        if self.keep.value:
            self._cache = EmbeddingCache(
                limit=int(self.limit.value * 2**30),
                least=_LEAST,
                told=lambda line: self._post(partial(self._notice, line)),
            )
        self._bridge.session.keep_in(self._cache)
        self.show_state()

    def end(self) -> None:
        """Keep nothing more; what waits to be written still is."""
        preparing = self._bridge.preparing
        preparing.changed = lambda: None  # nothing here may be left to show it
        preparing.stop()
        self._threads.close()
        self._cache = None
        self._bridge.session.keep_in(None)

    def work_changed(self) -> None:
        """Offer to prepare the image that is worked on now."""
        self.show_state()

    def event(self, event: QEvent) -> bool:
        """Look how much there is while somebody sees it."""
        if event.type() == QEvent.Type.Show:
            self._measure()
            self._look.start()
        elif event.type() == QEvent.Type.Hide:
            self._look.stop()
        return bool(super().event(event))

    def _chosen(self) -> None:
        settings.keep_slices(self.keep.value, self.limit.value)
        self.end()
        self.begin()
        self._measure()

    def _prepare(self) -> None:
        problem = self._bridge.preparing.start()
        if problem:
            self._notice(f"{problem[:1].upper()}{problem[1:]}.")

    def _empty(self) -> None:
        cache = self._cache
        if cache is not None:
            self._bridge.preparing.stop()
            self._threads.run(
                _THREAD, cache.empty, lambda _: self._measure(), self._failed
            )

    def _failed(self, error: Exception) -> None:
        self._notice(say(error))

    def _measure(self) -> None:
        """Look how much there is; on the disk by a thread."""
        self.memory.setText(words.memory(*self._bridge.session.memory))
        cache = self._cache
        if cache is None:
            self.disk.setText("")
            self.disk.hide()
            return
        measure = partial(_measured, cache)
        self._threads.run(_THREAD, measure, partial(self._say, cache), self._failed)

    def _say(self, cache: EmbeddingCache, measured: tuple[int, int]) -> None:
        if cache is self._cache:
            used, most = measured
            self.disk.setText(words.disk(used, most, cache.folder))
            self.disk.show()
            self.empty.setEnabled(used > 0)

    def show_state(self) -> None:
        """Say how far it is, and what could be prepared."""
        source, preparing = self._bridge.session.source, self._bridge.preparing
        ours = source is not None and source is preparing.source
        state = preparing.state if ours else PreparingState()
        axes = "" if source is None else source.stack_axes
        count = 1 if source is None else len(source)
        self.prepare.setText(words.prepare_all(count, axes))
        kept = self._cache is not None
        self.prepare.setToolTip(_PREPARE_TIP if kept else words.KEEP_FIRST)
        self.prepare.setEnabled(source is not None and kept and not state.busy)
        self.empty.setEnabled(kept)
        self.cancel.setVisible(state.busy)
        self.bar.setVisible(state.busy)
        share = (state.done + state.part) / max(1, state.total)
        self.bar.setValue(round(_STEPS * share))
        self.says.setText(words.preparing(state, time.monotonic(), axes))
        self.says.setVisible(bool(self.says.text()))


def _measured(cache: EmbeddingCache) -> tuple[int, int]:
    return cache.nbytes, cache.most
