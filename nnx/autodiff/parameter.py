"""Parameters, buffers and variables: where the arrays that training changes live."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from ..backend import device, get_backend, load_backend, mixed_backends_error, to_numpy
from ..dtypes import dtype_name
from ..errors import DTypeError, ShapeError
from .array import Array
from .namespace import differentiable_of, require_differentiable
from .tape import Slot, leaf

reader: ContextVar[Callable[[Parameter], Any] | None] = ContextVar("nnx_reader", default=None)
"""What reading a parameter yields: None for the raw array, else a function of the parameter."""


def variable(array: Any, name: str = "") -> Array:
    """Return `array` as a tracked leaf; after ``backward()``, its ``grad`` holds the gradient as a raw array.

    Parameters
    ----------
    array
        A raw array of real or complex floating-point numbers.
    name
        A name for error messages.

    Raises
    ------
    DTypeError
        If the array holds integers or booleans.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> x = nnx.variable(np.asarray(3.0))
    >>> (x * x).backward()
    >>> float(x.grad)
    6.0
    """
    if isinstance(array, Array):
        array = array._data
    namespace = differentiable_of(array, "variable")
    require_differentiable("variable", array)
    return namespace.wrap(array, leaf(array, Slot(name)))


def require_array(label: str, value: Any) -> None:
    """Raise unless `value` looks like an array."""
    if not hasattr(value, "dtype"):
        raise TypeError(f"{label}: expected an array, got {type(value).__name__}; use nnx.asarray(x).")


def fitted(label: str, raw: Any, old: Any) -> Any:
    """Return a raw array on the backend and device of `old`, the array that it replaces; raise unless it fits."""
    require_array(label, raw)
    if tuple(raw.shape) != tuple(old.shape):
        raise ShapeError(f"{label}: expected shape {tuple(old.shape)}, got {tuple(raw.shape)}.")
    if dtype_name(raw.dtype) != dtype_name(old.dtype):
        raise DTypeError(
            f"{label}: expected dtype {dtype_name(old.dtype)}, got {dtype_name(raw.dtype)}. Cast it, e.g. "
            f"xp.astype(x, xp.{dtype_name(old.dtype)})."
        )
    backend = get_backend(old)
    if get_backend(raw) is not backend:
        raw = to_numpy(raw)
    return backend.asarray(raw, dtype=old.dtype, device=device(old))


class Parameter:
    """An array that training changes, with its gradient.

    Parameters
    ----------
    value
        A raw array of floating-point numbers. The parameter keeps a copy, which it updates in place where its library
        can.
    trainable
        Whether it is recorded and optimized.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> p = nnx.Parameter(np.ones(3, dtype=np.float32))
    >>> p.value = np.zeros(3, dtype=np.float32)
    >>> p.grad is None, p.shape
    (True, (3,))
    """

    __slots__ = ("_data", "_slot", "_leaf", "_trainable", "_storage", "__weakref__")

    def __init__(self, value: Any, trainable: bool = True) -> None:
        if isinstance(value, Parameter):
            raise TypeError("Parameter: expected an array, got a Parameter; assign it directly to tie it.")
        if isinstance(value, Array):
            value = value.__nnx_untracked__()
        require_array("Parameter", value)
        require_differentiable("Parameter", value)
        self._data = get_backend(value).asarray(value, copy=True)
        self._slot = Slot()
        self._leaf: Array | None = None
        self._trainable = trainable
        self._storage: Any = None  # the flat buffer that `_data` is a view of, if any

    # ---- the value

    @property
    def value(self) -> Any:
        """The raw array. Assigning writes into it; shape must match, the dtype is kept."""
        return self._data

    @value.setter
    def value(self, new: Any) -> None:
        raw = new.__nnx_untracked__() if isinstance(new, Array) else new
        raw = fitted(f"parameter {self.name}" if self.name else "Parameter", raw, self._data)
        if get_backend(self._data).writable:
            self._data[...] = raw
        else:
            self._data = raw
        self.changed()

    @property
    def grad(self) -> Any:
        """The raw gradient, or None while there is none; after ``backward(create_graph=True)``, with its own graph.

        Once an optimizer has laid its parameters out in a flat array (NumPy, CuPy), this is a view of another such
        array, which the next backward pass overwrites: to keep a gradient, copy it.
        """
        return self._slot.grad

    @grad.setter
    def grad(self, new: Any) -> None:
        if new is None:
            self._slot.grad = None
            return
        self.check_grad(new)
        self._slot.grad = None
        self._accumulate(new if isinstance(new, Array) else get_backend(new).asarray(new, dtype=self._data.dtype))

    def _accumulate(self, grad: Any) -> None:
        if isinstance(grad, Array):  # from a backward pass that was recorded itself
            self._slot.accumulate_recorded(grad)
        else:
            self._slot.accumulate(grad)

    @property
    def raw_grad(self) -> Any:
        """The gradient as a raw array, without the graph that it may have; or None."""
        return self._slot.raw_grad

    def check_grad(self, new: Any, label: str = "grad") -> None:
        """Raise unless `new` is an array that can be the gradient."""
        require_array(label, new)
        if get_backend(new) is not get_backend(self._data):
            raise mixed_backends_error(label, self._data, new)
        if tuple(new.shape) != tuple(self._data.shape):
            raise ShapeError(f"{label}: expected shape {tuple(self._data.shape)}, got {tuple(new.shape)}.")
        if dtype_name(new.dtype) != dtype_name(self._data.dtype):
            raise DTypeError(
                f"{label}: expected dtype {dtype_name(self._data.dtype)}, got {dtype_name(new.dtype)}; cast it first."
            )

    @property
    def trainable(self) -> bool:
        """Whether it is recorded and optimized."""
        return self._trainable

    @trainable.setter
    def trainable(self, flag: bool) -> None:
        self._trainable = bool(flag)
        if not flag:
            self._slot.grad = None  # so that no optimizer changes it

    @property
    def name(self) -> str:
        """Its name within its module, for messages."""
        return self._slot.name

    @name.setter
    def name(self, name: str) -> None:
        self._slot.name = name

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of its value."""
        return tuple(self._data.shape)

    @property
    def dtype(self) -> Any:
        """The dtype of its value."""
        return self._data.dtype

    @property
    def size(self) -> int:
        """The number of its elements."""
        n = 1
        for length in self._data.shape:
            n *= length
        return n

    def read(self) -> Any:
        """Return the raw array, or the tracked leaf while recording."""
        read = reader.get()
        return self._data if read is None else read(self)

    # ---- for optimizers and `to`

    def changed(self) -> None:
        """Note that the value has changed: graphs recorded with the old one refuse to run backwards."""
        self._slot.version += 1

    def move(self, data: Any, grad_view: Any = None, storage: Any = None) -> None:
        """Let the value live in another array, e.g. a view of a flat buffer, and its gradient in `grad_view`."""
        slot = self._slot
        if self._storage is not None:
            self._storage.stale = True
        grad, slot.grad, slot.view = slot.grad, None, grad_view
        old, self._data = self._data, data
        self._storage = storage
        self._leaf = None
        if type(data) is not type(old) or data.dtype != old.dtype:
            self.changed()
            return  # a gradient of another kind is of no use
        # the value is the same: a graph recorded before may still run backwards
        if grad is not None:
            self._accumulate(grad)

    # ---- copies: independent, with no gradient, outside any flat buffer

    def __copy__(self) -> Parameter:
        return self.__deepcopy__({})

    def __deepcopy__(self, memo: dict) -> Parameter:
        return _rebuilt(_copied(self._data), self._trainable, self.name)

    def __reduce__(self) -> tuple:
        return _unpickled, (get_backend(self._data).name, to_numpy(self._data), self._trainable, self.name)

    def __repr__(self) -> str:
        frozen = "" if self._trainable else ", trainable=False"
        return f"Parameter({self._data!r}{frozen})"


def _copied(data: Any) -> Any:
    return get_backend(data).asarray(data, device=device(data), copy=True)


def _rebuilt(data: Any, trainable: bool, name: str) -> Parameter:
    parameter = Parameter(data, trainable)
    parameter.name = name
    return parameter


def _unpickled(backend: str, data: Any, trainable: bool, name: str) -> Parameter:
    return _rebuilt(load_backend(backend).asarray(data), trainable, name)


def _unpickled_buffer(backend: str, data: Any) -> Buffer:
    return Buffer(load_backend(backend).asarray(data))


class Buffer:
    """An array that belongs to a module's state but is not trained, such as a running mean.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.Buffer(np.zeros(2)).value
    array([0., 0.])
    """

    __slots__ = ("_data",)

    def __init__(self, value: Any) -> None:
        self._data = value._data if isinstance(value, Array) else value
        get_backend(self._data)  # raises if it is no array

    @property
    def value(self) -> Any:
        """The raw array. Assigned values are detached from the tape; shape must match, dtype and backend are kept."""
        return self._data

    @value.setter
    def value(self, new: Any) -> None:
        self._data = fitted("Buffer", new._data if isinstance(new, Array) else new, self._data)

    def move(self, data: Any) -> None:
        """Let another array, perhaps of another dtype or backend, be the value."""
        self._data = data

    def __deepcopy__(self, memo: dict) -> Buffer:
        return Buffer(_copied(self._data))

    def __reduce__(self) -> tuple:
        return _unpickled_buffer, (get_backend(self._data).name, to_numpy(self._data))

    def __repr__(self) -> str:
        return f"Buffer({self._data!r})"


# ------------------------------------------------------------------ recording


def _leaf_of(parameter: Parameter) -> Any:
    """The one leaf of a parameter, made at its first read after a change."""
    if not parameter._trainable:
        return parameter._data
    array: Any = parameter._leaf
    slot = parameter._slot
    if array is None:
        data = parameter._data
        array = parameter._leaf = differentiable_of(data, "record").wrap(data, leaf(data, slot))
    elif array._node.saved[1] != slot.version:  # the same kind of array, with a new value
        node = leaf(array._node, slot)
        array = parameter._leaf = type(array)()
        array._data = parameter._data
        array._node = node
    return array


class record:
    """Record what is computed from parameters: within the block, reading a parameter yields its tracked leaf.

    Afterwards ``loss.backward()`` leaves every gradient in ``parameter.grad``.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> model = nnx.Linear(3, 1)
    >>> with nnx.record():
    ...     loss = nnx.functional.mse_loss(model(np.ones((2, 3), "float32")), np.zeros((2, 1), "float32"))
    >>> loss.backward()
    >>> model.parameter("weight").grad.shape
    (1, 3)
    """

    __slots__ = ("_token",)

    def __enter__(self) -> None:
        self._token = reader.set(_leaf_of)

    def __exit__(self, *exception: object) -> None:
        reader.reset(self._token)
