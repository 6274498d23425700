"""Flat storage: the parameters of one dtype in one array, so that an optimizer runs over long vectors.

Values and gradients of the parameters become views into two flat arrays with the same layout; optimizers keep their
state in more of them. Offsets are multiples of 256 bytes and the gaps hold zeros. A parameter that is moved elsewhere
(by ``Module.to``, or by another optimizer) makes its storage stale, and its optimizer builds a new one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from ..autodiff import Parameter
from ..backend import device, get_backend, load_backend
from ..dtypes import dtype_name

_ALIGNMENT = 256  # bytes
_BLOCK = 128 * 1024  # bytes of one array, at most, that an update handles at a time: all that it needs stays in cache


class FlatStorage:
    """Some parameters of one backend, device and dtype in one flat array."""

    def __init__(self, parameters: Sequence[Parameter]) -> None:
        self.parameters = list(parameters)
        first = self.parameters[0].value
        self.backend = get_backend(first).name
        self.dtype, self.device = first.dtype, device(first)
        itemsize = _itemsize(self.dtype)
        step = _ALIGNMENT // itemsize
        self.offsets, total = [], 0
        for parameter in self.parameters:
            self.offsets.append(total)
            total += -(-parameter.size // step) * step
        self.size = total
        self.block = _BLOCK // itemsize if self.on_host else max(total, 1)  # a device wants few launches
        self.stale = False
        self.values = self.new_array()
        self.grads = self.new_array()
        for parameter, offset in zip(self.parameters, self.offsets, strict=True):
            view = self.view(self.values, parameter, offset)
            view[...] = parameter.value
            parameter.move(view, self.view(self.grads, parameter, offset), self)

    @property
    def xp(self) -> Any:
        """The raw namespace of its arrays."""
        return load_backend(self.backend).xp

    @property
    def on_host(self) -> bool:
        """Whether its arrays live on the host."""
        return load_backend(self.backend).on_host

    def new_array(self, dtype: Any = None) -> Any:
        """Return zeros of the storage's layout, e.g. for a state of an optimizer, in its dtype or another."""
        return self.xp.zeros(self.size, dtype=self.dtype if dtype is None else dtype, device=self.device)

    def view(self, array: Any, parameter: Parameter, offset: int) -> Any:
        """Return the piece of a flat array that belongs to a parameter, in its shape."""
        return self.xp.reshape(array[offset : offset + parameter.size], parameter.shape)

    def pieces(self, touched: Sequence[bool], state: Sequence[Any]) -> list[tuple[Any, Any, list[Any]]]:
        """Return views (values, gradients, states) that cover the touched parameters, each small enough to cache."""
        ranges: list[tuple[int, int]] = []
        ends = [*self.offsets[1:], self.size]
        for flag, start, stop in zip(touched, self.offsets, ends, strict=True):
            if flag and ranges and ranges[-1][1] == start:
                ranges[-1] = (ranges[-1][0], stop)
            elif flag:
                ranges.append((start, stop))
        blocks = []
        for start, stop in ranges:
            count = -(-(stop - start) // self.block)
            cuts = [start + (stop - start) * i // count for i in range(count + 1)]
            blocks += [slice(a, b) for a, b in pairwise(cuts)]
        return [(self.values[b], self.grads[b], [array[b] for array in state]) for b in blocks]


class Alone:
    """Marks parameters that stay where they are, because their library has no views that write through."""

    def __init__(self, parameters: Sequence[Parameter]) -> None:
        self.stale = False
        for parameter in parameters:
            parameter.move(parameter.value, None, self)


def _itemsize(dtype: Any) -> int:
    name = dtype_name(dtype)
    return 16 if name == "complex128" else 8 if name in ("float64", "complex64") else 4 if name == "float32" else 2


def storages(parameters: Sequence[Parameter]) -> list[FlatStorage]:
    """Put parameters into flat storage, one for each backend, device and dtype."""
    kinds: dict[Any, list[Parameter]] = {}
    for parameter in parameters:
        value = parameter.value
        key = (get_backend(value).name, str(device(value)), dtype_name(value.dtype))
        kinds.setdefault(key, []).append(parameter)
    return [FlatStorage(group) for group in kinds.values()]
