"""What a pickle would do is read from it, and nothing is done."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import Counter, OrderedDict
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from napari_sam.models.pickles import UNKNOWN, PickleError, read_program


class Payload:
    """Calls a function when it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_calls_are_named_in_every_protocol(protocol, tmp_path):
    ran = tmp_path / "ran"
    hidden = {
        "weights": [1, (2, 3), {4}],
        "more": [Payload(exec, f"open({str(ran)!r})")],
    }
    program = read_program(pickle.dumps(hidden, protocol))
    assert {name.rpartition(".")[2] for name in program.calls} >= {"exec"}
    assert program.calls <= program.names
    assert not ran.exists()


def test_objects_that_are_made_are_told_from_functions_that_are_called():
    program = read_program(pickle.dumps([OrderedDict(a=1), Payload(len, "abc")], 4))
    assert program.calls == {"collections.OrderedDict", "builtins.len"}
    program = read_program(pickle.dumps(io.StringIO, 4))
    assert program.names == {"_io.StringIO"} and not program.calls
    program = read_program(pickle.dumps(Harmless(), 4))
    assert {name.rpartition(".")[2] for name in program.makes} == {"Harmless"}
    assert not program.calls


class Harmless:
    """An object without a constructor that is called."""


def test_a_name_that_goes_through_the_memo_is_still_known():
    twice = pickle.dumps([Payload(len, "a"), Payload(len, "b"), Counter("ab")], 2)
    assert read_program(twice).calls == {"__builtin__.len", "collections.Counter"}


@pytest.mark.parametrize(
    ("program", "calls"),
    [
        (b"(S'ls'\nios\nsystem\n.", {"os.system"}),  # INST
        (b"(cos\nsystem\nS'ls'\no.", {"os.system"}),  # OBJ
        (b"cos\nsystem\n(S'ls'\ntR.", {"os.system"}),
        (b"\x82\x01(S'ls'\ntR.", {UNKNOWN}),  # the registry of extensions
        (b"N(S'ls'\ntR.", {UNKNOWN}),
        # A text that reads like a name is none.
        (b"S'len'\n(S'ls'\ntR.", {UNKNOWN}),
        (b"(S'os'\nS'system'\n\x93S'ls'\no.", {"os.system"}),
        # The result of a call is called.
        (b"cbuiltins\ngetattr\n(NtR(tR.", {"builtins.getattr", UNKNOWN}),
    ],
)
def test_no_way_of_calling_goes_unseen(program, calls):
    assert read_program(program).calls == calls


def test_what_is_read_agrees_with_what_is_unpickled():
    class Noting(pickle.Unpickler):
        names: set[str] = set()  # noqa: RUF012

        def find_class(self, module, name):
            self.names.add(f"{module}.{name}")
            return super().find_class(module, name)

    data = pickle.dumps([Path("a"), OrderedDict(b=2), Counter("ccc"), {3.5}], 4)
    Noting(io.BytesIO(data)).load()
    assert read_program(data).names == Noting.names


def test_a_file_is_left_behind_the_pickle():
    file = io.BytesIO(pickle.dumps(1) + pickle.dumps(Payload(len, "a")) + b"rest")
    assert not read_program(file).calls
    assert read_program(file).calls == {"builtins.len"}
    assert file.read() == b"rest"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello world",
        pickle.dumps([1, 2, 3])[:-4],
        b"\x80\x02.",  # nothing to return
        b"t.",  # no mark
        b"h\x05.",  # nothing remembered
        b"R.",
        b"\x80\x02X\xff\xff\xff\xff.",
        b"I99999999999999999999x\n.",
    ],
)
def test_bytes_that_are_no_pickle_are_refused(data):
    with pytest.raises(PickleError):
        read_program(data)


def test_it_tells_what_tensors_are_called(tmp_path):
    shared, weight = torch.zeros(3), torch.nn.Parameter(torch.zeros(1))
    inside = SimpleNamespace(mine=torch.zeros(2), other=[torch.zeros(2)])
    path = tmp_path / "a.pt"
    torch.save({"a": shared, "same": shared, "p": weight, "n": 3, "in": inside}, path)
    with zipfile.ZipFile(path) as archive:
        program = read_program(archive.read("a/data.pkl"))
    assert program.tensors == {"a", "same", "p", "mine"}
