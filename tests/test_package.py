"""What is installed: a light import, a complete wheel, a clear word on conflicts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
import yaml

from napari_sam.data import FOLDER, demo_images

ROOT = Path(__file__).parents[1]
PACKAGE = FOLDER.parent
HEAVY = {"torch", "torchvision", "napari", "qtpy", "vispy", "skimage", "scipy"}


def python(*arguments: str, path: Path | None = None) -> subprocess.CompletedProcess:
    """Run Python in a process of its own, with `path` in front of ours."""
    ours = [str(PACKAGE.parent)] if path is None else [str(path), str(PACKAGE.parent)]
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(ours)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}; import json, sys; print(json.dumps(list(sys.modules)))"
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def test_the_import_loads_nothing_heavy():
    assert not loaded_by("import napari_sam") & HEAVY


def test_opening_the_plugin_loads_no_torch():
    loaded = loaded_by("import napari_sam.widgets.samples, napari_sam.widgets.view")
    assert "napari" in loaded
    assert not loaded & {"torch", "torchvision"}


@pytest.mark.parametrize("module", ["models", "models.protocol", "models.catalog"])
def test_the_front_door_of_the_models_loads_no_torch(module):
    assert not loaded_by(f"import napari_sam.{module}") & {"torch", "torchvision"}


def test_the_version_is_the_same_everywhere():
    version = metadata.version("napari-sam-annotator")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert str(citation["version"]) == version
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", folder, "."],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_is_small(wheel):
    assert wheel.stat().st_size <= 25e6


def test_the_wheel_has_everything(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    here = {
        path.relative_to(PACKAGE.parent).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert here | {"napari_sam_annotator.py"} <= names
    assert {"napari_sam/napari.yaml", "napari_sam/py.typed"} <= names


def test_the_images_that_ship_are_all_listed_and_few_megabytes():
    listed = {path for image in demo_images() for path in (image.image, image.truth)}
    assert listed == set(FOLDER.glob("*/*.tif"))
    assert sum(path.stat().st_size for path in listed) < 5e6


def test_the_readme_of_the_images_names_each_with_its_licence():
    text = (FOLDER / "README.md").read_text("utf-8")
    for image in demo_images():
        start = f"| `{image.key}` |"
        (row,) = (line for line in text.splitlines() if line.startswith(start))
        assert any(name in row for name in ("CC BY 4.0", "CC0 1.0", "MIT"))


def test_no_model_was_trained_on_an_image_that_ships():
    split = json.loads((PACKAGE / "training/pocket/split.json").read_text("utf-8"))
    sources = [image.source.split("/") for image in demo_images()]
    assert [name for name, _ in sources if name in split] == [
        "dsb2018",
        "dsb2018",
        "usiigaci_phase",
    ]
    for name, field in sources:
        if name in split:
            assert field not in split[name]["train"] + split[name]["validation"]


@pytest.fixture
def abandoned(tmp_path):
    """Return a folder in which pip has registered the package `napari-sam`."""
    info = tmp_path / "napari_sam-0.4.13.dist-info"
    info.mkdir()
    text = "Metadata-Version: 2.1\nName: napari-sam\nVersion: 0.4.13\n"
    (info / "METADATA").write_text(text, "utf-8")
    return tmp_path


def test_alone_nothing_is_said():
    done = python("-W", "error", "-c", "import napari_sam")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_import_warns_of_the_abandoned_package(abandoned):
    done = python("-c", "import napari_sam", path=abandoned)
    assert done.returncode == 0
    assert "napari-sam 0.4.13 is installed too" in done.stderr
    assert "pip uninstall napari-sam napari-sam-annotator" in done.stderr


def test_the_command_line_warns_once_and_works(abandoned):
    done = python("-m", "napari_sam_annotator", "--help", path=abandoned)
    assert done.returncode == 0
    assert done.stderr.count("is installed too") == 1
    assert "annotate" in done.stdout


def test_the_command_line_says_so_where_our_files_were_overwritten(abandoned):
    package = abandoned / "napari_sam"
    package.mkdir()
    # What 0.4.13 does; the module needs packages that nobody has any more.
    (package / "__init__.py").write_text("from ._widget import SamWidget\n", "utf-8")
    done = python("-m", "napari_sam_annotator", "--help", path=abandoned)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "napari-sam 0.4.13 is installed too" in line
