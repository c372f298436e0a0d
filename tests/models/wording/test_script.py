"""Weights out of TorchScript, whatever else may be in such a file."""

from __future__ import annotations

import os
import pickle
import warnings
import zipfile

import pytest
import torch
from torch import nn

from napari_sam.models.wording.script import Script, is_script
from napari_sam.types import ModelError


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(10, 4)
        self.layers = nn.Sequential(nn.Linear(4, 4), nn.GELU()).half()
        self.turned = nn.Parameter(torch.randn(4, 3).t())
        self.register_buffer("table", torch.arange(6).reshape(2, 3))
        self.unused = nn.Conv2d(3, 2, 3)

    def forward(self, text):
        found = self.layers(self.embedding(text).half()).float()
        return found @ self.turned.t() + self.table.sum()


@pytest.fixture
def network():
    return Network().eval()


@pytest.fixture
def path(network, tmp_path):
    path = tmp_path / "network.ts"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated, and publishers use it
        torch.jit.trace(network, torch.zeros(2, 3, dtype=torch.long)).save(str(path))
    return path


def test_every_weight_is_read_by_its_name(network, path):
    script, state = Script(path), network.state_dict()
    assert is_script(path)
    assert set(script.stored) == set(state)
    read = script.read({f"my {name}": name for name in state})
    for name, tensor in state.items():
        assert read[f"my {name}"].dtype == tensor.dtype
        assert torch.equal(read[f"my {name}"], tensor)


def test_other_files_are_no_scripts(tmp_path):
    torch.save({"a": torch.zeros(2)}, tmp_path / "a.pt")
    (tmp_path / "b.ts").write_bytes(b"PK\x03\x04 cut off")
    for name in ("a.pt", "b.ts", "none.ts"):
        assert not is_script(tmp_path / name)


class Runs:
    def __init__(self, what):
        self.what = what

    def __reduce__(self):
        return self.what


def made(tmp_path, pickled, data=b"\0" * 64, packed=zipfile.ZIP_STORED):
    path = tmp_path / "made.ts"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("made/data.pkl", pickled)
        archive.writestr("made/constants.pkl", b"\x80\x02).")
        archive.writestr("made/data/0", data, packed)
    return path


def test_nothing_in_it_is_run(tmp_path):
    there = tmp_path / "it ran"
    for what in (
        (os.system, (f"touch '{there}'",)),
        (eval, ("print(1)",)),
        (torch.load, ("other.pt",)),
    ):
        with pytest.raises(ModelError, match="it would use"):
            Script(made(tmp_path, pickle.dumps(Runs(what), 2)))
    assert not there.exists()


def tensor(kind="FloatStorage", key="0", offset=0, shape=(4,), strides=(1,)):
    """A pickle of a module with one tensor, as TorchScript writes it."""

    def number(value):
        return b"J" + value.to_bytes(4, "little", signed=True)

    def several(values):
        return b"(" + b"".join(map(number, values)) + b"t"

    text = [b"X" + len(t).to_bytes(4, "little") + t for t in (b"storage", key.encode())]
    storage = b"(" + text[0] + b"ctorch\n" + kind.encode() + b"\n" + text[1]
    storage += b"X\x03\x00\x00\x00cpu" + number(16) + b"tQ"
    made = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + number(offset)
    made += several(shape) + several(strides) + b"\x89ccollections\nOrderedDict\n)RtR"
    return b"\x80\x02c__torch__.A\nA\n)\x81}X\x01\x00\x00\x00w" + made + b"sb."


def test_a_pickle_made_by_hand_is_read(tmp_path):
    script = Script(made(tmp_path, tensor()))
    assert torch.equal(script.read({"w": "w"})["w"], torch.zeros(4))


@pytest.mark.parametrize(
    "wrong",
    [
        {"shape": (1 << 30,)},
        {"offset": 14},
        {"offset": -3},
        {"shape": (-4,)},
        {"shape": (4, 4), "strides": (1 << 20, 1)},
        {"shape": (4, 4)},
        {"key": "../0"},
        {"kind": "UntypedStorage"},
    ],
)
def test_tensors_that_are_not_there_are_refused(tmp_path, wrong):
    with pytest.raises(ModelError, match="cannot be read"):
        Script(made(tmp_path, tensor(**wrong))).read({"w": "w"})


def test_packed_and_damaged_files_are_refused(tmp_path, path):
    with pytest.raises(ModelError, match="packed"):
        Script(made(tmp_path, tensor(), packed=zipfile.ZIP_DEFLATED)).read({"w": "w"})
    for pickled in (b"", b"\x80\x02", b"hello", b"\x80\x02}}}."):
        with pytest.raises(ModelError, match="cannot be read"):
            Script(made(tmp_path, pickled)).read({"w": "w"})
    cut = tmp_path / "cut.ts"
    cut.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ModelError, match="cannot be read"):
        Script(cut)
