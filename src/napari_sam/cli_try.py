"""`--try`: look at a few slices before all are done."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from napari_sam.cli_say import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.records.trial import Tried
    from napari_sam.segment.recipe import Recipe

TryOption = Annotated[
    int | None,
    typer.Option(
        "--try",
        min=1,
        metavar="N",
        help="Only try it on N slices drawn at random: pictures and labels of them go "
        "into OUTPUT/try.",
    ),
]
SeedOption = Annotated[
    int,
    typer.Option(
        "--seed", metavar="N", help="Which slices --try draws; others give others."
    ),
]


def try_and_end(
    inputs: Sequence[str],
    output: Path,
    recipe: Recipe,
    count: int,
    seed: int,
    only: Sequence[str],
) -> NoReturn:
    """Try a recipe on some slices, with a line for each, and end."""
    from napari_sam.records.trial import try_slices
    from napari_sam.records.work import TRIAL

    def told(one: Tried) -> None:
        where = " ".join(
            f"{axis}={at}" for axis, at in zip(one.stack_axes, one.index, strict=True)
        )
        found = f"{one.objects} object{'s' * (one.objects != 1)}"
        name = f"{one.image} {where}".rstrip()
        say(f"{name}: {found} in {one.seconds:.1f} s: {one.picture}, {one.labels}")

    failures = []

    def failed(line: str) -> None:
        failures.append(line)
        say(f"warning: {line}")

    tried = try_slices(
        inputs,
        output,
        recipe,
        count=count,
        seed=seed,
        only=only,
        told=told,
        failed=failed,
    )
    slices = f"{len(tried)} slice{'s' * (len(tried) != 1)}"
    typer.echo(f"{slices} tried: they are in {output / TRIAL}")
    raise typer.Exit(2 if failures else 0)
