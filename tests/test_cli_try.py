"""`--try N` on the command line."""

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import Result
from skimage.draw import disk
from typer.testing import CliRunner

from napari_sam import cli
from napari_sam.records.trial import read_tried

FAST = ("--detector", "threshold", "--device", "cpu")


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, [str(a) for a in arguments])


def write(path: Path, planes: int) -> Path:
    pixels = np.full((planes, 48, 48), 100, np.uint16)
    for y, x in ((14, 14), (32, 30)):
        pixels[:, *disk((y, x), 7)] = 900
    path.parent.mkdir(exist_ok=True)
    tifffile.imwrite(path, pixels, imagej=True, metadata={"axes": "ZYX"})
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in "abc":
        write(tmp_path / "in" / f"{name}.tif", 4)
    return tmp_path / "in"


def test_a_line_for_each_slice_and_one_that_says_where_they_are(
    folder: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    done = invoke(
        "annotate", folder, "--output", output, "--try", 2, "--seed", 1, *FAST
    )
    assert done.exit_code == 0, done.stderr
    tried = read_tried(output)
    assert len({one.image for one in tried}) == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    for number, (line, one) in enumerate(zip(lines, tried, strict=True), start=1):
        (at,) = one.index
        found = re.fullmatch(
            rf"{one.image} Z={at}: 2 objects in \d+\.\d s: "
            rf"{number}\.png, {number}_labels\.tif",
            line,
        )
        assert found, line
    assert done.stdout == f"2 slices tried: they are in {output / 'try'}\n"
    assert [path.name for path in output.iterdir()] == ["try"]
    # The same slices again, and others.
    invoke("annotate", folder, "--output", output, "--try", 2, "--seed", 1, *FAST)
    assert [one.index for one in read_tried(output)] == [one.index for one in tried]


def test_saved_settings_are_tried_as_they_are_run(folder: Path, tmp_path: Path) -> None:
    output, other = tmp_path / "out", tmp_path / "other"
    done = invoke("annotate", folder, "--output", output, *FAST)
    assert done.exit_code == 0, done.stderr
    written = (output / "objects.csv").read_bytes()
    settings = output / "settings.toml"
    done = invoke("run", settings, "--try", 1)
    assert done.exit_code == 0, done.stderr
    assert f"1 slice tried: they are in {output / 'try'}" in done.stdout
    (one,) = read_tried(output)
    assert one.objects == 2
    assert (output / "objects.csv").read_bytes() == written

    some = ("--only", "c.tif", "--output", other)
    done = invoke("run", settings, "--try", 3, *some)
    assert done.exit_code == 0, done.stderr
    assert {one.image for one in read_tried(other)} == {"c.tif"}


def test_it_ends_with_2_where_an_image_cannot_be_used(
    folder: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    for name in "bc":
        (folder / f"{name}.tif").write_bytes(b"no TIFF")
    more = ("--output", output, *FAST)
    done = invoke("annotate", folder, "--try", 5, *more)
    assert done.exit_code == 2
    assert "4 slices tried" in done.stdout and "error" not in done.stderr
    for name in "bc":
        (line,) = (x for x in done.stderr.splitlines() if f"{name}.tif" in x)
        assert line.startswith(f"warning: {folder / name}.tif")
    # There are no more slices, and nothing failed.
    done = invoke("annotate", folder / "a.tif", "--try", 9, *more)
    assert done.exit_code == 0 and "4 slices tried" in done.stdout

    done = invoke("annotate", folder / "b.tif", "--try", 1, *more)
    assert done.exit_code == 2
    assert isinstance(done.exception, SystemExit)
    assert done.stderr.splitlines()[-1].startswith("error: no slice could be tried")
    assert not done.stdout


def test_none_or_less_is_refused(folder: Path, tmp_path: Path) -> None:
    done = invoke("annotate", folder, "--output", tmp_path / "out", "--try", 0)
    assert done.exit_code == 2 and "--try" in done.stderr
    assert not (tmp_path / "out").exists()
