"""The command line: `napari-sam demo | annotate | run | prepare | export | …`.

Rooms are imported where they are used, so that `--help` is fast.
"""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from napari_sam.cli_common import (
    FORMATS,
    Contrast,
    Device,
    Inputs,
    Only,
    RetryFailed,
    cache_in,
    channels_of,
    end,
    interruptible,
    numbers,
    split,
    with_dashes,
)
from napari_sam.cli_labels import evaluate, export, status
from napari_sam.cli_models import models_app
from napari_sam.cli_replay import replay
from napari_sam.cli_report import report
from napari_sam.cli_say import fail, say
from napari_sam.cli_try import SeedOption, TryOption, try_and_end
from napari_sam.cli_workers import (
    PartOption,
    SchedulerOption,
    ThreadsOption,
    WorkersOption,
    part_of,
    workers_of,
)
from napari_sam.types import NapariSamError

if TYPE_CHECKING:
    pass


class _OneLineErrors(TyperGroup):
    """Reports every failure as one unwrapped line on stderr, exit code 2."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run a command line."""
        quiet = {**extra, "standalone_mode": False}
        if not extra.get("standalone_mode", True):
            return super().main(*args, **quiet)
        try:
            code = super().main(*args, **quiet)
        except NapariSamError as error:
            fail(str(error))
        except typer.Abort:
            fail("interrupted", code=130)
        except Exception as error:
            # Wrong usage; typer's own class for it has moved between versions.
            if not hasattr(error, "format_message"):
                raise
            fail(f"{error.format_message()} (see napari-sam --help)")
        sys.exit(code if isinstance(code, int) else 0)


app = typer.Typer(
    name="napari-sam",
    cls=_OneLineErrors,
    help="Segment Anything for microscopy: labels for stacks, offline, on a laptop.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(models_app, name="models")


def main() -> None:
    """Run the command line of this process."""
    app()


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"napari-sam-annotator {version('napari-sam-annotator')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _top(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version."
        ),
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def annotate(
    inputs: Inputs,
    output: Annotated[Path, typer.Option(help="Folder for the results.")],
    model: Annotated[
        str, typer.Option(help="What outlines objects: see `models list`.")
    ] = "pocket",
    percentiles: Annotated[
        str,
        typer.Option(
            help="What becomes dark and bright for the models, in percent of all "
            "intensities."
        ),
    ] = "0.5:99.8",
    ranges: Annotated[
        str | None,
        typer.Option(
            help="The intensities that become dark and bright, instead: 100:4000, or "
            "with several channels 100:4000,0:900."
        ),
    ] = None,
    detector: Annotated[
        str, typer.Option(help="What finds objects: see `models list`.")
    ] = "nuclei",
    axes: Annotated[
        str | None,
        typer.Option(
            help="What the axes are, for example ZYX or TCYX; by default what the "
            "file says."
        ),
    ] = None,
    channels: Annotated[
        str | None,
        typer.Option(help="Channels to look at, by number from 0 or name: 0,2."),
    ] = None,
    normalization: Contrast = "stack",
    device: Device = "auto",
    conf: Annotated[
        float, typer.Option(help="Leave out objects detected with less confidence.")
    ] = 0.25,
    iou: Annotated[
        float,
        typer.Option(help="Of two boxes that overlap by more, keep the better one."),
    ] = 0.45,
    imgsz: Annotated[
        int | None,
        typer.Option(
            help="Size in pixels at which the detector looks at a plane; by default "
            "what its file says, or 640."
        ),
    ] = None,
    max_det: Annotated[
        int, typer.Option(help="Most objects on a plane; planes with more are flagged.")
    ] = 300,
    classes: Annotated[
        str | None, typer.Option(help="Classes to keep, by number: 0,1.")
    ] = None,
    words: Annotated[
        str | None,
        typer.Option(
            help="What to look for, for a detector that understands words (YOLOE, "
            'YOLO-World, SAM 3): "nucleus,dividing cell".'
        ),
    ] = None,
    diameter: Annotated[
        str | None,
        typer.Option(
            help="Of a typical object: in pixels (12), or as 8um where the file says "
            "how large a pixel is."
        ),
    ] = None,
    points_per_side: Annotated[
        int,
        typer.Option(help='Clicks along each side, for the detector "everything".'),
    ] = 32,
    crop_layers: Annotated[
        int,
        typer.Option(
            help='How often "everything" halves the plane, to look at enlarged parts.'
        ),
    ] = 0,
    min_area: Annotated[
        int, typer.Option(help="Leave out objects of fewer pixels.")
    ] = 8,
    max_area: Annotated[
        int | None, typer.Option(help="Leave out objects of more pixels.")
    ] = None,
    min_stability: Annotated[
        float, typer.Option(help="Leave out objects of less stability, 0 to 1.")
    ] = 0.0,
    border: Annotated[
        bool, typer.Option(help="Keep objects that the edge of the plane may have cut.")
    ] = True,
    link: Annotated[
        Literal["none", "stack", "time"],
        typer.Option(
            help="stack: one id for an object through z within each time point, or "
            "through time where there is no z. time: through z and time, objects may "
            "move and divide."
        ),
    ] = "none",
    link_distance: Annotated[
        str | None,
        typer.Option(
            help="With --link time: how far an object moves at most from one frame "
            "to the next, in pixels (15) or micrometres (4um); by default 1.25 times "
            "the usual diameter."
        ),
    ] = None,
    min_planes: Annotated[
        int | None,
        typer.Option(
            help="Leave out objects on fewer slices when linking through z; by "
            "default a quarter of the usual number."
        ),
    ] = None,
    formats: Annotated[
        str,
        typer.Option(
            "--format",
            help=f"{FORMATS} (ctc with --link time), or several: tiff,yolo. Label "
            "TIFFs are always written.",
        ),
    ] = "tiff",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace results that are there.")
    ] = False,
    cache: Annotated[
        Path | None,
        typer.Option(
            help="Folder with slices that were prepared before; new ones are kept "
            "there, too. By default nothing is kept."
        ),
    ] = None,
    only: Only = None,
    retry_failed: RetryFailed = False,
    workers: WorkersOption = None,
    threads: ThreadsOption = None,
    scheduler: SchedulerOption = None,
    part: PartOption = None,
    tried: TryOption = None,
    seed: SeedOption = 0,
) -> None:
    """Find all objects in images and write labels, plane by plane.

    Writes OUTPUT/labels/<name>.tif, OUTPUT/objects.csv, and a folder for each
    further format; subfolders are mirrored. Stopped by Ctrl-C or a crash, the
    same command goes on where it was. Exit code 0: all done; 2: some input
    failed, the others are done.
    """
    from napari_sam.records.run import run
    from napari_sam.records.screen import Screen
    from napari_sam.segment.recipe import Recipe, RecipeError, make_recipe

    try:
        recipe = make_recipe(
            axes=axes,
            channels=channels_of(channels),
            normalization=normalization,
            percentiles=percentiles,
            ranges=ranges,
            detector=detector,
            model=model,
            device=device,
            conf=conf,
            iou=iou,
            imgsz=imgsz,
            max_det=max_det,
            classes=numbers(classes, "--classes"),
            words=None if words is None else tuple(split(words)),
            diameter=diameter,
            points_per_side=points_per_side,
            crop_layers=crop_layers,
            min_area=min_area,
            max_area=max_area,
            min_stability=min_stability,
            border=border,
            link=link,
            link_distance=link_distance,
            min_planes=min_planes,
        )
    except RecipeError as error:
        fail(with_dashes(str(error), list(Recipe.model_fields)))
    with interruptible(output), cache_in(cache) as kept, Screen() as screen:
        if tried is not None:
            try_and_end(inputs, output, recipe, tried, seed, split(only or ""))
        report = run(
            inputs,
            output,
            recipe,
            formats=split(formats),
            overwrite=overwrite,
            progress=screen,
            cache=kept,
            only=split(only or ""),
            retry_failed=retry_failed,
            workers=workers_of(workers, threads, scheduler),
            part=part_of(part),
        )
    end(report, part)


@app.command("run")
def run_saved(
    settings: Annotated[
        Path,
        typer.Argument(
            metavar="SETTINGS", help="A TOML file, such as OUTPUT/settings.toml."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(help="Folder for the results, instead of the one in the file."),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="Where models run, instead of what the file says."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace results that are there.")
    ] = False,
    only: Only = None,
    retry_failed: RetryFailed = False,
    workers: WorkersOption = None,
    threads: ThreadsOption = None,
    scheduler: SchedulerOption = None,
    part: PartOption = None,
    tried: TryOption = None,
    seed: SeedOption = 0,
) -> None:
    """Do what saved settings say: the same images, options and weights.

    `annotate` saves its settings as OUTPUT/settings.toml. Run again, what is complete
    is not done again. Exit codes as for annotate.
    """
    from napari_sam.records.run import run
    from napari_sam.records.screen import Screen
    from napari_sam.records.settings import read_settings

    saved = read_settings(settings)
    recipe = saved.options
    if device is not None:
        recipe = recipe.model_copy(update={"device": device})
    place = Path(saved.output) if output is None else output
    with interruptible(place), Screen() as screen:
        if tried is not None:
            try_and_end(saved.inputs, place, recipe, tried, seed, split(only or ""))
        report = run(
            saved.inputs,
            place,
            recipe,
            formats=saved.formats,
            overwrite=overwrite,
            progress=screen,
            weights=saved.weights,
            only=split(only or ""),
            retry_failed=retry_failed,
            workers=workers_of(workers, threads, scheduler),
            part=part_of(part),
        )
    end(report, part)


@app.command()
def prepare(
    inputs: Inputs,
    model: Annotated[
        str, typer.Option(help="The model that clicks will be for: see `models list`.")
    ] = "pocket",
    axes: Annotated[
        str | None, typer.Option(help="What the axes are; as for annotate.")
    ] = None,
    channels: Annotated[
        str | None, typer.Option(help="Channels to look at; as for annotate.")
    ] = None,
    normalization: Contrast = "stack",
    percentiles: Annotated[
        str, typer.Option(help="What becomes dark and bright; as for annotate.")
    ] = "0.5:99.8",
    ranges: Annotated[
        str | None, typer.Option(help="The same in intensities; as for annotate.")
    ] = None,
    diameter: Annotated[
        str | None, typer.Option(help="Of a typical object; as for annotate.")
    ] = None,
    device: Device = "auto",
    cache: Annotated[
        Path | None,
        typer.Option(help="Folder to keep them in; by default the viewer's."),
    ] = None,
    limit: Annotated[
        float | None,
        typer.Option(
            help="Most of the disk for them, in GB; by default 10, and no more than a "
            "tenth of what is free. The oldest are removed."
        ),
    ] = None,
) -> None:
    """Prepare all slices of images ahead, so that clicks are answered at once.

    They are found again by whoever opens the images with the same model: the Segment
    widget, and annotate --cache. What is there already is not prepared again. Exit
    code 0: all done; 2: some input failed, the others are done.
    """
    from napari_sam.models.cache import LIMIT, SHARE, EmbeddingCache
    from napari_sam.models.catalog import load_model
    from napari_sam.records.prepare import prepare_files
    from napari_sam.records.screen import Screen
    from napari_sam.segment.recipe import Recipe, RecipeError, make_recipe

    try:
        recipe = make_recipe(
            axes=axes,
            channels=channels_of(channels),
            normalization=normalization,
            percentiles=percentiles,
            ranges=ranges,
            model=model,
            device=device,
            diameter=diameter,
        )
    except RecipeError as error:
        fail(with_dashes(str(error), list(Recipe.model_fields)))
    if limit is not None and not 0 < limit < float("inf"):
        fail(f"--limit is gigabytes above 0, not {limit:g}")
    kept = EmbeddingCache(
        cache,
        limit=LIMIT if limit is None else int(limit * 2**30),
        share=SHARE if limit is None else 1.0,
        told=say,
    )
    with interruptible(kept.folder), closing(kept), Screen() as screen:
        loaded = load_model(recipe.model, recipe.device, cache=kept)
        report = prepare_files(inputs, loaded, recipe, progress=screen)
    typer.echo(
        f"{report.planes} slices of {report.images} images are prepared in "
        f"{kept.folder}, {report.there} of them were before"
    )
    raise typer.Exit(2 if report.failures else 0)


app.command()(status)
app.command()(report)
app.command()(replay)
app.command()(export)
app.command()(evaluate)


@app.command()
def demo(
    output: Annotated[Path, typer.Option(help="Folder for the results.")] = Path(
        "demo-output"
    ),
    view: Annotated[
        bool, typer.Option("--view", help="Open the results in napari afterwards.")
    ] = False,
) -> None:
    """Annotate the images that ship, score the result, and draw it."""
    from napari_sam.records.demo import run_demo
    from napari_sam.records.screen import Screen, show_rows

    with interruptible(output), Screen() as screen:
        report = run_demo(output, progress=screen)
    show_rows(report.rows(), title="F1 at IoU 0.5")
    typer.echo(f"labels, objects.csv and pictures (overlays) are in {report.output}")
    if view:
        from napari_sam.widgets.view import show_demo

        show_demo(output)


if __name__ == "__main__":
    main()
