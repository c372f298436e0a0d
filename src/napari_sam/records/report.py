"""What a run tells while it runs and when it has ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

Kind = Literal["start", "part", "plane", "warning", "done", "skipped", "failed"]
Status = Literal["done", "skipped", "failed"]


@dataclass(frozen=True, slots=True)
class PlaneDone:
    """What is known of a plane that was just finished.

    Attributes
    ----------
    number : int
        Its place in the stack, from 0.
    seconds : float
    objects : int
    score, lowest : float or None
        Mean and lowest score of its objects; None without any.
    """

    number: int
    seconds: float
    objects: int
    score: float | None
    lowest: float | None


@dataclass(frozen=True, slots=True)
class Progress:
    """One thing that happened.

    Attributes
    ----------
    kind : str
        "start": an input was opened, `message` says what was understood.
        "plane": `plane` of `planes` are finished. "part": and `part` of the next one,
        where that takes long. "warning": `message` is something to look at. "done",
        "skipped", "failed": how the input ended.
    image : str
    message : str
    number, inputs : int
        Which input of how many, from 1.
    plane, planes : int
        How many planes of the input are finished, of how many.
    part : float
        Of the plane that is being worked on, from 0 to 1.
    finished : PlaneDone, optional
        With "plane": which one it was.
    """

    kind: Kind
    image: str
    message: str = ""
    number: int = 0
    inputs: int = 0
    plane: int = 0
    planes: int = 0
    part: float = 0.0
    finished: PlaneDone | None = None


Listener = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class InputReport:
    """How one input ended.

    Attributes
    ----------
    image : str
    path : Path
    status : {"done", "skipped", "failed"}
        "skipped": it was complete already.
    message : str
        What went wrong and what to do, where it failed.
    labels : Path or None
        Where its labels are.
    planes, objects : int
        An object counts on every plane that it lies on.
    warnings : tuple of str
    """

    image: str
    path: Path
    status: Status
    message: str = ""
    labels: Path | None = None
    planes: int = 0
    objects: int = 0
    warnings: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """How it ended, in one line for people."""
        if self.status == "failed":
            return self.message
        count = f"{self.objects} object{'s' * (self.objects != 1)}"
        if self.planes > 1:
            count += f" on {self.planes} planes"
        before = "complete already, " if self.status == "skipped" else ""
        return f"{self.image}: {before}{count} in {self.labels}"


@dataclass(frozen=True, slots=True)
class RunReport:
    """How a run ended.

    Attributes
    ----------
    output : Path
    inputs : tuple of InputReport
    table : Path or None
        The objects table; None where nothing was written.
    stopped : str
        Why the run ended early (a full disk); empty otherwise.
    left : int
        Of a part (`--part`): inputs of all parts that have no result yet. Until there
        are none, the objects table is not written.
    """

    output: Path
    inputs: tuple[InputReport, ...]
    table: Path | None = None
    stopped: str = ""
    left: int = 0

    @property
    def failed(self) -> tuple[InputReport, ...]:
        """The inputs that have no result."""
        return tuple(item for item in self.inputs if item.status == "failed")

    @property
    def ok(self) -> bool:
        """Whether every input has its result."""
        return not self.failed and not self.stopped

    @property
    def exit_code(self) -> int:
        """0 if all is done, 2 if some input failed."""
        return 0 if self.ok else 2
