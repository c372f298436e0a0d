"""Write the page."""

from __future__ import annotations

import hashlib
import importlib.resources
import json
import random
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from napari_sam.records.files import explained, write_text
from napari_sam.records.page.charts import histogram, over_slices
from napari_sam.records.page.gather import gather
from napari_sam.records.page.pictures import Pictures
from napari_sam.records.page.unusual import number, times, unusual_slices
from napari_sam.records.settings import NAME as SETTINGS
from napari_sam.types import OutputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.records.page.unusual import Unusual
    from napari_sam.records.page.values import Outline, Slice, Summary

NAME: Final = "report.html"
_OURS: Final = b'<meta name="generator" content="napari-sam report">'
_HEAD: Final = 1024  # bytes, in which a page says who made it
# The page stays small however large the run is; the tables beside it have all.
_FILES, _FAILURES, _CHARTS, _UNUSUAL, _WARNINGS = 2000, 500, 24, 30, 5
_LONGEST: Final = 400  # letters of a warning or a reason


def write_report(
    output: str | Path,
    path: str | Path | None = None,
    *,
    seed: int = 0,
    images: int = 6,
    overwrite: bool = False,
    now: datetime | None = None,
) -> Path:
    """Write one HTML page about the results in a folder, which needs nothing else.

    Parameters
    ----------
    output : str or Path
        An output of `napari-sam annotate`, finished or not.
    path : str or Path, optional
        Where to; by default `output/report.html`. A report that is there is replaced.
    seed : int
        For the slices and objects that are drawn at random.
    images : int
        How many slices are shown, of those drawn at random and of the unusual ones.
    overwrite : bool
        Replace a file that is no report, too.
    now : datetime, optional
        What the page gives as its date.

    Returns
    -------
    Path
        Where it is.

    Raises
    ------
    NapariSamError
        If there are no results, or the page cannot or must not be written.
    """
    output = Path(output)
    path = output / NAME if path is None else Path(path)
    if not overwrite:
        _refuse_foreign(path)
    summary = gather(output, seed=seed)
    unusual = unusual_slices(summary)
    suspicious = [one.slice for one in unusual[:images]]
    drawn = _drawn(summary, suspicious, seed, images)
    groups = _groups(summary)
    objects = [one for _, shown in groups for one, _ in shown]
    pictures = Pictures(summary, [*suspicious, *drawn], [*objects, *summary.sample])
    text = (
        _environment()
        .get_template("report.html")
        .render(
            now=now or datetime.now().astimezone(),
            seed=seed,
            summary=summary,
            settings=_settings(summary),
            unusual=unusual,
            suspicious=suspicious,
            drawn=drawn,
            groups=groups,
            pictures=pictures,
            charts=_charts(summary, unusual),
            audit=_audit(summary, seed),
            most={
                "files": _FILES,
                "failures": _FAILURES,
                "unusual": _UNUSUAL,
                "warnings": _WARNINGS,
            },
        )
    )
    write_text(path, text)
    return path


def _refuse_foreign(path: Path) -> None:
    with explained(path):
        if path.exists():
            with path.open("rb") as file:
                ours = _OURS in file.read(_HEAD)
            if not ours:
                raise OutputError(
                    f"{path} is there already and no report of napari-sam: add "
                    "--overwrite to replace it, or choose another file with --output"
                )


def _drawn(
    summary: Summary, besides: Sequence[Slice], seed: int, count: int
) -> list[Slice]:
    """Draw slices at random; they come in their order."""
    left = [s for f in summary.files for s in f.slices if s not in set(besides)]
    chosen = random.Random(f"slices {seed}").sample(left, min(count, len(left)))
    return sorted(chosen, key=lambda one: (one.file, one.index))


def _groups(summary: Summary) -> list[tuple[str, list[tuple[Outline, str]]]]:
    """Return kinds of objects to look at, each with what there is to say about it."""

    def area(one: Outline) -> str:
        return f"{number(one.area)} {summary.unit}"

    far = {
        title: [
            (one, said) for one in found if (said := times(one.area, summary.areas))
        ]
        for title, found in (
            ("Very large", summary.largest),
            ("Very small", summary.smallest),
        )
    }
    groups = [
        (title, [(one, f"{area(one)}, {said}") for one, said in shown])
        for title, shown in far.items()
    ]
    groups += [
        (
            "Least confident",
            [(one, f"confidence {one.score:.2f}") for one in summary.doubtful],
        ),
        (
            "Flagged when slices were linked",
            [(one, one.flag) for one in summary.flagged],
        ),
    ]
    return [(title, shown) for title, shown in groups if shown]


def _charts(summary: Summary, unusual: Sequence[Unusual]) -> dict[str, Any]:
    stacks = [file for file in summary.files if len(file.slices) > 1]
    strange = {one.slice.file for one in unusual}
    numbers = {id(file): i for i, file in enumerate(summary.files)}
    first = sorted(stacks, key=lambda file: numbers[id(file)] not in strange)
    return {
        "area": histogram(
            summary.areas, title="Area of objects", axis=f"area in {summary.unit}"
        ),
        "score": histogram(
            summary.scores, title="Confidence", axis="confidence", whole=True
        ),
        "stacks": [over_slices(file) for file in first[:_CHARTS]],
        "left": max(0, len(stacks) - _CHARTS),
    }


def _audit(summary: Summary, seed: int) -> dict[str, Any]:
    """Return what the page's program knows about the objects to judge."""
    objects = []
    for one in summary.sample:
        file = summary.files[one.file]
        places = zip(file.record.stack_axes.lower(), one.index, strict=True)
        objects.append(
            {
                "image": file.record.image,
                **dict(places),
                "id": one.id,
                "box": list(one.box),
            }
        )
    stamps = [file.record.fingerprint for file in summary.files]
    same = json.dumps([objects, stamps, summary.run.options]).encode()
    return {
        # Answers are kept under it: another result is not judged by them.
        "key": f"napari-sam {hashlib.sha256(same).hexdigest()[:16]}",
        "folder": summary.output.absolute().name,
        "version": summary.run.version,
        "seed": seed,
        "of": summary.outlines,
        "objects": objects,
    }


def _settings(summary: Summary) -> str:
    try:
        return (summary.output / SETTINGS).read_text("utf-8", errors="replace")
    except OSError:
        return json.dumps(summary.run.options, indent=1)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _environment() -> Environment:
    """Return what fills the page in; whatever is no `Markup` is escaped."""
    folder = importlib.resources.files("napari_sam.records.page")
    parts = {
        name: folder.joinpath(name).read_text("utf-8")
        for name in ("report.html", "report.css", "audit.js")
    }
    environment = Environment(
        loader=DictLoader(parts),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "short": _short}
    environment.globals |= {
        "css": Markup(parts["report.css"]),
        "js": Markup(parts["audit.js"]),
    }
    return environment
