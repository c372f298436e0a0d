import inspect
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from skimage.draw import disk
from typer.testing import CliRunner

from napari_sam import cli
from napari_sam.models.known import ALL
from napari_sam.segment.recipe import Recipe, make_recipe


@pytest.fixture
def image(tmp_path: Path) -> Path:
    pixels = np.full((2, 48, 48), 100, np.uint16)
    for y, x in ((14, 14), (32, 30)):
        pixels[:, *disk((y, x), 7)] = 900
    path = tmp_path / "discs.tif"
    tifffile.imwrite(path, pixels, imagej=True, metadata={"axes": "ZYX"})
    return path


def run(*arguments: object) -> str:
    result = CliRunner().invoke(cli.app, [str(a) for a in arguments])
    assert result.exit_code == 0, result.stderr
    return result.output


def test_annotate_says_what_it_understood_and_where_results_went(
    image: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    said = run("annotate", image, "--output", output, "--link", "stack")
    assert "axes ZYX" in said and "one id through z" in said
    assert str(output / "labels" / "discs.tif") in said
    assert str(output / "objects.csv") in said
    assert tifffile.imread(output / "labels" / "discs.tif").shape == (2, 48, 48)
    assert "complete already" in run(
        "annotate", image, "--output", output, "--link", "stack"
    )


def test_defaults_are_those_of_the_recipe() -> None:
    recipe = Recipe()
    for name, parameter in inspect.signature(cli.annotate).parameters.items():
        if name in Recipe.model_fields:
            said = make_recipe(**{name: parameter.default})
            assert said == recipe, name


def test_evaluate_prints_a_table_or_json(image: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    run("annotate", image, "--output", output, "--detector", "threshold")
    truth = output / "labels" / "discs.tif"
    table = run("evaluate", truth, truth)
    assert "discs" in table and ".95" in table and "…" not in table
    values = json.loads(run("evaluate", truth, truth, "--json"))
    assert values["all"]["f1"]["0.50"] == 1
    assert values["files"][0]["n_true"] == values["all"]["n_true"] > 0


def test_models_are_listed_shown_and_verified() -> None:
    assert run("models") == run("models", "list")
    listed = run("models")
    ours = {line.split()[0] for line in listed.splitlines() if line}
    assert ours >= {"pocket", "nuclei", "threshold"}
    for known in ALL:
        assert known.file in listed
        assert known.where in listed
        assert known.name in listed and known.title in listed
    assert "sha256" in run("models", "show", "pocket")
    assert "intact" in run("models", "verify")


def test_an_unknown_model_is_named() -> None:
    result = CliRunner().invoke(cli.app, ["models", "show", "giant"])
    assert result.exit_code == 2
    assert "giant" in result.stderr and "pocket" in result.stderr


@pytest.mark.parametrize(
    "arguments", [[], ["--help"], ["annotate", "--help"], ["models", "--help"]]
)
def test_help_loads_no_room(arguments: list[str]) -> None:
    code = f"""
import sys
from napari_sam.cli import main
sys.argv = ["napari-sam", *{arguments!r}]
try:
    main()
except SystemExit as end:
    assert not end.code
heavy = {{"torch", "scipy", "skimage", "napari", "tifffile", "zarr"}}
loaded = heavy & set(sys.modules)
assert not loaded, loaded
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout
