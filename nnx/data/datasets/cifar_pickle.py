"""Reader for the batches of CIFAR's Python version: pickle files, read without pickle, so that nothing in them can run.

A pickle is a program for a small stack machine. This is such a machine, with the instructions that these files use
(Python 2 wrote them, with protocol 2) and no others. It imports and calls nothing: of the names in a file it knows the
three that make up an array, and builds that array itself.
"""

import struct
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from nnx.errors import DataFileError

_RECONSTRUCT, _NDARRAY, _DTYPE = b"numpy.core.multiarray _reconstruct", b"numpy ndarray", b"numpy dtype"
_NAMES = (_RECONSTRUCT, _NDARRAY, _DTYPE)
_MADE_OF = "a dict of integers, strings, lists and arrays of bytes"
_BYTE = (b"u1", 0, 1)  # what dtype("u1") is made of


class _Name(bytes):
    """The name of a function or class; only ever compared."""


class _Array:
    """An array whose content comes later in the file."""

    value: np.ndarray | None = None


def read_batch(name: str, content: bytes) -> dict[bytes, Any]:
    """Read a batch of CIFAR's Python version.

    Parameters
    ----------
    name : str
        Name of the file, for messages.
    content : bytes
        All of it.

    Returns
    -------
    batch : dict
        From bytes to integers, bytes, lists of them, and read-only arrays of uint8.

    Raises
    ------
    DataFileError
        If the file is damaged, or has anything else in it. Nothing in it is ever run.

    Examples
    --------
    >>> from nnx.data.datasets.cifar_pickle import read_batch
    >>> read_batch("a file", b"\\x80\\x02}U\\x06labels]K\\x07as.")
    {b'labels': [7]}
    """
    machine = _Machine(name, content)
    try:
        result = machine.run()
    except (IndexError, KeyError, TypeError, ValueError, AttributeError, struct.error, OverflowError) as error:
        if isinstance(error, DataFileError):
            raise
        raise DataFileError(
            f"{name} is truncated or corrupt near byte {machine.position} of {len(content)}. Delete it and get it "
            "again."
        ) from error
    if not isinstance(result, dict):
        raise DataFileError(f"{name}: expected {_MADE_OF}, got a {type(result).__name__}.")
    return {key: value.value if isinstance(value, _Array) else value for key, value in result.items()}


class _Machine:
    def __init__(self, name: str, content: bytes) -> None:
        self.name, self.content, self.position = name, content, 0
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        while (code := self.take(1)) != b".":
            if code not in _INSTRUCTIONS:
                self.refuse(f"the instruction {code!r}")
            _INSTRUCTIONS[code](self)
        if self.position != len(self.content):
            self.refuse("something after its end")
        (result,) = self.stack
        return result

    def refuse(self, what: str) -> NoReturn:
        raise DataFileError(
            f"{self.name}: expected {_MADE_OF}, as in the Python version of CIFAR, got {what} at byte "
            f"{self.position - 1}. The file is damaged, or not what it claims to be; nothing in it was run."
        )

    def take(self, count: int) -> bytes:
        start, self.position = self.position, self.position + count
        if count < 0 or self.position > len(self.content):
            raise ValueError("the end of the file")
        return self.content[start : self.position]

    def number(self, form: str) -> int:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self) -> bytes:
        end = self.content.index(b"\n", self.position)
        return self.take(end + 1 - self.position)[:-1]

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def since_mark(self) -> list[Any]:
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def pop_tuple(self, count: int) -> None:
        values = [self.stack.pop() for _ in range(count)]
        self.push(tuple(reversed(values)))

    def name_of_something(self) -> None:
        name = self.line() + b" " + self.line()
        if name not in _NAMES:
            self.refuse(f"the name {name.decode('ascii', 'replace')!r}")
        self.push(_Name(name))

    def call(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if isinstance(function, _Name) and function == _RECONSTRUCT and arguments == (_NDARRAY, (0,), b"b"):
            self.push(_Array())
        elif isinstance(function, _Name) and function == _DTYPE and arguments == _BYTE:
            self.push(_BYTE)
        else:
            self.refuse("a call of something else than an array")

    def build(self) -> None:
        """Fill an array in; what follows dtype("u1") says only that a byte has no byte order."""
        state = self.stack.pop()
        if isinstance(self.stack[-1], _Array):
            _version, shape, dtype, columns_first, data = state
            if dtype != _BYTE or columns_first:
                self.refuse("an array that is not of bytes in rows")
            self.stack[-1].value = np.frombuffer(data, np.uint8).reshape(shape)
        elif self.stack[-1] is not _BYTE:
            self.refuse("a state of something else than an array")

    def extend(self, values: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            self.refuse("items of something else than a list")
        self.stack[-1].extend(values)

    def update(self, values: list[Any]) -> None:
        if not isinstance(self.stack[-1], dict):
            self.refuse("entries of something else than a dict")
        self.stack[-1].update(zip(values[::2], values[1::2], strict=True))


def _remember(machine: _Machine, form: str) -> None:
    machine.memo[machine.number(form)] = machine.stack[-1]


_INSTRUCTIONS: dict[bytes, Callable[[_Machine], None]] = {
    b"\x80": lambda m: None if m.number("B") == 2 else m.refuse("another protocol than 2"),
    b"(": lambda m: m.marks.append(len(m.stack)),
    b"}": lambda m: m.push({}),
    b"]": lambda m: m.push([]),
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"K": lambda m: m.push(m.number("B")),
    b"M": lambda m: m.push(m.number("<H")),
    b"J": lambda m: m.push(m.number("<i")),
    b"U": lambda m: m.push(m.take(m.number("B"))),
    b"T": lambda m: m.push(m.take(m.number("<i"))),
    b"t": lambda m: m.push(tuple(m.since_mark())),
    b")": lambda m: m.push(()),
    b"\x85": lambda m: m.pop_tuple(1),
    b"\x86": lambda m: m.pop_tuple(2),
    b"\x87": lambda m: m.pop_tuple(3),
    b"a": lambda m: m.extend([m.stack.pop()]),
    b"e": lambda m: m.extend(m.since_mark()),
    b"s": lambda m: m.update([m.stack.pop(), m.stack.pop()][::-1]),
    b"u": lambda m: m.update(m.since_mark()),
    b"q": lambda m: _remember(m, "B"),
    b"r": lambda m: _remember(m, "<I"),
    b"h": lambda m: m.push(m.memo[m.number("B")]),
    b"j": lambda m: m.push(m.memo[m.number("<I")]),
    b"c": _Machine.name_of_something,
    b"R": _Machine.call,
    b"b": _Machine.build,
}
