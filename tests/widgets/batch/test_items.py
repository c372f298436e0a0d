"""The list of images, without processes."""

from dataclasses import replace

import pytest
from PIL import Image

from napari_sam.records.status import Item
from napari_sam.widgets.batch.items import SIDE, Items, List


def items_of(count):
    return tuple(
        Item(f"w{n}", f"w{n}.tif", f"/w{n}.tif", "waiting", 0, None, None, "")
        for n in range(count)
    )


@pytest.fixture
def wanted():
    return []


@pytest.fixture
def shown(qtbot, wanted):
    view = List(Items(None, wanted.append))
    qtbot.addWidget(view)
    view.resize(300, 320)
    return view


def test_only_images_that_are_seen_get_pictures(shown, wanted, qtbot):
    items = items_of(10_000)
    shown.model().show(items)
    shown.show()
    qtbot.waitExposed(shown)
    qtbot.waitUntil(lambda: bool(wanted), timeout=5000)
    assert len({one.name for one in wanted}) < 40
    shown.scrollToBottom()
    qtbot.waitUntil(lambda: items[-1] in wanted, timeout=5000)
    assert len({one.name for one in wanted}) < 80


def test_a_picture_is_drawn_once_and_again_when_the_image_is_done(shown, wanted):
    model = shown.model()
    (item,) = items_of(1)
    model.show((item,))
    icon = model.data(model.index(0), 1)  # Qt.DecorationRole
    assert wanted == [item]
    model.drawn(item, Image.new("RGB", (2 * SIDE, SIDE), "red"))
    icon = model.data(model.index(0), 1)
    colour = icon.pixmap(SIDE, SIDE).toImage().pixelColor(SIDE // 2, SIDE // 2)
    assert (colour.red(), colour.green()) == (255, 0)
    assert wanted == [item]
    done = replace(item, state="done", objects=3)
    model.show((done,))
    model.data(model.index(0), 1)
    assert wanted == [item, done]
    assert model.data(model.index(0)) == "w0.tif\n3 objects"


def test_the_selection_stays_while_states_change(shown):
    model = shown.model()
    items = items_of(5)
    model.show(items)
    shown.setCurrentIndex(model.index(3))
    model.show((*items[:4], replace(items[4], state="working")))
    assert shown.chosen == 3
    model.show(items[:2])
    assert shown.chosen is None
