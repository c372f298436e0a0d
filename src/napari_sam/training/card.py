"""Tables of the model card, in Markdown, from what was measured.

    python benchmarks/quality.py DATA --json QUALITY.json
    python -m napari_sam.training.card QUALITY.json [--into docs/models.md]

Prints the tables, or puts each between its marks in a page, so that nobody types a
figure: between `<!-- card: kinds -->` and `<!-- /card -->` goes the table "kinds".
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

Report = dict[str, Any]
KINDS = {
    "dsb2018": "all of `dsb2018`",
    "fluorescence": "– fluorescence",
    "histology_purple": "– purple-stained tissue",
    "brightfield_gray": "– grey brightfield",
    "phase": "phase contrast, whole cells",
    "nuclei_timelapse": "nuclei over time, another screen",
    "gonuclear_3d": "plant nuclei, slices of a stack",
    "speed": "any",
}
FIGURES = {
    "box": "box",
    "ellipse": "ellipse",
    "box_over_ellipse": "box above the ellipse",
    "box_worst_tenth": "box, worst tenth below",
    "centre_click": "centre click",
    "any_click": "click anywhere",
    "clicks_to_85_median": "clicks to 0.85, median",
    "clicks_to_85_p90": "clicks to 0.85, 90th percentile",
    "after_1_clicks": "after 1 click",
    "after_2_clicks": "after 2",
    "after_3_clicks": "after 3",
    "score_error": "expected IoU is off by",
    "f1_50": "F1 at 0.5",
    "f1_75": "F1 at 0.75",
    "f1_50_yolo": "YOLO, F1 at 0.5",
    "f1_75_yolo": "YOLO, F1 at 0.75",
    "f1_50_yolo_minus_own": "F1 at 0.5, YOLO above own",
    "encode_512_s": "encoding 512 × 512, seconds",
    "100_boxes_s": "100 boxes, seconds",
    "100_clicks_s": "100 clicks, one mask each, seconds",
}
TABLES = {
    "kinds": ("box", "ellipse", "centre_click", "any_click", "f1_50", "f1_75"),
    "clicks": (
        "clicks_to_85_median", "clicks_to_85_p90",
        "after_1_clicks", "after_2_clicks", "after_3_clicks", "score_error",
    ),
    "yolo": ("f1_50_yolo", "f1_75_yolo", "f1_50", "f1_75"),
}  # fmt: skip
_MOST_CLICKS = 6  # that `scoring.clicks_needed` tries
_FEWEST = 5  # images; drawing fewer again says nothing about others
_MARKED = re.compile(r"(<!-- card: (\w+) -->\n).*?(<!-- /card -->)", re.DOTALL)


def tables(report: Report) -> dict[str, str]:
    """Return name -> table in Markdown.

    Parameters
    ----------
    report : dict
        As `benchmarks/quality.py` writes it.
    """
    measured = {name for group in report["quality"].values() for name in group}
    made = {
        name: _by_kind(report, figures)
        for name, figures in TABLES.items()
        if measured.issuperset(figures)
    }
    if "calibration" in report:
        made["calibration"] = _calibration(report["calibration"])
    return made | {"targets": _targets(report)}


def put_into(page: str, report: Report) -> str:
    """Return the page with new tables; those that were not measured stay."""
    made = tables(report)

    def renew(found: re.Match[str]) -> str:
        start, name, end = found.groups()
        return f"{start}{made[name]}\n{end}" if name in made else found[0]

    return _MARKED.sub(renew, page)


def _by_kind(report: Report, figures: tuple[str, ...]) -> str:
    rows = [["test images", "images", "objects", *(FIGURES[f] for f in figures)]]
    for kind, name in KINDS.items():
        if values := report["quality"].get(kind):
            cells = [_cell(report, kind, figure, values[figure]) for figure in figures]
            rows.append([name, str(values["images"]), f"{values['objects']:,}", *cells])
    return _markdown(rows)


def _targets(report: Report) -> str:
    rows = [["images", "figure", "wanted", "reached", ""]]
    for target in report["targets"]:
        kind, figure = target["group"], target["figure"]
        sign, wanted = target["wanted"].split()
        rows.append(
            [
                KINDS[kind].removeprefix("– "),
                FIGURES[figure],
                f"{'≥' if sign == '>=' else '≤'} {wanted}",
                _cell(report, kind, figure, target["value"]),
                "met" if target["met"] else "**missed**",
            ]
        )
    return _markdown(rows)


def _calibration(ranges: list[dict[str, Any]]) -> str:
    rows = [["expected IoU", "boxes", "reach", "single clicks", "reach"]]
    for each in ranges:
        row = [f"{each['low']:g} to {min(each['high'], 1):g}"]
        for what in ("boxes", "clicks"):
            reached = each.get(f"{what}_reached")
            row += [f"{each[what]:,}", "" if reached is None else f"{reached:.2f}"]
        rows.append(row)
    return _markdown(rows)


def _cell(report: Report, kind: str, figure: str, value: float) -> str:
    """Return a figure with its interval, where that says something."""
    if figure.startswith("clicks_to"):
        return f"{value:g}" if value <= _MOST_CLICKS else f"> {_MOST_CLICKS}"
    between = report["intervals"].get(kind, {}).get(figure)
    if between is None or report["quality"][kind]["images"] < _FEWEST:
        return f"{value:.3f}"
    return f"{value:.3f} ({between[0]:.2f} to {between[1]:.2f})"


def _markdown(rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def main() -> None:
    """Print the tables, or put them into a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path)
    parser.add_argument("--into", type=Path, help="a page with marks")
    arguments = parser.parse_args()
    report = json.loads(arguments.report.read_text("utf-8"))
    if arguments.into is None:
        for name, table in tables(report).items():
            print(f"<!-- card: {name} -->\n{table}\n<!-- /card -->\n")
        return
    page = arguments.into.read_text("utf-8")
    if not _MARKED.search(page):
        sys.exit(f"{arguments.into} has no marks for tables")
    arguments.into.write_text(put_into(page, report), "utf-8")


if __name__ == "__main__":
    main()
