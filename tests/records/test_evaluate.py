from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile

from napari_sam.records.evaluate import evaluate
from napari_sam.types import ImageError


def squares(count: int, shape: tuple[int, ...] = (40, 40)) -> npt.NDArray[np.uint16]:
    labels = np.zeros(shape, np.uint16)
    for i in range(count):
        labels[..., 10 * i : 10 * i + 8, 5:15] = i + 1
    return labels


def save(path: Path, labels: npt.NDArray[Any], **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, labels, **{"photometric": "minisblack", **options})
    return path


def test_two_files_belong_together_whatever_their_names(tmp_path: Path) -> None:
    pred = save(tmp_path / "p.tif", squares(3))
    true = save(tmp_path / "t.tif", squares(4))
    result = evaluate(pred, true)
    assert result.exit_code == 0
    assert (result.total.n_pred, result.total.n_true, result.total.tp[0]) == (3, 4, 3)
    assert result.total.f1[0] == pytest.approx(6 / 7)


def test_folders_are_matched_by_relative_path_without_suffix(tmp_path: Path) -> None:
    save(tmp_path / "p" / "a.tif", squares(2))
    save(tmp_path / "p" / "sub" / "b.ome.tif", squares(3))
    save(tmp_path / "t" / "a.tiff", squares(2))
    save(tmp_path / "t" / "sub" / "b.tif", squares(4))
    result = evaluate(tmp_path / "p", tmp_path / "t")
    assert {f.name: f.agreement.n_true for f in result.files} == {"a": 2, "sub/b": 4}
    assert result.total.tp[0] == 5
    values = result.to_dict()
    assert values["all"]["n_true"] == 6 and len(values["files"]) == 2


def test_what_cannot_be_scored_is_named_and_the_rest_is_scored(tmp_path: Path) -> None:
    for name in ("good", "shape", "only_p"):
        save(tmp_path / "p" / f"{name}.tif", squares(2))
    save(
        tmp_path / "p" / "colour.tif", np.zeros((9, 9, 3), np.uint8), photometric="rgb"
    )
    save(tmp_path / "p" / "float.tif", squares(2).astype(np.float32))
    save(tmp_path / "t" / "shape.tif", squares(2, (40, 41)))
    for name in ("good", "only_t", "colour", "float"):
        save(tmp_path / "t" / f"{name}.tif", squares(2))
    # Two files of one name: the first, in the order of names, is taken.
    (tmp_path / "t" / "good.tiff").write_bytes(b"")
    result = evaluate(tmp_path / "p", tmp_path / "t")
    assert result.exit_code == 2
    assert [file.name for file in result.files] == ["good"]
    text = "\n".join(result.failures)
    for name in ("shape.tif", "only_p.tif", "only_t.tif", "colour.tif", "float.tif"):
        assert name in text
    assert "good.tiff" in text


def test_time_points_are_compared_one_by_one(tmp_path: Path) -> None:
    tracked = squares(2, (3, 40, 40))
    separate = np.where(tracked, tracked + 10 * np.arange(3)[:, None, None], 0)
    separate = separate.astype(np.uint16)
    frames = {"imagej": True, "metadata": {"axes": "TYX"}}
    depth = {"imagej": True, "metadata": {"axes": "ZYX"}}
    plain = save(tmp_path / "plain.tif", tracked)
    pred = save(tmp_path / "t.tif", separate, **frames)
    assert evaluate(pred, plain).total.tp[0] == 6
    assert evaluate(plain, pred).total.tp[0] == 6
    # Through z they are one object each, and were cut in three.
    pred = save(tmp_path / "z.tif", separate, **depth)
    assert evaluate(pred, plain).total.tp[0] == 0
    assert evaluate(pred, plain).total.n_true == 2


def test_an_output_folder_stands_for_its_labels(tmp_path: Path) -> None:
    save(tmp_path / "out" / "labels" / "a.tif", squares(2))
    (tmp_path / "out" / "objects.csv").write_text("")
    save(tmp_path / "t" / "a.tif", squares(2))
    assert evaluate(tmp_path / "out", tmp_path / "t").total.f1[-1] == 1


def test_nothing_in_common_is_told(tmp_path: Path) -> None:
    save(tmp_path / "p" / "a.tif", squares(2))
    save(tmp_path / "t" / "b.tif", squares(2))
    result = evaluate(tmp_path / "p", tmp_path / "t")
    assert "no file in common" in result.failures[-1]
    assert result.to_dict()["all"] is None
    with pytest.raises(ImageError, match="none"):
        evaluate(tmp_path / "p", tmp_path / "none")
