"""A recipe is tried on some slices that are drawn at random."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_sam.images import open_image, planes
from napari_sam.records.run import run
from napari_sam.records.trial import TABLE, Tried, read_tried, try_slices
from napari_sam.segment.recipe import Recipe
from napari_sam.types import ImageError, OutputError

Writer = Callable[..., Path]


def files(folder: Path) -> list[str]:
    """All files below a folder, by their relative names."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path.relative_to(folder).as_posix() for path in found)


def drawn(tried: list[Tried]) -> list[tuple[str, tuple[int, ...]]]:
    return [(one.image, one.index) for one in tried]


def test_a_seed_draws_the_same_slices_and_others_draw_others(
    write_discs: Writer, tmp_path: Path, recipe: Recipe
) -> None:
    for name in "abcd":
        write_discs(f"in/{name}.tif", (9, 64, 64), axes="ZYX")
    inputs = [tmp_path / "in"]

    def draw(place: str, seed: int) -> list[tuple[str, tuple[int, ...]]]:
        return drawn(try_slices(inputs, tmp_path / place, recipe, count=2, seed=seed))

    first = draw("one", 5)
    assert draw("two", 5) == first
    assert draw("one", 6) != first


def test_three_of_four_images_are_three_different_ones(
    write_discs: Writer, tmp_path: Path, recipe: Recipe
) -> None:
    for name in ("a", "b", "deep/c", "deep/d"):
        write_discs(f"in/{name}.tif", (2, 64, 64), axes="ZYX")
    heard: list[Tried] = []
    tried = try_slices([tmp_path / "in"], tmp_path / "out", recipe, told=heard.append)
    assert heard == tried
    assert len({one.image for one in tried}) == 3
    assert {one.image for one in tried} < {"a.tif", "b.tif", "deep/c.tif", "deep/d.tif"}
    for one in tried:
        assert Path(one.path) == tmp_path / "in" / one.image
        assert (one.stack_axes, one.planes, one.objects) == ("Z", 2, 3)
        assert one.seconds > 0


def test_of_few_images_several_slices_are_tried_and_none_twice(
    write_discs: Writer, tmp_path: Path, recipe: Recipe
) -> None:
    stack = write_discs("s.tif", (2, 3, 64, 64), axes="TZYX")
    tried = try_slices([stack], tmp_path / "out", recipe, count=4)
    assert len({one.index for one in tried}) == 4
    assert all(one.stack_axes == "TZ" and one.planes == 6 for one in tried)
    for one in tried:
        assert one.index[0] in range(2) and one.index[1] in range(3)
    # There are no more than six, with one more of another image.
    lines: list[str] = []
    both = [stack, write_discs("p.tif")]
    tried = try_slices(both, tmp_path / "out", recipe, count=20, failed=lines.append)
    assert len(tried) == len(set(drawn(tried))) == 7
    assert {one.image for one in tried} == {"s.tif", "p.tif"}
    assert not lines


def test_for_an_image_that_cannot_be_read_another_one_is_drawn(
    write_discs: Writer, tmp_path: Path, recipe: Recipe
) -> None:
    good = [write_discs(f"{name}.tif") for name in "ab"]
    broken, missing = tmp_path / "broken.tif", tmp_path / "missing.tif"
    broken.write_bytes(b"no TIFF")
    lines: list[str] = []
    tried = try_slices(
        [broken, missing, *good], tmp_path / "out", recipe, count=3, failed=lines.append
    )
    assert {one.image for one in tried} == {"a.tif", "b.tif"}
    assert len(lines) == 2
    assert any(str(broken) in line for line in lines)
    assert any(str(missing) in line for line in lines)


def test_without_any_image_that_can_be_used_it_says_so(
    tmp_path: Path, recipe: Recipe
) -> None:
    broken = tmp_path / "broken.tif"
    broken.write_bytes(b"no TIFF")
    lines: list[str] = []
    with pytest.raises(ImageError, match="none of the images"):
        try_slices([broken], tmp_path / "out", recipe, failed=lines.append)
    assert len(lines) == 1
    assert read_tried(tmp_path / "out") == []


def test_a_folder_of_somebody_else_is_refused(
    write_discs: Writer, tmp_path: Path, recipe: Recipe
) -> None:
    image, output = write_discs("a.tif"), tmp_path / "out"
    notes = output / "try" / "notes.txt"
    notes.parent.mkdir(parents=True)
    notes.write_text("mine")
    with pytest.raises(OutputError, match="not from a trial") as caught:
        try_slices([image], output, recipe)
    assert str(notes.parent) in str(caught.value)
    assert files(output) == ["try/notes.txt"] and notes.read_text() == "mine"


def test_an_earlier_trial_is_replaced_and_other_files_stay(
    write_discs: Writer, tmp_path: Path, recipe: Recipe
) -> None:
    output = tmp_path / "out"
    old = [write_discs(f"old/{n}.tif") for n in "abc"]
    try_slices(old, output, recipe, count=3)
    assert len(files(output)) == 7
    (output / "try" / "notes.txt").write_text("mine")

    new = write_discs("new/n.tif")
    told: list[list[Tried]] = []
    try_slices(
        [new], output, recipe, count=1, told=lambda _: told.append(read_tried(output))
    )
    # Never what was tried before.
    assert [drawn(each) for each in told] == [[("n.tif", ())]]
    names = ["1.png", "1_labels.tif", "notes.txt", TABLE]
    assert files(output / "try") == sorted(names)


def test_a_trial_that_was_stopped_at_its_first_slice_can_be_begun_again(
    write_discs: Writer, tmp_path: Path, recipe: Recipe
) -> None:
    image, output = write_discs("a.tif", (9, 64, 64), axes="ZYX"), tmp_path / "out"

    def stop(_: Tried) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        try_slices([image], output, recipe, told=stop)
    # As if it had been stopped while the picture was written.
    (output / "try" / TABLE).write_text("[]")
    tried = try_slices([image], output, recipe, count=2)
    assert read_tried(output) == tried
    assert files(output / "try") == sorted(
        [TABLE, *(f"{n}{end}" for n in (1, 2) for end in (".png", "_labels.tif"))]
    )


def test_the_folder_counts_as_ours_before_the_first_slice_is_there(
    write_discs: Writer, tmp_path: Path, recipe: Recipe
) -> None:
    broken = tmp_path / "broken.tif"
    broken.write_bytes(b"no TIFF")
    (output := tmp_path / "out").mkdir()
    seen: list[bool] = []
    with pytest.raises(ImageError):
        try_slices(
            [broken],
            output,
            recipe,
            failed=lambda _: seen.append((output / "try" / TABLE).exists()),
        )
    assert seen == [True]


def test_picture_labels_and_table_say_the_same(
    write_discs: Writer, tmp_path: Path, recipe: Recipe
) -> None:
    stack = write_discs("in/s.tif", (5, 64, 72), axes="ZYX")
    output = tmp_path / "out"
    tried = try_slices([stack], output, recipe, count=2, seed=3)
    assert read_tried(output) == tried
    run([stack], tmp_path / "whole", recipe.model_copy(update={"link": "none"}))
    whole = tifffile.imread(tmp_path / "whole" / "labels" / "s.tif")
    for one in tried:
        assert one.box == (0, 0, 64, 72)
        labels = tifffile.imread(output / "try" / one.labels)
        assert len(np.unique(labels[labels > 0])) == one.objects == 3
        # What a run finds on the slice.
        np.testing.assert_array_equal(labels > 0, whole[one.index] > 0)
        with Image.open(output / "try" / one.picture) as picture:
            pixels = np.asarray(picture)
        with open_image(stack) as image:
            plane = image.plane(one.index, recipe.contrast(image))
        np.testing.assert_array_equal(pixels, plane.pixels)


def test_of_a_large_plane_a_part_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, recipe: Recipe
) -> None:
    monkeypatch.setattr(planes, "LARGE", 2**20)
    pixels = np.full((1100, 1500), 100, np.uint16)
    for y in range(90, 1080, 120):
        for x in range(90, 1480, 120):
            pixels[y : y + 20, x : x + 20] = 900
    path, output = tmp_path / "wide.tif", tmp_path / "out"
    tifffile.imwrite(path, pixels)
    # Of the same slice, since there are other parts of it.
    tried = try_slices([path], output, recipe, count=2)
    assert [one.index for one in tried] == [(), ()]
    assert tried[0].box != tried[1].box
    for one in tried:
        y0, x0, y1, x1 = one.box
        assert (y1 - y0, x1 - x0) == (1024, 1024)
        assert 0 <= y0 <= 1100 - 1024 and 0 <= x0 <= 1500 - 1024
        labels = tifffile.imread(output / "try" / one.labels)
        assert labels.shape == (1024, 1024)
        bright = pixels[y0:y1, x0:x1] > 500
        assert np.mean((labels > 0) == bright) > 0.99
        assert one.objects > 50
        with Image.open(output / "try" / one.picture) as picture:
            shown = np.asarray(picture)
        assert shown.shape == (1024, 1024, 3)
        assert (shown[bright] > 200).all() and (shown[~bright] < 50).all()


def test_only_some_images_are_drawn_from(
    write_discs: Writer, tmp_path: Path, recipe: Recipe
) -> None:
    for name in ("p1/a", "p1/b", "p2/a", "p2/b"):
        write_discs(f"in/{name}.tif")
    inputs, output = [tmp_path / "in"], tmp_path / "out"
    tried = try_slices(inputs, output, recipe, count=4, only=["p2/*"])
    assert {one.image for one in tried} == {"p2/a.tif", "p2/b.tif"}
    with pytest.raises(ImageError, match="p3"):
        try_slices(inputs, output, recipe, only=["p3/*"])


@pytest.mark.parametrize("inside", [False, True])
def test_nothing_else_is_written_and_a_run_takes_no_notice(
    write_discs: Writer, tmp_path: Path, recipe: Recipe, inside: bool
) -> None:
    for name in "ab":
        write_discs(f"in/{name}.tif")
    inputs = [tmp_path / "in"]
    output = tmp_path / "in" if inside else tmp_path / "out"
    before = files(tmp_path)
    try_slices(inputs, output, recipe, count=2)
    new = set(files(tmp_path)) - set(before)
    pictures = (f"{n}{end}" for n in (1, 2) for end in (".png", "_labels.tif"))
    place = output.relative_to(tmp_path).as_posix()
    assert new == {f"{place}/try/{name}" for name in [*pictures, TABLE]}

    report = run(inputs, output, recipe)
    assert [item.image for item in report.inputs] == ["a.tif", "b.tif"]
    assert report.exit_code == 0
    assert files(output / "labels") == ["a.tif", "b.tif"]
    # And the other way round.
    written = (output / "objects.csv").read_bytes()
    tried = try_slices(inputs, output, recipe, count=3)
    assert {one.image for one in tried} == {"a.tif", "b.tif"}
    assert (output / "objects.csv").read_bytes() == written
    assert [item.status for item in run(inputs, output, recipe).inputs] == [
        "skipped",
        "skipped",
    ]


@pytest.mark.skipif(os.name == "nt", reason="a folder that must not be written")
def test_a_folder_that_cannot_be_made_is_named(
    write_discs: Writer, tmp_path: Path, recipe: Recipe
) -> None:
    image, output = write_discs("a.tif"), tmp_path / "out"
    output.write_text("a file")
    with pytest.raises(OutputError, match="cannot be written") as caught:
        try_slices([image], output, recipe)
    assert str(output) in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        None,
        b"",
        b"\xff\xfe",
        b"5",
        b"{}",
        b'{"image": 1}',
        b"[1]",
        b"[[]]",
        b"[{}]",
        b'[{"index": 3, "box": [0, 0, 1, 1]}]',
        b'[{"index": [3], "box": [0, 0, 1, 1]}]',
        b'[{"image": "a.tif", "index": [0], "bo',
    ],
)
def test_a_table_that_is_missing_or_damaged_says_nothing(
    tmp_path: Path, text: bytes | None
) -> None:
    (tmp_path / "try").mkdir()
    if text is not None:
        (tmp_path / "try" / TABLE).write_bytes(text)
    assert read_tried(tmp_path) == []


def test_a_damaged_table_is_that_of_a_trial_all_the_same(
    write_discs: Writer, tmp_path: Path, recipe: Recipe
) -> None:
    image, output = write_discs("a.tif"), tmp_path / "out"
    try_slices([image], output, recipe, count=1)
    (output / "try" / TABLE).write_bytes(b"damaged")
    tried = try_slices([image], output, recipe, count=1)
    assert read_tried(output) == tried and len(tried) == 1
