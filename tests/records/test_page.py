"""The page tells what is in the results, and nothing in it comes from elsewhere."""

from __future__ import annotations

import csv
import importlib.resources
import json
import random
import re
from collections import Counter
from datetime import UTC, datetime
from html.parser import HTMLParser

import numpy as np
import pytest
import tifffile
from qtpy.QtQml import QJSEngine
from scipy.stats import binomtest
from skimage.draw import disk
from typer.testing import CliRunner

from napari_sam import cli
from napari_sam.records.page import write_report
from napari_sam.records.page.gather import Highest, Reservoir, gather
from napari_sam.records.page.unusual import unusual_slices
from napari_sam.records.run import run
from napari_sam.types import OutputError

NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
VOID = {"meta", "img", "input", "br", "image", "path", "rect", "line"}


class Page(HTMLParser):
    """Checks that tags are closed in order, and keeps what is to be asked about."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.links: list[str] = []
        self.words: list[str] = []
        self.source = text
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.links += (v or "" for k, v in attrs if k in ("src", "href"))
        self.words += (v or "" for k, v in attrs if k in ("alt", "aria-label"))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    @property
    def audit(self) -> dict:
        found = re.search(r'id="objects">(.*?)</script>', self.source, re.S)
        return json.loads(found[1])


def page_of(output, **options) -> Page:
    path = write_report(output, now=NOW, **options)
    return Page(path.read_text("utf-8"))


def rows_of(output):
    with (output / "objects.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_planes(path, counts, radius=4, odd=None):
    """Write a stack with so many discs on each slice; on slice `odd` large ones."""
    image = np.full((len(counts), 96, 96), 100, np.uint16)
    image += np.random.default_rng(0).integers(0, 10, image.shape, np.uint16)
    for z, count in enumerate(counts):
        for n in range(count):
            y, x = 12 + 24 * (n // 4), 12 + 24 * (n % 4)
            image[z, *disk((y, x), 9 if z == odd else radius)] += 900
    tifffile.imwrite(path, image, imagej=True, metadata={"axes": "ZYX"})
    return path


def test_numbers_are_those_of_the_table(write_discs, tmp_path, recipe):
    for name in ("in/a.tif", "in/sub/b.tif"):
        write_discs(name, (3, 64, 64), axes="ZYX")
    output = tmp_path / "out"
    run([tmp_path / "in"], output, recipe)
    page, rows = page_of(output), rows_of(output)
    assert f'id="outlines">{len(rows)}<' in page.source
    summary = gather(output, seed=0)
    assert summary.outlines == len(rows) == 18 and summary.slices == 6
    assert summary.areas.counts.sum() == summary.scores.counts.sum() == len(rows)
    for file in summary.files:
        mine = [r for r in rows if r["image"] == file.record.image]
        assert file.outlines == len(mine) == 9 and file.objects == 3
        assert file.area == np.median([int(r["area"]) for r in mine])
        scores = np.median([float(r["score"]) for r in mine])
        assert file.score == pytest.approx(scores)
        assert [s.index for s in file.slices] == [(0,), (1,), (2,)]
        assert file.record.image in page.text
    assert page.tags["fieldset"] == 18
    known = {(r["image"], int(r["z"]), int(r["id"])) for r in rows}
    assert {(o["image"], o["z"], o["id"]) for o in page.audit["objects"]} == known


def test_sizes_are_in_micrometres_where_the_files_say_them(
    write_discs, tmp_path, recipe
):
    image = write_discs(
        "a.tif", (2, 64, 64), axes="ZYX", resolution=(2, 4), metadata={"unit": "um"}
    )
    output = tmp_path / "out"
    run([image], output, recipe)
    (file,) = gather(output, seed=0).files
    micro = np.median([float(r["area_um2"]) for r in rows_of(output)])
    assert file.area_um2 == pytest.approx(micro)
    assert file.slices[0].area == pytest.approx(micro)
    assert "area in µm²" in page_of(output).text


def test_the_page_needs_nothing_from_elsewhere(write_discs, tmp_path, recipe):
    output = tmp_path / "out"
    run([write_discs("a.tif", (3, 64, 64), axes="ZYX")], output, recipe)
    page = page_of(output)
    assert page.links
    assert all(link.startswith(("#", "data:image/jpeg;base64,")) for link in page.links)
    assert "://" not in page.source and "url(" not in page.source
    assert "@import" not in page.source


def test_an_odd_slice_is_named_with_the_reason(tmp_path, recipe):
    counts = [16] * 12
    counts[7] = 1
    image = write_planes(tmp_path / "odd.tif", counts, odd=3)
    output = tmp_path / "out"
    run([image], output, recipe.model_copy(update={"link": "none"}))
    by_slice = {
        one.slice.index: one.why for one in unusual_slices(gather(output, seed=0))
    }
    assert by_slice.keys() == {(3,), (7,)}
    assert by_slice[(7,)].startswith("fewer objects than usual: 1;")
    assert "objects are larger than usual" in by_slice[(3,)]
    text = page_of(output).text
    assert "odd.tif, slice 7 : fewer objects than usual: 1" in text
    assert "Very large" in text


def test_equal_slices_are_not_unusual(tmp_path, recipe):
    output = tmp_path / "out"
    run([write_planes(tmp_path / "even.tif", [9] * 12)], output, recipe)
    assert "No slice stands out" in page_of(output).text


def test_names_of_files_cannot_put_anything_into_the_page(
    write_discs, tmp_path, recipe
):
    name = "<b onload=x()>&'`{{ 7*7 }}</b>".replace("/", "\u2215")
    bad = "</script><script>alert(1)<∕script>".replace("/", "\u2215") + '".tif'
    write_discs(f"in/{name}.tif")
    (tmp_path / "in" / bad).write_bytes(b"no image <i>")
    output = tmp_path / "out"
    assert run([tmp_path / "in"], output, recipe).exit_code == 2
    page = page_of(output)
    assert page.tags["b"] == page.tags["i"] == 0 and page.tags["script"] == 2
    assert f"{name}.tif" in page.text and bad in page.text
    assert page.audit["objects"][0]["image"] == f"{name}.tif"


def test_failures_are_listed_with_their_reasons(write_discs, tmp_path, recipe):
    write_discs("in/good.tif")
    (tmp_path / "in" / "torn.tif").write_bytes(b"II*\0torn")
    output = tmp_path / "out"
    gone = tmp_path / "gone.tif"
    report = run([tmp_path / "in", gone], output, recipe)
    failed = {f.name: f.reason for f in gather(output, seed=0).failures}
    assert failed.keys() == {"torn.tif", str(gone)}
    assert sorted(failed.values()) == sorted(item.message for item in report.failed)
    text = page_of(output).text
    assert "Without results" in text and str(gone) in text


def test_a_run_that_was_stopped_says_how_far_it_is(write_discs, tmp_path, recipe):
    image = write_discs("stack.tif", (4, 64, 64), axes="ZYX")
    output = tmp_path / "out"

    def stop(told):
        if told.kind == "plane" and told.plane == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run([image], output, recipe, progress=stop)
    text = page_of(output).text
    assert "This run has not come to its end" in text
    assert "2 of 4 slices are finished" in text and "No image is complete yet" in text


def test_a_run_without_objects_has_a_page_too(tmp_path, recipe):
    tifffile.imwrite(tmp_path / "black.tif", np.zeros((2, 40, 50), np.float32))
    output = tmp_path / "out"
    run([tmp_path / "black.tif"], output, recipe)
    page = page_of(output)
    assert "No object was found" in page.text
    assert "There is no object to judge" in page.text
    assert page.tags["img"] == 2 and page.audit["objects"] == []


def test_a_folder_of_many_files_and_the_seed(write_discs, tmp_path, recipe):
    for n in range(30):
        write_discs(f"in/{n:02d}.tif")
    output = tmp_path / "out"
    run([tmp_path / "in"], output, recipe)
    page = page_of(output, images=4)
    assert page.source == page_of(output, images=4).source
    assert page.tags["fieldset"] == 50 and page.tags["img"] == 4
    other = page_of(output, images=4, seed=1).audit["objects"]
    assert other != page.audit["objects"]
    assert len({(o["image"], o["id"]) for o in other}) == 50


def test_time_and_z_are_both_named(write_discs, tmp_path, recipe):
    output = tmp_path / "out"
    run([write_discs("tz.tif", (2, 3, 64, 64), axes="TZYX")], output, recipe)
    page = page_of(output)
    assert "tz.tif, frame 1, slice 2" in page.text
    assert {(o["t"], o["z"]) for o in page.audit["objects"]} == {
        (t, z) for t in range(2) for z in range(3)
    }


def test_without_the_image_outlines_are_shown_alone(write_discs, tmp_path, recipe):
    image = write_discs("a.tif")
    output = tmp_path / "out"
    run([image], output, recipe)
    write_discs("a.tif", (32, 32))
    page = page_of(output)
    assert "has changed since its objects were found" in page.text
    assert page.tags["img"] == 1 and page.source.count('class="outline"') >= 3


def test_a_report_is_replaced_and_nothing_else(write_discs, tmp_path, recipe):
    output = tmp_path / "out"
    run([write_discs("a.tif")], output, recipe)
    page_of(output)
    page_of(output)
    mine = tmp_path / "mine.html"
    mine.write_text("<html>mine</html>")
    with pytest.raises(OutputError, match=r"mine\.html is there already"):
        write_report(output, mine)
    assert mine.read_text() == "<html>mine</html>"
    write_report(output, mine, overwrite=True)
    assert "SAM Annotator" in mine.read_text("utf-8")


def test_the_command_says_where_the_page_is(write_discs, tmp_path, recipe):
    output = tmp_path / "out"
    run([write_discs("a.tif")], output, recipe)
    done = CliRunner().invoke(cli.app, ["report", str(output)])
    assert done.exit_code == 0 and str(output / "report.html") in done.output
    wrong = CliRunner().invoke(cli.app, ["report", str(tmp_path)])
    assert wrong.exit_code == 2 and "holds no results" in wrong.stderr


def test_every_object_is_drawn_as_often_as_any_other():
    drawn: Counter[int] = Counter()
    for seed in range(2000):
        drawing: Reservoir[int] = Reservoir(5, str(seed))
        for value in range(20):
            drawing.add(value)
        drawn.update(drawing.kept)
    # Of 2000 drawings, a quarter each; the deviation is 19.
    assert len(drawn) == 20 and all(abs(n - 500) < 100 for n in drawn.values())


def test_the_highest_are_kept():
    values = [random.Random(1).random() for _ in range(300)]
    highest: Highest[float] = Highest(7)
    for value in [*values, float("nan")]:
        highest.add(value, value)
    assert highest.kept() == tuple(sorted(values, reverse=True)[:7])


@pytest.fixture
def engine(qapp):
    """What runs the page's program, without a page."""
    engine = QJSEngine()
    program = importlib.resources.files("napari_sam.records.page") / "audit.js"
    assert not engine.evaluate(program.read_text("utf-8")).isError()

    def call(text):
        value = engine.evaluate(text)
        assert not value.isError(), value.toString()
        return value.toVariant()

    return call


@pytest.mark.parametrize(
    ("right", "judged"), [(0, 1), (1, 1), (50, 50), (0, 50), (47, 50), (13, 29)]
)
def test_the_interval_on_the_page_is_wilsons(engine, right, judged):
    expected = binomtest(right, judged).proportion_ci(0.95, method="wilson")
    shown = engine(f"JSON.stringify(wilson({right}, {judged}))")
    assert json.loads(shown) == pytest.approx([expected.low, expected.high], abs=1e-9)


def test_what_cannot_be_said_does_not_count(engine):
    said = engine('verdict(["right", "right", "right", "wrong", "cannot say", ""])')
    assert said.startswith("5 of 6 looked at: 3 right, 1 wrong, 1 cannot say.")
    assert "Precision 75.0 %" in said
    assert "Precision" not in engine('verdict(["cannot say", ""])')


def test_answers_are_saved_with_their_objects(engine):
    objects = [
        {"image": 'a",b.tif', "z": 3, "id": 7, "box": [1, 2, 3, 4]},
        {"image": "c.tif", "id": 8, "box": [5, 6, 7, 8]},
    ]
    about = json.dumps(
        {"folder": "f", "version": "1", "seed": 0, "of": 9, "objects": objects}
    )
    table = engine(f'asCsv({about}, ["right", ""])').splitlines()
    first, second = csv.DictReader(table)
    assert first["image"] == 'a",b.tif' and first["answer"] == "right"
    assert (first["t"], first["z"], first["box_x1"]) == ("", "3", "4")
    assert second["z"] == second["answer"] == ""
    saved = json.loads(engine(f'asJson({about}, ["right", ""])'))
    assert saved["precision"] == 1 and saved["drawn_from"] == 9
    assert [o["answer"] for o in saved["objects"]] == ["right", None]


def test_what_only_the_run_knew_is_the_reason(write_discs, tmp_path, recipe):
    """The file is whole again when the page is written."""
    write_discs("in/a.tif")
    torn = write_discs("in/torn.tif")
    whole = torn.read_bytes()
    torn.write_bytes(whole[: len(whole) // 2])
    output = tmp_path / "out"
    (failed,) = run([tmp_path / "in"], output, recipe).failed
    torn.write_bytes(whole)
    assert [f.reason for f in gather(output, seed=0).failures] == [failed.message]
    (output / ".work" / "ledger.sqlite").unlink()
    (again,) = gather(output, seed=0).failures
    assert again.reason != failed.message and str(torn) in again.reason
