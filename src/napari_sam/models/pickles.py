"""Read what a pickle would do, without doing it. No torch here.

A pickle is a program for a small stack machine. Walking through it with a stack
of names instead of objects tells which functions it would call and which classes
it would make, whoever loads it later.
"""

from __future__ import annotations

import io
import pickletools
from dataclasses import dataclass, field
from typing import IO, Any, Final

UNKNOWN: Final = "a function that has no name"

_PUT: Final = {"PUT", "BINPUT", "LONG_BINPUT"}
_GET: Final = {"GET", "BINGET", "LONG_BINGET"}
_TEXT: Final = {
    "STRING",
    "BINSTRING",
    "SHORT_BINSTRING",
    "UNICODE",
    "SHORT_BINUNICODE",
    "BINUNICODE",
    "BINUNICODE8",
}
_EXTENSION: Final = {"EXT1", "EXT2", "EXT4"}


class PickleError(Exception):
    """The bytes are no pickle."""


class _Name(str):
    """A global on the stack, told apart from a text that reads the same."""

    __slots__ = ()


_MARK: Final = _Name("(")  # compared by identity
_TENSOR: Final = object()
_TENSORS: Final = (
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_parameter",
)


@dataclass(slots=True)
class Program:
    """What loading a pickle would use.

    Attributes
    ----------
    names : set of str
        Every class and function it names, as "module.name".
    calls : set of str
        Those of them that it would call.
    makes : set of str
        Those of them that it would make objects of, without calling them.
    tensors : set of str
        What tensors are called: the texts by which it puts them into anything.
    """

    names: set[str] = field(default_factory=set)
    calls: set[str] = field(default_factory=set)
    makes: set[str] = field(default_factory=set)
    tensors: set[str] = field(default_factory=set)

    def __ior__(self, other: Program) -> Program:
        self.names |= other.names
        self.calls |= other.calls
        self.makes |= other.makes
        self.tensors |= other.tensors
        return self


def read_program(source: bytes | IO[bytes]) -> Program:
    """Return what one pickle would use, and leave a file behind its end.

    Raises
    ------
    PickleError
        If the bytes are no pickle.
    """
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    machine = _Machine()
    try:
        for code, argument, _ in pickletools.genops(file):
            machine.step(code, argument)
    # Hostile bytes end in any of these: an empty stack, a memo that is not there.
    except (ValueError, IndexError, KeyError, EOFError, OverflowError) as error:
        raise PickleError(str(error)) from error
    return machine.program


class _Machine:
    """A pickle machine whose stack holds names, texts and `None` for the rest.

    Only tensors have a sign of their own.
    """

    def __init__(self) -> None:
        self.program = Program()
        self._stack: list[object] = []
        self._memo: dict[int, object] = {}

    def step(self, code: pickletools.OpcodeInfo, argument: Any) -> None:
        """Follow one instruction."""
        name = code.name
        if name in _PUT:
            self._memo[int(argument)] = self._stack[-1]
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = self._stack[-1]
        elif name in _GET:
            self._stack.append(self._memo[int(argument)])
        elif name in _TEXT:
            self._stack.append(str(argument))
        elif name == "DUP":
            self._stack.append(self._stack[-1])
        elif name == "MARK":
            self._stack.append(_MARK)
        elif name in _EXTENSION:
            self._push_name(UNKNOWN)
        elif name in ("GLOBAL", "STACK_GLOBAL", "INST"):
            self._global(name, argument)
        else:
            self._general(code)

    def _global(self, name: str, argument: Any) -> None:
        if name == "STACK_GLOBAL":
            attribute, module = self._stack.pop(), self._stack.pop()
            self._push_name(f"{module}.{attribute}")
            return
        if name == "INST":
            self._take_marked()
        self._push_name(str(argument).replace(" ", ".", 1))
        if name == "INST":
            self.program.calls.add(str(self._stack.pop()))
            self._stack.append(None)

    def _general(self, code: pickletools.OpcodeInfo) -> None:
        """Move the stack as the table of `pickletools` says."""
        before = [kind.name for kind in code.stack_before]
        marked = self._take_marked() if "mark" in before else []
        # What stands in front of the mark is taken as well.
        count = before.index("mark") if "mark" in before else len(before)
        taken = [self._stack.pop() for _ in range(count)][::-1]
        made = None
        if code.name == "REDUCE":
            self._use(taken[0], self.program.calls)
            made = _TENSOR if taken[0] in _TENSORS else None
        elif code.name == "SETITEM":
            self._put(taken[1:])
        elif code.name == "SETITEMS":
            self._put(marked)
        elif code.name in ("NEWOBJ", "NEWOBJ_EX"):
            self._use(taken[0], self.program.makes)
        elif code.name == "OBJ":
            self._use(marked[0], self.program.calls)
        self._stack.extend([made] * len(code.stack_after))

    def _put(self, items: list[object]) -> None:
        """Note what tensors are called, of keys and values in turn."""
        for key, value in zip(items[::2], items[1::2], strict=False):
            if value is _TENSOR and isinstance(key, str):
                self.program.tensors.add(key)

    def _use(self, item: object, uses: set[str]) -> None:
        uses.add(str(item) if isinstance(item, _Name) else UNKNOWN)

    def _push_name(self, name: str) -> None:
        self.program.names.add(name)
        self._stack.append(_Name(name))

    def _take_marked(self) -> list[object]:
        """Take everything down to the last mark, and the mark."""
        items: list[object] = []
        while (item := self._stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]
