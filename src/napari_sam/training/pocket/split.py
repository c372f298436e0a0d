"""The fixed split of the training data, kept in `split.json`.

    python -m napari_sam.training.pocket.split DATA

`DATA` holds `dsb2018/` and `usiigaci_phase/`, each with images/, masks/ and
index.csv. Nuclei are stratified by modality and image size, cells by movie set
in the order of their numbers (neighbouring numbers look alike, so the test
images are a run at the end, not a random pick).

Crops of one field of view are kept together. The models up to 0.2.0 were trained
before that, on crops drawn one by one: a field of which they have seen anything is in
the train part. The images that ship are in no part.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

from napari_sam.training.pocket.fields import find_fields

SPLIT_FILE = Path(__file__).with_name("split.json")
SEED = 20261122
DEMO = {"449f41710769584b", "cbff60361ded0570"}  # images that ship: never to train on
Split = dict[str, dict[str, list[str]]]


def load_split() -> Split:
    """Return data set -> part ("train", "validation", "test") -> image ids."""
    split: Split = json.loads(SPLIT_FILE.read_text("utf-8"))
    return split


def make_split(data: Path) -> Split:
    """Draw the split from the two index files."""
    return {
        "dsb2018": _together(
            _stratified(_rows(data / "dsb2018" / "index.csv")), data / "dsb2018"
        ),
        "usiigaci_phase": _in_order(_rows(data / "usiigaci_phase" / "index.csv")),
    }


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _stratified(rows: list[dict[str, str]]) -> dict[str, list[str]]:
    strata = defaultdict(list)
    for row in rows:
        strata[row["modality"], row["h"], row["w"]].append(row["id"])
    random = np.random.default_rng(SEED)
    parts: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    for key in sorted(strata):
        ids = [str(i) for i in random.permutation(sorted(strata[key]))]
        test = round(0.2 * len(ids))
        validation = round(0.08 * len(ids))
        parts["test"] += ids[:test]
        parts["validation"] += ids[test : test + validation]
        parts["train"] += ids[test + validation :]
    return {part: sorted(ids) for part, ids in parts.items()}


def _together(parts: dict[str, list[str]], folder: Path) -> dict[str, list[str]]:
    """Put every field into the first part that has any of its crops."""
    drawn = {name: part for part, names in parts.items() for name in names}
    files = {path.stem: path for path in (folder / "images").iterdir()}
    field = find_fields({name: files[name] for name in drawn})
    order = ("train", "validation", "test")
    seen: dict[str, str] = {}
    for part in order:
        for name in parts[part]:
            seen.setdefault(field[name], part)
    return {
        part: sorted(
            name for name in drawn if seen[field[name]] == part and name not in DEMO
        )
        for part in order
    }


def _in_order(rows: list[dict[str, str]]) -> dict[str, list[str]]:
    def number(name: str) -> int:
        return int(re.sub(r"\D", "", name))

    ids = sorted((row["id"] for row in rows), key=number)
    return {"train": ids[:-10], "validation": ids[-10:-8], "test": ids[-8:]}


def main(data: str) -> None:
    """Write `split.json`."""
    text = json.dumps(make_split(Path(data)), indent=1)
    SPLIT_FILE.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
