"""The differentiable array: a raw array of some library and, if it is tracked, the node that remembers its making."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import array_api_compat

from ..backend import to_numpy
from ..dtypes import is_complex
from . import codegen
from .backward import backward
from .numpy_dispatch import call_function, call_ufunc
from .rule import RULES
from .tape import Node

_ARITHMETIC = {
    "add": ("+", "add"),
    "sub": ("-", "subtract"),
    "mul": ("*", "multiply"),
    "truediv": ("/", "divide"),
    "pow": ("**", "pow"),
    "matmul": ("@", "matmul"),
    "mod": ("%", "remainder"),
}
_CONSTANT = {"floordiv": "//", "and": "&", "or": "|", "xor": "^", "lshift": "<<", "rshift": ">>"}
_COMPARISONS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}


transforming: ContextVar[bool] = ContextVar("nnx_transforming", default=False)
"""Whether a transform is calling the user's function, where a number made from a tracked array loses its gradient."""


class Array:
    """An array of the Array API standard that can record what happens to it.

    Made by `nnx.variable`, by the transforms, and by the functions of a differentiable namespace; each namespace has
    its own subclass. Operators and indexing follow the standard. An array without a node behaves like a raw one.

    In-place syntax (``y[i] = v``, ``y += 1``) computes a new array and rebinds this object to it, so that nothing saved
    for the backward pass ever changes.
    """

    __slots__ = ("_data", "_node", "__weakref__")
    __array_priority__ = 1000
    __nnx_tracked__ = True  # marks the wrapper class for the floors below

    _namespace: Any
    _data: Any
    _node: Node | None

    # ---- what the standard asks for

    def __array_namespace__(self, /, *, api_version: str | None = None) -> Any:
        if api_version is not None and api_version > self._namespace.__array_api_version__:
            raise ValueError(
                f"{self._namespace.__name__} implements the Array API {self._namespace.__array_api_version__}, "
                f"not {api_version}."
            )
        return self._namespace

    @property
    def dtype(self) -> Any:
        """Its dtype, as its library names it."""
        return self._data.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return self._data.shape

    @property
    def ndim(self) -> int:
        """Its number of axes."""
        return self._data.ndim

    @property
    def size(self) -> int | None:
        """Its number of elements."""
        return array_api_compat.size(self._data)

    @property
    def device(self) -> Any:
        """The device that holds it."""
        return array_api_compat.device(self._data)

    @property
    def T(self) -> Array:
        """Its transpose, for two axes."""
        if self.ndim != 2:
            raise ValueError(f"T: expected an array with 2 axes, got {self.ndim}; use .mT or xp.permute_dims(x, axes).")
        return self._namespace.permute_dims(self, (1, 0))

    @property
    def mT(self) -> Array:
        """Its transpose over the last two axes."""
        return self._namespace.matrix_transpose(self)

    def to_device(self, device: Any, /, *, stream: Any = None) -> Array:
        """Return the array on another device. The gradient is not carried back across devices."""
        if self._node is not None and device != self.device:
            raise NotImplementedError("to_device has no derivative rule; move the raw array before tracking it.")
        return self._namespace.wrap(array_api_compat.to_device(self._data, device, stream=stream), self._node)

    def __bool__(self, /) -> bool:
        return bool(self._data)

    def __int__(self, /) -> int:
        return int(self._number("int(x)"))

    def __float__(self, /) -> float:
        return float(self._number("float(x)"))

    def __complex__(self, /) -> complex:
        return complex(self._number("complex(x)"))

    def __index__(self, /) -> int:
        return operator.index(self._data)

    def __neg__(self, /) -> Array:
        return self._namespace.negative(self)

    def __pos__(self, /) -> Array:
        return self._namespace.positive(self)

    def __abs__(self, /) -> Array:
        return self._namespace.abs(self)

    def __invert__(self, /) -> Array:
        return self._namespace.bitwise_invert(self)

    def __getitem__(self, key: Any, /) -> Array:
        return self._namespace.indexing.getitem(self, key)

    def __setitem__(self, key: Any, value: Any, /) -> None:
        self._refuse_leaf("item assignment")
        namespace = self._namespace
        if isinstance(value, Array) and value.dtype != self.dtype:
            value = namespace.astype(value, namespace.result_type(value, self))
        self._rebind(namespace.indexing.setitem(self, key, value))

    __hash__ = object.__hash__

    # ---- Python's own protocols

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of an array without axes")
        return self.shape[0]

    def __iter__(self) -> Iterator[Array]:
        if not self.shape:
            raise TypeError("iteration over an array without axes")
        return (self[i, ...] for i in range(self.shape[0]))

    def __repr__(self) -> str:
        text = repr(self._data)
        name, bracket, rest = text.partition("(")
        text = f"Array({rest}" if bracket and name.isidentifier() else f"Array({text})"
        return f"{text[:-1]}, tracked)" if self._node is not None and text.endswith(")") else text

    def __format__(self, spec: str, /) -> str:
        """Format a single number like the Python number: ``f"{loss:.3f}"``."""
        return format(_item(self._data), spec) if spec and self.shape == () else object.__format__(self, spec)

    # ---- export

    def __nnx_untracked__(self) -> Any:
        """Return the raw array; a tracked one refuses, since the copy would silently lose its gradient."""
        if self._node is not None:
            raise BufferError(
                "a tracked array cannot be exported: the copy would lose its gradient. "
                "Use nnx.stop_gradient(x) to get the raw array."
            )
        return self._data

    def __dlpack__(
        self, /, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: bool | None = None
    ) -> Any:
        options = {"stream": stream, "max_version": max_version, "dl_device": dl_device, "copy": copy}
        return self.__nnx_untracked__().__dlpack__(**{k: v for k, v in options.items() if v is not None})

    def __dlpack_device__(self, /) -> tuple:
        return self._data.__dlpack_device__()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        import numpy

        return numpy.asarray(self.__nnx_untracked__(), dtype=dtype, copy=copy)

    def item(self) -> bool | int | float | complex:
        """Return the value of an array of one element as a Python number."""
        return _item(self._number("x.item()"))

    def _number(self, what: str) -> Any:
        """Return the raw array, to be made a Python number."""
        if self._node is not None and transforming.get():
            raise TypeError(
                f"{what}: a Python number would lose the gradient of this tracked array. Keep it an array, or use "
                "nnx.stop_gradient(x) if no gradient shall flow."
            )
        return self._data

    # ---- copies

    def __copy__(self) -> Array:
        return self._namespace.indexing.alias(self)

    def __deepcopy__(self, memo: dict) -> Array:
        return self._namespace.wrap(self._namespace.raw.asarray(self._only_data(), copy=True))

    def __reduce__(self) -> Any:
        return self._namespace.unpickled, (self._namespace.backend.name, to_numpy(self._only_data()))

    def _only_data(self) -> Any:
        """Return the raw array of an untracked one, to be copied or pickled."""
        if self._node is not None:
            raise TypeError(
                "a tracked array cannot be copied deeply or pickled, since its graph is not copied along. Take its "
                "value first: nnx.stop_gradient(x), or nnx.to_numpy(nnx.stop_gradient(x))."
            )
        return self._data

    # ---- NumPy's dispatch protocols: plain NumPy code on a tracked array is recorded

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        return call_ufunc(self._namespace, ufunc, method, inputs, options)

    def __array_function__(self, function: Any, types: Any, args: tuple, options: dict) -> Any:
        return call_function(self._namespace, function, args, options)

    # ---- the tape

    @property
    def grad(self) -> Any:
        """The raw gradient that `backward` left here, for a variable or a recorded parameter; else None."""
        node = self._node
        return node.saved[0].grad if node is not None and node.op is None else None

    @grad.setter
    def grad(self, new: None) -> None:
        node = self._node
        if new is not None or node is None or node.op is not None:
            raise TypeError("grad: expected None, to drop the gradient of a variable; `backward` computes a new one.")
        node.saved[0].grad = None

    @property
    def tracked(self) -> bool:
        """Whether operations on this array are recorded."""
        return self._node is not None

    def backward(self, grad: Any = None, *, create_graph: bool = False, retain_graph: bool = False) -> None:
        """Compute the gradient of this array with respect to every leaf it was made from, and add it there.

        Parameters
        ----------
        grad
            The cotangent, an array of this shape. May be left out for a single real number.
        create_graph
            Record the backward pass too, so that gradients can be differentiated again. The gradient of a leaf then
            holds the graph that it was computed by, and so the leaf itself: drop it with ``x.grad = None`` (or
            ``optimizer.zero_grad()``) when done, or that memory waits for the garbage collector. `nnx.grad` leaves no
            such cycle.
        retain_graph
            Keep what the forward pass saved, so that `backward` can run once more.

        Examples
        --------
        >>> import numpy as np, nnx
        >>> x = nnx.variable(np.asarray([1.0, 2.0]))
        >>> (x * x).__array_namespace__().sum(x * x).backward()
        >>> x.grad
        array([2., 4.])
        """
        backward(self, grad, create_graph=create_graph, retain_graph=retain_graph)

    def _rebind(self, other: Array) -> None:
        self._data = other._data
        self._node = other._node

    def _refuse_leaf(self, what: str) -> None:
        if self._node is not None and self._node.op is None:
            raise RuntimeError(
                f"{what} on a leaf: the variable would lose its gradient. Make a new array from it first, "
                "e.g. y = x + 0, and change that."
            )

    def _inplace(self, result: Any, what: str) -> Any:
        if result is NotImplemented:
            return result
        self._refuse_leaf(f"in-place {what}")
        if result.shape != self.shape:
            raise ValueError(f"in-place {what}: the result has shape {result.shape}, the array {self.shape}.")
        if result.dtype != self.dtype:
            if not self._namespace.can_cast_in_place(result.dtype, self.dtype):
                raise TypeError(f"in-place {what}: the result has dtype {result.dtype}, the array {self.dtype}.")
            result = self._namespace.astype(result, self.dtype)
        self._rebind(result)
        return self


def _item(data: Any) -> bool | int | float | complex:
    if hasattr(data, "item"):
        return data.item()
    return complex(data) if is_complex(data.dtype) else float(data)


# ------------------------------------------------------------------ operators


def add_operators(cls: type[Array], names: dict[str, Any], operation: Any) -> None:
    """Give an array class its operators: generated like the functions, with the library's own operator inside."""
    for name, (symbol, function) in _ARITHMETIC.items():
        rule = RULES[function]
        scope = {**names, "OP": operation(function)}
        for method, left, right in ((f"__{name}__", "self", "other"), (f"__r{name}__", "other", "self")):
            text = codegen.operation_source(rule, expression=f"x1 {symbol} x2")
            _, _, body = text.partition("\n")
            prefix = f"def {method}(self, other, /):\n    x1 = {left}; x2 = {right}\n"
            guard = "    if type(other) not in OPERANDS and not is_operand(other): return NotImplemented\n"
            setattr(cls, method, codegen.compile_function(prefix + guard + body, method, f"Array.{method}", scope))
        _add_inplace(cls, name)
    for name, symbol in {**_CONSTANT, **_COMPARISONS}.items():
        for method, expression in ((f"__{name}__", f"data {symbol} other"), (f"__r{name}__", f"other {symbol} data")):
            if name in _COMPARISONS and method.startswith("__r"):
                continue
            text = (
                f"def {method}(self, other, /):\n"
                "    if type(other) not in OPERANDS and not is_operand(other): return NotImplemented\n"
                "    data = self._data\n"
                "    if type(other) is Array: other = other._data\n"
                f"    return wrap({expression})"
            )
            setattr(cls, method, codegen.compile_function(text, method, f"Array.{method}", names))
        if name in _CONSTANT:
            _add_inplace(cls, name)


def _add_inplace(cls: type[Array], name: str) -> None:
    method = getattr(cls, f"__{name}__")

    def inplace(self: Array, other: Any, /) -> Any:
        return self._inplace(method(self, other), name)

    inplace.__name__ = f"__i{name}__"
    setattr(cls, inplace.__name__, inplace)


def no_rule(name: str) -> NotImplementedError:
    """Return the error for a function without a derivative rule that met a tracked array."""
    return NotImplementedError(
        f"{name} has no derivative rule. Use nnx.stop_gradient(x) if no gradient shall flow through it."
    )
