"""Commands for results that exist: `napari-sam export | evaluate | status`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from napari_sam.cli_common import FORMATS, interruptible, split
from napari_sam.cli_say import say


def export(
    labels: Annotated[
        list[str],
        typer.Argument(
            metavar="LABELS...",
            help="Label images, results of annotate, folders that were saved in "
            "napari, or files of other programs: COCO, GeoJSON of QuPath, ROIs of "
            "ImageJ, YOLO, SA-1B, and more; or folders of them.",
        ),
    ],
    output: Annotated[Path, typer.Option(help="Folder for the results.")],
    formats: Annotated[
        str, typer.Option("--format", help=f"{FORMATS}, or several: coco,geojson.")
    ],
    images: Annotated[
        Path | None,
        typer.Option(
            help="The images, for formats that hold them, and labels that do not say "
            "how large their image is: a file, or a folder in which they are called as "
            "the labels are."
        ),
    ] = None,
    complete: Annotated[
        bool,
        typer.Option(
            "--complete",
            help="Take every slice as complete; by default formats to train with get "
            "only what was said to be complete in napari.",
        ),
    ] = False,
    validation: Annotated[
        float,
        typer.Option(
            min=0.0, max=1.0, help="Which part of the images yolo-seg holds back."
        ),
    ] = 0.2,
    seed: Annotated[int, typer.Option(help="Which ones: drawn with this number.")] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace results that are there.")
    ] = False,
) -> None:
    """Write labels that exist already in other formats.

    Writes OUTPUT/objects.csv and a folder for each format. Exit code 0: all done; 2:
    some labels could not be used, the others are done.
    """
    from napari_sam.records.deliver import export as deliver
    from napari_sam.records.formats.base import Options
    from napari_sam.records.screen import Screen

    kept = "what is there is complete, the same command with --overwrite does it all"
    with interruptible(output, kept), Screen() as screen:
        report = deliver(
            labels,
            output,
            split(formats),
            images=images,
            complete=complete,
            options=Options(validation, seed),
            overwrite=overwrite,
            progress=screen,
        )
    if report.stopped:
        say(f"error: {report.stopped}")
    done = sum(item.status != "failed" for item in report.inputs)
    typer.echo(f"{done} of {len(report.inputs)} label images are in {report.output}")
    raise typer.Exit(report.exit_code)


def evaluate(
    predicted: Annotated[
        Path, typer.Argument(help="Label file or folder, or an output of annotate.")
    ],
    ground_truth: Annotated[Path, typer.Argument(help="The true labels.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON instead of a table.")
    ] = False,
) -> None:
    """Compare labels with the truth: F1 at IoU 0.5 to 0.95, mean IoU, counts.

    In folders, files belong together that have the same relative path without
    suffix. Exit code 2: some file could not be scored, the others are.
    """
    from napari_sam.records.evaluate import evaluate as compare

    result = compare(predicted, ground_truth)
    for line in result.failures:
        say(f"error: {line}")
    if as_json:
        typer.echo(json.dumps(result.to_dict(), indent=1))
    elif result.files:
        from napari_sam.records.screen import show_evaluation

        show_evaluation(result)
    raise typer.Exit(result.exit_code)


def status(
    folder: Annotated[Path, typer.Argument(help="Results of annotate.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="As JSON, for programs.")
    ] = False,
) -> None:
    """Say how far a run is, what failed and why; also while it is going on."""
    from dataclasses import asdict

    from napari_sam.records.screen import show_status
    from napari_sam.records.status import read_status

    found = read_status(folder)
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=2))
    else:
        show_status(found)
