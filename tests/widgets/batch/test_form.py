"""Settings on the screen: what they make, and what they leave as it was."""

import pytest
from qtpy.QtWidgets import QWidget

from napari_sam.models.catalog import list_models
from napari_sam.records import formats
from napari_sam.segment.recipe import Recipe, RecipeError
from napari_sam.widgets.batch import words
from napari_sam.widgets.batch.form import BatchForm


@pytest.fixture
def form(qtbot, pump):
    parent = QWidget()
    qtbot.addWidget(parent)
    made = BatchForm(
        changed=lambda: None, parent=parent, post=pump.post, notice=lambda text: None
    )
    yield made
    made.form.seeking.end()


def test_untouched_it_is_what_the_command_line_takes(form):
    assert form.recipe() == Recipe()
    assert form.formats == ("tiff",)
    assert not form.touched


def test_all_formats_have_names_for_people():
    assert set(words.FORMATS) == set(formats.NAMES)


STRANGE = Recipe(
    axes="ZCYX",
    channels=(1, "DAPI"),
    normalization="plane",
    percentiles=(1, 99),
    detector="threshold",
    device="cpu",
    conf=0.0123,
    iou=0.333,
    max_det=4321,
    classes=(0,),
    diameter="8um",
    points_per_side=16,
    link="time",
    link_iou=0.2,
    link_distance="4um",
    min_planes=3,
    max_hole=0.123,
    min_fragment=0.5,
    min_kept=0.25,
    min_area=17,
    max_area=999,
    border=False,
)


def test_what_the_screen_cannot_show_stays(form):
    form.show(STRANGE, ["coco", "roi"])
    assert form.recipe() == STRANGE
    assert set(form.formats) == {"tiff", "coco", "roi"}  # the first is always written
    assert not form.touched
    form.form.conf.value = 0.5
    form.diameter.value = ""
    assert form.touched
    wanted = STRANGE.model_copy(update={"conf": 0.5, "diameter": None})
    assert form.recipe() == wanted


def test_everything_that_is_on_the_screen_counts(form):
    form.form.detector.value = "threshold"
    form.form.smallest.pixels = 40
    form.form.max_hole.value = 25
    form.form.link.value = "time"
    form.form.max_det.value = 7
    form.form.farthest.pixels = 12
    form.form.least.value = 2
    form.axes.value = "tyx"
    form.channels.value = "0, DAPI"
    form.contrast.value = "plane"
    form.diameter.value = "12"
    assert form.recipe() == Recipe(
        detector="threshold",
        min_area=40,
        max_hole=0.25,
        link="time",
        max_det=7,
        link_distance="12",
        min_planes=2,
        axes="TYX",
        channels=(0, "DAPI"),
        normalization="plane",
        diameter=12,
    )


def test_words_and_classes_go_with_their_detector(form, pump):
    form.show(Recipe(detector="/models/yoloe.pt", words=("nucleus",)), ["tiff"])
    assert form.recipe().words == ("nucleus",)
    form.form.detector.value = "nuclei"
    assert form.recipe() == Recipe()


@pytest.mark.parametrize(
    ("name", "text"), [("axes", "ZZ"), ("diameter", "wide"), ("channels", "0,0")]
)
def test_values_that_cannot_be_are_named(form, name, text):
    getattr(form, name).value = text
    with pytest.raises(RecipeError, match=name):
        form.recipe()
    assert form.touched


def test_models_are_described_as_they_are_called(form):
    assert {entry.kind for entry in list_models()} == {"model", "detector"}
    assert form.described == ("Nuclei, similar cells", "Built-in model", "")
    form.form.link.value = "stack"
    assert form.described[2] == "through z"
