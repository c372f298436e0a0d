"""Saved settings: what a run writes, and what runs from them."""

import os
import tomllib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from napari_sam import cli
from napari_sam.records.run import run
from napari_sam.records.settings import SettingsError, read_settings
from napari_sam.segment.recipe import make_recipe

OPTIONS = make_recipe(detector="threshold", classes=(0,), max_area=9000, border=False)


def command(*arguments):
    return CliRunner().invoke(cli.app, [str(each) for each in arguments])


def saved(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, "utf-8")
    return path


def test_a_run_is_repeated_from_what_it_saved(write_discs, tmp_path):
    image = write_discs("images [1]/discs.tif", (3, 64, 64))
    first = tmp_path / "first"
    run([image], first, make_recipe(detector="threshold", min_area=20))
    said = command("run", first / "settings.toml")
    assert said.exit_code == 0 and "complete already" in said.output
    again = command("run", first / "settings.toml", "--output", tmp_path / "second")
    assert again.exit_code == 0, again.stderr
    labels = [
        tifffile.imread(tmp_path / name / "labels" / "discs.tif")
        for name in ("first", "second")
    ]
    assert labels[0].any()
    np.testing.assert_array_equal(*labels)
    tables = [(tmp_path / name / "settings.toml") for name in ("first", "second")]
    plain = [read_settings(path) for path in tables]
    assert plain[0].inputs == plain[1].inputs == (str(image),)
    assert plain[0].options == plain[1].options and plain[0].weights is not None


def test_both_folders_can_be_moved_together(write_discs, tmp_path):
    write_discs("here/images/a.tif")
    write_discs("here/images/b.tif")
    run([tmp_path / "here" / "images"], tmp_path / "here" / "results", OPTIONS)
    (tmp_path / "here").rename(tmp_path / "there")
    said = command("run", tmp_path / "there" / "results" / "settings.toml")
    assert said.exit_code == 0, said.stderr
    assert said.output.count("complete already") == 2


def test_paths_count_from_the_file_and_patterns_are_patterns(write_discs, tmp_path):
    for name in ("plate [2]/a.tif", "plate [2]/b.tif", "plate [2]/note.tif"):
        write_discs(name)
    path = saved(
        tmp_path / "plate [2]",
        'inputs = ["[ab].tif"]\noutput = "out"\n[options]\ndetector = "threshold"\n',
    )
    said = command("run", path)
    assert said.exit_code == 0, said.stderr
    labels = sorted(p.name for p in (path.parent / "out" / "labels").iterdir())
    assert labels == ["a.tif", "b.tif"]


def test_every_option_survives_the_file(write_discs, tmp_path):
    image = write_discs("a.tif")
    run([image], tmp_path / "out", OPTIONS, formats=("tiff", "coco"))
    settings = read_settings(tmp_path / "out" / "settings.toml")
    assert settings.options == OPTIONS
    assert settings.formats == ("tiff", "coco")
    assert Path(settings.output) == tmp_path / "out"


def test_a_file_that_says_the_same_keeps_its_comments(write_discs, tmp_path):
    image = write_discs("a.tif")
    run([image], tmp_path / "out", OPTIONS)
    path = tmp_path / "out" / "settings.toml"
    text = path.read_text("utf-8") + "# for the paper\n"
    path.write_text(text, "utf-8")
    run([image], tmp_path / "out", OPTIONS)
    assert path.read_text("utf-8") == text


def test_what_a_person_wrote_is_not_replaced(write_discs, tmp_path):
    write_discs("a.tif")
    path = tmp_path / "settings.toml"
    text = 'inputs = ["a.tif"]\noutput = "."\n[options]\ndetector = "threshold"\n'
    path.write_text(text, "utf-8")
    assert command("run", path).exit_code == 0
    assert path.read_text("utf-8") == text
    assert (tmp_path / "labels" / "a.tif").exists()


def test_other_weights_are_refused_before_anything_is_written(write_discs, tmp_path):
    image = write_discs("a.tif")
    run([image], tmp_path / "out", OPTIONS)
    text = (tmp_path / "out" / "settings.toml").read_text("utf-8")
    right = tomllib.loads(text)["weights"]["model"]
    wrong = saved(tmp_path / "out", text.replace(right, f"{right[:-8]}00000000"))
    said = command("run", wrong, "--output", tmp_path / "new")
    assert said.exit_code == 2
    assert right in said.stderr and "[weights]" in said.stderr
    assert said.stderr.count("\n") == 1
    assert not (tmp_path / "new").exists()


START = 'inputs = ["a.tif"]\noutput = "out"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("inputs = [", "is not TOML"),
        ('output = "out"', "inputs is missing"),
        ('inputs = []\noutput = "out"', "inputs"),
        (START + 'fromats = ["coco"]', "there is no setting fromats: did you mean"),
        (START + "[options]\nmin_aera = 3", "there is no option min_aera: did you"),
        (START + "[options]\nconf = 2", "conf must be between 0 and 1, not 2"),
        (START + '[weights]\nmodle = "x"', "did you mean model?"),
        ("version = 2\n" + START, "is of version 2"),
    ],
)
def test_a_mistake_is_named_in_one_line(tmp_path, text, words):
    path = saved(tmp_path, text)
    said = command("run", path)
    assert said.exit_code == 2
    assert str(path) in said.stderr and words in said.stderr
    assert said.stderr.count("\n") == 1


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"gone\.toml cannot be read"):
        read_settings(tmp_path / "gone.toml")


@pytest.mark.skipif(os.name == "nt", reason="no such bytes in names there")
def test_unicode_is_no_matter(write_discs, tmp_path):
    image = write_discs("Zellkerne – Ø 5 µm.tif")
    run([image], tmp_path / "Ergebnis – ü", OPTIONS)
    said = command("run", tmp_path / "Ergebnis – ü" / "settings.toml")
    assert said.exit_code == 0 and "complete already" in said.output
