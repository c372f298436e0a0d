"""Curves and tables of runs, and the configurations in `training/`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from skimage import io

from napari_sam.training.pocket.config import Config, read_config
from napari_sam.training.pocket.curves import (
    LOSSES,
    VALIDATION,
    read_curve,
    save_curves,
    table,
)

CONFIGS = Path(__file__).parents[2] / "training"
ABLATIONS = sorted(CONFIGS.glob("ablations/without-*.yaml"))


def write_run(folder: Path, *, steps: int, level: float) -> Path:
    """Write the files of a run whose IoU has been `level` throughout."""
    folder.mkdir()
    for file, every, names in (
        ("curve.csv", 20, ("iou", *LOSSES)),
        ("validation.csv", 100, tuple(VALIDATION)),
    ):
        lines = [",".join(["step", "seconds", *names])]
        for step in range(every, steps + 1, every):
            values = [str(level)] * len(names)
            lines.append(",".join([str(step), str(step * 3), *values]))
        (folder / file).write_text("\n".join(lines) + "\n", "utf-8")
    return folder


def test_steps_that_were_taken_again_count_once(tmp_path):
    path = tmp_path / "curve.csv"
    path.write_text(
        "step,seconds,iou\n20,10,0.1\n40,20,0.2\n60,30,0.3\n"
        # Killed, and gone on with from a checkpoint at step 30.
        "40,22,0.25\n60,32,\n",
        "utf-8",
    )
    curve = read_curve(path)
    assert curve["step"].tolist() == [20, 40, 60]
    assert np.allclose(curve["iou"], [0.1, 0.25, np.nan], equal_nan=True)


@pytest.mark.parametrize("by", ["step", "minutes"])
def test_each_run_over_the_others_has_a_line_of_its_own(tmp_path, by):
    low = write_run(tmp_path / "low", steps=400, level=0.4)
    high = write_run(tmp_path / "high", steps=200, level=0.7)
    pictures = []
    for runs in ([low], [low, high]):
        out = tmp_path / "curves.png"
        save_curves(runs, out, by=by)
        pictures.append(io.imread(out)[..., :3])
    blue, orange = (0x1F, 0x77, 0xB4), (0xFF, 0x7F, 0x0E)
    for picture, lines in zip(pictures, (1, 2), strict=True):
        drawn = [(picture == c).all(-1).sum() > 10 for c in (blue, orange)]
        assert sum(drawn) == lines


def test_a_run_without_a_row_yet_is_drawn_as_empty_panels(tmp_path):
    (tmp_path / "new").mkdir()
    save_curves([tmp_path / "new"], tmp_path / "curves.png")
    assert io.imread(tmp_path / "curves.png").size


def test_the_table_says_where_each_run_ended(tmp_path):
    runs = [
        write_run(tmp_path / "low", steps=400, level=0.4),
        write_run(tmp_path / "high", steps=200, level=0.7),
    ]
    last = table(runs).splitlines()[-2:]
    assert last[0].startswith("| low | 400 | 20 | 0.400 |")
    assert last[1].startswith("| high | 200 | 10 | 0.700 |")


@pytest.mark.parametrize("path", ABLATIONS, ids=lambda path: path.stem)
def test_an_ablation_differs_from_everything_in_one_setting(path):
    everything = read_config(path.parent / "everything.yaml").model_dump()
    ablated = read_config(path).model_dump()
    differing = {name for name in everything if everything[name] != ablated[name]}
    assert differing == yaml.safe_load(path.read_text("utf-8")).keys() - {"base"}
    assert len(differing) == 1


def test_leaving_out_made_up_scenes_keeps_the_shares_of_the_others():
    kinds = read_config(CONFIGS / "ablations/without-synthetic.yaml").kinds
    assert kinds == {k: v for k, v in Config().kinds.items() if k != "synthetic"}


def test_the_main_run_goes_on_from_what_ships():
    assert read_config(CONFIGS / "pocket.yaml").start == "shipped"
