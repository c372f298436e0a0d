"""Save, and open again: what comes back, and what is said about damage."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
import tifffile

from napari_sam.live.disk.kept.saved import file_name
from napari_sam.live.disk.loading import load
from napari_sam.live.disk.saving import ImageText, SaveError, existing, save
from napari_sam.live.disk.snapshot import Snapshot
from napari_sam.live.labels.store import LabelStore
from napari_sam.live.proofreading.progress import Progress
from napari_sam.live.proofreading.progress_text import progress_to_json
from napari_sam.live.values import Mark, PlaneMarks, Rule
from napari_sam.records.evaluate import evaluate
from napari_sam.types import Mask

SHAPE = (3, 40, 50)


def write_tiff(path, labels):
    tifffile.imwrite(path, labels, photometric="minisblack")


def square(y, x, size=8):
    return Mask((y, x, y + size, x + size), np.ones((size, size), bool), 0.5)


def marks(index, y=1.25, x=2):
    click = Mark("click", np.array([[y, x]], np.float32))
    scribble = Mark("scribble", np.array([[0, 0], [3, 9]], np.float32), False)
    return PlaneMarks(index, (click, scribble))


def store_with_objects(shape=SHAPE, ids=1):
    store = LabelStore(np.zeros(shape, np.uint32), next_id=ids)
    first, last = (0,) * (len(shape) - 2), tuple(n - 1 for n in shape[:-2])
    store.add(
        first,
        square(1, 2),
        Rule.KEEP,
        annotator='Ada, "the first"',
        model="pocket",
        model_sha256="ab" * 32,
        score=0.8765,
        stability=0.5,
        class_id=2,
        reviewed=True,
        prompts=(marks(first),),
    )
    store.add(last, square(20, 20), Rule.KEEP, source="detector")
    if first != last:
        store.add(last, square(5, 6), Rule.KEEP, object_id=ids, prompts=(marks(last),))
    gone = store.add(first, square(30, 30), Rule.KEEP)
    store.undo(gone)
    return store


def image_of(store, name="cells: A/1", **about):
    axes = "PTZ"[5 - len(store.shape) :]
    return ImageText(name=name, shape=store.shape, stack_axes=axes, **about)


def plain(records):
    return [
        (
            *(r.id, r.source, r.class_id, r.annotator, r.reviewed, r.model),
            *(r.model_sha256, repr((r.score, r.stability))),
            [
                (p.index, [(m.kind, m.positive, m.vertices.tolist()) for m in p.marks])
                for p in r.prompts
            ],
        )
        for r in sorted(records, key=lambda r: r.id)
    ]


@pytest.fixture
def saved(tmp_path):
    store = store_with_objects()
    return save(
        tmp_path / "saved",
        Snapshot.of(store),
        image_of(store),
        classes={2: "nucleus"},
        state={"complete": [[0], [2]]},
        pixel_size={"Y": (0.5, "um"), "X": (0.5, "um")},
    )


@pytest.mark.parametrize("ids", [1, 70_000])
@pytest.mark.parametrize(
    "shape", [(40, 50), SHAPE, (1, 40, 50), (2, 3, 40, 50), (2, 1, 3, 40, 50)]
)
def test_what_was_saved_comes_back(tmp_path, shape, ids):
    store = store_with_objects(shape, ids)
    done = save(tmp_path, Snapshot.of(store), image_of(store))
    assert done.objects == 2
    loaded = load(tmp_path, shape=shape)
    np.testing.assert_array_equal(loaded.labels, store.labels)
    assert loaded.labels.dtype == np.uint32 and loaded.labels.flags.writeable
    assert plain(loaded.records) == plain(store.records.values())
    assert loaded.next_id == store.next_id == ids + 3
    assert loaded.image == image_of(store)
    assert loaded.notes == ()
    again = LabelStore(
        loaded.labels,
        records=loaded.records,
        next_id=loaded.next_id,
        extents=loaded.extents,
    )
    assert again.extents == store.extents
    assert {p.name for p in tmp_path.iterdir()} == {
        "labels",
        "objects.csv",
        "prompts.json",
    }


def test_classes_and_state_come_back(saved):
    loaded = load(saved.folder)
    assert loaded.classes == {2: "nucleus"}
    assert loaded.state == {"complete": [[0], [2]]}


def test_the_table_is_one_that_other_programs_read(saved):
    with saved.table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["z"], r["id"], r["area"]) for r in rows] == [
        ("0", "1", "64"),
        ("2", "1", "64"),
        ("2", "2", "64"),
    ]
    first = rows[0]
    assert (first["image"], first["class_name"]) == ("cells: A/1", "nucleus")
    assert (first["score"], first["reviewed"]) == ("0.8765", "True")
    assert (first["centroid_y"], first["box_x1"], first["area_um2"]) == (
        "5.000",
        "10",
        "16",
    )
    assert rows[2]["score"] == "" and rows[2]["source"] == "detector"
    assert "detection_score" not in first


def test_the_folder_can_be_evaluated(saved, tmp_path):
    truth = tmp_path / "truth"
    truth.mkdir()
    write_tiff(truth / saved.labels.name, load(saved.folder).labels.astype(np.uint16))
    assert evaluate(saved.folder, truth).total.f1[0] == 1


def test_an_empty_layer_can_be_saved(tmp_path):
    store = LabelStore(np.zeros(SHAPE, np.uint32))
    save(tmp_path, Snapshot.of(store), image_of(store))
    loaded = load(tmp_path)
    assert (loaded.records, loaded.next_id, loaded.labels.any()) == ((), 1, False)


def test_a_snapshot_has_one_moment_whatever_happens_meanwhile(tmp_path):
    rng = np.random.default_rng(0)
    store = store_with_objects()
    labels, records = store.labels.copy(), dict(store.records)

    def edit():
        y, x = (int(n) for n in rng.integers(0, 30, 2))
        change = store.add((int(rng.integers(3)),), square(y, x), Rule.REPLACE)
        snapshot.changed(change)
        if rng.random() < 0.3:
            store.undo(change)
            snapshot.changed(change.reverse())
        return True

    snapshot = Snapshot(store)
    edit()
    assert snapshot.read(still_wanted=edit)  # between any two planes
    edit()
    snapshot.finish()
    snapshot.changed(store.delete([1]) or pytest.fail("object 1 is gone"))
    edit()
    for index in snapshot.indices():
        np.testing.assert_array_equal(snapshot.plane(index), labels[index])
    assert snapshot.records == records
    assert not Snapshot(store).read(still_wanted=lambda: False)


def test_nothing_is_replaced_without_a_word(saved):
    store = store_with_objects()
    store.delete([2])
    image = image_of(store)
    before = saved.prompts.read_bytes()
    with pytest.raises(SaveError, match="holds saved labels of this image"):
        save(saved.folder, Snapshot.of(store), image)
    assert saved.prompts.read_bytes() == before
    assert existing(saved.folder, image) == saved.prompts
    save(saved.folder, Snapshot.of(store), image, overwrite=True)
    assert [r.id for r in load(saved.folder).records] == [1]


def test_labels_of_another_image_are_never_replaced(saved):
    store = store_with_objects()
    image = image_of(store, "others")
    with pytest.raises(SaveError, match='another image \\("cells: A/1"\\)'):
        save(saved.folder, Snapshot.of(store), image, overwrite=True)


def test_a_renamed_image_is_the_same_one(tmp_path):
    store = store_with_objects()
    first = image_of(store, "a", fingerprint="1234")
    save(tmp_path, Snapshot.of(store), first)
    renamed = image_of(store, "b", fingerprint="1234")
    save(tmp_path, Snapshot.of(store), renamed, overwrite=True)
    assert [p.name for p in (tmp_path / "labels").iterdir()] == ["a.tif"]
    assert load(tmp_path).image.name == "b"
    other = image_of(store, "b", fingerprint="5678")
    with pytest.raises(SaveError, match="another image"):
        existing(tmp_path, other)


@pytest.mark.parametrize("place", ["objects.csv", "labels/cells_ A_1.tif", ".work/a"])
def test_what_others_have_written_is_never_replaced(tmp_path, place):
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).touch()
    store = store_with_objects()
    with pytest.raises(SaveError, match="choose another folder"):
        save(tmp_path, Snapshot.of(store), image_of(store), overwrite=True)


def test_a_save_that_nobody_wants_leaves_everything(saved, tmp_path):
    store = store_with_objects()
    store.delete([2])
    seen = []

    def progress(done, of):
        seen.append((done, of))

    def run(folder, **options):
        return save(
            folder,
            Snapshot.of(store),
            image_of(store),
            progress=progress,
            still_wanted=lambda: len(seen) < 2,
            **options,
        )

    before = sorted(p for p in saved.folder.rglob("*"))
    assert run(saved.folder, overwrite=True) is None
    assert sorted(p for p in saved.folder.rglob("*")) == before
    assert len(load(saved.folder).records) == 2
    assert seen == [(1, 3), (2, 3)]
    assert run(tmp_path / "new") is None
    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on file sizes there")
def test_on_a_full_disk_the_earlier_save_stays(saved, tmp_path):
    code = f"""
import resource
from pathlib import Path
import numpy as np
from napari_sam.live.disk.saving import ImageText, SaveError, save
from napari_sam.live.disk.snapshot import Snapshot
from napari_sam.live.labels.store import LabelStore
from napari_sam.live.values import Rule
from napari_sam.types import Mask

store = LabelStore(np.zeros({SHAPE}, np.uint32))
rng = np.random.default_rng(0)
for _ in range(40):
    store.add((1,), Mask((0, 0, 40, 50), rng.random((40, 50)) < 0.5, 1.0), Rule.REPLACE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
image = ImageText(name="cells: A/1", shape={SHAPE}, stack_axes="Z")
places = [({str(saved.folder)!r}, True), ({str(tmp_path / "b")!r}, False)]
for folder, overwrite in places:
    try:
        save(Path(folder), Snapshot.of(store), image, overwrite=overwrite)
    except SaveError as error:
        print(error)
"""
    before = {p: p.is_file() and p.read_bytes() for p in saved.folder.rglob("*")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 2, done.stderr
    assert all("the disk is full" in line for line in lines)
    assert {
        p: p.is_file() and p.read_bytes() for p in saved.folder.rglob("*")
    } == before
    assert not (tmp_path / "b").exists()


def test_labels_edited_elsewhere_count(saved):
    labels = tifffile.imread(saved.labels)
    labels[labels == 2] = 0
    labels[1, 30:, 40:] = 9
    write_tiff(saved.labels, labels[:, None])  # with an axis more
    loaded = load(saved.folder)
    np.testing.assert_array_equal(loaded.labels, labels)
    assert [(r.id, r.source) for r in loaded.records] == [(1, "person"), (9, "import")]
    assert loaded.next_id == 10
    assert "has 1 objects that objects.csv does not know" in loaded.notes[0]
    assert "1 objects of objects.csv are not in" in loaded.notes[1]


def change_prompts(saved, change):
    values = json.loads(saved.prompts.read_text())
    change(values)
    saved.prompts.write_text(json.dumps(values))


DAMAGES = {
    "no prompts": (lambda s: s.prompts.unlink(), "holds no saved labels"),
    "half of them": (
        lambda s: s.prompts.write_bytes(s.prompts.read_bytes()[:90]),
        r"prompts\.json is damaged",
    ),
    "other version": (
        lambda s: change_prompts(s, lambda v: v.update(format=2)),
        r"another version of this program \(format",
    ),
    "outside": (
        lambda s: change_prompts(s, lambda v: v.update(labels="../a.tif")),
        "must lie in this folder",
    ),
    "wrong mark": (
        lambda s: change_prompts(
            s, lambda v: v["prompts"]["1"][0]["marks"][0].update(kind="cross")
        ),
        r"prompts\.json: object 1: a saved prompt cannot be read",
    ),
    "no table": (lambda s: s.table.unlink(), r"objects\.csv is missing"),
    "no ids": (lambda s: s.table.write_text("a;b\n1;2\n"), 'no column "id"'),
    "no number": (
        lambda s: s.table.write_text(s.table.read_text().replace("0.8765", "much")),
        r"objects\.csv, line 2: score",
    ),
    "no text": (lambda s: s.table.write_bytes(b"id\n\xff\xfe"), "cannot be read"),
    "no labels": (lambda s: s.labels.unlink(), r"\.tif is missing"),
    "no TIFF": (lambda s: s.labels.write_text("not a TIFF"), r"\.tif is damaged"),
    "half a TIFF": (
        lambda s: s.labels.write_bytes(s.labels.read_bytes()[:600]),
        r"\.tif is damaged",
    ),
    "other labels": (
        lambda s: write_tiff(s.labels, np.zeros((4, 40, 50), np.uint16)),
        "not labels of the shape",
    ),
    "fractions": (
        lambda s: write_tiff(s.labels, np.zeros(SHAPE, np.float32)),
        "holds float32",
    ),
    "negative": (
        lambda s: write_tiff(s.labels, np.full(SHAPE, -1, np.int32)),
        "numbers below 0",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named_in_one_line(saved, damage):
    do, message = DAMAGES[damage]
    do(saved)
    with pytest.raises(SaveError, match=message) as caught:
        load(saved.folder)
    assert "\n" not in str(caught.value)


def test_another_shape_is_another_image(saved):
    with pytest.raises(SaveError, match="another image"):
        load(saved.folder, shape=(3, 50, 40))
    assert load(saved.folder, still_wanted=lambda: False) is None


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("a/b:c", "a_b_c"),
        ("..", "image"),
        ("", "image"),
        ("NUL.tif", "_NUL.tif"),
        ("x" * 300, "x" * 100),
        ("Zellen äöü", "Zellen äöü"),
    ],
)
def test_any_name_becomes_one_of_a_file(name, file):
    assert file_name(name) == file


def test_the_reader_may_be_a_spreadsheet(saved):
    text = saved.table.read_text().replace("True", "TRUE").replace("False", "FALSE")
    saved.table.write_text(text, encoding="utf-8-sig")
    assert [r.reviewed for r in load(saved.folder).records] == [True, False]


@pytest.fixture
def partly():
    """The first slice is complete, and a part of the second; of three."""
    corners = [(0, 0), (0, 50), (20, 50), (20, 0)]
    upper = Mark("box", np.array(corners, np.float32))
    progress = Progress((3,), SHAPE[1:]).mark([(0,)], "complete")
    return progress.add_region((1,), upper).mark_region(0, "complete")


def test_what_is_not_complete_is_never_background(tmp_path, partly):
    store = store_with_objects()
    done = save(tmp_path, Snapshot.of(store), image_of(store, "cells"), complete=partly)
    assert done.known == tmp_path / "known" / "cells.tif"
    known = tifffile.imread(done.known)
    assert (known.dtype, known.shape) == (np.uint8, SHAPE)
    assert known[0].all()
    assert known[1, :20].all() and not known[1, 20:].any()
    # On the third slice nothing is complete: what a person has outlined is known,
    # what a detector has found and nobody has looked at is not.
    assert np.array_equal(known[2] == 1, store.labels[2] == 1)
    assert (store.labels[2] == 2).any()


def test_what_is_complete_comes_back(tmp_path, partly):
    store = store_with_objects()
    save(tmp_path, Snapshot.of(store), image_of(store), complete=partly)
    loaded = load(tmp_path)
    assert progress_to_json(loaded.complete) == progress_to_json(partly)
    assert (loaded.state, loaded.notes) == ({}, ())


def test_of_a_complete_image_everything_is_known(tmp_path, partly):
    store, image = store_with_objects(), image_of(store_with_objects())
    save(tmp_path, Snapshot.of(store), image, complete=partly)
    whole = partly.mark([(1,), (2,)], "complete")
    again = save(tmp_path, Snapshot.of(store), image, complete=whole, overwrite=True)
    assert again.known is None
    assert not (tmp_path / "known").exists()
    assert load(tmp_path).complete.finished


@pytest.mark.parametrize(
    "wrong", ["complete", {"planes": []}, progress_to_json(Progress((), (9, 9)))]
)
def test_what_is_complete_may_be_damaged_without_the_labels(tmp_path, partly, wrong):
    store = store_with_objects()
    save(tmp_path, Snapshot.of(store), image_of(store), complete=partly)
    path = tmp_path / "prompts.json"
    text = json.loads(path.read_text(encoding="utf-8"))
    text["state"]["progress"] = wrong
    path.write_text(json.dumps(text), encoding="utf-8")
    loaded = load(tmp_path)
    assert loaded.complete is None
    assert len(loaded.notes) == 1
    assert len(loaded.records) == 2


def test_what_is_known_is_not_left_half_written(tmp_path, partly):
    store = store_with_objects()
    asked = iter([True] * 4)
    done = save(
        tmp_path / "out",
        Snapshot.of(store),
        image_of(store),
        complete=partly,
        still_wanted=lambda: next(asked, False),
    )
    assert done is None
    assert not (tmp_path / "out").exists()
