import contextlib
import csv
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from pycocotools.coco import COCO

from napari_sam.records.report import Progress
from napari_sam.records.run import run
from napari_sam.records.work import Workspace
from napari_sam.segment.recipe import Recipe, make_recipe
from napari_sam.types import OutputError

Writer = Callable[..., Path]


def read_table(output: Path) -> list[dict[str, str]]:
    with (output / "objects.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def no_leftovers(output: Path) -> bool:
    return not [*output.rglob("*.part"), *output.rglob("*.npz")]


def test_a_stack_becomes_labels_of_its_shape_and_a_table(
    write_discs: Writer, tmp_path: Path, recipe: Recipe
) -> None:
    image = write_discs(
        "stack.tif",
        (2, 3, 64, 64),
        axes="TZYX",
        resolution=(2, 4),
        metadata={"unit": "um", "spacing": 2.0},
    )
    output = tmp_path / "out"
    report = run([image], output, recipe)
    assert report.ok and report.exit_code == 0
    labels = tifffile.imread(output / "labels" / "stack.tif")
    assert labels.shape == (2, 3, 64, 64) and labels.dtype == np.uint16
    # One id through z, a new one at the next time point.
    assert set(np.unique(labels[0])) == {0, 1, 2, 3}
    assert set(np.unique(labels[1])) == {0, 4, 5, 6}
    np.testing.assert_array_equal(labels[0, 0], labels[0, 2])
    rows = read_table(output)
    assert len(rows) == report.inputs[0].objects == 18
    for row in rows:
        t, z, number = int(row["t"]), int(row["z"]), int(row["id"])
        mask = labels[t, z] == number
        assert int(row["area"]) == mask.sum()
        centre = np.argwhere(mask).mean(0) + 0.5
        assert [float(row["centroid_y"]), float(row["centroid_x"])] == pytest.approx(
            centre, abs=0.01
        )
        assert float(row["area_um2"]) == pytest.approx(mask.sum() * 0.25 * 0.5)
        assert float(row["centroid_y_um"]) == pytest.approx(centre[0] * 0.25, rel=1e-3)
        assert float(row["centroid_x_um"]) == pytest.approx(centre[1] * 0.5, rel=1e-3)
        assert row["image"] == "stack.tif" and row["truncated"] == "False"
    assert no_leftovers(output)


def test_subfolders_are_mirrored_and_every_format_is_written(
    write_discs: Writer, tmp_path: Path, recipe: Recipe
) -> None:
    write_discs("in/one.tif")
    write_discs("in/sub/stack.tif", (2, 64, 64), axes="ZYX")
    output = tmp_path / "out"
    report = run([tmp_path / "in"], output, recipe, formats=["yolo", "coco"])
    assert report.ok
    names = {
        p.relative_to(output).as_posix() for p in output.rglob("*.t*") if p.is_file()
    }
    assert {n for n in names if not n.startswith(".work")} == {
        "labels/one.tif",
        "labels/sub/stack.tif",
        "settings.toml",
        "yolo/one.txt",
        "yolo/sub/stack/z0000.txt",
        "yolo/sub/stack/z0001.txt",
    }
    assert (output / "yolo" / "classes.yaml").read_text().startswith("names:\n  0: ")
    rows = (output / "yolo" / "one.txt").read_text().splitlines()
    assert len(rows) == 3
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(output / "coco" / "annotations.json"))
    assert len(coco.getImgIds()) == 3 and len(coco.getAnnIds()) == 9
    assert {i["file_name"] for i in coco.loadImgs(coco.getImgIds())} == {
        "one.tif",
        "sub/stack.tif",
    }
    # Rows of images without a z axis leave it empty.
    assert [row["z"] for row in read_table(output)] == [""] * 3 + ["0"] * 3 + ["1"] * 3


def test_an_image_without_objects_gets_its_empty_results(
    tmp_path: Path, recipe: Recipe
) -> None:
    black = np.zeros((2, 40, 50), np.float32)
    black[1] = np.nan
    image = tmp_path / "black.tif"
    tifffile.imwrite(image, black)
    output = tmp_path / "out"
    report = run([image], output, recipe, formats=["yolo", "coco"])
    assert report.ok
    labels = tifffile.imread(output / "labels" / "black.tif")
    assert labels.shape == (2, 40, 50) and not labels.any()
    assert (output / "yolo" / "black" / "z0001.txt").read_text() == ""
    assert read_table(output) == []
    assert "black.tif" in report.inputs[0].warnings[0]
    assert "Z=0, Z=1" in report.inputs[0].warnings[0]


def test_a_truncated_plane_is_flagged(
    write_discs: Writer, tmp_path: Path, recipe: Recipe
) -> None:
    image = write_discs("one.tif")
    output = tmp_path / "out"
    report = run([image], output, recipe.model_copy(update={"max_det": 2}))
    assert report.ok and len(report.inputs[0].warnings) == 1
    assert [row["truncated"] for row in read_table(output)] == ["True", "True"]


def test_axes_in_an_unusual_order_keep_their_order(
    tmp_path: Path, write_discs: Writer, recipe: Recipe
) -> None:
    flat = tifffile.imread(write_discs("one.tif"))
    image = tmp_path / "turned.tif"
    tifffile.imwrite(image, np.stack([flat, flat], axis=-1), photometric="minisblack")
    output = tmp_path / "out"
    report = run([image], output, recipe.model_copy(update={"axes": "YXZ"}))
    assert report.ok, report.failed
    labels = tifffile.imread(output / "labels" / "turned.tif")
    assert labels.shape == (64, 64, 2)
    assert set(np.unique(labels)) == {0, 1, 2, 3}
    assert labels[16, 16].all() and labels[20, 44].all()
    assert no_leftovers(output)


def test_a_failed_input_is_named_and_the_others_are_done(
    write_discs: Writer, tmp_path: Path, recipe: Recipe
) -> None:
    good = write_discs("good.tif")
    bad = tmp_path / "bad.tif"
    bad.write_text("this is text")
    events: list[Progress] = []
    report = run(
        [bad, tmp_path / "none.tif", good],
        tmp_path / "out",
        recipe,
        progress=events.append,
    )
    assert report.exit_code == 2
    assert [item.status for item in report.inputs] == ["failed", "failed", "done"]
    assert str(bad) in report.inputs[0].message
    assert [e.kind for e in events if e.kind == "failed"] == ["failed", "failed"]
    assert os.listdir(tmp_path / "out" / "labels") == ["good.tif"]


def test_what_is_complete_is_skipped_and_new_inputs_are_added(
    write_discs: Writer, tmp_path: Path, recipe: Recipe
) -> None:
    one, output = write_discs("in/one.tif"), tmp_path / "out"
    run([one.parent], output, recipe)
    before = (output / "labels" / "one.tif").stat().st_mtime_ns
    write_discs("in/two.tif")
    report = run([one.parent], output, recipe)
    assert [item.status for item in report.inputs] == ["skipped", "done"]
    assert (output / "labels" / "one.tif").stat().st_mtime_ns == before
    assert {row["image"] for row in read_table(output)} == {"one.tif", "two.tif"}


def test_a_label_file_that_was_deleted_is_made_again(
    write_discs: Writer, tmp_path: Path, recipe: Recipe
) -> None:
    one, output = write_discs("one.tif"), tmp_path / "out"
    run([one], output, recipe)
    (output / "labels" / "one.tif").unlink()
    assert run([one], output, recipe).inputs[0].status == "done"
    assert len(read_table(output)) == 3


@pytest.mark.parametrize(
    ("change", "formats"), [({"conf": 0.3}, ["tiff"]), ({}, ["tiff", "yolo"])]
)
def test_other_options_are_refused_unless_overwritten(
    write_discs: Writer,
    tmp_path: Path,
    recipe: Recipe,
    change: dict[str, Any],
    formats: list[str],
) -> None:
    one, output = write_discs("one.tif"), tmp_path / "out"
    run([one], output, recipe)
    before = (output / "labels" / "one.tif").stat().st_mtime_ns
    other = recipe.model_copy(update=change)
    with pytest.raises(OutputError, match=r"(conf|format) was .*--overwrite"):
        run([one], output, other, formats=formats)
    assert (output / "labels" / "one.tif").stat().st_mtime_ns == before
    report = run([one], output, other, formats=formats, overwrite=True)
    assert report.inputs[0].status == "done"
    assert (output / "labels" / "one.tif").stat().st_mtime_ns > before
    # From here on these are the options.
    again = run([one], output, other, formats=formats)
    assert again.inputs[0].status == "skipped"


def test_a_run_of_an_older_version_goes_on(write_discs: Writer, tmp_path: Path) -> None:
    """Its file knows nothing of options that came later."""
    image, output = write_discs("stack.tif", (3, 64, 64), axes="ZYX"), tmp_path / "out"
    recipe = Recipe(detector="threshold", device="cpu")
    assert run([image], output, recipe).ok
    written = Workspace(output).record()
    assert written is not None
    old = json.loads((Path(__file__).parent / "run_0_1_0.json").read_text())
    lacking = written.options.keys() - old["options"].keys()
    assert {"percentiles", "ranges"} <= lacking
    for name in ("model weights", "detector weights"):  # not of another version
        old["options"][name] = written.options[name]
    file = output / ".work" / "run.json"
    file.write_text(json.dumps(old))
    with pytest.raises(OutputError, match=r"\(percentiles was .*99\.8, now 1.0,99.0\)"):
        run([image], output, recipe.model_copy(update={"percentiles": (1.0, 99.0)}))
    report = run([image], output, recipe)
    assert [one.status for one in report.inputs] == ["skipped"]
    again = Workspace(output).record()
    assert again is not None and again.options == written.options


def test_contrast_that_is_fixed_is_kept_with_the_results(
    write_discs: Writer, tmp_path: Path
) -> None:
    image, output = write_discs("a.tif"), tmp_path / "out"
    fixed = make_recipe(detector="threshold", device="cpu", ranges="2000:3000")
    assert run([image], output, fixed).inputs[0].objects == 0  # all of it is dark
    known = (
        Workspace(output).input("a").record()
        or Workspace(output).input("a.tif").record()
    )
    assert known is not None
    assert known.normalization["ranges"] == [[2000.0, 3000.0]]
    two = make_recipe(detector="threshold", device="cpu", ranges="1:2,3:4")
    report = run([image], tmp_path / "two", two)
    assert "contrast is given for 2 channels" in report.inputs[0].message


def test_another_device_is_no_other_option(
    write_discs: Writer, tmp_path: Path, recipe: Recipe
) -> None:
    one, output = write_discs("one.tif"), tmp_path / "out"
    run([one], output, recipe)
    report = run([one], output, recipe.model_copy(update={"device": "auto"}))
    assert report.inputs[0].status == "skipped"


def test_a_changed_image_is_told_and_redone_when_asked(
    write_discs: Writer, tmp_path: Path, recipe: Recipe
) -> None:
    one, two = write_discs("one.tif"), write_discs("two.tif")
    output = tmp_path / "out"
    run([one, two], output, recipe)
    os.utime(one, (1, 1))
    report = run([one, two], output, recipe)
    assert [item.status for item in report.inputs] == ["failed", "skipped"]
    assert "has changed since" in report.inputs[0].message
    assert "--overwrite" in report.inputs[0].message
    assert run([one, two], output, recipe, overwrite=True).ok


def test_another_image_of_the_same_name_is_told(
    write_discs: Writer, tmp_path: Path, recipe: Recipe
) -> None:
    one, other = write_discs("a/one.tif"), write_discs("b/one.tif")
    os.utime(other, (1, 1))
    output = tmp_path / "out"
    run([one], output, recipe)
    report = run([other], output, recipe)
    assert str(one) in report.inputs[0].message
    assert str(other) in report.inputs[0].message


def test_files_that_are_not_ours_are_kept(
    write_discs: Writer, tmp_path: Path, recipe: Recipe
) -> None:
    one, two = write_discs("one.tif"), write_discs("two.tif")
    foreign = tmp_path / "out" / "labels" / "one.tif"
    foreign.parent.mkdir(parents=True)
    foreign.write_bytes(b"by hand")
    report = run([one, two], tmp_path / "out", recipe)
    assert [item.status for item in report.inputs] == ["failed", "done"]
    assert str(foreign) in report.inputs[0].message
    assert foreign.read_bytes() == b"by hand"
    assert run([one, two], tmp_path / "out", recipe, overwrite=True).ok
    assert tifffile.imread(foreign).shape == (64, 64)


def test_a_table_that_is_not_ours_is_kept(
    write_discs: Writer, tmp_path: Path, recipe: Recipe
) -> None:
    one, output = write_discs("one.tif"), tmp_path / "out"
    output.mkdir()
    (output / "objects.csv").write_text("mine")
    with pytest.raises(OutputError, match=r"objects\.csv is there already"):
        run([one], output, recipe)
    assert (output / "objects.csv").read_text() == "mine"


def test_an_image_is_never_replaced_by_its_labels(
    write_discs: Writer, tmp_path: Path, recipe: Recipe
) -> None:
    image = write_discs("labels/one.tif")
    before = image.read_bytes()
    report = run([image], tmp_path, recipe, overwrite=True)
    assert "would replace the image itself" in report.inputs[0].message
    assert image.read_bytes() == before


def test_overwriting_a_stack_leaves_no_rows_of_planes_that_are_gone(
    write_discs: Writer, tmp_path: Path, recipe: Recipe
) -> None:
    output = tmp_path / "out"
    run([write_discs("s.tif", (3, 64, 64))], output, recipe, formats=["yolo"])
    image = write_discs("s.tif", (2, 64, 64))
    assert run([image], output, recipe, formats=["yolo"], overwrite=True).ok
    names = sorted(p.name for p in (output / "yolo" / "s").iterdir())
    assert names == ["z0000.txt", "z0001.txt"]


def test_nothing_is_written_when_nothing_is_found(
    tmp_path: Path, recipe: Recipe
) -> None:
    report = run([tmp_path / "none.tif"], tmp_path / "out", recipe)
    assert report.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_a_damaged_plane_file_is_made_again(
    write_discs: Writer, tmp_path: Path, recipe: Recipe
) -> None:
    image, output = write_discs("s.tif", (4, 64, 64)), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        run([image], output, recipe, progress=interrupted_at(3))
    plane = sorted(output.rglob("*.npz"))[1]
    plane.write_bytes(plane.read_bytes()[:100])
    events: list[Progress] = []
    assert run([image], output, recipe, progress=events.append).ok
    assert "resumed at plane 4 of 4" in events[0].message
    labels = tifffile.imread(output / "labels" / "s.tif")
    assert all(set(np.unique(plane)) == {0, 1, 2, 3} for plane in labels)


def interrupted_at(plane: int) -> Callable[[Progress], None]:
    def listen(event: Progress) -> None:
        if event.kind == "plane" and event.plane == plane:
            raise KeyboardInterrupt

    return listen


def test_an_image_that_changed_in_between_starts_over(
    write_discs: Writer, tmp_path: Path, recipe: Recipe
) -> None:
    image, output = write_discs("s.tif", (4, 64, 64)), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        run([image], output, recipe, progress=interrupted_at(3))
    os.utime(image, (1, 1))
    events: list[Progress] = []
    assert run([image], output, recipe, progress=events.append).ok
    assert events[0].kind == "warning" and "3 planes" in events[0].message
    assert sum(event.kind == "plane" for event in events) == 4


def test_an_interrupted_overwrite_goes_on_with_the_same_command(
    write_discs: Writer, tmp_path: Path, recipe: Recipe
) -> None:
    images = [write_discs("a.tif"), write_discs("s.tif", (4, 64, 64))]
    output = tmp_path / "out"
    run(images, output, recipe)
    other = recipe.model_copy(update={"conf": 0.3})
    with pytest.raises(KeyboardInterrupt):
        run(images, output, other, overwrite=True, progress=interrupted_at(3))
    # The old labels of the second are still whole, the table has what is new.
    assert tifffile.imread(output / "labels" / "s.tif").shape == (4, 64, 64)
    assert {row["image"] for row in read_table(output)} == {"a.tif"}
    events: list[Progress] = []
    report = run(images, output, other, overwrite=True, progress=events.append)
    assert [item.status for item in report.inputs] == ["skipped", "done"]
    assert sum(event.kind == "plane" for event in events) == 1


def test_a_run_killed_while_it_wrote_finds_its_own_files(
    write_discs: Writer, tmp_path: Path, recipe: Recipe
) -> None:
    image, output = write_discs("s.tif", (2, 64, 64)), tmp_path / "out"
    run([image], output, recipe)
    work = Workspace(output).input("s")
    record = work.record()
    assert record is not None
    record.status = "writing"
    work.save(record)
    report = run([image], output, recipe)
    assert report.inputs[0].status == "done"


def test_a_damaged_record_is_told(
    write_discs: Writer, tmp_path: Path, recipe: Recipe
) -> None:
    image, output = write_discs("one.tif"), tmp_path / "out"
    run([image], output, recipe)
    (output / ".work" / "run.json").write_text("{}")
    with pytest.raises(OutputError, match=r"run\.json is damaged.*--overwrite"):
        run([image], output, recipe)
    assert run([image], output, recipe, overwrite=True).ok


def test_a_zarr_image_is_an_input(
    tmp_path: Path, write_discs: Writer, recipe: Recipe
) -> None:
    import zarr

    pixels = tifffile.imread(write_discs("s.tif", (2, 64, 64)))
    zarr.create_array(store=tmp_path / "z.zarr", data=pixels)
    output = tmp_path / "out"
    assert run([tmp_path / "z.zarr"], output, recipe).ok
    assert tifffile.imread(output / "labels" / "z.tif").shape == (2, 64, 64)
    shutil.rmtree(tmp_path / "z.zarr" / "c")
    assert "has changed" in run([tmp_path / "z.zarr"], output, recipe).inputs[0].message


def test_labels_of_the_user_are_outlined_anew(tmp_path, write_discs):
    image = write_discs("in/stack.tif", (2, 64, 64), axes="ZYX")
    first = run([image], tmp_path / "first", Recipe(detector="threshold", device="cpu"))
    again = Recipe(detector=str(tmp_path / "first"), device="cpu")
    second = run([image], tmp_path / "second", again)
    assert second.exit_code == 0
    assert second.inputs[0].objects == first.inputs[0].objects == 6
    other = run([write_discs("in/other.tif")], tmp_path / "third", again)
    assert other.exit_code == 2
    assert "other: there are no labels for this image" in other.inputs[0].message
