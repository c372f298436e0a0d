"""The journal in one process: what it writes, restores, and survives."""

import shutil
import time

import numpy as np
import pytest

from napari_sam.live.disk.journal import Journal, JournalError
from napari_sam.live.disk.keeping import (
    discard,
    find,
    find_all,
    fingerprint,
    home,
    new_folder,
    restore,
    tidy,
)
from napari_sam.live.disk.kept.folder import About, Folder
from napari_sam.live.disk.kept.logs import Logs
from napari_sam.live.labels.changes import Change, Patch
from napari_sam.live.labels.scan import scan
from napari_sam.live.labels.store import LabelStore
from napari_sam.live.source import Source
from napari_sam.live.values import Mark, ObjectRecord, PlaneMarks, Rule
from napari_sam.types import Mask

SHAPE = (3, 40, 50)


def square(y, x, size=8):
    return Mask((y, x, y + size, x + size), np.ones((size, size), bool), 0.5)


def marks(y, x):
    return (
        Mark("click", np.array([[y + 0.3, x]], np.float32)),
        Mark("box", np.array([[0, 0], [0, 9], [9, 9], [9, 0]], np.float32), False),
    )


def add(store, index, y, x, **about):
    prompts = (PlaneMarks(index, marks(y, x)),)
    return store.add(index, square(y, x), Rule.REPLACE, prompts=prompts, **about)


def new_store(shape=SHAPE, dtype=np.uint32):
    return LabelStore(np.zeros(shape, dtype))


def plain(records):
    """Records as values that can be compared."""
    return {
        r.id: (
            *(r.source, r.class_id, r.annotator, r.reviewed, r.model, r.model_sha256),
            repr((r.score, r.stability)),
            [
                (p.index, [(m.kind, m.positive, m.vertices.tolist()) for m in p.marks])
                for p in r.prompts
            ],
        )
        for r in records
    }


def assert_restored(folder, store, next_id=None):
    labels = np.zeros_like(store.labels)
    restored = restore(folder, labels)
    assert restored is not None
    np.testing.assert_array_equal(labels, store.labels)
    assert plain(restored.records) == plain(store.records.values())
    assert restored.next_id == (store.next_id if next_id is None else next_id)
    assert restored.extents == {i: dict(e) for i, e in store.extents.items()}
    return restored


@pytest.fixture
def journal(tmp_path):
    journals = []

    def make(folder=None, shape=SHAPE, base=None, **options):
        folder = folder or new_folder(tmp_path, "image")
        about = {"name": "cells"}
        made = Journal(folder, shape=shape, dtype="uint32", about=about, **options)
        made.start(base)
        journals.append(made)
        return made

    yield make
    for made in journals:
        made.close()


def test_every_change_comes_back(journal, tmp_path):
    store, kept = new_store(), journal()
    kept.append(add(store, (0,), 1, 2, annotator="Ada", model="pocket"))
    kept.append(add(store, (2,), 5, 5, class_id=3))
    kept.append(add(store, (0,), 4, 6))  # takes pixels from the first
    kept.append(store.update([2], reviewed=True))
    undone = add(store, (1,), 20, 20)
    kept.append(undone)
    store.undo(undone)
    kept.undone(undone)
    store.redo(undone)
    kept.redone(undone)
    kept.append(store.delete([3]))
    assert kept.unsaved == 8
    assert kept.close()
    restored = assert_restored(kept.folder, store)
    assert restored.planes == 3 and restored.notes == ()

    left = find(tmp_path, "image")
    assert left is not None
    assert (left.folder, left.objects, left.unsaved) == (kept.folder, 3, 8)
    assert (left.about, left.shape) == ({"name": "cells"}, SHAPE)
    assert abs(left.when.timestamp() - time.time()) < 60


def test_a_change_is_on_the_disk_while_work_goes_on(journal):
    store, kept = new_store(), journal()
    for y in range(0, 30, 3):
        kept.append(add(store, (1,), y, y))
        assert kept.flush(20)
        assert_restored(kept.folder, store)


def test_nothing_is_left_of_a_session_without_changes(journal, tmp_path):
    kept = journal()
    kept.close()
    assert not kept.folder.exists()
    assert find(tmp_path, "image") is None


def test_what_was_saved_is_not_offered(journal, tmp_path):
    store, kept = new_store(), journal()
    kept.append(add(store, (0,), 1, 2))
    position = kept.position
    kept.append(add(store, (0,), 20, 20))
    kept.saved(tmp_path / "saved", position)
    assert kept.unsaved == 1
    kept.close()
    left = find(tmp_path, "image")
    assert left is not None
    assert (left.unsaved, left.objects) == (1, 2)
    assert left.saved == str(tmp_path / "saved")

    again = journal(kept.folder)
    assert again.unsaved == 1
    again.saved(tmp_path / "saved")
    assert again.unsaved == 0
    assert again.flush(20)
    again.close()
    assert find(tmp_path, "image") is None
    assert not kept.folder.exists()


def test_a_restored_session_goes_on(journal, tmp_path):
    store, kept = new_store(), journal()
    kept.append(add(store, (0,), 1, 2))
    kept.append(add(store, (1,), 1, 2))
    kept.append(store.delete([2]))
    kept.close()

    labels = np.zeros(SHAPE, np.uint32)
    restored = restore(kept.folder, labels)
    again = LabelStore(
        labels,
        records=restored.records,
        next_id=restored.next_id,
        extents=restored.extents,
    )
    assert again.next_id == 3  # that of a deleted object is not used again
    kept = journal(kept.folder)
    kept.append(add(again, (2,), 9, 9))
    kept.append(again.merge([1, 3]))
    kept.close()
    assert_restored(kept.folder, again)
    assert len(find_all(tmp_path, "image")) == 1


def test_objects_that_were_there_before_are_kept_with_the_first_change(journal):
    labels = np.zeros(SHAPE, np.int16)
    labels[0, 3:9, 4:12] = 7
    labels[2, 30:, 40:] = 900
    found = scan(labels)
    store = LabelStore(
        labels, records=found.records, next_id=found.next_id, extents=found.extents
    )
    kept = journal(base=store)
    kept.append(store.delete([7], index=(0,)))
    kept.append(add(store, (2,), 28, 38))
    kept.close()
    restored = assert_restored(kept.folder, store)
    assert {r.id for r in restored.records} == {900, 901}
    assert restored.notes == ()

    (kept.folder / "snapshot-000000.bin").unlink()
    labels = np.zeros(SHAPE, np.uint32)
    restored = restore(kept.folder, labels)
    assert {r.id for r in restored.records} == {901}
    assert "objects that were there before" in restored.notes[0]


def test_long_logs_are_put_together(journal):
    rng = np.random.default_rng(0)
    store, kept = new_store(), journal(compact_above=20_000)
    for _ in range(120):
        index = (int(rng.integers(3)),)
        kept.append(add(store, index, int(rng.integers(32)), int(rng.integers(42))))
        if rng.random() < 0.2:
            gone = store.delete([int(rng.integers(1, store.next_id))])
            if gone is not None:
                kept.append(gone)
        if rng.random() < 0.3:
            kept.flush(20)
    kept.close()
    assert list(kept.folder.glob("snapshot-*.bin"))
    assert not list(kept.folder.glob(".*"))
    size = sum(path.stat().st_size for path in kept.folder.iterdir())
    assert size < 60_000
    assert_restored(kept.folder, store)


def test_wherever_the_end_is_torn_what_is_before_comes_back(journal, tmp_path):
    store, kept = new_store(), journal()
    log = kept.folder / "log-000000.bin"
    ends, states = [], []
    for number in range(3):
        kept.append(add(store, (number,), 5 * number, 6))
        assert kept.flush(20)
        ends.append(log.stat().st_size)
        states.append((store.labels.copy(), store.next_id))
    kept.close()
    whole = log.read_bytes()
    assert len(whole) == ends[-1]
    rng = np.random.default_rng(0)
    for cut in [*range(ends[1], ends[2], 7), ends[2] - 1]:
        log.write_bytes(whole[:cut])
        check_prefix(kept.folder, states[1], torn=cut > ends[1])
        # Anything may stand there after a power cut.
        log.write_bytes(whole[:cut] + rng.bytes(ends[2] - cut))
        check_prefix(kept.folder, states[1], torn=True)
    for place in rng.integers(ends[0], ends[1], 25):
        wrong = bytearray(whole)
        wrong[place] ^= 1 << int(rng.integers(8))
        log.write_bytes(wrong)
        check_prefix(kept.folder, states[0], torn=True)

    # Going on does not write behind the damage.
    labels = np.zeros(SHAPE, np.uint32)
    restored = restore(kept.folder, labels)
    again = LabelStore(
        labels, records=restored.records, next_id=2, extents=restored.extents
    )
    kept = journal(kept.folder)
    kept.append(add(again, (2,), 9, 9))
    kept.close()
    assert_restored(kept.folder, again)


def check_prefix(folder, state, *, torn):
    labels, next_id = np.zeros(SHAPE, np.uint32), state[1]
    restored = restore(folder, labels)
    np.testing.assert_array_equal(labels, state[0])
    assert restored.next_id == next_id
    assert bool(restored.notes) == torn


def test_a_folder_that_vanishes_is_told_and_written_anew(journal):
    told = []
    store, kept = new_store(), journal(failed=told.append)
    kept.append(add(store, (0,), 1, 2))
    assert kept.flush(20)
    shutil.rmtree(kept.folder)
    kept.append(add(store, (0,), 20, 20))
    assert kept.flush(20) or kept.flush(20)
    assert len(told) == 1
    assert "its folder was removed" in told[0] and "save your labels" in told[0]
    labels = np.zeros(SHAPE, np.uint32)
    kept.close()
    assert [r.id for r in restore(kept.folder, labels).records] == [2]


def test_a_place_that_cannot_be_written_is_said_at_once(tmp_path):
    (tmp_path / "file").touch()
    kept = Journal(tmp_path / "file" / "a", shape=SHAPE, dtype="u4", about={})
    with pytest.raises(JournalError, match=r"cannot be kept in .*save your labels"):
        kept.start()
    assert kept.close()


def test_two_windows_cannot_go_on_with_one_session(journal, tmp_path):
    store, kept = new_store(), journal()
    kept.append(add(store, (0,), 1, 2))
    assert kept.flush(20)
    with pytest.raises(JournalError, match="open in another window"):
        journal(kept.folder)
    with pytest.raises(JournalError, match="open in another window"):
        discard(kept.folder)
    assert find(tmp_path, "image") is None  # it is not left
    # But they can work on one image.
    other = journal()
    other.append(add(new_store(), (0,), 1, 2))
    kept.close()
    other.close()
    assert len(find_all(tmp_path, "image")) == 2


def test_work_of_another_shape_is_not_mixed_up(journal):
    store, kept = new_store(), journal()
    kept.append(add(store, (0,), 1, 2))
    kept.close()
    with pytest.raises(JournalError, match="another image"):
        journal(kept.folder, shape=(3, 40, 51))
    with pytest.raises(JournalError, match="another image"):
        restore(kept.folder, np.zeros((4, 40, 50), np.uint32))


def test_numbers_that_do_not_fit_are_refused(journal):
    labels = np.zeros(SHAPE, np.uint32)
    store, kept = LabelStore(labels, next_id=70_000), journal()
    kept.append(add(store, (0,), 1, 2))
    kept.close()
    with pytest.raises(JournalError, match="no room for object 70000"):
        restore(kept.folder, np.zeros(SHAPE, np.uint16))


def test_a_restore_that_nobody_wants_ends(journal):
    store, kept = new_store(), journal()
    kept.append(add(store, (0,), 1, 2))
    kept.close()
    assert restore(kept.folder, np.zeros(SHAPE, np.uint32), lambda: False) is None


def test_what_is_discarded_is_gone(journal, tmp_path):
    store, kept = new_store(), journal()
    kept.append(add(store, (0,), 1, 2))
    kept.close()
    discard(kept.folder)
    assert find(tmp_path, "image") is None
    assert list(home(tmp_path).iterdir()) == []
    with pytest.raises(JournalError, match="no unsaved work"):
        restore(kept.folder, np.zeros(SHAPE, np.uint32))


def test_tidying_leaves_what_somebody_may_want(journal, tmp_path):
    store, kept = new_store(), journal()
    kept.append(add(store, (0,), 1, 2))
    running = journal()
    kept.close()
    empty = home(tmp_path) / "other" / "nothing"
    empty.mkdir(parents=True)
    tidy(tmp_path)
    assert empty.exists()  # it may be about to begin
    tidy(tmp_path, older_than=-60)
    assert not empty.parent.exists()
    assert kept.folder.exists() and running.folder.exists()


def test_a_damaged_description_is_no_obstacle_to_others(journal, tmp_path):
    store, kept = new_store(), journal()
    kept.append(add(store, (0,), 1, 2))
    kept.close()
    (kept.folder / "session.json").write_text("{")
    assert find(tmp_path, "image") is None
    with pytest.raises(JournalError, match=r"session\.json is damaged"):
        restore(kept.folder, np.zeros(SHAPE, np.uint32))


def test_marks_that_are_nowhere_are_left_out(journal):
    store, kept = new_store(), journal()
    wrong = Mark("click", np.array([[np.nan, 2]], np.float32))
    prompts = (PlaneMarks((0,), (wrong, *marks(1, 2))),)
    kept.append(store.add((0,), square(1, 2), Rule.KEEP, prompts=prompts))
    kept.close()
    restored = restore(kept.folder, np.zeros(SHAPE, np.uint32))
    assert len(restored.records[0].prompts[0].marks) == 2


def test_numbers_of_numpy_are_numbers(journal):
    store, kept = new_store(), journal()
    one = np.int64(1)
    box = (one, one, one + 3, one + 3)
    before, after = np.zeros((3, 3), np.uint32), np.ones((3, 3), np.uint32)
    store.labels[1, 1:4, 1:4] = 1
    record = ObjectRecord(one, class_id=np.int64(2), score=np.float32(0.5))
    patch = Patch((one,), box, before, after)
    kept.append(Change((patch,), {one: None}, {one: record}, "Add object 1"))
    kept.close()
    labels = np.zeros(SHAPE, np.uint32)
    restored = restore(kept.folder, labels)
    np.testing.assert_array_equal(labels, store.labels)
    assert plain(restored.records) == plain([ObjectRecord(1, class_id=2, score=0.5)])


@pytest.mark.parametrize("shape", [(1, 1), (40, 50), (2, 3, 20, 30)])
def test_images_of_any_number_of_axes_are_kept(journal, shape):
    store, kept = new_store(shape), journal(shape=shape)
    index = (0,) * (len(shape) - 2)
    kept.append(store.add(index, square(0, 0), Rule.KEEP))
    kept.close()
    assert_restored(kept.folder, store)


def source(data, rgb=False):
    shape = data.shape[:-1] if rgb else data.shape
    return Source(data, "name", shape, "Z" * (len(shape) - 2), rgb)


def test_an_image_is_recognised_by_its_pixels(frames):
    first = fingerprint(source(frames))
    swapped = frames.astype(frames.dtype.newbyteorder(">"))
    assert fingerprint(source(frames.copy()), "elsewhere") == first
    assert fingerprint(source(swapped)) == first
    changed = frames.copy()
    changed[3, -1, 5] += 1
    others = [frames[:, :-1], frames[:3], frames.astype(np.float32), changed]
    found = {fingerprint(source(other)) for other in others}
    assert len(found | {first}) == 5


def test_blank_images_are_told_apart_by_their_path():
    blank = source(np.zeros((20, 30), np.uint8))
    assert fingerprint(blank, "a") != fingerprint(blank, "b")
    assert fingerprint(blank, "a") == fingerprint(blank, "a")


def test_colour_and_other_numbers_have_fingerprints():
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    assert fingerprint(source(pixels, rgb=True)) != fingerprint(source(pixels))
    odd = np.array([[np.nan, 1.0]])
    assert fingerprint(source(odd)) == fingerprint(source(odd.copy()))
    assert fingerprint(source(np.ones((1, 1), bool)))


def test_the_place_can_be_chosen(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SAM_HOME", str(tmp_path / "mine"))
    assert home() == tmp_path / "mine" / "sessions"
    monkeypatch.delenv("NAPARI_SAM_HOME")
    assert home().parts[-1] == "sessions" and "napari-sam" in str(home())


def test_a_session_that_begins_leaves_alone_what_others_write_beside_it(tmp_path):
    theirs = tmp_path / ".progress.json.part"
    ours = tmp_path / ".snapshot-000000.bin.part"
    theirs.touch()
    ours.touch()
    Logs(Folder(tmp_path), About(shape=(4, 4), dtype="uint8"), None, 1)
    assert theirs.exists() and not ours.exists()
