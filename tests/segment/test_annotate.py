import subprocess
import sys

import numpy as np
import pytest
import tifffile
from skimage.measure import regionprops

from napari_sam import data
from napari_sam.images import make_plane, open_image
from napari_sam.models.catalog import load_detector, load_model
from napari_sam.models.protocol import ModelInfo
from napari_sam.segment import (
    AnnotationWarning,
    RecipeError,
    annotate,
    annotate_plane,
    compare_labels,
    iter_annotate,
    make_recipe,
)
from napari_sam.types import Detections


class BoxesByHand:
    """A detector of one's own: it always finds the same boxes."""

    class_names = ("cell", "debris")
    info = ModelInfo("by hand", "1", "", "cpu")

    def __init__(self, boxes, scores=None, classes=None):
        self.boxes = np.array(boxes, np.float32).reshape(-1, 4)
        self.scores = np.array(scores or [0.9] * len(boxes), np.float32)
        self.classes = np.array(classes or [0] * len(boxes), np.int64)

    def detect(self, planes):
        return [Detections(self.boxes, self.scores, self.classes) for _ in planes]


@pytest.fixture(scope="module")
def model():
    return load_model("pocket", device="cpu")


@pytest.fixture(scope="module")
def nuclei():
    return tifffile.imread(data.FOLDER / "images" / "fluorescence.tif")


@pytest.fixture(scope="module")
def truth():
    return tifffile.imread(data.FOLDER / "truth" / "fluorescence.tif")


@pytest.fixture(scope="module")
def frames():
    return tifffile.imread(data.FOLDER / "images" / "nuclei_timelapse.tif")[:3]


@pytest.mark.parametrize("detector", ["nuclei", "threshold"])
def test_finds_real_nuclei(model, nuclei, truth, detector):
    labels, objects = annotate(nuclei, model=model, detector=detector)
    assert labels.shape == nuclei.shape
    assert labels.dtype == np.uint16
    assert compare_labels(truth, labels).f1_at(0.5) > 0.5
    assert objects["id"].tolist() == np.unique(labels[labels > 0]).tolist()


def test_the_table_describes_what_was_painted(model, nuclei):
    labels, objects = annotate(nuclei, model=model)
    rows = {number: row for row, number in enumerate(objects["id"].tolist())}
    for region in regionprops(labels):
        row = rows[region.label]
        box = [int(objects[f"box_{c}"][row]) for c in ("y0", "x0", "y1", "x1")]
        assert box == list(region.bbox)
        assert objects["area"][row] == region.area
        centroid = objects["centroid_y"][row] - 0.5, objects["centroid_x"][row] - 0.5
        assert centroid == pytest.approx(region.centroid)
    assert ((objects["detection_score"] >= 0.25) & (objects["score"] <= 1)).all()


def test_plane_ids_are_counted_and_the_best_object_comes_first(model, nuclei):
    detector = load_detector("nuclei", model=model, device="cpu")
    result = annotate_plane(make_plane(nuclei), model, detector, make_recipe())
    objects = result.objects
    assert objects["id"].tolist() == list(range(1, result.labels.max() + 1))
    scores = objects["score"] * objects["detection_score"]
    assert (np.diff(scores) <= 1e-6).all()


def test_ids_are_unique_in_the_whole_stack(model, frames):
    results = list(iter_annotate(frames, axes="TYX", model=model))
    assert [result.index for result in results] == [(0,), (1,), (2,)]
    ids = np.concatenate([result.objects["id"] for result in results])
    assert ids.tolist() == list(range(1, ids.size + 1))
    for result in results:
        painted = np.unique(result.labels[result.labels > 0])
        assert painted.tolist() == sorted(result.objects["id"].tolist())


def test_linked_objects_keep_their_id(model, frames):
    still = np.stack([frames[0]] * 3)
    labels, objects = annotate(still, axes="ZYX", model=model, link="stack")
    assert np.array_equal(labels[0], labels[1])
    assert np.array_equal(labels[0], labels[2])
    assert objects["z"].tolist() == sorted(objects["z"].tolist())
    assert np.unique(objects["id"]).size * 3 == objects["id"].size


def test_through_time_the_planes_come_with_their_tracks(model, frames):
    options = {"axes": "TYX", "model": model, "link": "time"}
    labels, objects = annotate(frames, **options)
    planes = list(iter_annotate(frames, **options))
    assert [plane.index for plane in planes] == [(t,) for t in range(len(frames))]
    np.testing.assert_array_equal(np.stack([p.labels for p in planes]), labels)
    for name in ("id", "track", "parent"):
        one_by_one = np.concatenate([plane.objects[name] for plane in planes])
        assert one_by_one.tolist() == objects[name].tolist()
    assert len(np.unique(objects["track"])) < len(objects["track"])


def test_labels_have_the_axes_of_the_source(model, frames):
    usual, _ = annotate(frames, axes="TYX", model=model, normalization="plane")
    other, _ = annotate(
        np.transpose(frames, (2, 0, 1)),
        axes="XTY",
        model=model,
        normalization="plane",
    )
    assert np.array_equal(other, np.transpose(usual, (2, 0, 1)))


def test_a_stack_is_not_closed_by_who_did_not_open_it(model):
    with open_image(data.FOLDER / "images" / "fluorescence.tif") as stack:
        annotate(stack, model=model)
        assert stack.read(()).shape == stack.plane_shape


@pytest.mark.parametrize("value", [0.0, 7.0, np.nan])
def test_planes_without_contrast_are_empty_and_warned_about(model, frames, value):
    stack = frames.astype(np.float32)
    stack[1] = value
    with pytest.warns(AnnotationWarning, match=r"image: plane T=1: .* no contrast"):
        labels, objects = annotate(stack, axes="TYX", model=model)
    assert labels[0].any()
    assert not labels[1].any()
    assert set(objects["t"].tolist()) == {0, 2}


def test_more_objects_than_allowed_are_flagged(model, frames):
    results = list(iter_annotate(frames, axes="TYX", model=model, max_det=3))
    assert all(result.truncated for result in results)
    assert all("limit of 3 objects" in result.warnings[0] for result in results)
    assert all(len(result.objects["id"]) <= 3 for result in results)
    with pytest.warns(AnnotationWarning, match="planes T=0, T=1, T=2: the limit of 3"):
        annotate(frames, axes="TYX", model=model, max_det=3)


def test_a_detector_of_ones_own_and_its_classes(model, nuclei, truth):
    regions = sorted(regionprops(truth), key=lambda region: -region.area)[:2]
    detector = BoxesByHand([region.bbox for region in regions], [0.9, 0.8], [1, 0])
    labels, objects = annotate(nuclei, model=model, detector=detector)
    assert labels.max() == 2
    found = {name: i for i, name in enumerate(objects["class_name"].tolist())}
    for region, name in zip(regions, ("debris", "cell"), strict=True):
        row = found[name]
        y, x = objects["centroid_y"][row], objects["centroid_x"][row]
        assert truth[int(y), int(x)] == region.label


def test_boxes_beside_the_plane_are_left_out(model, nuclei, truth):
    height = nuclei.shape[0]
    region = max(regionprops(truth), key=lambda region: region.area)
    boxes = [(-20, -20, 0, 0), (height, 3, height + 9, 30), region.bbox]
    detector = BoxesByHand(boxes, classes=[0, 0, 1])
    _, objects = annotate(nuclei, model=model, detector=detector)
    assert objects["class_id"].tolist() == [1]


def test_no_boxes_give_no_objects(model, nuclei):
    labels, objects = annotate(nuclei, model=model, detector=BoxesByHand([]))
    assert not labels.any()
    assert objects["id"].size == 0


def test_a_wrong_option_is_reported_before_anything_is_read():
    with pytest.raises(RecipeError, match="conf"):
        iter_annotate("there is no such file.tif", conf=3)


def test_importing_segment_loads_no_heavy_library():
    code = (
        "import sys, napari_sam.segment; "
        "print([m for m in ('torch', 'scipy', 'skimage', 'napari', 'pandas') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.decode().strip() == "[]"
