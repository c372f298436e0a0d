"""Weights are found in every layout that people save them in."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

import pytest
import torch
from safetensors.torch import save_file

import napari_sam as ns
from napari_sam.models.checkpoints import read_tensors
from napari_sam.models.protocol import PromptableModel
from napari_sam.models.sam1.architecture import Architecture, detect
from napari_sam.models.ultra import load_ultralytics
from napari_sam.types import ModelError

WEIGHTS = {
    "image_encoder.a.weight": torch.arange(6.0).reshape(2, 3),
    "mask_decoder.b.bias": torch.ones(4, dtype=torch.float16),
    "mask_decoder.count": torch.tensor(7),
}
DECODER = {"out.weight": torch.full((2,), 0.5)}


def under(prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + name: tensor for name, tensor in WEIGHTS.items()}


LAYOUTS = {
    "flat": WEIGHTS,
    "ordered": OrderedDict(WEIGHTS),
    "parameters": {
        k: torch.nn.Parameter(t, requires_grad=False) for k, t in WEIGHTS.items()
    },
    "ultralytics, SAM 2": {"model": WEIGHTS},
    "lightning": {"state_dict": under("model."), "epoch": 3},
    "data parallel": under("module."),
    "data parallel, nested": {"model": under("module.sam.")},
    "with other things": {**WEIGHTS, "epoch": 3, "loss": [0.5], "name": "mine"},
    "with an optimizer": {
        "model": WEIGHTS,
        "optimizer": {"state": {0: {"step": torch.ones(1)}}, "param_groups": []},
    },
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
@pytest.mark.parametrize("new", [True, False], ids=["zip", "old format"])
def test_weights_are_found_in_every_layout(layout, new, tmp_path):
    path = tmp_path / "any-name.bin"
    torch.save(layout, path, _use_new_zipfile_serialization=new)
    found = read_tensors(path)
    assert found.tensors.keys() == WEIGHTS.keys()
    for name, tensor in WEIGHTS.items():
        assert torch.equal(found.tensors[name], tensor)
        assert found.tensors[name].dtype == tensor.dtype
        assert type(found.tensors[name]) is torch.Tensor
    assert not found.extra
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("prefix", ["", "sam."], ids=["exported", "training"])
def test_the_second_decoder_of_micro_sam_is_kept_apart(prefix, tmp_path):
    path = tmp_path / "best.pt"
    state = {"model_state": under(prefix), "decoder_state": DECODER, "iteration": 9}
    torch.save(state, path)
    found = read_tensors(path)
    assert found.tensors.keys() == WEIGHTS.keys()
    assert found.extra.keys() == {"decoder_state"}
    assert torch.equal(
        found.extra["decoder_state"]["out.weight"], DECODER["out.weight"]
    )


def test_safetensors_bring_their_metadata(tmp_path):
    path = tmp_path / "weights.pth"  # the name does not matter
    save_file(WEIGHTS, path, {"architecture": "some-1"})
    found = read_tensors(path)
    assert found.tensors.keys() == WEIGHTS.keys()
    assert found.metadata == {"architecture": "some-1"}


def test_a_sum_that_overflows_is_not_taken_for_infinity(tmp_path):
    path = tmp_path / "large.pth"
    torch.save({"a": torch.full((8,), 3e38), "b": torch.full((8,), 6e4).half()}, path)
    assert read_tensors(path).tensors["a"][0] == 3e38


def test_tensors_that_share_memory_are_no_bomb(tmp_path):
    path = tmp_path / "tied.pth"
    tied = torch.rand(64, 64)
    torch.save({"a": tied, "b": tied, "c": tied.T, "d": tied[3:5, ::2]}, path)
    found = read_tensors(path).tensors
    assert torch.equal(found["c"], tied.T) and torch.equal(found["d"], tied[3:5, ::2])


@pytest.fixture(scope="module")
def mobile_sam():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        builders = load_ultralytics("ultralytics.models.sam.build")
        return builders.build_mobile_sam(None).state_dict()


@pytest.mark.parametrize("name", ["mobile_sam.pt", "sam_b.pt", "weights"])
def test_the_tensors_decide_what_a_model_is_not_the_name(mobile_sam, name, tmp_path):
    path = tmp_path / name
    torch.save({"model": mobile_sam}, path)
    assert detect(read_tensors(path).tensors) is Architecture.VIT_T
    model = ns.load_model(path, device="cpu")
    assert isinstance(model, PromptableModel)
    assert (model.info.name, model.info.version) == (name, "vit_t")
    assert model.info.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (
            lambda: ns.load_model("nuclei"),
            "(that is a detector): use",
        ),
        (
            lambda: ns.load_detector("pocket"),
            "(that is a model): use",
        ),
        (lambda: ns.load_model("sam_b"), 'no model "sam_b": use "pocket", or the path'),
        (lambda: ns.load_model("sam_b.pt"), "nothing is downloaded"),
        (lambda: ns.load_detector("yolo11n.pt"), "nothing is downloaded"),
    ],
)
def test_mistaken_names_are_told_apart(call, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError) as caught:
        call()
    assert says in str(caught.value)
    assert not list(tmp_path.iterdir())
