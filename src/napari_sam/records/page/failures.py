"""Which images have no results, and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam.images import open_image
from napari_sam.records.layout import image_name, select_inputs
from napari_sam.records.page.values import Failure
from napari_sam.records.settings import NAME, SettingsError, read_settings
from napari_sam.records.status import read_status
from napari_sam.types import NapariSamError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_sam.images import InputFile
    from napari_sam.records.work import InputRecord, RunRecord, Workspace


def failures_of(
    space: Workspace,
    run: RunRecord,
    names: Sequence[str],
    wanted: Sequence[InputFile],
) -> Iterator[Failure]:
    """Find out why images have no results.

    The ledger knows what stopped the run. Where it is lost, and of images that did not
    fail but are not finished, the images are looked at again.

    Parameters
    ----------
    space : Workspace
    run : RunRecord
    names : sequence of str
        Of the inputs that are not complete.
    wanted : sequence of InputFile
        What was asked for.
    """
    for absent in wanted:
        if absent.error is not None:
            yield Failure(str(absent.path), str(absent.error))
    said = {one.image: one.message for one in read_status(space.output).failed}
    found = {str(item.relative): item for item in wanted if item.error is None}
    for name in names:
        record = space.input(name).record()
        item = found.get(name)
        path = item.path if item is not None else _path(record)
        called = image_name(item) if item is not None else name
        ready = len(space.input(name).finished_planes())
        reason = said.get(called) or _reason(path, run, record, ready)
        yield Failure(called, reason)


def wanted_inputs(space: Workspace) -> list[InputFile]:
    """Return the images that the saved settings name; none if there are no settings."""
    try:
        settings = read_settings(space.output / NAME)
    except SettingsError:
        return []
    return select_inputs(settings.inputs, space.output)


def _path(record: InputRecord | None) -> Path | None:
    return None if record is None else Path(record.path)


def _reason(
    path: Path | None, run: RunRecord, record: InputRecord | None, ready: int
) -> str:
    if path is None:
        return "not begun, and not among the images that were named last"
    options = run.options
    try:
        with open_image(
            path, axes=options.get("axes"), channels=options.get("channels")
        ) as stack:
            # Slices are made in their order: the first that is missing stopped it.
            for index in list(stack.indices())[ready : ready + 1]:
                stack.read(index)
            planes = len(stack)
    except NapariSamError as error:
        return str(error)
    if record is None:
        return f"{path}: not begun: run the same command again"
    return (
        f"{path}: {ready} of {planes} slices are finished: run the same command again, "
        "it goes on from there"
    )
