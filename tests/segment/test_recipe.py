import numpy as np
import pytest

from napari_sam.segment import Recipe, RecipeError, make_recipe


def test_defaults_are_the_documented_ones():
    recipe = make_recipe()
    assert recipe == Recipe()
    assert (recipe.conf, recipe.iou, recipe.imgsz, recipe.max_det) == (
        0.25,
        0.45,
        None,
        300,
    )
    assert (recipe.detector, recipe.model, recipe.link) == ("nuclei", "pocket", "none")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"conf": 1.5}, "conf must be between 0 and 1, not 1.5"),
        ({"iou": -0.1}, "iou must be between 0 and 1"),
        ({"conf": float("nan")}, "between 0 and 1"),
        ({"conf": "high"}, "conf must be a valid number"),
        ({"max_det": 0}, "max_det must be greater than or equal to 1"),
        ({"imgsz": 10}, "imgsz must be greater than or equal to 32"),
        ({"link": "z"}, "link must be 'none', 'stack' or 'time', not 'z'"),
        ({"normalization": "file"}, "normalization must be 'stack' or 'plane'"),
        ({"axes": "ZZYX"}, "axes must not name an axis twice"),
        ({"axes": "Z1YX"}, "axes must be letters"),
        ({"axes": "ZY"}, "axes must name Y and X"),
        ({"channels": [-1]}, "channels must be greater than or equal to 0"),
        ({"channels": []}, "channels must name at least one"),
        ({"classes": [0, 0]}, "classes must not name one twice"),
        ({"classes": ["red"]}, "classes must be a valid integer"),
        ({"model": ""}, "model must have at least 1 character"),
        ({"cnf": 0.5}, "there is no option cnf: did you mean conf?"),
        ({"qqq": 1}, "there is no option qqq"),
    ],
)
def test_a_wrong_option_is_named_in_one_line(options, words):
    with pytest.raises(RecipeError) as caught:
        make_recipe(**options)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_wrong_option_is_named():
    with pytest.raises(RecipeError, match=r"conf .*; iou "):
        make_recipe(conf=2, iou=2)


def test_one_channel_or_class_needs_no_list():
    recipe = make_recipe(channels="dapi", classes=np.int64(2))
    assert recipe.channels == ("dapi",)
    assert recipe.classes == (2,)
    assert make_recipe(channels=np.array([2, 0])).channels == (2, 0)


def test_survives_json():
    recipe = make_recipe(axes="tzyx", channels=[0, "gfp"], link="stack", conf=0.5)
    assert recipe.axes == "TZYX"
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


def test_every_field_is_described():
    assert all(field.description for field in Recipe.model_fields.values())
