"""What is recorded in between, what is refused, and what is said about it."""

import time
from contextlib import closing

import numpy as np
import pytest
import tifffile

from napari_sam.live.labels.store import LabelStore
from napari_sam.live.prompting.session import Session
from napari_sam.live.replay.text import read_replay
from napari_sam.live.source import Source
from napari_sam.live.values import Rule
from napari_sam.models import catalog
from napari_sam.models.cache import EmbeddingCache
from napari_sam.types import Mask, Prompt


@pytest.fixture
def worked(desk, pump, draw, answered):
    """Two nuclei were clicked and kept, the second in two clicks; one was deleted."""
    session = desk.session
    session.ask("a", (0,), draw.on(1))
    session.commit()
    pump.until(lambda: not session.suggestions)
    session.ask("b", (0,), draw.on(2))
    pump.until(answered(session))
    session.ask("b", (0,), (*draw.on(2), draw.click(60, 14)))
    pump.until(answered(session))
    session.commit()
    session.edit(session.store.delete([1]))
    return desk


@pytest.fixture
def file(worked, tmp_path):
    return worked.save(tmp_path / "saved")


def test_the_file_is_toml_that_says_what_was_done(file, image):
    replay = read_replay(file)
    assert replay.image.path == str(image)
    model = replay.actions[1]
    assert (model.model, model.device, len(model.sha256)) == ("pocket", "cpu", 64)
    assert [action.do for action in replay.actions] == [
        *("see", "model", "ask", "labels", "keep", "ask", "ask", "keep", "edit")
    ]
    first, second = (a for a in replay.actions if a.do == "keep")
    assert (first.object, second.object) == (1, 2)
    refined = replay.actions[6].questions[0]
    assert refined.refines == (2, 0, 0) or refined.refines[:2] == (2, 0)
    assert len(refined.marks) == 2


def test_the_folder_is_enough(file, worked, tmp_path, replayed):
    done = replayed(file.parent, "--output", tmp_path / "again.tif")
    assert (done.returncode, done.stderr) == (0, "")
    assert np.array_equal(tifffile.imread(tmp_path / "again.tif"), worked.labels)


def test_work_that_goes_on_with_other_labels(
    worked, pump, draw, answered, tmp_path, replayed
):
    there = np.zeros(worked.labels.shape, np.uint16)
    there[2, 10:20, 10:20] = 7
    extents = {7: {(2,): (10, 10, 20, 20)}}
    store = LabelStore(there, extents=extents)
    session = worked.session
    session.ask("open", (0,), draw.on(0))
    pump.until(answered(session))
    session.attach(store)
    worked.recorder.attach(store)
    session.edit(store.delete([7]))  # before the labels were looked at
    session.commit()
    assert set(store.records) == {8}
    session.undo()
    session.undo()
    assert set(store.records) == {7}
    session.redo()
    session.undo()
    session.rule = Rule.REPLACE
    session.commit(into=7)
    file = worked.save(tmp_path / "saved")
    done = replayed(file, "--output", tmp_path / "again.tif")
    assert (done.returncode, done.stderr) == (0, "")
    assert np.array_equal(tifffile.imread(tmp_path / "again.tif"), there)
    assert (there == 7).sum() > 100


def test_more_channels_are_found_in_their_files(
    new_desk, pump, listener, draw, answered, frames, tmp_path, replayed
):
    both = tmp_path / "both.tif"
    stacked = np.stack([frames, frames[:, ::-1]], 1)
    tifffile.imwrite(both, stacked, imagej=True, metadata={"axes": "TCYX"})
    third = tmp_path / "third.tif"
    tifffile.imwrite(third, frames[..., ::-1], imagej=True, metadata={"axes": "TYX"})
    one, other, more = (
        Source(data, "nuclei", frames.shape, "T", False)
        for data in (frames, frames[:, ::-1], frames[..., ::-1])
    )
    session = Session(pump.post, listener)
    store = LabelStore(np.zeros(frames.shape, np.uint32))
    desk = new_desk(session, both, one, store)
    session.see(one.seen([other, more], "plane", diameter=20.0))
    session.ask("a", (1,), draw.on(1))
    pump.until(answered(session))
    session.commit()
    file = desk.save(tmp_path / "saved")
    session.close()
    desk.recorder.close()
    again = tmp_path / "again.tif"
    done = replayed(file, "--output", again)
    assert done.returncode == 2
    assert "channel 3 that the model saw is not in" in done.stderr
    assert "--image" in done.stderr
    done = replayed(file, "--output", again, "--image", f"{both},{third}")
    assert (done.returncode, done.stderr) == (0, "")
    assert np.array_equal(tifffile.imread(again), store.labels)
    assert store.labels.any()


def refused(replayed, file, *more, output="again.tif"):
    """Return the line with which the command ends, and see that it wrote nothing."""
    place = file.parent / output
    done = replayed(file, "--output", place, *more)
    assert done.returncode == 2
    assert done.stdout == ""
    assert not place.exists()
    (line,) = done.stderr.splitlines()
    return line


def test_other_weights_are_refused(file, replayed):
    info = catalog.load_model("pocket", "cpu").info
    file.write_text(file.read_text().replace(info.sha256, "ab" * 32))
    line = refused(replayed, file)
    assert str(file) in line
    assert "ab" * 32 in line
    assert info.sha256 in line
    assert "get the same weights" in line


def test_a_missing_image(file, image, replayed, tmp_path):
    moved = image.rename(tmp_path / "elsewhere.tif")
    line = refused(replayed, file)
    assert f"{image} is not there: say with --image where" in line
    done = replayed(file, "--output", tmp_path / "again.tif", "--image", moved)
    assert done.returncode == 0


def test_an_image_that_has_changed(file, image, replayed, frames):
    tifffile.imwrite(image, frames[::-1], photometric="minisblack")
    line = refused(replayed, file)
    assert f"{image} is not the image that was worked on, or has changed" in line


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("version = 1", "version = 2", "is of version 2"),
        ('do = "keep"', 'do = "kep"', "actions number 4"),
        (
            "candidate = ",
            "candidat = ",
            "there is no setting candidat: did you mean candidate?",
        ),
        ("labels_sha256", "label_sha256", "did you mean labels_sha256?"),
        ('pixels = "', 'pixels = "!', "its pixels are damaged"),
        ('pixels = "eAH', 'pixels = "eAHeAHe', "damaged"),
        ("answer = [1, 0]", "answer = [9, 0]", "there is no question 9 before it"),
        ("answer = [1, 0]", "answer = [1, 5]", "of question 5 of answer 1"),
        ("refines = [2,", "refines = [3,", "goes on with an answer that comes later"),
        ("box = [21, 31, 44, 59]", "box = [21, 31, 21, 59]", "nothing in such a box"),
        ("box = [21, 31, 44, 59]", "box = [21, 95, 44, 123]", "no part of the image"),
        ("[[actions]]\n", "[actions]]\n", "is damaged, it is not TOML"),
        ("index = [0]", "index = [9]", "cannot be done again"),
        ("index = [0]", "index = [-1]", "index"),
    ],
)
def test_a_damaged_file(file, replayed, before, after, said):
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))
    line = refused(replayed, file)
    assert str(file) in line
    assert said in line


def test_half_a_file(file, replayed):
    text = file.read_bytes()
    file.write_bytes(text[: len(text) - 30])
    assert "it is not TOML" in refused(replayed, file)


def test_no_file(tmp_path, replayed):
    line = refused(replayed, tmp_path / "replay.toml")
    assert "cannot be read" in line


def test_the_first_action_that_differs_is_named(file, replayed, tmp_path):
    """The first click was moved to another nucleus."""
    text = file.read_text()
    assert text.count("[[44.2") == 0
    moved = text.replace("[33.2, 44.2]", "[62.0, 77.7]", 1)
    assert moved != text
    # Without the deletion behind it, it shows.
    moved = moved[: moved.rindex("\n[[actions]]")]
    file.write_text(moved)
    done = replayed(file, "--output", tmp_path / "again.tif")
    assert done.returncode == 1
    first, last = done.stderr.splitlines()
    assert "differently is action 4 (object 1): it has other pixels" in first
    assert last == "the labels are not those that were saved"
    assert tifffile.imread(tmp_path / "again.tif")[0, 62, 77] == 1


def test_what_differs_is_named_though_it_is_taken_back_later(
    worked, pump, draw, answered, replayed, tmp_path
):
    session = worked.session
    session.ask("c", (0,), draw.on(3))
    pump.until(answered(session))
    session.commit()
    session.undo()
    file = worked.save(tmp_path / "saved")
    text = file.read_text()
    # The click lies on the object that is there already, and adds nothing.
    assert text.count("[62.0, 77.7]") == 1
    file.write_text(text.replace("[62.0, 77.7]", "[58.6, 10.8]"))
    done = replayed(file, "--output", tmp_path / "again.tif")
    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert "(object 3): nothing was added" in line or "other pixels" in line


def test_nothing_is_overwritten_unasked(file, replayed, tmp_path):
    place = tmp_path / "mine.tif"
    place.write_text("mine")
    done = replayed(file, "--output", place)
    assert done.returncode == 2
    assert f"{place} is there already" in done.stderr
    assert place.read_text() == "mine"
    assert replayed(file, "--output", place, "--overwrite").returncode == 0
    assert tifffile.imread(place).any()


def test_what_cannot_be_recorded_does_not_keep_labels_from_being_saved(
    desk, tmp_path, monkeypatch
):
    told = []
    monkeypatch.setattr(desk.recorder, "_failed", told.append)
    mask = Mask((0, 0, 4, 4), np.ones((4, 4), bool), 0.5)
    change = desk.session.store.add((0,), mask, Rule.KEEP)
    broken = change.patches[0]
    object.__setattr__(broken, "_after", None)
    desk.recorder.changed(change)
    file = desk.save(tmp_path / "saved")
    assert not file.exists()
    assert (file.parent / "labels" / "nuclei.tif").exists()
    (line,) = told
    assert "is not recorded" in line


def test_an_older_record_goes_with_its_labels(worked, tmp_path):
    file = worked.save(tmp_path / "saved")
    assert file.exists()
    worked.recorder.until_now = lambda: lambda: None
    worked.save(tmp_path / "saved", overwrite=True)
    assert not file.exists()


def test_slices_that_came_from_the_disk(
    desk, pump, draw, answered, tmp_path, frames, replayed
):
    """They have half precision there, and were answered from that."""
    with closing(EmbeddingCache(tmp_path / "cache", told=print)) as cache:
        model = catalog.load_model("pocket", "cpu", cache=cache)
        source = desk.source
        plane = source.plane((0,), source.contrast())
        model.prepare(plane, time.time())
        plain = catalog.load_model("pocket", "cpu")
        exact, kept = plain.encode(plane), model.encode(plane)
        prompt = Prompt(points=[draw.nuclei[1]], labels=[1])
        scores = [
            plain.decode(one, [prompt])[0].best.score
            for one in (kept, plain.rounded(exact))
        ]
        assert (kept.rounded, exact.rounded) == (True, False)
        assert scores[0] == scores[1]
        desk.session.keep_in(cache)
        for number in range(4):
            desk.session.ask(number, (0,), draw.on(number))
        pump.until(answered(desk.session))
        desk.session.commit()
        file = desk.save(tmp_path / "saved")
        desk.session.close()
    asked = [one for one in read_replay(file).actions if one.do == "ask"]
    assert asked
    assert all(one.rounded for one in asked)
    done = replayed(file, "--output", tmp_path / "again.tif")
    assert (done.returncode, done.stderr) == (0, "")
