"""Files of weights come from strangers: each kind of wrong one is refused in words.

Every file is given to Python and to the command line; nothing in it may run.
"""

from __future__ import annotations

import os
import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner

import napari_sam as ns
from napari_sam.cli import app
from napari_sam.models.ultra import load_ultralytics
from napari_sam.types import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

RAN = "this-file-was-written-by-a-checkpoint"


class Payload:
    """Writes a file into the working directory when it is unpickled."""

    def __reduce__(self):
        return exec, (f"open({RAN!r}, 'w').close()",)


@dataclass(frozen=True)
class Bad:
    """How to make a wrong file, and words that its line must have."""

    make: Callable[[Path], Path]
    says: tuple[str, ...]


def packed(folder: Path, program: bytes, name: str = "bad.pt") -> Path:
    """Write a pickle the way torch wraps it."""
    path = folder / name
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", program)
        archive.writestr("archive/version", b"3\n")
    return path


def calling(function: str, *arguments: str) -> bytes:
    """Write a pickle that calls a function."""
    module, _, name = function.rpartition(".")
    texts = b"".join(b"V" + a.encode() + b"\n" for a in arguments)
    return f"\x80\x02c{module}\n{name}\n".encode("latin1") + b"(" + texts + b"tR."


def of(content: bytes, name: str = "bad.pt") -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content)
        return path

    return make


def saved(thing: object, **options: bool) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / "bad.pth"
        torch.save(thing, path, **options)
        return path

    return make


def cut(make: Callable[[Path], Path], part: float) -> Callable[[Path], Path]:
    def shortened(folder: Path) -> Path:
        path = make(folder)
        os.truncate(path, int(path.stat().st_size * part))
        return path

    return shortened


def safetensors(tensors: dict[str, torch.Tensor]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        save_file(tensors, folder / "bad.safetensors")
        return folder / "bad.safetensors"

    return make


def link_to_itself(folder: Path) -> Path:
    path = folder / "loop.pt"
    path.symlink_to(path)
    return path


def pipe(folder: Path) -> Path:
    path = folder / "pipe.pt"
    os.mkfifo(path)
    return path


def locked(folder: Path) -> Path:
    path = saved(weights())(folder)
    path.chmod(0)
    return path


def bomb(folder: Path) -> Path:
    path = folder / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
        archive.writestr("archive/data/0", bytes(50_000_000))
    return path


def image(folder: Path) -> Path:
    path = folder / "bad.pt"
    Image.new("L", (8, 8)).save(path, format="PNG")
    return path


def scripted(folder: Path) -> Path:
    path = packed(folder, pickle.dumps({}))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/constants.pkl", pickle.dumps(()))
        archive.writestr("archive/code/__torch__.py", "def forward(x): return x")
    return path


def other_archive(folder: Path) -> Path:
    path = folder / "bad.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", "<w/>")
    return path


def onnx(folder: Path) -> Path:
    # IR version 8, then the producer "pytorch".
    return of(b"\x08\x08\x12\x07pytorch" + bytes(200), "bad.onnx")(folder)


def yolo(folder: Path) -> Path:
    tasks = load_ultralytics("ultralytics.nn.tasks")
    path = folder / "yolo.pt"
    torch.save({"model": tasks.DetectionModel("yolo11n.yaml", verbose=False)}, path)
    return path


def yolo_layer() -> torch.nn.Module:
    layer: torch.nn.Module = load_ultralytics("ultralytics.nn.modules.conv").Conv(3, 4)
    return layer


def nan_in_yolo(folder: Path) -> Path:
    module = load_ultralytics("ultralytics.nn.tasks").DetectionModel(
        "yolo11n.yaml", verbose=False
    )
    module.names = {0: "cell"}
    with torch.no_grad():
        module.model[0].conv.weight[0, 0, 1, 2] = torch.nan
    torch.save({"model": module}, folder / "bad.pt")
    return folder / "bad.pt"


def nameless(folder: Path) -> Path:
    path = yolo(folder)
    module = torch.load(path, weights_only=False)["model"]
    del module.names
    torch.save({"model": module}, path)
    return path


def weights(*, nan: float = 1.0) -> dict[str, torch.Tensor]:
    return {"mask_decoder.a": torch.full((4, 4), nan), "mask_decoder.b": torch.ones(3)}


def mobile_sam() -> dict[str, torch.Tensor]:
    builders = load_ultralytics("ultralytics.models.sam.build")
    state: dict[str, torch.Tensor] = builders.build_mobile_sam(None).state_dict()
    return state


def other_shapes(folder: Path) -> Path:
    state = mobile_sam()
    state["mask_decoder.iou_token.weight"] = torch.zeros(2, 256)
    return saved(state)(folder)


def tensors_missing(folder: Path) -> Path:
    state = mobile_sam()
    return saved({k: t for k, t in state.items() if "prompt_encoder" not in k})(folder)


def nan_in_sam(folder: Path) -> Path:
    state = mobile_sam()
    state["mask_decoder.mask_tokens.weight"][1, 7] = torch.nan
    return saved({"model": state})(folder)


RESIZED = torch.zeros(1).expand(100_000, 100_000)
FAKE_YOLO = b"\x80\x02cultralytics.nn.tasks\nDetectionModel\n)\x810"

# Wrong as a model and as a detector alike.
BAD_FILES = {
    "pickle that runs code": Bad(saved({"a": Payload()}), ("would call", "exec")),
    "the same in torch's old format": Bad(
        saved({"a": Payload()}, _use_new_zipfile_serialization=False),
        ("would call", "exec"),
    ),
    "plain pickle": Bad(of(pickle.dumps(Payload())), ("Python pickle", "exec")),
    "plain pickle without code": Bad(of(pickle.dumps({"a": 1})), ("Python pickle",)),
    "more memory than there is": Bad(
        lambda folder: packed(folder, calling("builtins.bytearray", "9")),
        ("would call", "bytearray"),
    ),
    "whole module": Bad(saved(torch.nn.Linear(2, 2)), ("Linear", "state dict")),
    "one tensor": Bad(saved(torch.ones(3)), ("one Tensor", "state dict")),
    "no weights": Bad(saved({"epoch": 3}), ("no weights", "epoch")),
    "TorchScript": Bad(scripted, ("TorchScript", "weights")),
    "cut off": Bad(cut(saved(weights()), 0.5), ("cut off", "again")),
    "cut off early": Bad(cut(saved(weights()), 0.02), ("again",)),
    "cut off in the old format": Bad(
        cut(saved(weights(), _use_new_zipfile_serialization=False), 0.8),
        ("cut off", "again"),
    ),
    "cut off safetensors": Bad(cut(safetensors(weights()), 0.9), ("safetensors",)),
    "no pickle in it": Bad(lambda f: packed(f, b"nonsense"), ("damaged", "again")),
    "other zip archive": Bad(other_archive, ("zip archive", "unpack")),
    "zip bomb": Bad(bomb, ("claims to unpack", "times its size")),
    "tensor larger than its data": Bad(saved({"a": RESIZED}), ("claims to be",)),
    "sparse tensor": Bad(saved({"a": torch.eye(3).to_sparse()}), ("would call",)),
    "NaN": Bad(saved(weights(nan=torch.nan)), ("mask_decoder.a", "not finite")),
    "infinity": Bad(saved(weights(nan=torch.inf)), ("mask_decoder.a", "not finite")),
    "NaN in safetensors": Bad(safetensors(weights(nan=torch.nan)), ("not finite",)),
    "NaN in MobileSAM": Bad(nan_in_sam, ("mask_decoder.mask_tokens", "NaN")),
    "web page": Bad(of(b"\n<!DOCTYPE html><html>Not found</html>"), ("web page",)),
    "git-lfs pointer": Bad(
        of(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), ("git-lfs",)
    ),
    "empty file": Bad(of(b""), ("empty", "again")),
    "text": Bad(of(b"These are no weights.\n" * 9), ("no checkpoint",)),
    "image": Bad(image, ("image",)),
    "packed": Bad(of(b"\x1f\x8b\x08" + bytes(99), "bad.pt.gz"), ("gzip", "unpack")),
    "folder": Bad(lambda folder: folder, ("folder",)),
    "missing file": Bad(
        lambda folder: folder / "sam_b.pt", ("no such file", "nothing is downloaded")
    ),
    "link to itself": Bad(link_to_itself, ("link that leads to itself",)),
    "pipe": Bad(pipe, ("no ordinary file",)),
    "file without permission": Bad(locked, ("permission",)),
    "another architecture": Bad(
        saved({"image_encoder.trunk.pos_embed": torch.ones(3)}), ("SAM 2",)
    ),
    "unknown architecture": Bad(saved({"banana.weight": torch.ones(3)}), ("banana",)),
}
BAD_MODELS = {
    "a training of µSAM": Bad(
        lambda f: packed(f, b"\x80\x02ctorch_em.data\nSegmentationDataset\n)\x81."),
        ("µSAM", "export_custom_sam_model"),
    ),
    "a detector": Bad(yolo, ("detector", "--detector")),
    "an ONNX file": Bad(onnx, ("ONNX", "--detector")),
    "tensors of other shapes": Bad(other_shapes, ("iou_token", "(2, 256)")),
    "tensors missing": Bad(tensors_missing, ("prompt_encoder", "missing")),
}
BAD_DETECTORS = {
    "code behind a detector's name": Bad(
        lambda folder: packed(folder, FAKE_YOLO + calling("os.system", "ls")[2:]),
        ("would call", "os.system"),
    ),
    "a model": Bad(lambda folder: saved(mobile_sam())(folder), ("--model",)),
    "the built-in model": Bad(
        lambda _: next(e.path for e in ns.list_models() if e.path), ("--model",)
    ),
    "YOLOv5's own format": Bad(
        lambda f: packed(f, b"\x80\x02cmodels.yolo\nModel\n)\x81."), ("YOLOv5", "ONNX")
    ),
    "foreign layers": Bad(
        lambda f: packed(f, FAKE_YOLO + b"cevil.layers\nLayer\n)\x81."),
        ("evil.layers.Layer",),
    ),
    "a network that would be built from an address": Bad(
        lambda f: packed(
            f,
            FAKE_YOLO
            + calling("ultralytics.nn.tasks.DetectionModel", "http://a.b/c.yaml")[2:],
        ),
        ("would call", "ultralytics.nn.tasks.DetectionModel"),
    ),
    "a detector without a network": Bad(
        lambda folder: saved({"model": 1, "a": yolo_layer()})(folder).rename(
            folder / "bad.pt"
        ),
        ("no detector in this file",),
    ),
    "a detector with NaN": Bad(nan_in_yolo, ("model.0.conv.weight", "not finite")),
    "a detector without names": Bad(nameless, ("classes", "called")),
}


def prepared(bad: Bad, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if bad.make is locked and (os.name == "nt" or os.geteuid() == 0):
        pytest.skip("this user may read everything")
    if bad.make is pipe and os.name == "nt":
        pytest.skip("there are no such pipes")
    inside = folder / "files"
    inside.mkdir()
    monkeypatch.chdir(folder)  # where a payload would write
    return bad.make(inside)


def check_message(message: str, path: Path, bad: Bad) -> None:
    assert str(path) in message
    assert all(words in message for words in bad.says), message
    assert "\n" not in message
    assert not Path(RAN).exists()


CASES = [
    *((ns.load_model, "--model", key, bad) for key, bad in BAD_FILES.items()),
    *((ns.load_model, "--model", key, bad) for key, bad in BAD_MODELS.items()),
    *((ns.load_detector, "--detector", key, bad) for key, bad in BAD_FILES.items()),
    *((ns.load_detector, "--detector", key, bad) for key, bad in BAD_DETECTORS.items()),
]


@pytest.mark.parametrize(
    ("load", "option", "bad"),
    [(load, option, bad) for load, option, _, bad in CASES],
    ids=[f"{option[2:]}: {key}" for _, option, key, _ in CASES],
)
def test_a_wrong_file_is_refused_in_words(load, option, bad, tmp_path, monkeypatch):
    path = prepared(bad, tmp_path, monkeypatch)
    with pytest.raises(ModelError) as caught:
        load(path, device="cpu")
    check_message(str(caught.value), path, bad)
    plane, output = tmp_path / "plane.tif", tmp_path / "out"
    tifffile.imwrite(plane, np.zeros((32, 32), np.uint8))
    arguments = ["annotate", str(plane), "--output", str(output), option, str(path)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    check_message(line, path, bad)
    assert not output.exists()


def test_the_payload_would_run_if_it_were_unpickled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(Payload()))
    assert Path(RAN).exists()
