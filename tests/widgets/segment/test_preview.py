"""Suggestions are drawn where they belong, and are in nobody's way."""

import numpy as np
import pytest

from napari_sam.types import Mask
from napari_sam.widgets.segment.layers import outlines
from napari_sam.widgets.segment.layers.preview import Preview


def disc(y, x, radius, shape=(96, 112)):
    yy, xx = np.ogrid[: shape[0], : shape[1]]
    return Mask.from_array((yy - y) ** 2 + (xx - x) ** 2 <= radius**2)


@pytest.fixture
def preview(viewer, image):
    preview = Preview(viewer, image)
    yield preview
    preview.close()


def test_a_suggestion_has_a_line_and_an_inside_and_covers_its_mask(preview):
    mask = disc(40, 50, 12)
    preview.show((2,), [(mask, True)])
    (plane,) = preview.layer.data
    drawn = np.isin(plane, (outlines.LINE, outlines.INSIDE))
    np.testing.assert_array_equal(drawn, mask.full(plane.shape))
    assert plane[40, 50] == outlines.INSIDE and plane[40, 38] == outlines.LINE
    assert (plane == outlines.RIM).any()


def test_lines_look_alike_at_every_zoom(preview, viewer, qtbot):
    camera, mask = viewer.scene.camera, disc(40, 50, 12)
    plane = preview.layer.data[0]

    def line():
        """Return how wide it is, at the left of the object."""
        return int((plane[40, :50] == outlines.LINE).sum())

    camera.zoom = 1
    preview.show((2,), [(mask, True)])
    assert line() == 2
    camera.zoom = 8
    qtbot.waitUntil(lambda: line() == 1, timeout=5000)
    camera.zoom = 0.5
    qtbot.waitUntil(lambda: line() == 5, timeout=5000)
    covered = np.isin(plane, (outlines.LINE, outlines.INSIDE))
    np.testing.assert_array_equal(covered, mask.full(plane.shape))
    preview.clear()
    camera.zoom = 4
    qtbot.wait(300)
    assert not plane.any()


def test_only_what_is_shown_now_is_drawn(preview):
    preview.show((0,), [(disc(40, 50, 12), True)])
    preview.show((0,), [(disc(80, 20, 5), True)])
    assert preview.layer.data[0, 40, 50] == 0 != preview.layer.data[0, 80, 20]
    preview.clear()
    assert not preview.layer.data.any()


def test_the_current_one_lies_on_top_and_looks_different(preview):
    current, other = disc(40, 50, 12), disc(40, 60, 12)
    for order in ([(current, True), (other, False)], [(other, False), (current, True)]):
        preview.show((0,), order)
        (plane,) = preview.layer.data
        assert (plane[current.slices][current.data] <= outlines.INSIDE).all()
        assert plane[40, 66] == outlines.OTHER_INSIDE


@pytest.mark.parametrize("radius", [3, 60])
def test_masks_at_the_border_are_cut(preview, radius):
    mask = disc(0, 111, radius)
    preview.show((0,), [(mask, True)])
    assert preview.layer.data[0, 0, 111] in (outlines.LINE, outlines.INSIDE)
    preview.clear()
    assert not preview.layer.data.any()


def test_empty_masks_are_nothing(preview):
    empty = Mask((0, 0, 0, 0), np.zeros((0, 0), bool), 0.0)
    preview.show((0,), [(empty, True)])
    assert not preview.layer.data.any()


def test_it_lies_on_its_slice_of_a_turned_and_sheared_image(viewer):
    image = viewer.add_image(
        np.zeros((2, 5, 20, 30)),
        scale=(1, 2, 0.5, 0.7),
        translate=(1, 2, 3, 4),
        rotate=np.array(
            [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0.8, -0.6], [0, 0, 0.6, 0.8]]
        ),
        shear=(0, 0, 0, 0, 0, 0.3),
        affine=np.diag([1, 1, 2, 3, 1]),
    )
    preview = Preview(viewer, image)
    preview.show((1, 3), [(disc(5, 6, 3, (20, 30)), True)])
    np.testing.assert_allclose(
        preview.layer.data_to_world((0, 0, 5, 6)), image.data_to_world((1, 3, 5, 6))
    )
    image.translate = (0, 0, 9, 9)
    np.testing.assert_allclose(
        preview.layer.data_to_world((0, 0, 5, 6)), image.data_to_world((1, 3, 5, 6))
    )
    preview.close()


def test_a_pyramid_in_colour_gets_a_full_size_preview(viewer):
    pixels = np.zeros((64, 80, 3), np.uint8)
    image = viewer.add_image([pixels, pixels[::2, ::2]], rgb=True, multiscale=True)
    preview = Preview(viewer, image)
    preview.show((), [(disc(5, 6, 3, (64, 80)), True)])
    assert preview.layer.data.shape == (64, 80)
    preview.close()


def test_it_is_not_selected_and_cannot_be_painted_on(preview, viewer, image):
    viewer.layers.selection.active = image
    other = Preview(viewer, image)
    assert viewer.layers.selection.active is image
    assert not other.layer.editable
    other.close()


def test_deleted_it_comes_back_with_the_next_suggestion(preview, viewer):
    viewer.layers.remove(preview.layer)
    preview.show((0,), [])
    assert preview.layer not in viewer.layers
    preview.show((0,), [(disc(40, 50, 12), True)])
    assert preview.layer in viewer.layers


def test_closed_it_leaves_nothing_behind(viewer, image):
    Preview(viewer, image).close()
    assert list(viewer.layers) == [image]
