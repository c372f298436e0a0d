"""Session and layers together, in a viewer without a window, with the real model."""

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from napari.layers import Labels
from scipy import ndimage

from napari_sam.data import FOLDER
from napari_sam.widgets.segment.bridge import Bridge


class Panel:
    """Remembers what it was told last."""

    def __init__(self):
        self.status = None
        self.left = None
        self.notices = []

    def status_changed(self, status):
        self.status = status
        if status.refused:
            self.notices.append(status.refused)

    def noticed(self, text):
        self.notices.append(text)

    def left_found(self, left):
        self.left = left

    def suggestion_changed(self):
        """Nothing to show."""

    objects_changed = layers_changed = tool_changed = suggestion_changed


@pytest.fixture(autouse=True)
def _home(monkeypatch, tmp_path):
    """Keep what must not be lost where the test ends."""
    monkeypatch.setenv("NAPARI_SAM_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def nuclei():
    """Return for each frame the middles of its nuclei that are whole, (y, x)."""
    truth = tifffile.imread(FOLDER / "truth" / "nuclei_timelapse.tif")[:4, :96, :112]
    return [middles(plane) for plane in truth]


def middles(plane):
    inner = plane[1:-1, 1:-1]
    cut = set(np.unique(plane[[0, -1]])) | set(np.unique(plane[:, [0, -1]]))
    ids = [i for i in np.unique(inner) if i and i not in cut]
    places = ndimage.center_of_mass(plane > 0, plane, ids)
    return [
        place
        for place, number in zip(places, ids, strict=True)
        if plane[tuple(np.rint(place).astype(int))] == number
    ]


class Person:
    """Works with a bridge as a person does, through the layers."""

    def __init__(self, viewer, pump):
        self.viewer, self.pump, self.panel = viewer, pump, Panel()
        self.bridge = Bridge(viewer, pump.post, self.panel)
        self.bridge.session.use_model("pocket", "cpu")

    @property
    def session(self):
        return self.bridge.session

    @property
    def open_ones(self):
        return list(self.session.suggestions.values())

    @property
    def prompts(self):
        return self.bridge.desk.prompts

    def click(self, place, frame=0):
        self.prompts.points.add(np.array([[frame, *place]]))

    def settle(self):
        """Wait until what was posted is done and every answer is there."""
        quiet = []
        self.pump.post(lambda: self.pump.post(lambda: quiet.append(1)))
        self.pump.until(lambda: quiet and not any(s.waiting for s in self.open_ones))

    def ask(self, place, frame=0):
        self.click(place, frame)
        self.pump.until(lambda: self.open_ones)
        self.settle()

    @property
    def labels(self):
        layer = self.bridge.desk.labels
        return None if layer is None else layer.layer


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def person(viewer, pump, no_thread_is_left):
    someone = Person(viewer, pump)
    yield someone
    someone.bridge.close()


@pytest.fixture
def image(viewer, frames, person):
    layer = viewer.add_image(frames, name="nuclei", scale=(2, 0.5, 0.25))
    viewer.dims.set_current_step(0, 0)
    person.bridge.open(layer)
    return layer


def test_a_click_becomes_an_object(person, image, nuclei, viewer):
    place = nuclei[0][0]
    person.ask(place)
    (one,) = person.open_ones
    assert not one.error
    preview = person.bridge.desk.preview.layer
    assert preview.data.any()
    assert person.labels is None
    person.bridge.add()
    person.settle()
    assert not person.open_ones
    assert not preview.data.any()
    labels = person.labels
    assert labels.data[0][tuple(np.rint(place).astype(int))] == 1
    assert not labels.data[1:].any()
    assert np.allclose(labels.data_to_world((1, 2, 3)), image.data_to_world((1, 2, 3)))
    assert len(person.prompts.points.data) == 0
    assert viewer.layers.selection.active is person.prompts.points


def test_everything_is_taken_back_in_one_line(person, image, nuclei):
    person.ask(nuclei[0][0])
    person.bridge.add()
    person.settle()
    pixels = person.labels.data.copy()
    person.session.undo()
    person.settle()
    assert not person.labels.data.any()
    assert len(person.open_ones) == 1
    assert len(person.prompts.points.data) == 1
    person.session.undo()
    person.settle()
    assert not person.open_ones
    assert len(person.prompts.points.data) == 0
    person.session.redo()
    person.session.redo()
    person.settle()
    assert np.array_equal(person.labels.data, pixels)


def test_a_second_click_refines_and_new_objects_begin_after_enter(
    person, image, nuclei
):
    first, second = nuclei[0][:2]
    person.ask(first)
    person.ask(np.add(first, 1))
    (one,) = person.open_ones
    assert len(one.marks) == 2
    person.bridge.add()
    person.ask(second)
    assert len(person.open_ones) == 1
    person.bridge.add()
    person.settle()
    assert set(np.unique(person.labels.data)) == {0, 1, 2}


def test_one_click_for_each_object(person, image, nuclei):
    person.bridge.set_one_click(True)
    for place in nuclei[0][:3]:
        person.click(place)
        person.pump.until(lambda place=place: at(person, place))
    person.settle()
    assert len(person.open_ones) == 1
    assert len(person.session.store.records) == 2
    person.bridge.add()
    person.settle()
    assert len(person.session.store.records) == 3
    for place in nuclei[0][:3]:
        assert person.labels.data[0][tuple(np.rint(place).astype(int))]


def at(person, place):
    return any(
        np.allclose(mark.vertices, np.add(place, 0.5), atol=0.01)
        for one in person.open_ones
        for mark in one.marks
    )


def test_an_answer_stays_on_the_slice_that_it_was_asked_on(
    person, image, nuclei, viewer
):
    person.click(nuclei[0][0])
    viewer.dims.set_current_step(0, 2)
    person.pump.until(lambda: person.open_ones)
    person.settle()
    (one,) = person.open_ones
    assert one.index == (0,)
    assert not person.bridge.desk.preview.layer.data.any()
    viewer.dims.set_current_step(0, 0)
    assert person.bridge.desk.preview.layer.data.any()
    viewer.dims.set_current_step(0, 2)
    person.bridge.add()
    person.settle()
    assert person.labels.data[0].any()
    assert not person.labels.data[1:].any()


def test_moving_and_deleting_a_click_changes_the_answer(person, image, nuclei):
    first, second = nuclei[0][:2]
    person.ask(first)
    (before,) = person.open_ones
    points = person.prompts.points
    points.data = np.array([[0, *second]])
    person.pump.until(lambda: at(person, second))
    person.settle()
    (after,) = person.open_ones
    assert after.key == before.key
    assert after.mask.box != before.mask.box
    points.selected_data = {0}
    points.remove_selected()
    person.pump.until(lambda: not person.open_ones)
    assert not person.bridge.desk.preview.layer.data.any()


def test_several_boxes_are_several_objects(person, image, nuclei):
    boxes = [
        [[0, y - 8, x - 8], [0, y - 8, x + 8], [0, y + 8, x + 8], [0, y + 8, x - 8]]
        for y, x in nuclei[0][:2]
    ]
    for box in boxes:
        person.prompts.shapes.add_rectangles(np.array(box))
        person.settle()
    person.pump.until(lambda: len(person.open_ones) == 2)
    person.settle()
    person.bridge.add()
    person.settle()
    assert set(np.unique(person.labels.data)) == {0, 1, 2}
    person.session.undo()
    assert not person.labels.data.any()


def test_objects_that_are_there_are_worked_on(person, image, nuclei, viewer, frames):
    pixels = np.zeros(frames.shape, np.int32)
    pixels[1, 5:9, 5:9] = 7
    mine = viewer.add_labels(pixels.copy(), name="from Cellpose")
    person.bridge.places.write_to(mine)
    person.pump.until(lambda: person.bridge.desk.labels is not None)
    person.ask(nuclei[0][0])
    person.bridge.add()
    person.settle()
    assert person.labels is mine
    assert set(np.unique(mine.data)) == {0, 7, 8}
    assert np.array_equal(mine.data == 7, pixels == 7)


def test_labels_that_cannot_be_worked_on_are_refused_in_words(
    person, image, viewer, frames
):
    other = viewer.add_labels(np.zeros((9, 9), int), name="other")
    person.bridge.places.write_to(other)
    person.settle()
    assert person.bridge.desk.labels is None
    assert person.panel.notices


def test_who_opens_the_panel_again_goes_on(person, image, nuclei, viewer):
    person.ask(nuclei[0][0])
    person.bridge.add()
    person.settle()
    labels = person.labels
    person.bridge.leave()
    assert [layer.name for layer in viewer.layers] == ["nuclei", "nuclei: labels"]
    person.bridge.open(image)
    person.pump.until(lambda: person.bridge.desk.labels is not None)
    assert person.labels is labels
    assert person.session.store.records[1].prompts
    assert person.session.store.next_id == 2


def test_the_object_under_the_mouse_is_deleted_or_opened_again(
    person, image, nuclei, viewer
):
    place = nuclei[0][0]
    person.ask(place)
    person.bridge.add()
    person.settle()
    viewer.cursor.position = image.data_to_world((0, *place))
    person.bridge.touch.reopen()
    person.settle()
    (one,) = person.open_ones
    assert one.object_id == 1
    assert len(person.prompts.points.data) == 1
    person.bridge.add()
    person.settle()
    assert set(np.unique(person.labels.data)) == {0, 1}
    person.bridge.touch.delete()
    assert not person.labels.data.any()
    person.session.undo()
    assert person.labels.data.any()
    viewer.cursor.position = (0, -50, -50)
    person.bridge.touch.delete()
    assert "no object under the mouse" in person.panel.notices[-1]
    assert person.labels.data.any()


def test_deleted_layers_come_back_when_they_are_needed(person, image, nuclei, viewer):
    person.ask(nuclei[0][0])
    person.bridge.add()
    person.settle()
    viewer.layers.remove(person.labels)
    person.settle()
    assert person.labels is None
    person.ask(nuclei[0][1])
    person.bridge.add()
    person.settle()
    assert set(np.unique(person.labels.data)) == {0, 1}
    person.ask(nuclei[0][2])
    viewer.layers.remove(person.prompts.points)
    person.settle()
    assert not person.open_ones
    person.bridge.desk.use("click")
    person.ask(nuclei[0][2])
    assert person.open_ones


def test_other_pixels_in_the_image_begin_anew(person, image, nuclei, frames):
    person.ask(nuclei[0][0])
    image.data = frames[::-1].copy()
    person.settle()
    assert not person.open_ones
    assert person.bridge.desk.source.holds(image)
    person.ask(nuclei[3][0])
    assert person.open_ones


def test_leaving_takes_our_layers_away(person, image, nuclei, viewer):
    person.ask(nuclei[0][0])
    person.bridge.open(None)
    assert [layer.name for layer in viewer.layers] == ["nuclei"]
    assert person.panel.status.phase == "no image"


def test_two_viewers_do_not_know_each_other(person, image, nuclei, pump, frames):
    other = ViewerModel()
    second = Person(other, pump)
    second.bridge.open(other.add_image(frames, name="nuclei"))
    person.ask(nuclei[0][0])
    second.ask(nuclei[0][1])
    second.bridge.add()
    second.settle()
    assert len(person.open_ones) == 1
    assert person.labels is None
    second.bridge.close()
    person.bridge.add()
    person.settle()
    assert person.labels.data.any()


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((1, 1), np.uint8), np.full((40, 50), np.nan), np.zeros((3, 40, 50))],
    ids=["one pixel", "nan", "blank"],
)
def test_where_nothing_can_be_found_it_says_so(person, viewer, pixels):
    person.bridge.open(viewer.add_image(pixels, name="odd", contrast_limits=(0, 1)))
    place = (0,) * (pixels.ndim - 2) + (pixels.shape[-2] // 2, pixels.shape[-1] // 2)
    person.prompts.points.add(np.array([place]))
    person.pump.until(lambda: person.open_ones)
    person.settle()
    (one,) = person.open_ones
    assert one.error
    person.bridge.add()
    person.settle()
    assert person.labels is None or not person.labels.data.any()


def test_a_layer_of_a_person_is_never_taken_for_ours(person, image, viewer, frames):
    mine = viewer.add_labels(np.ones(frames.shape, int), name="nuclei: labels")
    person.bridge.leave()
    person.bridge.open(image)
    person.settle()
    assert person.bridge.desk.labels is None
    assert isinstance(mine, Labels)


def test_objects_that_were_not_saved_are_offered_and_restored(
    person, image, nuclei, pump, frames
):
    person.ask(nuclei[0][0])
    person.bridge.add()
    person.settle()
    pixels = person.labels.data.copy()
    assert person.bridge.keeper.unsaved == 1
    person.bridge.close()
    later = Person(ViewerModel(), pump)
    try:
        image = later.viewer.add_image(frames, name="renamed")
        later.bridge.open(image)
        pump.until(lambda: later.panel.left is not None)
        assert later.panel.left.objects == 1
        later.bridge.places.restore(later.panel.left)
        pump.until(lambda: later.labels is not None)
        assert np.array_equal(later.labels.data, pixels)
        assert later.session.store.records[1].prompts
        assert later.bridge.keeper.unsaved == 1
    finally:
        later.bridge.close()


def test_what_is_in_the_viewer_is_not_offered(person, image, nuclei, viewer):
    person.ask(nuclei[0][0])
    person.bridge.add()
    person.settle()
    person.bridge.leave()
    person.bridge.open(image)
    person.pump.until(lambda: person.labels is not None)
    person.ask(nuclei[0][1])
    person.bridge.add()
    person.settle()
    assert person.panel.left is None
    assert set(np.unique(person.labels.data)) == {0, 1, 2}


def test_saved_objects_are_not_offered(person, image, nuclei, pump, frames, tmp_path):
    person.ask(nuclei[0][0])
    person.bridge.add()
    person.settle()
    folder, done = tmp_path / "saved", []
    keeper = person.bridge.keeper
    earlier = []
    keeper.look_for_save(folder, image, earlier.append, earlier.clear)
    pump.until(lambda: earlier)
    keeper.save(folder, image, overwrite=False, done=done.append, failed=done.clear)
    pump.until(lambda: done)
    assert done[0].objects == 1
    assert np.array_equal(tifffile.imread(done[0].labels), person.labels.data)
    assert keeper.unsaved == 0
    keeper.look_for_save(folder, image, earlier.append, earlier.clear)
    pump.until(lambda: len(earlier) == 2)
    assert earlier == [False, True]
    person.bridge.close()
    later = Person(ViewerModel(), pump)
    later.bridge.open(later.viewer.add_image(frames, name="nuclei"))
    later.ask(nuclei[0][1])
    assert later.panel.left is None
    later.bridge.close()
