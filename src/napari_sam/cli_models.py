"""The command line's part `napari-sam models list | show | download | verify`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from napari_sam.cli_say import fail, say
from napari_sam.types import ModelError, NapariSamError

if TYPE_CHECKING:
    from napari_sam.models.catalog import CatalogEntry
    from napari_sam.models.known import Known
    from napari_sam.models.store import Store

models_app = typer.Typer(help="The models that ship, and those of others.")


@models_app.callback(invoke_without_command=True)
def _models(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        models_list()


@models_app.command("list")
def models_list() -> None:
    """List models and detectors that are here, and models that can be had."""
    from napari_sam.models.catalog import list_models
    from napari_sam.models.known import ALL
    from napari_sam.models.store import Store

    entries = list_models()
    width = max(len(name) for name in [e.name for e in entries] + [k.name for k in ALL])
    for entry in entries:
        typer.echo(f"{entry.name:{width}}  {entry.kind:8}  {entry.description}")
    typer.echo(
        "\nOf others. Nothing is downloaded unasked: napari-sam models download NAME, "
        "or give a file that you have as --model FILE (or --detector FILE)."
    )
    store = Store()
    for known in ALL:
        here = "on this computer" if store.find(known) else "can be had"
        if not known.loadable:
            here = "cannot be loaded yet"
        typer.echo(f"\n{known.name:{width}}  {here:20}  {known.title}")
        typer.echo(f"  good for {known.good_for}")
        typer.echo(
            f"  {known.file}, {known.says_size}; licence: {known.licence}; from "
            f"{known.where}"
        )


@models_app.command("show")
def models_show(name: Annotated[str, typer.Argument(help="Name in the list.")]) -> None:
    """Show what is known about a model or detector."""
    from napari_sam.models.catalog import list_models
    from napari_sam.models.known import ALL, by_name

    known = by_name(name)
    if known is not None:
        _show_known(known)
        return
    entries = {entry.name: entry for entry in list_models()}
    if name not in entries:
        choose = ", ".join([*entries, *(each.name for each in ALL)])
        fail(f"there is no model or detector {name!r}: choose from {choose}")
    entry = entries[name]
    for field in ("name", "kind", "description", "licence", "path", "sha256"):
        _line(field, getattr(entry, field))


@models_app.command("download")
def models_download(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Which.")],
    yes: Annotated[
        bool,
        typer.Option("--yes", help="Agree to files that nothing can verify."),
    ] = False,
) -> None:
    """Download models of others, into your own folder.

    Goes on where an earlier download stopped. Exit code 2: some could not be had.
    """
    from napari_sam.models.store import Store

    chosen, code, store = [_known(name) for name in names], 0, Store()
    for known in chosen:
        try:
            with _bar(known.title) as progress:
                found = store.download(known, progress, lambda q: yes or _ask(q))
        except KeyboardInterrupt:
            fail(
                f"interrupted: {known.name}: what came is kept, the same command goes "
                "on from there",
                130,
            )
        except NapariSamError as error:
            say(f"error: {error}")
            code = 2
        else:
            typer.echo(f"{known.name}: {found.path} is {found.trust.value}")
            if not known.loadable:
                typer.echo(f"{known.name}: this version cannot load it yet")
    raise typer.Exit(code)


@models_app.command("verify")
def models_verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME...]", help="Which; by default all that are here"),
    ] = None,
) -> None:
    """Check that weights are what they should be. Exit code 2: some are not."""
    from napari_sam.models.catalog import list_models
    from napari_sam.models.known import ALL
    from napari_sam.models.store import Store

    store, code = Store(), 0
    ships = {entry.name: entry for entry in list_models()}
    here = [known.name for known in ALL if store.find(known) is not None]
    for name in names or [*ships, *here]:
        try:
            if name in ships:
                _verify_ours(ships[name])
            else:
                _verify_other(store, _known(name))
        except NapariSamError as error:
            say(f"error: {error}")
            code = 2
    raise typer.Exit(code)


def _verify_ours(entry: CatalogEntry) -> None:
    from napari_sam.models.catalog import verify

    if entry.path is not None:
        verify(entry)
        typer.echo(f"{entry.name}: {entry.path} is intact")


def _verify_other(store: Store, known: Known) -> None:
    from napari_sam.models.store import Trust

    path = store.find(known)
    if path is None:
        raise ModelError(
            f"{known.name} is not on this computer; to get it: napari-sam models "
            f"download {known.name}"
        )
    found = store.check(known, path)
    said = f"{known.name}: {path} is {found.trust.value}"
    if found.trust is Trust.WRONG:
        raise ModelError(f"{said}: {found.why}")
    typer.echo(said)


def _show_known(known: Known) -> None:
    from napari_sam.models.store import Store

    _line("name", known.name)
    for field in ("title", "family", "file"):
        _line(field, getattr(known, field))
    _line("size", known.says_size)
    for field in ("licence", "year", "paper"):
        _line(field, getattr(known, field))
    _line("good for", known.good_for)
    _line("page", known.where)
    _line("url", known.url or None)
    given = ", ".join(known.hashes)
    _line("hash", given or "none known: what comes is remembered, not verified")
    _line("loads", "yes" if known.loadable else "not in this version")
    _line("path", Store().find(known))


def _line(name: str, value: object) -> None:
    typer.echo(f"{name + ':':13}{'-' if value is None else value}")


def _known(name: str) -> Known:
    from napari_sam.models.catalog import list_models
    from napari_sam.models.known import ALL, by_name

    known = by_name(name)
    if known is None:
        ours = [entry.name for entry in list_models()]
        if name in ours:
            fail(f"{name} ships with the package, there is nothing to download")
        everything = ", ".join(each.name for each in ALL)
        fail(f"there is no model {name!r} to be had: choose from {everything}")
    return known


def _ask(question: str) -> bool:
    """Ask the person; without one the answer is no."""
    return sys.stdin.isatty() and typer.confirm(question, err=True)


@contextmanager
def _bar(title: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show on stderr how a download goes, where somebody may look."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    # Begun with the first byte: a question may come before.
    bar = Progress(*columns, console=console, disable=not console.is_terminal)
    task = bar.add_task(title, total=None)

    def progress(done: int, total: int | None) -> None:
        bar.start()
        bar.update(task, completed=done, total=total)

    try:
        yield progress
    finally:
        bar.stop()
