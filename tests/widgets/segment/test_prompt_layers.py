"""What a person draws arrives as marks, once per action and in the right place."""

import numpy as np
import pytest
from napari.layers import Points, Shapes

from napari_sam.live.source import Source
from napari_sam.live.values import Mark
from napari_sam.widgets.segment.layers.prompt_layers import MOST, PromptLayers


class Drawn:
    """Prompt layers, and everything that they told."""

    def __init__(self, viewer, image, pump):
        self.told, self.notices, self.gone = [], [], []
        self._posted = []
        self.layers = PromptLayers(
            viewer,
            image,
            Source.from_layer(image),
            self.told.append,
            post=self._posted.append,
            notice=self.notices.append,
            gone=lambda: self.gone.append(True),
        )

    def wait(self):
        """Let happen what was posted; return what was told last."""
        while self._posted:
            self._posted.pop(0)()
        return self.told[-1] if self.told else {}

    def click(self, *point):
        self.layers.points.add(point)
        return self.wait()

    def draw(self, kind, *vertices):
        self.layers.shapes.add(np.array(vertices, float), shape_type=kind)
        return self.wait()


@pytest.fixture
def drawn(viewer, image, pump):
    drawn = Drawn(viewer, image, pump)
    yield drawn
    drawn.layers.close()


def box(y0, x0, y1, x1, z=0):
    return (z, y0, x0), (z, y0, x1), (z, y1, x1), (z, y1, x0)


def test_a_click_is_told_once_with_the_centre_of_the_pixel_at_halves(drawn):
    state = drawn.click(0, 20, 30)
    assert len(drawn.told) == 1
    ((index, (mark,)),) = state.values()
    assert index == (0,) and mark.kind == "click" and mark.positive
    np.testing.assert_array_equal(mark.vertices, [[20.5, 30.5]])


def test_clicks_belong_to_one_object_until_a_new_one_is_begun(drawn):
    drawn.click(0, 20, 30)
    assert len(drawn.click(0, 22, 33)) == 1
    key = drawn.layers.new_object()
    state = drawn.click(0, 60, 60)
    assert len(state) == 2 and key in state


def test_in_one_click_mode_every_positive_click_is_an_object(drawn):
    drawn.layers.one_click = True
    for x in (10, 30, 50):
        drawn.click(0, 20, x)
    drawn.layers.positive = False
    state = drawn.click(0, 20, 52)
    assert [len(marks) for _, marks in state.values()] == [1, 1, 2]
    assert not list(state.values())[-1][1][1].positive


def test_on_another_slice_it_is_another_object(drawn):
    drawn.click(0, 20, 30)
    state = drawn.click(2, 20, 30)
    assert [index for index, _ in state.values()] == [(0,), (2,)]
    assert drawn.layers.current == list(state)[-1]


@pytest.mark.parametrize(
    ("shape", "kind"),
    [("rectangle", "box"), ("ellipse", "ellipse"), ("polygon", "polygon")],
)
def test_shapes_are_objects_of_their_own(drawn, shape, kind):
    drawn.draw(shape, *box(10, 10, 30, 30))
    state = drawn.draw(shape, *box(50, 50, 70, 80))
    assert len(state) == 2
    (index, (mark,)) = list(state.values())[1]
    assert mark.kind == kind and index == (0,)
    assert mark.vertices.min(0).tolist() == [50.5, 50.5]


def test_several_shapes_at_once_are_told_once(drawn):
    with drawn.layers.hold():
        drawn.layers.shapes.add(
            [np.array(box(10, 10, 30, 30)), np.array(box(50, 50, 70, 80))],
            shape_type="rectangle",
        )
        drawn.wait()
    drawn.wait()
    assert len(drawn.told) == 1 and len(drawn.told[0]) == 2


def test_a_box_around_the_clicks_is_about_the_same_object(drawn):
    drawn.click(0, 20, 20)
    ((_, marks),) = drawn.draw("rectangle", *box(10, 10, 30, 30)).values()
    assert [mark.kind for mark in marks] == ["click", "box"]


def test_a_path_is_a_scribble_of_the_current_object(drawn):
    drawn.click(0, 20, 20)
    ((_, marks),) = drawn.draw("path", (0, 10, 10), (0, 15, 20), (0, 30, 9)).values()
    assert marks[1].kind == "scribble" and marks[1].vertices.shape == (3, 2)


def test_moving_and_deleting_a_click_is_told(drawn):
    drawn.click(0, 20, 20)
    drawn.click(0, 25, 25)
    points = drawn.layers.points
    points.data = points.data + np.array([0, 1, 0])
    ((_, marks),) = drawn.wait().values()
    assert marks[0].vertices.tolist() == [[21.5, 20.5]]
    points.selected_data = {0}
    points.remove_selected()
    ((_, marks),) = drawn.wait().values()
    assert len(marks) == 1
    points.selected_data = {0}
    points.remove_selected()
    assert drawn.wait() == {}
    assert len(drawn.told) == 5


def test_relabelling_in_the_table_is_told_and_shown(drawn):
    drawn.click(0, 20, 20)
    table = drawn.layers.points.features.copy()
    table["positive"] = [False]
    drawn.layers.points.features = table
    ((_, (mark,)),) = drawn.wait().values()
    assert not mark.positive
    assert str(drawn.layers.points.symbol[0]) == "x"


def test_negative_marks_differ_in_symbol_filling_and_colour(drawn):
    points, shapes = drawn.layers.points, drawn.layers.shapes
    drawn.click(0, 20, 20)
    drawn.draw("rectangle", *box(10, 10, 30, 30))
    drawn.layers.positive = False
    drawn.click(0, 22, 22)
    drawn.draw("rectangle", *box(40, 40, 50, 50))
    assert [str(symbol) for symbol in points.symbol] == ["disc", "x"]
    assert not np.allclose(points.face_color[0], points.face_color[1])
    assert shapes.face_color[0][3] == 0 < shapes.face_color[1][3]
    assert not np.allclose(shapes.edge_color[0], shapes.edge_color[1])
    drawn.layers.positive = True  # says nothing about what is drawn already
    assert [str(symbol) for symbol in points.symbol] == ["disc", "x"]


def test_what_is_shown_is_not_told_and_reads_the_same(drawn):
    marks = (
        Mark("click", np.array([[20.25, 30.5]], np.float32)),
        Mark("click", np.array([[22, 30.5]], np.float32), False),
        Mark("box", np.array([[1, 1], [1, 9], [9.3, 9], [9.3, 1]], np.float32)),
        Mark("scribble", np.array([[1, 1], [7, 9], [9, 9]], np.float32), False),
    )
    drawn.layers.show({"of the session": ((3,), marks), 7: ((1,), marks[:1])})
    drawn.wait()
    assert drawn.told == []
    state = drawn.layers.state
    assert set(state) == {"of the session", 7}
    index, read = state["of the session"]
    assert index == (3,)
    for mark, other in zip(marks, read, strict=True):
        assert (mark.kind, mark.positive) == (other.kind, other.positive)
        np.testing.assert_allclose(mark.vertices, other.vertices, atol=1e-4)
    drawn.layers.current = "of the session"
    state = drawn.click(3, 50, 50)
    assert len(state["of the session"][1]) == 5


def test_after_a_commit_the_next_click_is_another_object(drawn):
    (key,) = drawn.click(0, 20, 20)
    drawn.layers.show({})
    assert len(drawn.layers.points.data) == 0
    (other,) = drawn.click(0, 20, 20)
    assert other != key


def test_marks_drawn_since_then_outlive_what_is_shown(drawn):
    (key,) = drawn.click(0, 20, 20)
    drawn.layers.new_object()
    drawn.layers.points.add((0, 60, 60))  # not told yet
    drawn.layers.show({})  # the first one was committed
    state = drawn.wait()
    assert len(state) == 1 and key not in state
    assert len(drawn.layers.points.data) == 1


@pytest.mark.parametrize("point", [(0, 20, 400), (0, -3, 5), (9, 20, 20)])
def test_a_click_beside_the_image_is_ignored_with_a_notice(drawn, point):
    assert drawn.click(*point) == {}
    assert "beside" in drawn.notices[0]
    assert len(drawn.layers.points.data) == 0
    assert len(drawn.click(0, 20, 20)) == 1


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_points_that_are_no_numbers_are_ignored(drawn):
    assert drawn.click(0, np.nan, 20) == {}
    assert len(drawn.notices) == 1


def test_a_shape_through_several_slices_is_ignored_with_a_notice(drawn):
    assert drawn.draw("rectangle", *box(1, 1, 5, 5)[:2], *box(1, 1, 5, 5, 1)[2:]) == {}
    assert "one slice" in drawn.notices[0]


def test_drawing_along_other_axes_is_ignored_with_a_notice(drawn, viewer):
    viewer.dims.roll()
    assert drawn.click(0, 20, 20) == {}
    assert "roll" in drawn.notices[0]
    viewer.dims.order = (0, 2, 1)  # the same slice, mirrored
    assert len(drawn.click(0, 20, 20)) == 1
    viewer.dims.ndisplay = 3
    assert len(drawn.click(0, 40, 20)) == 1
    assert len(drawn.notices) == 2


def test_of_ten_thousand_points_a_thousand_are_taken(drawn):
    random = np.random.default_rng(0)
    drawn.layers.points.add(random.uniform((0, 0, 0), (0.4, 90, 100), (10_000, 3)))
    state = drawn.wait()
    assert len(state) == len(drawn.layers.points.data) == MOST
    assert "1,000 of 10,000" in drawn.notices[0]


def press(layer, key):
    """Do what napari does when a key is pressed."""
    acts = {str(at): act for at, act in type(layer).class_keymap.items()}
    acts[key](layer)


def test_copies_that_are_pasted_are_another_object(viewer, pump):
    # napari 0.9.2 itself fails to paste points into a stack.
    drawn = Drawn(viewer, viewer.add_image(np.zeros((90, 90))), pump)
    drawn.click(20, 20)
    drawn.layers.positive = False
    drawn.click(25, 20)
    points = drawn.layers.points
    points.selected_data = {0, 1}
    press(points, "Ctrl+C")
    press(points, "Ctrl+V")
    first, second = drawn.wait().values()
    assert len(points.data) == 4
    assert len(first[1]) == 2
    assert sorted(mark.positive for mark in second[1]) == [False, True]
    drawn.layers.close()


def test_other_layers_are_taken_over_as_separate_objects(drawn, viewer):
    mine = viewer.add_points([(1, 10, 10), (1, 30, 30), (2, 5, 500)], name="mine")
    assert drawn.layers.adopt(mine) == 2
    state = drawn.wait()
    assert [index for index, _ in state.values()] == [(1,), (1,)]
    assert len(drawn.told) == 1 and len(mine.data) == 3
    assert "beside" in drawn.notices[0]
    shapes = Shapes([np.array(box(1, 1, 9, 9)), np.array(box(11, 11, 19, 19))])
    assert drawn.layers.adopt(shapes) == 2
    assert len(drawn.wait()) == 4


def test_layers_of_another_scale_and_fewer_axes_are_taken_over(drawn, viewer):
    viewer.dims.set_point(0, 3)
    drawn.layers.adopt(Points([(5, 6)], scale=(2, 2)))
    ((index, (mark,)),) = drawn.wait().values()
    assert index == (3,)
    assert mark.vertices.tolist() == [[10.5, 12.5]]


def test_the_layers_lie_on_the_image_and_follow_it(viewer, pump):
    image = viewer.add_image(
        np.zeros((3, 8, 9)), scale=(2, 0.5, 0.5), translate=(5, 1, 2), shear=[0, 0, 0.2]
    )
    drawn = Drawn(viewer, image, pump)
    for layer in drawn.layers.layers:
        np.testing.assert_allclose(
            layer.data_to_world((1, 2, 3)), image.data_to_world((1, 2, 3))
        )
    image.translate = (0, 7, 7)
    image.rotate = 20
    for layer in drawn.layers.layers:
        np.testing.assert_allclose(
            layer.data_to_world((1, 2, 3)), image.data_to_world((1, 2, 3))
        )
    drawn.layers.close()


def test_renamed_hidden_and_reordered_layers_go_on(drawn, viewer):
    layers = viewer.layers
    drawn.layers.points.name = "something"
    drawn.layers.shapes.visible = False
    layers.move(layers.index(drawn.layers.points), 0)
    assert len(drawn.click(0, 20, 20)) == 1


def test_deleted_layers_are_told_of_and_come_back_with_what_was_drawn(drawn, viewer):
    drawn.click(0, 20, 20)
    viewer.layers.remove(drawn.layers.points)
    drawn.wait()
    assert drawn.gone == [True] and len(drawn.layers.layers) == 1
    drawn.layers.restore()
    assert drawn.layers.points in viewer.layers
    ((_, marks),) = drawn.click(0, 25, 20).values()
    assert len(marks) == 2


def test_the_mouse_stays_with_the_layer_that_has_it(viewer, image, pump):
    viewer.layers.selection.active = image
    drawn = Drawn(viewer, image, pump)
    assert viewer.layers.selection.active is image
    drawn.layers.activate()
    assert viewer.layers.selection.active is drawn.layers.points
    assert str(drawn.layers.points.mode) == "add"
    drawn.layers.close()
    assert list(viewer.layers) == [image]


def test_closed_layers_tell_nothing(drawn):
    drawn.layers.points.add((0, 20, 20))
    drawn.layers.close()
    drawn.wait()
    drawn.layers.points.add((0, 20, 20))
    drawn.wait()
    assert drawn.told == []


def test_a_table_that_a_person_replaced_is_no_problem(drawn):
    drawn.click(0, 20, 20)
    drawn.layers.points.features = {"mine": ["a"]}
    drawn.wait()
    state = drawn.click(0, 60, 60)
    assert sum(len(marks) for _, marks in state.values()) == 2


def test_single_and_colour_images(viewer, pump):
    image = viewer.add_image(np.zeros((20, 30, 3), np.uint8), rgb=True)
    drawn = Drawn(viewer, image, pump)
    ((index, (mark,)),) = drawn.click(3, 4).values()
    assert index == () and mark.vertices.tolist() == [[3.5, 4.5]]
    drawn.layers.close()


def test_marks_keep_their_size_on_the_screen(drawn, viewer):
    camera = getattr(viewer, "scene", viewer).camera
    drawn.click(0, 20, 20)
    sizes = []
    for zoom in (0.5, 4.0):
        camera.zoom = zoom
        drawn.wait()
        sizes.append(float(drawn.layers.points.size[0]) * zoom)
    assert sizes[0] == pytest.approx(sizes[1])
