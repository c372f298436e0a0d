"""Bad input in a real window: a clear notice, the work goes on, nothing is harmed."""

import copy

import numpy as np
import pytest
from napari.layers import Image, Labels, Points, Shapes
from qtpy.QtCore import Qt

from napari_sam.live.prompting import engine

pytestmark = pytest.mark.window

# The middles of some nuclei on the first frame.
NUCLEI = (33.2, 44.2), (58.6, 10.8), (62.0, 77.7)
PLACE = ("scale", "translate", "rotate", "shear", "affine")


@pytest.fixture
def nuclei(person, frames):
    """Return an image on which everything works, and let it be on the screen."""
    layer = person.viewer.add_image(frames.copy(), name="nuclei")
    person.show(layer)
    return layer


class Untouched:
    """Remembers the layers of a person, and sees whether they are as they were."""

    def __init__(self, *layers):
        self._before = [(layer, self._look(layer)) for layer in layers]

    @staticmethod
    def _look(layer):
        arrays = layer.data if isinstance(layer.data, (list, tuple)) else [layer.data]
        if isinstance(layer, Image) and layer.multiscale:
            arrays = list(layer.data)
        features = getattr(layer, "features", None)
        return {
            "pixels": [(np.shape(a), np.asarray(a).tobytes()) for a in arrays],
            "place": [np.asarray(getattr(layer, name)).tobytes() for name in PLACE],
            "looks": (layer.name, layer.visible, layer.opacity, layer.editable),
            "table": None if features is None else features.to_dict(),
            "keys": copy.copy(dict(layer.keymap)),
        }

    def check(self, viewer):
        for layer, before in self._before:
            assert layer in viewer.layers
            assert self._look(layer) == before


def good_work(person, image):
    """Show an image on which everything works, and make an object on it."""
    person.show(image)
    person.labels_one(*NUCLEI[0])


def test_clicks_beside_the_image(person, nuclei):
    mine = Untouched(nuclei)
    for place in ((-9, 40), (40, -9), (105, 40), (40, 121)):
        person.click(*place)
        person.reads("beside the image: nothing was asked there")
        person.panel.view.say("")
    person.prompts.points.add(np.array([[9.0, 40, 40], [-7, 40, 40], [np.nan, 40, 40]]))
    person.reads("beside the image: nothing was asked there")
    assert not person.open_ones
    assert not len(person.prompts.points.data)
    good_work(person, nuclei)
    mine.check(person.viewer)


def test_a_slice_of_nothing_but_nan(person, frames):
    pixels = frames.astype(np.float32)
    pixels[1] = np.nan
    image = person.viewer.add_image(pixels, name="gap", contrast_limits=(0, 255))
    mine = Untouched(image)
    person.show(image, 1)
    person.click(40, 40)
    person.reads("This slice holds no numbers (NaN): there is nothing to outline.")
    person.press(Qt.Key.Key_Return)
    person.reads("holds no numbers (NaN)")
    assert person.labels is None
    person.press(Qt.Key.Key_Escape)
    person.until(lambda: not person.open_ones)
    good_work(person, image)
    mine.check(person.viewer)


# napari divides by the lengths of the axes, and refuses other empty shapes itself.
@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
@pytest.mark.parametrize("shape", [(0, 96, 112), (2, 0, 96, 112)])
def test_a_layer_without_pixels(person, nuclei, shape):
    empty = Image(np.zeros(shape, np.uint8), name="empty", contrast_limits=(0, 1))
    person.viewer.add_layer(empty)
    person.panel.form.image.value = empty
    person.reads('"empty" has no pixels')
    assert person.bridge.desk is None
    person.viewer.layers.remove(empty)
    good_work(person, nuclei)


def test_ten_thousand_pasted_points(person, nuclei):
    mine = Untouched(nuclei)
    person.until(lambda: person.session.status.phase == "ready")
    rng = np.random.default_rng(0)
    many = np.column_stack([np.zeros(10_000), rng.uniform(0, 95, (10_000, 2))])
    person.prompts.points.add(many)
    person.reads("Only the first 1,000 of 10,000 were taken.")
    assert len(person.prompts.points.data) == 1000
    person.press(Qt.Key.Key_Escape)
    person.until(lambda: not person.open_ones)
    assert not len(person.prompts.points.data)
    good_work(person, nuclei)
    mine.check(person.viewer)


def test_a_box_of_zero_area(person, nuclei):
    mine = Untouched(nuclei)
    for at, to in (((0, 40, 40), (0, 40, 40)), ((0, 40, 40), (0, 40, 60))):
        corners = [at, (0, at[1], to[2]), to, (0, to[1], at[2])]
        person.prompts.shapes.add_rectangles(np.array(corners, float))
        person.reads("The box has no area: drag it open around the object.")
        person.press(Qt.Key.Key_Return)
        person.press(Qt.Key.Key_Escape)
        person.until(lambda: not person.open_ones)
    person.panel.view.tools["box"].click()
    person.click(-9, 40)  # a box that was not dragged, beside the image
    person.reads("beside the image")
    assert person.labels is None
    good_work(person, nuclei)
    mine.check(person.viewer)


def test_an_image_of_one_pixel(person, nuclei):
    one = person.viewer.add_image(
        np.array([[7]], np.uint16), name="one", contrast_limits=(0, 9)
    )
    mine = Untouched(one, nuclei)
    person.show(one)
    person.click(0, 0)
    person.reads("This image has one colour only: there is nothing to outline.")
    person.press(Qt.Key.Key_Return)
    assert person.labels is None
    good_work(person, nuclei)
    mine.check(person.viewer)


def colour(frames):
    dim = (frames // 2).astype(np.uint8)
    return {"data": np.stack([frames.astype(np.uint8), dim, dim], -1), "rgb": True}


def channels(frames):
    return {"data": np.stack([frames, frames.max() - frames])}


def pyramid(frames):
    return {"data": [frames.copy(), frames[:, ::2, ::2].copy()], "multiscale": True}


def rotated(frames):
    return {"data": frames.copy(), "rotate": 30, "scale": (3, 0.5, 0.5)}


def sheared(frames):
    return {"data": frames.copy(), "shear": (0, 0, 0.4), "translate": (0, 50, -20)}


@pytest.mark.parametrize("kind", [colour, channels, pyramid, rotated, sheared])
def test_unusual_images_work_like_others(person, frames, kind):
    layer = person.viewer.add_image(name="unusual", **kind(frames))
    mine = Untouched(layer)
    person.show(layer)
    person.labels_one(*NUCLEI[0])
    assert person.labels.data.shape == person.session.source.shape
    there = (*(0,) * (layer.ndim - 2), 5, 9)
    here = person.labels.data_to_world(there)
    assert np.allclose(here, layer.data_to_world(there))
    person.labels_one(*NUCLEI[2])
    mine.check(person.viewer)


def other_shape(frames):
    return Labels(np.full((9, 9), 3), name="mine")


def locked(frames):
    layer = Labels(np.ones(frames.shape, np.int32), name="mine")
    layer.editable = False
    return layer


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (other_shape, '"mine" has the shape 9 × 9, the image 4 × 96 × 112'),
        (locked, '"mine" is locked: it cannot be edited'),
    ],
)
def test_labels_in_which_nothing_can_be_kept(person, nuclei, frames, kind, says):
    theirs = person.viewer.add_layer(kind(frames))
    mine = Untouched(nuclei, theirs)
    person.show(nuclei)
    person.panel.form.labels.value = theirs
    person.reads(says)
    assert person.panel.form.labels.value is not theirs
    assert person.labels is None
    good_work(person, nuclei)
    assert person.labels is not theirs
    mine.check(person.viewer)


def allocate():
    import torch

    torch.empty(2**62, dtype=torch.uint8)  # no computer has so much


def out_of_memory():
    import torch

    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def no_memory():
    raise MemoryError


class Full:
    """The built-in model in a computer whose memory is full, until it is not."""

    def __init__(self, model, fail):
        self._model, self._fail = model, fail

    @property
    def info(self):
        return self._model.info

    def encode(self, plane):
        self._fail("encode")
        return self._model.encode(plane)

    def decode(self, embedding, prompts):
        self._fail("decode")
        return self._model.decode(embedding, prompts)


@pytest.mark.parametrize("fail", [allocate, out_of_memory, no_memory])
@pytest.mark.parametrize("where", ["encode", "decode"])
def test_memory_that_is_full(person, frames, monkeypatch, fail, where):
    full, load = [True], engine._load

    def perhaps(what):
        if full and what == where:
            fail()

    monkeypatch.setattr(engine, "_load", lambda *a: Full(load(*a), perhaps))
    image = person.viewer.add_image(frames.copy(), name="nuclei")
    mine = Untouched(image)
    person.show(image)
    person.click(*NUCLEI[1])
    person.reads("here is not enough memory for this: close other programs")
    person.press(Qt.Key.Key_Return)
    assert person.labels is None
    person.press(Qt.Key.Key_Escape)
    person.until(lambda: not person.open_ones)
    full.clear()
    good_work(person, image)
    mine.check(person.viewer)


def test_layers_of_a_person_are_not_read_as_prompts(person, nuclei, frames):
    """Whatever lies in other layers is not ours, however odd it is."""
    points = Points(np.array([[0.0, 40, 40], [np.nan, 1, 1]]), name="points")
    shapes = Shapes([np.array([[0, 9, 9], [3, 9, 9]])], shape_type="line", name="line")
    for layer in (points, shapes):
        person.viewer.add_layer(layer)
    mine = Untouched(nuclei, points, shapes)
    good_work(person, nuclei)
    mine.check(person.viewer)
