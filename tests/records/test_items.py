"""Each input of a run, while it is going on and afterwards."""

from collections.abc import Callable
from pathlib import Path

import pytest

from napari_sam.records.ledger import NAME
from napari_sam.records.report import Progress
from napari_sam.records.run import run
from napari_sam.records.status import STATES, Item, read_items, read_status
from napari_sam.segment.recipe import Recipe
from napari_sam.types import OutputError

Writer = Callable[..., Path]


@pytest.fixture
def inputs(write_discs: Writer, tmp_path: Path) -> list[Path]:
    """Three that can be done, and one that cannot, in one folder."""
    write_discs("in/a.tif", (3, 64, 64), axes="ZYX")
    (tmp_path / "in" / "bad.tif").write_bytes(b"no TIFF")
    write_discs("in/deep/c.tif")
    write_discs("in/deep/d.tif")
    return [tmp_path / "in"]


def by_name(output: Path) -> dict[str, Item]:
    return {item.name: item for item in read_items(output)[1]}


def test_after_a_run_each_is_done_or_says_why_not(
    inputs: list[Path], tmp_path: Path, recipe: Recipe
) -> None:
    output = tmp_path / "out"
    run(inputs, output, recipe)
    status, items = read_items(output)
    assert status == read_status(output)
    assert {item.name for item in items} == {"a", "bad", "deep/c", "deep/d"}
    found = {item.name: item for item in items}
    place = str(tmp_path / "in" / "a.tif")
    assert found["a"] == Item("a", "a.tif", place, "done", 3, 3, 9, "")
    place = str(tmp_path / "in" / "deep" / "c.tif")
    assert found["deep/c"] == Item("deep/c", "deep/c.tif", place, "done", 1, 1, 3, "")
    bad = found["bad"]
    assert (bad.image, bad.state, bad.finished) == ("bad.tif", "failed", 0)
    assert bad.path == str(tmp_path / "in" / "bad.tif")
    assert bad.path in bad.error and bad.planes is None and bad.objects is None
    (failed,) = status.failed
    assert failed.message == bad.error


def test_while_a_run_is_going_on_each_says_how_far_it_is(
    inputs: list[Path], tmp_path: Path, recipe: Recipe
) -> None:
    output = tmp_path / "out"
    seen: list[tuple[Progress, dict[str, Item], bool]] = []

    def look(event: Progress) -> None:
        if event.kind in ("start", "plane", "done", "failed"):
            status, items = read_items(output)
            found = {item.name: item for item in items}
            assert status.images == {
                state: sum(item.state == state for item in items) for state in STATES
            }
            seen.append((event, found, status.running))

    run(inputs, output, recipe, progress=look)
    assert all(running for *_, running in seen)
    # Of the stack: nothing, then one plane more each time, then all of it.
    steps = [
        (event.kind, found["a"].state, found["a"].finished, found["a"].objects)
        for event, found, _ in seen
        if event.image == "a.tif"
    ]
    assert steps == [
        ("start", "working", 0, None),
        ("plane", "working", 1, None),
        ("plane", "working", 2, None),
        ("plane", "working", 3, None),
        ("done", "done", 3, 9),
    ]
    first = seen[0][1]
    waiting = first["deep/d"]
    assert (waiting.state, waiting.finished, waiting.planes) == ("waiting", 0, None)
    assert waiting.path == str(tmp_path / "in" / "deep" / "d.tif")
    assert first["bad"].state == "waiting" and not first["bad"].error
    (at,) = (found for event, found, _ in seen if event.kind == "failed")
    assert at["bad"].state == "failed" and at["bad"].path in at["bad"].error
    # The order is the one in which they are done.
    order = [event.image for event, *_ in seen if event.kind in ("done", "failed")]
    assert sorted(order) == ["a.tif", "bad.tif", "deep/c.tif", "deep/d.tif"]
    assert [item.image for item in read_items(output)[1]] == order


def test_after_a_run_that_was_stopped_some_is_left(
    inputs: list[Path], tmp_path: Path, recipe: Recipe
) -> None:
    output = tmp_path / "out"

    def stop(event: Progress) -> None:
        if event.kind == "plane" and event.plane == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(inputs, output, recipe, progress=stop)
    status, _ = read_items(output)
    found = by_name(output)
    assert not status.running
    assert (found["a"].state, found["a"].finished, found["a"].planes) == (
        "unfinished",
        2,
        3,
    )
    assert found["deep/c"].state == found["deep/d"].state == "waiting"
    run(inputs, output, recipe)
    found = by_name(output)
    assert found["a"].state == found["deep/d"].state == "done"


def test_of_some_that_were_chosen_the_others_wait(
    inputs: list[Path], tmp_path: Path, recipe: Recipe
) -> None:
    output = tmp_path / "out"
    run(inputs, output, recipe, only=["deep/*"])
    states = {name: item.state for name, item in by_name(output).items()}
    assert states == {
        "a": "waiting",
        "bad": "waiting",
        "deep/c": "done",
        "deep/d": "done",
    }


def test_without_tables_what_is_done_is_known_from_the_files(
    inputs: list[Path], tmp_path: Path, recipe: Recipe
) -> None:
    output = tmp_path / "out"
    run(inputs, output, recipe)
    before = by_name(output)
    (output / ".work" / NAME).unlink()
    status, _ = read_items(output)
    found = by_name(output)
    assert status.notes
    assert found["a"] == before["a"] and found["deep/c"] == before["deep/c"]
    assert not (output / ".work" / NAME).exists()


def test_a_folder_of_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no results") as caught:
        read_items(tmp_path)
    assert str(tmp_path) in str(caught.value)
