from pathlib import Path, PurePosixPath

import pytest

from napari_sam.images import InputFile
from napari_sam.records.formats.base import plane_file
from napari_sam.records.layout import (
    Layout,
    check_collisions,
    check_formats,
    image_name,
    select_inputs,
)
from napari_sam.types import ImageError, OutputError


def item(path: str, relative: str, error: ImageError | None = None) -> InputFile:
    return InputFile(Path(path), PurePosixPath(relative), error)


def test_label_tiffs_are_always_written() -> None:
    assert check_formats(["coco", "YOLO "]) == ("tiff", "yolo", "coco")
    assert check_formats([]) == ("tiff",)
    with pytest.raises(OutputError, match=r"'voc'.*tiff, yolo, .*coco"):
        check_formats(["voc"])


def test_a_dot_in_a_name_is_kept() -> None:
    layout = Layout(Path("out"), ("tiff",))
    relative = PurePosixPath("sub/plate.v2")
    assert layout.labels(relative) == Path("out/labels/sub/plate.v2.tif")
    folder = layout.folder("yolo")
    assert plane_file(folder, relative, {}, ".txt") == Path("out/yolo/sub/plate.v2.txt")
    place = plane_file(folder, relative, {"t": 2, "z": 10}, ".txt")
    assert place == Path("out/yolo/sub/plate.v2/t0002_z0010.txt")
    assert image_name(item("/data/sub/plate.v2.tif", "sub/plate.v2")) == (
        "sub/plate.v2.tif"
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("x/a_b.tif", "a__b"), ("x/b.png", "a/b")),
        (("x/a.tif", "a"), ("x/a_z0003.tif", "a_z0003")),
        (("x/a.tif", "a"), ("x/a_masks.tif", "a_masks")),
        (("x/a.tif", "a"), ("x/a.png", "a")),
        (("x/a.tif", "a"), ("y/a.tif", "a")),
        (("x/A.tif", "A"), ("x/a.tif", "a")),
        (("x/é.tif", "\u00e9"), ("y/é.tif", "e\u0301")),
        (("x/a.tif", "a"), ("x/a/z0003.tif", "a/z0003")),
    ],
)
def test_results_that_would_collide_are_refused(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    items = [item("x/b.tif", "b"), item(*one), item(*other)]
    with pytest.raises(OutputError) as caught:
        check_collisions(items, Layout(Path("out"), ("tiff", "yolo", "cellpose")))
    assert str(Path(one[0])) in str(caught.value)
    assert str(Path(other[0])) in str(caught.value)


def test_inputs_that_failed_collide_with_nothing() -> None:
    items = [item("a.tif", "a"), item("x/a.tif", "a", ImageError("x"))]
    check_collisions(items, Layout(Path("out"), ("tiff",)))


def test_earlier_results_are_no_inputs(tmp_path: Path) -> None:
    for name in ("b.tif", "labels/b.tif", ".work/c.tif", "out/labels/b.tif"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")

    def found(inputs: list[Path], output: Path) -> list[str]:
        return [str(i.relative) for i in select_inputs(inputs, output)]

    assert found([tmp_path], tmp_path / "out") == ["b", "labels/b"]
    # Images and results in one folder.
    assert found([tmp_path], tmp_path) == ["b", "out/labels/b"]
    assert found([tmp_path / "b.tif"], tmp_path) == ["b"]
    # What is named outright is meant.
    assert found([tmp_path / "labels" / "b.tif"], tmp_path) == ["b"]
