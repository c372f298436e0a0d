"""Which images, and where results go."""

from pathlib import Path

import pytest

from napari_sam.widgets.batch.places import Places


@pytest.fixture
def places(qtbot):
    made = Places(lambda: None)
    qtbot.addWidget(made)
    yield made
    made.end()


@pytest.mark.parametrize("place", ["/d/plate 7", "/d/plate 7/a.tif", "/d/plate 7/*"])
def test_results_go_beside_the_folder(places, place):
    places.show_images(place)
    assert places.places == (str(Path(place).absolute()),)
    assert places.output == Path("/d/plate 7 results").absolute()


def test_a_folder_may_have_a_dot_in_its_name(places):
    places.show_images("/d/plate 7.2")
    assert places.output == Path("/d/plate 7.2 results").absolute()


def test_a_folder_that_a_person_named_stays(places):
    places.show_images("/d/one")
    places.show_output("/d/mine")
    places.show_images("/d/two")
    assert places.output == Path("/d/mine").absolute()


def test_a_folder_that_was_offered_follows_the_images(places):
    places.show_images("/d/one")
    places.show_images("/d/two")
    assert places.output == Path("/d/two results").absolute()


def test_several_places_are_named_at_once(places):
    places.show_images("/d/one", "/e/two")
    assert places.places == tuple(str(Path(p).absolute()) for p in ("/d/one", "/e/two"))
    assert places.output is None


def test_home_is_understood(places):
    places.show_images("~/plate")
    assert places.places == (str(Path.home() / "plate"),)
