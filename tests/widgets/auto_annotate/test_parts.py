import pytest

from napari_sam.segment import make_recipe
from napari_sam.types import ModelError
from napari_sam.widgets.auto_annotate.parts import Parts, broadened, covers

RAN = make_recipe(conf=0.1, max_det=100, classes=[0, 2])


@pytest.mark.parametrize(
    ("options", "known"),
    [
        ({}, True),
        ({"conf": 0.9}, True),
        ({"conf": 0.05}, False),
        ({"max_det": 50}, True),
        ({"max_det": 101}, False),
        ({"classes": [2]}, True),
        ({"classes": [1]}, False),
        ({"classes": None}, False),
        ({"iou": 0.5}, False),
        ({"model": "other"}, False),
        ({"detector": "threshold"}, False),
        ({"normalization": "plane"}, False),
        ({"min_area": 90, "max_hole": 0.5, "link": "stack"}, True),
    ],
)
def test_what_is_known_without_a_run(options, known):
    assert covers(RAN, RAN.model_copy(update=options)) is known


def test_any_confidence_on_the_slider_is_known_after_a_run():
    assert covers(broadened(make_recipe(conf=0.8)), make_recipe(conf=0.05))
    assert broadened(make_recipe(conf=0.01)).conf == 0.01


def test_a_model_is_loaded_once():
    parts = Parts()
    model, detector = parts.load(make_recipe())
    assert parts.load(make_recipe()) == (model, detector)
    again, other = parts.load(make_recipe(conf=0.5))
    assert again is model
    assert other is not detector


def test_a_file_that_has_changed_is_loaded_again(tmp_path):
    path = tmp_path / "model.safetensors"
    parts = Parts()
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        parts.load(make_recipe(model=str(path)))
    path.write_bytes(b"no weights")
    with pytest.raises(ModelError):
        parts.load(make_recipe(model=str(path)))
    model, _ = parts.load(make_recipe())
    path.write_bytes(model_bytes())
    assert parts.load(make_recipe(model=str(path)))[0].info.sha256 == model.info.sha256


def model_bytes():
    from napari_sam.models.catalog import list_models

    (entry,) = (e for e in list_models() if e.name == "pocket")
    return entry.path.read_bytes()
