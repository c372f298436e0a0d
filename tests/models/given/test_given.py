"""Boxes and labels that somebody has: arrays, label files, YOLO rows, tables."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import tifffile

from napari_sam.images import make_plane, open_image
from napari_sam.models.given import GivenDetector, GivenFiles, is_given
from napari_sam.models.protocol import Detector, InputDetector, detector_for
from napari_sam.types import Detections, ModelError

LABELS = np.zeros((2, 40, 60), np.uint32)
LABELS[0, 3:10, 5:25] = 7
LABELS[0, 20:21, 59:60] = 4_000_000_000
LABELS[1, 30:40, 0:8] = 7
BOXES = {
    (0,): [[3, 5, 10, 25], [20, 59, 21, 60]],
    (1,): [[30, 0, 40, 8]],
}


def planes(shape=(2, 40, 60)):
    stack = open_image(
        np.random.default_rng(0).random(shape), axes="ZYX"[-len(shape) :]
    )
    return stack, [stack.plane(index) for index in stack.indices()]


def found_in(given, relative="a", stack=None):
    own, _ = planes()
    stack = stack or own
    detector = detector_for(given, relative, stack)
    return detector.detect([stack.plane(index) for index in stack.indices()])


def assert_boxes(found, expected=BOXES):
    for z, detections in enumerate(found):
        boxes = np.asarray(expected.get((z,), np.empty((0, 4))), np.float32)
        assert detections.boxes == pytest.approx(boxes.reshape(-1, 4), abs=1e-3)
        assert detections.boxes.dtype == np.float32


def test_boxes_are_given_by_plane():
    assert_boxes(found_in(GivenDetector(BOXES)))
    assert_boxes(found_in(GivenDetector({0: BOXES[0,], 1: BOXES[1,]})))
    assert_boxes(found_in(GivenDetector({0: BOXES[0,]})), {(0,): BOXES[0,]})


def test_labels_are_objects_by_their_boxes():
    assert_boxes(found_in(GivenDetector(labels=LABELS)))
    (found,) = GivenDetector(labels=LABELS[0] > 0).detect([make_plane(LABELS[0])])
    assert_boxes([found])


def test_boxes_of_one_image_are_not_those_of_a_stack():
    plane = make_plane(np.eye(40))
    (found,) = GivenDetector([[1, 2, 3, 4]]).detect([plane])
    assert found.boxes.tolist() == [[1, 2, 3, 4]]
    with pytest.raises(ModelError, match=r"single image, but this is plane \(0,\)"):
        found_in(GivenDetector([[1, 2, 3, 4]]))


def test_scores_classes_and_limits_count():
    given = Detections(
        np.array([[0, 0, 5, 5], [0, 0, 9, 9], [-5, 30, 8, 99], [50, 0, 60, 5]], "f4"),
        np.array([0.3, 0.9, 0.6, 1.0], "f4"),
        np.array([0, 1, 1, 0]),
    )
    plane = make_plane(np.eye(40))
    (found,) = GivenDetector(given, conf=0.3).detect([plane])
    assert found.boxes.tolist() == [[0, 0, 9, 9], [0, 30, 8, 40], [0, 0, 5, 5]]
    assert not found.truncated
    (few,) = GivenDetector(given, conf=0.5, max_det=1, classes=[1]).detect([plane])
    assert few.classes.tolist() == [1]
    assert few.truncated


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "either boxes or labels"),
        ({"boxes": [[1, 2, 3, 4]], "labels": LABELS}, "either boxes or labels"),
        ({"boxes": [[1, 2, 3]]}, r"shape \(N, 4\)"),
        ({"boxes": [[1, 2, np.nan, 4]]}, "must be finite"),
        ({"labels": LABELS.astype(float)}, "whole numbers"),
    ],
)
def test_wrong_arrays_are_refused(options, words):
    with pytest.raises(ModelError, match=words):
        GivenDetector(**options)


def test_labels_without_the_plane_are_refused():
    with pytest.raises(ModelError, match=r"no plane \(1,\)"):
        found_in(GivenDetector(labels=LABELS[:1]))


def test_a_label_file_is_read_plane_by_plane(tmp_path):
    tifffile.imwrite(tmp_path / "mine.tif", LABELS, metadata={"axes": "ZYX"})
    given = GivenFiles(tmp_path / "mine.tif")
    assert isinstance(given, InputDetector)
    assert isinstance(given, Detector)
    assert_boxes(found_in(given))


def test_label_files_are_found_by_the_input_s_place(tmp_path):
    (tmp_path / "day1").mkdir()
    tifffile.imwrite(tmp_path / "day1" / "a.tif", LABELS, photometric="minisblack")
    given = GivenFiles(tmp_path)
    assert_boxes(found_in(given, "day1/a"))
    with pytest.raises(ModelError, match="day2/a: there are no labels for this image"):
        found_in(given, "day2/a")


def test_labels_of_another_image_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", LABELS[:, :20], photometric="minisblack")
    with pytest.raises(ModelError, match=r"\(2, 20, 60\), the image image has"):
        found_in(GivenFiles(tmp_path))


def test_yolo_rows_of_every_kind_are_read(tmp_path):
    rows = [
        "1 0.25 0.1625 0.333333 0.175",  # box
        "0 0.5 0.5 0.1 0.1 0.75",  # box with confidence
        "2 0.5 0.25 0.75 0.25 0.75 0.5 0.6 0.75",  # polygon
        "",
    ]
    (tmp_path / "a.txt").write_text("\n".join(rows))
    (tmp_path / "classes.yaml").write_text("names:\n  0: a\n  1: b\n  2: c\n")
    stack, _ = planes((40, 60))
    given = GivenFiles(tmp_path)
    assert given.class_names == ("a", "b", "c")
    (found,) = found_in(given, stack=stack)
    order = np.argsort(found.classes)
    expected = [[18, 27, 22, 33], [3, 5, 10, 25], [10, 30, 30, 45]]
    assert found.boxes[order] == pytest.approx(np.array(expected), abs=1e-3)
    assert found.scores[order].tolist() == [0.75, 1, 1]


def test_yolo_rows_of_a_stack_come_in_a_file_per_plane(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "z0000.txt").write_text("0 0.25 0.1625 0.33333333 0.175\n")
    (tmp_path / "a" / "z0001.txt").write_text("")
    given = GivenFiles(tmp_path)
    assert_boxes(found_in(given), {(0,): BOXES[0,][:1]})
    with pytest.raises(ModelError, match="cannot describe a stack of 2 planes"):
        found_in(GivenFiles(tmp_path / "a" / "z0000.txt"))
    (tmp_path / "a" / "z0001.txt").unlink()
    with pytest.raises(ModelError, match=r"z0001: there are no YOLO rows"):
        found_in(GivenFiles(tmp_path))


@pytest.mark.parametrize("row", ["0 1 2", "a 1 2 3 4", "0 1 2 3 4 5 6 7", "0 1 2 3 x"])
def test_a_row_that_is_none_is_named(tmp_path, row):
    (tmp_path / "a.txt").write_text(f"0 0.5 0.5 0.1 0.1\n{row}\n")
    stack, _ = planes((40, 60))
    with pytest.raises(ModelError, match=r"a\.txt: row 2 is no YOLO row"):
        found_in(GivenFiles(tmp_path / "a.txt"), stack=stack)


def write_table(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def row(box, z=0, image="day1/a.tif", **more):
    names = ("box_y0", "box_x0", "box_y1", "box_x1")
    return {"image": image, "z": z, **dict(zip(names, box, strict=True)), **more}


def test_a_table_says_which_image_and_plane_a_box_is_on(tmp_path):
    rows = [row(box, z) for (z,), boxes in BOXES.items() for box in boxes]
    rows.append(row([0, 0, 5, 5], image="day2/a.tif"))
    given = GivenFiles(write_table(tmp_path / "objects.csv", rows))
    assert_boxes(found_in(given, "day1/a"))
    assert_boxes(found_in(given, "day2/a"), {(0,): [[0, 0, 5, 5]]})
    assert_boxes(found_in(given, "day3/a"), {})


def test_a_table_s_classes_and_scores_are_taken(tmp_path):
    more = {"class_id": 2, "class_name": "mitotic", "score": 0.1}
    rows = [row([1, 1, 5, 5], detection_score=0.4, **more)]
    given = GivenFiles(write_table(tmp_path / "objects.csv", rows), conf=0.3)
    assert given.class_names == ("0", "1", "mitotic")
    found = found_in(given, "day1/a")[0]
    assert found.classes.tolist() == [2]
    assert found.scores == pytest.approx([0.4])


def test_tables_that_cannot_be_used_are_refused(tmp_path):
    path = write_table(tmp_path / "a.csv", [{"image": "a", "y": 1}])
    with pytest.raises(ModelError, match="has no column box_y0"):
        GivenFiles(path)
    rows = [row([1, 1, 5, 5])]
    del rows[0]["z"]
    with pytest.raises(ModelError, match="has an axis Z, the table no column z"):
        found_in(GivenFiles(write_table(tmp_path / "b.csv", rows)))
    with pytest.raises(ModelError, match="box_x1 must be a number, not 'wide'"):
        found_in(GivenFiles(write_table(path, [row([1, 1, 5, "wide"], image="a")])))


def test_a_changed_file_is_another_detector(tmp_path):
    (tmp_path / "a.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    before = GivenFiles(tmp_path).info
    assert GivenFiles(tmp_path).info == before
    (tmp_path / "a.txt").write_text("0 0.5 0.5 0.1 0.2 0.3\n")
    assert GivenFiles(tmp_path).info.sha256 != before.sha256


def test_what_is_no_such_file_is_refused(tmp_path):
    with pytest.raises(ModelError, match="neither YOLO rows"):
        GivenFiles(tmp_path)
    with pytest.raises(ModelError, match="no such file or folder"):
        GivenFiles(tmp_path / "none.csv")
    assert is_given(tmp_path)
    assert not is_given(tmp_path / "yolo.pt")


def test_files_need_to_know_the_image(tmp_path):
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(ModelError, match="belong to an image"):
        GivenFiles(tmp_path).detect([])
