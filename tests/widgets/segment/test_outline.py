"""Looser and tighter outlines, with keys and buttons in a real window."""

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt
from skimage.morphology import isotropic_dilation
from skimage.segmentation import expand_labels

from napari_sam.data import FOLDER

pytestmark = pytest.mark.window


def shown(person):
    (one,) = person.open_ones
    return one.mask.full(person.session.store.plane_shape)


def test_keys_make_the_suggestion_looser_and_tighter(person, frames):
    person.show(person.viewer.add_image(frames, name="nuclei"))
    person.click(33.5, 44.5)
    person.answered()
    plain = shown(person)
    for key, pixels in ((Qt.Key.Key_Period, 1), (Qt.Key.Key_Period, 2)):
        person.press(key)
        wanted = isotropic_dilation(plain, pixels)
        person.until(lambda wanted=wanted: np.array_equal(shown(person), wanted))
        assert person.panel.form.outline.value == pixels
    person.press(Qt.Key.Key_Comma)
    wanted = isotropic_dilation(plain, 1)
    person.until(lambda: np.array_equal(shown(person), wanted))
    person.panel.form.outline.value = 3
    wanted = isotropic_dilation(plain, 3)
    person.until(lambda: np.array_equal(shown(person), wanted))
    person.press(Qt.Key.Key_Return)
    person.until(lambda: not person.open_ones)
    assert np.array_equal(person.labels.data[0] > 0, wanted)


def test_buttons_move_the_outlines_of_all_objects(person):
    image = tifffile.imread(FOLDER / "images" / "fluorescence.tif")
    truth = tifffile.imread(FOLDER / "truth" / "fluorescence.tif").astype(np.uint16)
    person.show(person.viewer.add_image(image, name="nuclei"))
    layer = person.viewer.add_labels(truth.copy(), name="from Fiji")
    assert not person.panel.proofread.looser.isEnabled()
    person.bridge.places.write_to(layer)
    person.until(person.panel.proofread.looser.isEnabled)
    person.panel.proofread.looser.click()
    person.until(lambda: np.array_equal(layer.data, expand_labels(truth, 1)))
    person.panel.proofread.tighter.click()
    person.until(lambda: len(person.session.history) == 2)
    assert "all outlines tighter" in person.panel.view.undo.toolTip()
    person.panel.view.undo.click()
    person.panel.view.undo.click()
    assert np.array_equal(layer.data, truth)
