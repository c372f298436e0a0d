"""`napari-sam annotate` and `napari-sam export` in every format."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from pyarrow import parquet
from typer.testing import CliRunner

from napari_sam import cli
from napari_sam.records import formats
from napari_sam.records.deliver import export
from napari_sam.records.files import locked, prepare_folder
from napari_sam.records.reading import read
from napari_sam.records.report import Progress
from napari_sam.records.run import run
from napari_sam.types import OutputError

Writer = Callable[..., Path]
NAMES = [name for name in formats.NAMES if name != "ctc"]


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".work" not in path.parts
    }


def test_an_interrupted_run_ends_in_the_same_files(
    write_discs: Writer, tmp_path: Path, recipe
) -> None:
    inputs = [
        write_discs("in/sub/a.tif"),
        write_discs("in/stack.tif", (4, 64, 64), axes="ZYX"),
        write_discs("in/b.tif"),
    ]
    straight = tmp_path / "straight"
    assert run([tmp_path / "in"], straight, recipe, formats=NAMES).ok

    def stop(event: Progress) -> None:
        if event.kind == "plane" and event.planes == 4 and event.plane == 2:
            raise KeyboardInterrupt

    output = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        run([tmp_path / "in"], output, recipe, formats=NAMES, progress=stop)
    begun = files_in(output)
    assert "labels/stack.tif" not in begun and "cellpose/stack_z0000.tif" not in begun
    assert run([tmp_path / "in"], output, recipe, formats=NAMES).ok
    done, expected = files_in(output), files_in(straight)
    assert done.keys() == expected.keys()
    dated = (".tif", ".zip")  # tifffile writes the time into some of them
    for name, data in expected.items():
        assert done[name] == data or name.endswith(dated), name
    assert len(inputs) == 3 and not [*output.rglob("*.part"), *output.rglob("*.old")]
    lists = [(output / "yolo-seg" / f"{n}.txt").read_text() for n in ("train", "val")]
    assert sorted("".join(lists).split()) == [
        "./images/b.png",
        *(f"./images/stack_z{z:04d}.png" for z in range(4)),
        "./images/sub__a.png",
    ]
    assert (output / "cellpose" / "sub__a_masks.tif").is_file()
    table = parquet.read_table(output / "parquet" / "objects.parquet")
    assert table.num_rows == 18 and table.column("z").null_count == 6
    assert zipfile.ZipFile(output / "roi" / "stack.zip").namelist()[0] == (
        "id00001_z0000.roi"
    )


def test_planes_that_lie_otherwise_in_the_file(
    write_discs: Writer, tmp_path: Path, recipe
) -> None:
    """OME-Zarr has one order of axes; the label TIFF has the image's."""
    labels = np.zeros((2, 3, 64, 64), np.uint16)
    labels[1, 2] = tifffile.imread(write_discs("a.tif"))
    path = tmp_path / "turned.tif"
    tifffile.imwrite(path, labels, ome=True, metadata={"axes": "ZTYX"})
    output = tmp_path / "out"
    assert run([path], output, recipe, formats=["omezarr", "geojson"]).ok
    tiff = tifffile.imread(output / "labels" / "turned.tif")
    assert tiff.shape == (2, 3, 64, 64) and tiff[1, 2].any()
    group = zarr.open_group(output / "omezarr" / "turned.ome.zarr", mode="r")
    np.testing.assert_array_equal(group["0"][:], tiff.swapaxes(0, 1))
    (found,) = read(output / "geojson" / "turned.geojson")
    assert found.axes == "ZTYX"
    np.testing.assert_array_equal(found.labels, tiff)


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (np.full((64, 64, 3), 7, np.uint8), (64, 64, 3)),
        (np.full((64, 64), 0.5, np.float32), (64, 64)),
    ],
)
def test_pixels_are_kept_as_they_are(
    tmp_path: Path, recipe, pixels: np.ndarray, expected: tuple[int, ...]
) -> None:
    kind = "rgb" if pixels.ndim == 3 else "minisblack"
    pixels[20:40, 20:40] *= 2
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, photometric=kind)
    output = tmp_path / "out"
    assert run([path], output, recipe, formats=["cellpose", "stardist"]).ok
    for image in ("cellpose/a.tif", "stardist/images/a.tif"):
        np.testing.assert_array_equal(tifffile.imread(output / image), pixels)
        assert tifffile.imread(output / image).shape == expected


def test_the_command_line_exports_what_annotate_wrote(
    write_discs: Writer, tmp_path: Path, recipe
) -> None:
    image = write_discs("in/a.tif")
    first, second = tmp_path / "first", tmp_path / "second"
    assert run([image], first, recipe, formats=["coco", "geojson"]).ok

    def call(*more: object):
        words = ["export", first, "--output", second, "--format", "coco,geojson"]
        return CliRunner().invoke(cli.app, [str(word) for word in (*words, *more)])

    done = call("--images", tmp_path / "in")
    assert done.exit_code == 0, done.stderr
    assert f"1 of 1 label images are in {second}" in done.stdout
    for place in ("coco/annotations.json", "geojson/a.geojson"):
        # With the scores and classes of the table.
        assert (second / place).read_text() == (first / place).read_text()
    again = call()
    assert again.exit_code == 2 and "add --overwrite" in again.stderr
    assert call("--overwrite").exit_code == 0


def test_folders_of_somebody_else_are_not_spoiled(
    write_discs: Writer, tmp_path: Path, recipe
) -> None:
    first = tmp_path / "first"
    assert run([write_discs("in/a.tif")], first, recipe).ok
    before = files_in(first)
    with pytest.raises(OutputError, match="choose another folder"):
        export([first], first, ["coco"], overwrite=True)
    second = tmp_path / "second"
    prepare_folder(second / ".exporting")
    with (
        locked(second / ".exporting" / "lock", second),
        pytest.raises(OutputError, match="another napari-sam"),
    ):
        export([first], second, ["coco"])
    assert export([first], second, ["coco"]).ok
    assert files_in(first) == before
    assert set(files_in(second)) == {"objects.csv", "coco/annotations.json"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--format", "voc"], "no format 'voc'"),
        (["--format", ""], "choose a format"),
        (["--format", "cellpose"], "say where they are with --images"),
        (["--format", "cellpose", "--images", "nowhere"], "no such file or folder"),
    ],
)
def test_what_cannot_be_exported_is_said_in_one_line(
    write_discs: Writer, tmp_path: Path, options: list[str], said: str
) -> None:
    labels, output = write_discs("a.tif"), tmp_path / "out"
    words = ["export", str(labels), "--output", str(output), *options]
    done = CliRunner().invoke(cli.app, words)
    assert done.exit_code != 0
    assert said in done.stderr and done.stderr.count("\n") == 1
    assert not output.exists()


def test_one_bad_file_does_not_keep_the_others_back(
    write_discs: Writer, tmp_path: Path
) -> None:
    write_discs("in/good.tif")
    tifffile.imwrite(tmp_path / "in" / "float.tif", np.ones((9, 9), np.float32) / 2)
    (tmp_path / "in" / "broken.tif").write_bytes(b"II*\0")
    output = tmp_path / "out"
    words = ["export", tmp_path / "in", "--output", output, "--format", "geojson"]
    done = CliRunner().invoke(cli.app, [str(word) for word in words])
    assert done.exit_code == 2
    assert "1 of 3 label images" in done.stdout
    assert "float.tif" in done.stderr and "broken.tif" in done.stderr
    assert [path.name for path in (output / "geojson").iterdir()] == ["good.geojson"]


def test_help_names_every_format() -> None:
    for command in ("annotate", "export"):
        said = CliRunner().invoke(cli.app, [command, "--help"]).stdout
        words = " ".join(said.replace("│", " ").split())
        assert ", ".join(formats.NAMES) in words
