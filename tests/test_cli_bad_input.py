"""Every bad input gets one clear line, the others are still done, exit code 2."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tifffile
from skimage.draw import disk
from typer.testing import CliRunner, Result

from napari_sam.cli import app

FAST = ["--detector", "threshold", "--device", "cpu"]


def discs() -> np.ndarray:
    image = np.full((48, 48), 100, np.uint16)
    for y, x in ((14, 14), (32, 30)):
        image[disk((y, x), 7)] = 900
    return image


def truncated(folder: Path) -> Path:
    path = folder / "truncated.tif"
    noise = np.random.default_rng(0).integers(0, 999, (4, 64, 64)).astype(np.uint16)
    tifffile.imwrite(path, noise, photometric="minisblack")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    return path


def empty(folder: Path) -> Path:
    path = folder / "empty.tif"
    path.write_bytes(b"")
    return path


def header_only(folder: Path) -> Path:
    path = folder / "header.tif"
    path.write_bytes(b"II*\0\x08\0\0\0")
    return path


def text(folder: Path) -> Path:
    path = folder / "text.tif"
    path.write_text("This is no image.\n" * 20)
    return path


def missing(folder: Path) -> Path:
    return folder / "missing.tif"


def no_images(folder: Path) -> Path:
    path = folder / "documents"
    path.mkdir()
    (path / "notes.txt").write_text("nothing to see")
    return path


def pattern(folder: Path) -> Path:
    return folder / "nothing*.tif"


def zarr_of(name: str, shape: tuple[int, ...], dtype: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        import zarr

        path = folder / f"{name}.zarr"
        zarr.create_array(store=path, shape=shape, dtype=dtype)
        return path

    return make


def complex_numbers(folder: Path) -> Path:
    path = folder / "complex.tif"
    tifffile.imwrite(path, np.ones((20, 20), np.complex64))
    return path


def seven_axes(folder: Path) -> Path:
    path = folder / "seven.tif"
    tifffile.imwrite(path, np.ones((2, 1, 2, 2, 2, 8, 8), np.uint8))
    return path


def no_permission(folder: Path) -> Path:
    path = folder / "locked.tif"
    tifffile.imwrite(path, discs())
    path.chmod(0)
    return path


@dataclass(frozen=True)
class Bad:
    """An input, and words that its line must have."""

    make: Callable[[Path], Path]
    says: str


BAD_INPUTS = {
    "truncated TIFF": Bad(truncated, "copy or export it again"),
    "empty TIFF": Bad(empty, "empty"),
    "TIFF header only": Bad(header_only, "again"),
    "text renamed to .tif": Bad(text, "convert it to TIFF"),
    "missing file": Bad(missing, "check the name"),
    "folder without images": Bad(no_images, "no images"),
    "pattern without matches": Bad(pattern, "no image matches"),
    "axis of size zero": Bad(zarr_of("zero", (0, 20, 20), "u2"), "length 0"),
    "complex numbers": Bad(complex_numbers, "real numbers"),
    "seven axes": Bad(seven_axes, "axes"),
    "seven axes in Zarr": Bad(zarr_of("s", (1, 2, 2, 2, 2, 8, 8), "u1"), "axes"),
    "Zarr of strings": Bad(zarr_of("words", (8, 8), "c16"), "real numbers"),
    "one axis": Bad(zarr_of("line", (8,), "u1"), "two axes"),
    "file without permission": Bad(no_permission, "permission"),
}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def only_line(result: Result, start: str = "error: ") -> str:
    """Return the one line of the failure."""
    lines = [line for line in result.stderr.splitlines() if line.startswith(start)]
    assert len(lines) == 1, result.stderr
    return lines[0]


def nothing_half_written(output: Path) -> bool:
    return not [*output.rglob("*.part"), *output.rglob("*.npz")]


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.tif"
    tifffile.imwrite(path, discs())
    return path


@pytest.mark.parametrize("bad", BAD_INPUTS.values(), ids=BAD_INPUTS.keys())
def test_bad_input_is_named_and_the_others_are_done(
    bad: Bad, good: Path, tmp_path: Path
) -> None:
    if bad.make is no_permission and (os.name == "nt" or os.geteuid() == 0):
        pytest.skip("this user may read everything")
    path, output = bad.make(tmp_path), tmp_path / "out"
    result = run("annotate", path, good, "--output", output, *FAST)
    assert result.exit_code == 2, result.stderr
    line = only_line(result)
    assert str(path) in line and bad.says in line
    assert os.listdir(output / "labels") == ["good.tif"]
    assert tifffile.imread(output / "labels" / "good.tif").max() == 2
    assert "good.tif" in (output / "objects.csv").read_text()
    assert nothing_half_written(output)


@pytest.mark.parametrize("axes", ["ZYX", "TZYX", "YYX", "ZY", "QYX"])
def test_contradictory_axes_are_named(axes: str, good: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    result = run("annotate", good, "--output", output, "--axes", axes, *FAST)
    assert result.exit_code == 2
    line = only_line(result)
    assert "axes" in line and axes in line
    assert not (output / "labels").exists()


def test_a_channel_that_is_not_there_is_named(good: Path, tmp_path: Path) -> None:
    result = run("annotate", good, "--output", tmp_path / "o", "--channels", "3", *FAST)
    assert result.exit_code == 2
    assert str(good) in only_line(result)


OPTIONS = {
    "model": (["--model", "giant"], ["giant", "pocket"]),
    "model file": (["--model", "no/such.pt"], ["no/such.pt"]),
    "detector": (["--detector", "cats"], ["cats", "nuclei"]),
    "device": (["--device", "abacus"], ["abacus", "cpu"]),
    "format": (["--format", "tiff,voc"], ["voc", "yolo"]),
    "percentiles": (["--percentiles", "1:200"], ["--percentiles", "0 and 100"]),
    "ranges": (["--ranges", "900:100"], ["--ranges", "lower and a higher", "900:100"]),
    "conf": (["--conf", "3"], ["--conf", "3"]),
    "max-det": (["--max-det", "0"], ["--max-det", "0"]),
    "max-det text": (["--max-det", "many"], ["--max-det"]),
    "classes": (["--classes", "a,b"], ["--classes", "a,b"]),
    "class": (["--classes", "7"], ["7"]),
    "link": (["--link", "chain"], ["--link", "chain"]),
    "unknown option": (["--colour", "red"], ["--colour"]),
}


@pytest.mark.parametrize(("options", "words"), OPTIONS.values(), ids=OPTIONS.keys())
def test_a_wrong_option_is_named_before_anything_is_written(
    options: list[str], words: list[str], good: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    result = run("annotate", good, "--output", output, *options)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1, result.stderr
    line = only_line(result)
    assert all(word in line for word in words), line
    assert not output.exists()


def test_a_missing_option_is_named(good: Path) -> None:
    assert "--output" in only_line(run("annotate", good))


def test_results_that_would_collide_are_refused_before_anything_starts(
    good: Path, tmp_path: Path
) -> None:
    other = tmp_path / "good.tiff"
    tifffile.imwrite(other, discs())
    output = tmp_path / "out"
    result = run("annotate", good, other, "--output", output, *FAST)
    assert result.exit_code == 2
    line = only_line(result)
    assert str(good) in line and str(other) in line
    assert not output.exists()


def test_an_existing_output_is_refused(good: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert run("annotate", good, "--output", output, *FAST).exit_code == 0
    result = run("annotate", good, "--output", output, "--conf", "0.4", *FAST)
    assert result.exit_code == 2
    line = only_line(result)
    assert str(output) in line and "--overwrite" in line
    again = run(
        "annotate", good, "--output", output, "--conf", "0.4", "--overwrite", *FAST
    )
    assert again.exit_code == 0


def test_labels_that_are_not_ours_are_refused(good: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "out" / "labels" / "good.tif"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"theirs")
    result = run("annotate", good, "--output", tmp_path / "out", *FAST)
    assert result.exit_code == 2
    line = only_line(result)
    assert str(theirs) in line and "--overwrite" in line
    assert theirs.read_bytes() == b"theirs"


def test_a_file_in_the_place_of_the_output_is_named(good: Path, tmp_path: Path) -> None:
    for output in (good, good / "out"):
        result = run("annotate", good, "--output", output, *FAST)
        assert result.exit_code == 2
        line = only_line(result)
        assert str(output) in line and "--output" in line
    assert tifffile.imread(good).shape == (48, 48)


@pytest.mark.skipif(os.name == "nt", reason="folders have no such permissions there")
def test_an_unreadable_output_folder_is_named(good: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    output.chmod(0)
    if os.access(output, os.W_OK):
        # An administrator may write everywhere but where the kernel says no.
        output = Path("/proc/self/out")
        if not output.parent.exists():
            pytest.skip("this user may write everywhere")
    result = run("annotate", good, "--output", output, *FAST)
    assert result.exit_code == 2
    assert str(output) in only_line(result)


@pytest.mark.parametrize("value", [0, np.nan], ids=["zero", "NaN"])
def test_a_plane_without_anything_is_legitimate(value: float, tmp_path: Path) -> None:
    path, output = tmp_path / "dark.tif", tmp_path / "out"
    tifffile.imwrite(path, np.full((32, 32), value, np.float32))
    result = run("annotate", path, "--output", output, *FAST)
    assert result.exit_code == 0
    assert "dark.tif" in only_line(result, "warning: ")
    labels = tifffile.imread(output / "labels" / "dark.tif")
    assert labels.shape == (32, 32) and not labels.any()
    assert (output / "objects.csv").read_text().startswith("image,")


def test_evaluate_names_what_it_cannot_score(good: Path, tmp_path: Path) -> None:
    result = run("evaluate", good, tmp_path / "none.tif")
    assert result.exit_code == 2
    assert "none.tif" in only_line(result)


def test_the_installed_command_says_it_in_one_unwrapped_line(tmp_path: Path) -> None:
    deep = tmp_path / ("a" * 100) / ("b" * 100)
    deep.mkdir(parents=True)
    path = text(deep)
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from napari_sam.cli import main; main()",
            "annotate",
            str(path),
            "--output",
            str(tmp_path / "out"),
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "40"},
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {path}")
