"""What linking was unsure of is shown, one place after the other."""

import numpy as np
import pytest
from skimage.draw import disk

from napari_sam.widgets.auto_annotate.panel import AutoAnnotate


@pytest.fixture
def panel(viewer, qtbot):
    panel = AutoAnnotate(viewer)
    qtbot.addWidget(panel)
    panel.form.detector.value = "threshold"
    yield panel
    panel.end()


def stack():
    """Return a disc that is missed on a slice, and two that become one."""
    planes = np.full((6, 80, 120), 100, np.uint16)
    planes[:, *disk((20, 20), 8)] = 900
    planes[2] = 100
    for plane in planes[:4]:
        plane[disk((50, 70), 7)] = plane[disk((50, 92), 7)] = 900
    for plane in planes[4:]:
        plane[disk((50, 81), 19)] = 900
    return planes


def found(panel, qtbot):
    panel.find_all()
    qtbot.waitUntil(lambda: not panel.session.state.busy, timeout=60_000)
    assert panel.session.state.phase == "done"


def test_one_goes_from_one_doubtful_place_to_the_next(panel, viewer, qtbot):
    viewer.add_image(stack(), name="discs", axis_labels=("z", "y", "x"))
    panel.form.link.value = "stack"
    assert panel.look_at.isHidden()
    found(panel, qtbot)
    layer = viewer.layers["discs: objects"]
    flags = layer.features.set_index("index")["flag"]
    doubtful = set(flags[flags != ""].index)
    look_at = panel.look_at
    assert not look_at.isHidden()
    assert look_at.says.text().startswith(f"{len(doubtful)} objects to look at")
    seen = []
    for _ in look_at._places:
        look_at.next.click()
        seen.append((viewer.dims.current_step[0], layer.selected_label))
        assert layer.data[seen[-1][0]].max() >= layer.selected_label
        assert (layer.data[seen[-1][0]] == layer.selected_label).any()
    assert {number for _, number in seen} == doubtful
    assert {place for place, _ in seen} == {3, 4}
    assert "slice 5: it lies on several of the slice before" in look_at.says.text()
    look_at.next.click()
    assert "slice 4: it was missed on the slice before" in look_at.says.text()
    look_at.previous.click()
    assert "slice 5" in look_at.says.text()
    viewer.layers.remove(layer)
    look_at.next.click()
    assert look_at.isHidden()


def test_without_doubts_there_is_nothing_to_be_seen(panel, viewer, qtbot):
    viewer.add_image(stack()[:2], name="discs", axis_labels=("z", "y", "x"))
    panel.form.link.value = "stack"
    found(panel, qtbot)
    assert panel.look_at.isHidden()
    viewer.add_image(stack(), name="more", axis_labels=("z", "y", "x"))
    found(panel, qtbot)
    assert not panel.look_at.isHidden()
    panel.form.link.value = "none"  # says nothing about who is whom
    qtbot.waitUntil(panel.look_at.isHidden, timeout=10_000)
