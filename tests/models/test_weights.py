"""Files of weights: what is shipped is what was trained, the rest is refused."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import napari_sam as ns
from napari_sam.models.catalog import verify
from napari_sam.models.pocket.network import Features, PocketNetwork
from napari_sam.models.pocket.weights import load_weights, save_weights
from napari_sam.types import ModelError


@pytest.fixture(scope="module")
def trained() -> PocketNetwork:
    """A network whose batch norms have seen something."""
    torch.manual_seed(0)
    network = PocketNetwork().train()
    for _ in range(3):
        features = network.encode(torch.randint(0, 255, (2, 3, 64, 64)))
        regions = torch.tensor([[[0.0, 0, 40, 40], [10, 10, 60, 60]]] * 2)
        network.decode(features, regions, torch.rand(2, 2, 6, 64, 64))
    return network.eval()


def outputs(network: PocketNetwork) -> tuple[Features, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 255, (1, 3, 96, 64), generator=random)
    regions = torch.tensor([[[3.0, 4, 43, 44]]])
    maps = torch.rand((1, 1, 6, 64, 64), generator=random)
    with torch.inference_mode():
        features = network.encode(pixels)
        return features, *network.decode(features, regions, maps)


def test_a_shipped_file_answers_as_the_trained_network(trained, tmp_path):
    path = tmp_path / "pocket.safetensors"
    save_weights(trained, path, version="9.9")
    shipped, version = load_weights(path)
    assert version == "9.9"
    kinds = {type(m) for m in shipped.modules()}
    assert torch.nn.BatchNorm2d not in kinds
    was, logits, score = outputs(trained)
    now, logits_now, score_now = outputs(shipped)
    for name in ("coarse", "fine", "dense"):
        before, after = getattr(was, name), getattr(now, name)
        assert (before - after).abs().max() < 0.01 * before.std()
    assert (logits - logits_now).abs().max() < 0.01 * logits.std()
    assert (score - score_now).abs().max() < 0.01
    assert list(tmp_path.iterdir()) == [path]


def test_other_files_are_refused_with_the_reason(tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(pickle.dumps({"a": np.zeros(3)}))
    with pytest.raises(ModelError, match="no readable safetensors file"):
        load_weights(path)
    save_file({"a": torch.zeros(3)}, path)
    with pytest.raises(ModelError, match="no checkpoint of the built-in model"):
        load_weights(path)
    save_file({"a": torch.zeros(3)}, path, {"architecture": "pocket-2"})
    with pytest.raises(ModelError, match="do not fit"):
        load_weights(path)
    with pytest.raises(ModelError, match="no such file"):
        load_weights(tmp_path / "missing")


def test_a_pickle_given_as_a_model_runs_nothing(tmp_path):
    ran = tmp_path / "ran"

    class Payload:
        def __reduce__(self):
            return (ran.write_text, ("code of the file was run",))

    path = tmp_path / "sam_vit_b.pth"
    torch.save({"model": Payload()}, path)
    with pytest.raises(ModelError, match=r"sam_vit_b\.pth"):
        ns.load_model(path)
    assert not ran.exists()


def test_shipped_weights_are_those_of_the_catalog(tmp_path):
    for entry in ns.list_models():
        verify(entry)
    entry = next(e for e in ns.list_models() if e.name == "pocket")
    damaged = tmp_path / "pocket.safetensors"
    content = bytearray(entry.path.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(ModelError, match="not those that were shipped"):
        verify(replace(entry, path=damaged))
    with pytest.raises(ModelError, match="cannot be read"):
        verify(replace(entry, path=tmp_path / "missing"))


def test_an_own_checkpoint_is_a_model_too(trained, tmp_path):
    path = tmp_path / "mine.safetensors"
    save_weights(trained, path, version="1")
    model = ns.load_model(path, device="cpu")
    assert model.info.name == "mine.safetensors"
    assert model.info.sha256 != ns.load_model("pocket", device="cpu").info.sha256


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: ns.load_model("pockets"), 'use "pocket", or the path'),
        (lambda: ns.load_model("pocket", device="tpu7"), '"tpu7"'),
        (lambda: ns.load_model("pocket", device="cuda:99"), "--device auto or cpu"),
        (lambda: ns.load_detector("pocket"), '"nuclei-yolo" or "threshold"'),
        (lambda: ns.load_detector("nuclei", classes=[0, 3]), "has no class 3"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(call, says):
    with pytest.raises(ModelError) as caught:
        call()
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
