"""Tables of the model card, from a report as `benchmarks/quality.py` writes it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from napari_sam.training.card import FIGURES, put_into, tables


@pytest.fixture
def report():
    quality = dict.fromkeys(FIGURES, 0.5) | {"images": 8, "objects": 1234}
    quality |= {"box": 0.8614, "clicks_to_85_median": 2.0, "clicks_to_85_p90": 7.0}
    target = {"group": "dsb2018", "figure": "box", "value": 0.8614}
    return {
        "quality": {"dsb2018": quality},
        "intervals": {"dsb2018": {"box": [0.846, 0.874]}},
        "speed": {"encode_512_s": 0.087},
        "targets": [
            target | {"wanted": ">= 0.88", "met": False},
            {
                "group": "speed",
                "figure": "encode_512_s",
                "value": 0.087,
                "wanted": "<= 0.12",
                "met": True,
            },
        ],
    }


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_figure_stands_with_its_interval_under_its_heading(report):
    lines = tables(report)["kinds"].splitlines()
    assert {len(cells(line)) for line in lines} == {9}
    row = dict(zip(cells(lines[0]), cells(lines[2]), strict=True))
    assert row["objects"] == "1,234"
    assert row["box"] == "0.861 (0.85 to 0.87)"
    assert row["ellipse"] == "0.500"


def test_a_few_images_have_no_interval(report):
    report["quality"]["dsb2018"]["images"] = 3
    lines = tables(report)["kinds"].splitlines()
    assert cells(lines[2])[3] == "0.861"


def test_clicks_that_were_not_enough_are_said_to_be_more(report):
    lines = tables(report)["clicks"].splitlines()
    assert cells(lines[2])[3:5] == ["2", "> 6"]


def test_what_is_expected_stands_beside_what_is_reached(report):
    assert "calibration" not in tables(report)
    report["calibration"] = [
        {"low": 0.0, "high": 0.5, "boxes": 0, "clicks": 12, "clicks_reached": 0.314},
        {
            "low": 0.9,
            "high": 1.01,
            "boxes": 2100,
            "boxes_reached": 0.937,
            "clicks": 900,
            "clicks_reached": 0.92,
        },
    ]
    lines = tables(report)["calibration"].splitlines()
    assert cells(lines[2]) == ["0 to 0.5", "0", "", "12", "0.31"]
    assert cells(lines[3]) == ["0.9 to 1", "2,100", "0.94", "900", "0.92"]


def test_targets_are_met_or_missed(report):
    missed, met = tables(report)["targets"].splitlines()[2:]
    assert cells(missed)[2:] == ["≥ 0.88", "0.861 (0.85 to 0.87)", "**missed**"]
    assert cells(met)[1:] == ["encoding 512 × 512, seconds", "≤ 0.12", "0.087", "met"]


def test_a_table_that_was_not_measured_stays_as_it_is(report):
    for name in ("f1_50_yolo", "f1_75_yolo"):
        del report["quality"]["dsb2018"][name]
    page = (
        "A\n<!-- card: kinds -->\n<!-- /card -->\nB\n"
        "<!-- card: yolo -->\nold\n<!-- /card -->\nC\n"
    )
    renewed = put_into(page, report)
    assert tables(report)["kinds"] in renewed
    assert "<!-- card: yolo -->\nold\n<!-- /card -->\nC\n" in renewed
    assert put_into(renewed, report) == renewed


def test_the_command_prints_what_it_would_put_into_a_page(report, tmp_path):
    written, page = tmp_path / "quality.json", tmp_path / "page.md"
    written.write_text(json.dumps(report), "utf-8")
    page.write_text("<!-- card: targets -->\n<!-- /card -->\n", "utf-8")
    command = [sys.executable, "-m", "napari_sam.training.card", written]
    printed = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "**missed**" in printed.stdout
    subprocess.run([*command, "--into", page], check=True)
    assert page.read_text("utf-8") in printed.stdout
    page.write_text("no marks\n", "utf-8")
    refused = subprocess.run([*command, "--into", page], capture_output=True)
    assert refused.returncode == 1
