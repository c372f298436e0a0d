"""What the command line shows while it works, and its tables."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar
from rich.table import Table

from napari_sam.segment.metrics import THRESHOLDS, Agreement

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from napari_sam.records.evaluate import Evaluation
    from napari_sam.records.report import Progress
    from napari_sam.records.status import Status

# Without a terminal: a line at every tenth of a stack that takes a while.
_QUIET_SECONDS = 10.0


class Screen:
    """Shows a run on stderr: a bar on a terminal, plain lines elsewhere.

    Lines are never wrapped, so that they can be searched and copied.
    """

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bar: Bar | None = None
        self._images: TaskID | None = None
        self._ended = 0
        # Of each image that somebody is at: its bar, when it began and at which plane,
        # and when it was told of last.
        self._tasks: dict[str, TaskID] = {}
        self._started: dict[str, tuple[float, int]] = {}
        self._told: dict[str, float] = {}

    def __enter__(self) -> Screen:
        """Start the bar where there is a terminal."""
        if self._console.is_terminal:
            self._bar = Bar(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=self._console,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def __call__(self, event: Progress) -> None:
        """Show one thing that happened."""
        if event.kind in ("plane", "part"):
            self._plane(event)
        elif event.kind == "start":
            self.line(event.message)
            self._begin(event)
        elif event.kind == "warning":
            self.line(f"warning: {event.message}")
        elif event.kind == "failed":
            self.line(f"error: {event.message}")
        else:
            self.line(event.message)
        if event.kind in ("done", "skipped", "failed"):
            self._end(event)

    def line(self, text: str) -> None:
        """Print one line, above the bar if there is one."""
        text = " ".join(text.split())
        if self._bar is None:
            print(text, file=sys.stderr, flush=True)
        else:
            self._console.print(text, soft_wrap=True, markup=False, highlight=False)

    def _begin(self, event: Progress) -> None:
        self._started[event.image] = (time.monotonic(), event.plane)
        self._told[event.image] = time.monotonic()
        if self._bar is not None:
            if event.inputs > 1 and self._images is None:
                self._images = self._bar.add_task("images", total=event.inputs)
                self._bar.update(self._images, completed=self._ended)
            self._remove(event.image)  # a worker was lost, and another begins again
            self._tasks[event.image] = self._bar.add_task(
                event.image, total=event.planes, completed=event.plane
            )

    def _plane(self, event: Progress) -> None:
        at = event.plane + event.part
        if self._bar is not None:
            self._bar.update(self._tasks[event.image], completed=at)
            return
        now = time.monotonic()
        began, done = self._started[event.image]
        quiet = now - self._told[event.image] < _QUIET_SECONDS
        if quiet or not done < at < event.planes:
            return
        self._told[event.image] = now
        left = (now - began) / (at - done) * (event.planes - at)
        where = f"plane {event.plane} of {event.planes}"
        if event.part:
            share = f"{100 * event.part:.0f} %"
            where = f"{share} of plane {event.plane + 1} of {event.planes}"
        self.line(f"{event.image}: {where}, about {_duration(left)} left")

    def _end(self, event: Progress) -> None:
        self._ended += 1
        self._started.pop(event.image, None)
        self._told.pop(event.image, None)
        if self._bar is None:
            return
        self._remove(event.image)
        if self._images is not None:
            self._bar.update(self._images, completed=self._ended)

    def _remove(self, image: str) -> None:
        task = self._tasks.pop(image, None)
        if task is not None and self._bar is not None:
            self._bar.remove_task(task)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def show_evaluation(result: Evaluation) -> None:
    """Print one row per file, and one over all objects, on stdout."""
    levels = (f"{threshold:.2f}".lstrip("0") for threshold in THRESHOLDS)
    rows = [("file", "true", "found", *levels, "mean IoU")]
    rows += ((file.name, *_cells(file.agreement)) for file in result.files)
    if len(result.files) > 1:
        rows.append(("all objects", *_cells(result.total)))
    show_rows(rows, title="F1 at each IoU, and counts")


def show_status(found: Status) -> None:
    """Print how far a run is on stdout, a fact on each line."""
    counts = (f"{count} {state}" for state, count in found.images.items() if count)
    how = "running" if found.running else "not running"
    lines = [f"{found.output}: {how}", f"images: {', '.join(counts) or 'none'}"]
    if found.planes:
        lines.append(f"slices: {found.finished} of {found.planes} done")
        if found.seconds_per_plane is not None:
            lines[-1] += f", {found.seconds_per_plane:.2f} s each"
    if found.seconds_left:
        lines.append(f"left: about {_duration(found.seconds_left)}")
    word = "working on" if found.running else "unfinished"
    lines += (
        f"{word}: {one.image}, {one.finished} of {one.planes} slices done"
        for one in found.begun
    )
    lines += (
        f"failed{'' if one.attempts == 1 else f' {one.attempts} times'}: {one.message}"
        for one in found.failed
    )
    lines += (f"note: {note}" for note in found.notes)
    for line in lines:
        print(" ".join(line.split()))


def show_rows(rows: Sequence[Sequence[str]], *, title: str) -> None:
    """Print a table on stdout; its first row is the header."""
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for i, name in enumerate(rows[0]):
        table.add_column(name, no_wrap=True, justify="right" if i else "left")
    for row in rows[1:]:
        table.add_row(*(escape(cell) for cell in row))
    # A number that is cut to fit a narrow terminal is worth nothing.
    needed = Console(width=10_000).measure(table).maximum
    Console(width=needed).print(table)


def _cells(agreement: Agreement) -> tuple[str, ...]:
    iou = agreement.mean_iou
    return (
        str(agreement.n_true),
        str(agreement.n_pred),
        *(f"{value:.2f}" for value in agreement.f1),
        "-" if iou is None else f"{iou:.2f}",
    )
