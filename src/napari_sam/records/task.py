"""One input, as any process that sees the same disk can annotate it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_sam.records.files import DiskFullError, locked
from napari_sam.records.layout import image_name
from napari_sam.records.one import annotate_input
from napari_sam.records.report import (
    InputReport,
    Kind,
    Listener,
    PlaneDone,
    Progress,
)
from napari_sam.records.work import Workspace
from napari_sam.types import NapariSamError

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam.images import InputFile
    from napari_sam.models.protocol import Detector, PromptableModel
    from napari_sam.records.layout import Layout
    from napari_sam.segment.recipe import Recipe

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Task:
    """What has to be known to annotate one input; it can be sent to other processes.

    Attributes
    ----------
    item : InputFile
    number, inputs : int
        Which of how many, from 1.
    layout : Layout
    recipe : Recipe
    overwrite : bool
    """

    item: InputFile
    number: int
    inputs: int
    layout: Layout
    recipe: Recipe
    overwrite: bool

    @property
    def name(self) -> str:
        """How the input is called in tables."""
        return image_name(self.item)

    def told(
        self,
        kind: Kind,
        message: str = "",
        plane: int = 0,
        planes: int = 0,
        part: float = 0.0,
        finished: PlaneDone | None = None,
    ) -> Progress:
        """Return something that happens to this input."""
        counts = (self.number, self.inputs, plane, planes, part, finished)
        return Progress(kind, self.name, message, *counts)

    def failed(self, message: str) -> InputReport:
        """Return how it ended, where it failed."""
        return InputReport(self.name, self.item.path, "failed", message)

    def unexpected(self, error: Exception) -> InputReport:
        """Return how it ended, where something failed that nobody thought of."""
        what = " ".join(str(error).split())
        return self.failed(
            f"{self.item.path} could not be annotated ({type(error).__name__}: "
            f"{what}): if the file opens elsewhere, please report this with the file"
        )

    def do(
        self,
        model: PromptableModel,
        detector: Detector,
        listen: Listener,
        check: Callable[[], None] = lambda: None,
    ) -> InputReport:
        """Annotate it, or what is left of it, once no other process does so.

        Parameters
        ----------
        model : PromptableModel
        detector : Detector
        listen : callable
            Gets a `Progress` for what happens to it, but not how it ended.
        check : callable
            Called from time to time while another process has it; may raise.

        Raises
        ------
        DiskFullError
            There is no room for anything. Whatever else goes wrong is in the report.
        """
        try:
            if self.item.error is not None:
                raise self.item.error
            work = Workspace(self.layout.output).input(self.item.relative)
            # A worker that is believed to be dead may still be at it.
            with locked(work.lock, self.item.path, waiting=check):
                return annotate_input(
                    self.item,
                    self.name,
                    layout=self.layout,
                    work=work,
                    recipe=self.recipe,
                    model=model,
                    detector=detector,
                    overwrite=self.overwrite,
                    tell=lambda *what, **more: listen(self.told(*what, **more)),
                )
        except DiskFullError:
            raise
        except NapariSamError as error:
            return self.failed(str(error))
        except Exception as error:  # the other inputs are still done
            _log.debug("%s failed", self.item.path, exc_info=True)
            return self.unexpected(error)
