"""The ground floor: which array library does the work.

A *backend* is a plug-in for one array library. The array decides which backend handles it; `set_backend` only decides
where new arrays and parameters are born.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import array_api_compat

from .errors import BackendError, DTypeError, MixedBackendsError
from .precision import float32_precision as float32_precision
from .precision import use_float32_precision as use_float32_precision
from .registry import SCALARS, Backend, backend_of_type, load_backend
from .registry import available_backends as available_backends
from .registry import backend_class as backend_class
from .threads import each as each
from .threads import get_num_threads as get_num_threads
from .threads import set_num_threads as set_num_threads
from .threads import single_threaded_blas as single_threaded_blas

_DTYPE_NAME = re.compile(r"bool|u?int(8|16|32|64)|b?float(16|32|64)|complex(64|128)")

# ------------------------------------------------------------------ the default backend

_default: str | None = None
_override: ContextVar[Backend | None] = ContextVar("nnx_backend", default=None)


def set_backend(name: str) -> None:
    """Choose where new arrays and parameters are born: ``"numpy"``, ``"cupy"`` or a plug-in's name.

    The choice holds for the whole process, in every thread and task, except within a block of `use_backend`, which is
    of one thread or task and goes first. Existing arrays stay where they are, and every operation runs where its arrays
    live. The environment variable ``NNX_BACKEND`` sets the initial choice.

    Raises
    ------
    BackendError
        If the backend is unknown or cannot be used here.

    Examples
    --------
    >>> import nnx
    >>> nnx.set_backend("numpy")
    >>> nnx.get_backend().name
    'numpy'
    """
    global _default
    load_backend(name)
    _default = name


@contextmanager
def use_backend(name: str) -> Iterator[Backend]:
    """Choose the backend for new arrays within a ``with`` block, in this thread or task only.

    Threads that are started inside the block do not see it; `set_backend` is for the whole process.

    Examples
    --------
    >>> import nnx
    >>> with nnx.use_backend("numpy") as backend:
    ...     backend.name
    'numpy'
    """
    backend = load_backend(name)
    token = _override.set(backend)
    try:
        yield backend
    finally:
        _override.reset(token)


def get_backend(x: Any = None) -> Backend:
    """Return the backend of the array `x`, or the one where new arrays are born.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.get_backend(np.zeros(3)).name
    'numpy'
    """
    if x is None:
        backend = _override.get()
        if backend is None:
            backend = load_backend(_default) if _default else _initial_backend()
        return backend
    raw = getattr(x, "_data", x) if hasattr(type(x), "__nnx_tracked__") else x
    found = backend_of_type(raw)
    if found is None:
        raise TypeError(f"expected an array, got {type(x).__module__}.{type(x).__qualname__}; use nnx.asarray(x).")
    return found


def _initial_backend() -> Backend:
    name = os.environ.get("NNX_BACKEND")
    if not name:
        return load_backend("numpy")
    try:
        return load_backend(name)
    except BackendError as error:
        raise BackendError(f"NNX_BACKEND={name}: {error}") from None


def asarray(obj: Any, dtype: Any = None, *, backend: str | None = None, device: Any = None) -> Any:
    """Return `obj` as an array of `backend`, by default of the one chosen with `set_backend`.

    Parameters
    ----------
    obj
        An array of any library, a (nested) sequence of numbers, or a number.
    dtype
        A dtype or its name, such as ``"float32"``. By default arrays keep theirs, Python floats become float32 and
        Python complex numbers complex64.
    backend
        The name of a backend.
    device
        A device of that backend.

    Raises
    ------
    BufferError
        If `obj` is tracked: the result would silently lose its gradient. Use ``nnx.stop_gradient(x)`` first.
    DTypeError
        If `obj` holds no numbers, or the backend has no such dtype.

    Examples
    --------
    >>> import nnx
    >>> nnx.asarray([1.0, 2.0])
    array([1., 2.], dtype=float32)
    """
    target = load_backend(backend) if backend is not None else get_backend()
    if isinstance(dtype, str):
        dtype = _named_dtype(target, dtype)
    obj = _untracked(obj)
    if isinstance(obj, target.array_types):
        return target.asarray(obj, dtype=dtype, device=device)
    if hasattr(obj, "__array_namespace__") or hasattr(obj, "__dlpack__"):
        obj = _on_host(obj)
    elif dtype is None:
        name = _default_dtype(obj)
        dtype = None if name is None else getattr(target.xp, name)
    array = target.asarray(obj, dtype=dtype, device=device)
    if getattr(array.dtype, "kind", None) in ("O", "S", "U", "M", "m"):
        raise DTypeError(f"asarray: expected numbers, got {type(obj).__name__}, which gives dtype {array.dtype}.")
    return array


def _named_dtype(target: Backend, name: str) -> Any:
    dtype = getattr(target.xp, name, None) if _DTYPE_NAME.fullmatch(name) else None
    if dtype is None:
        raise DTypeError(f"asarray: expected the name of a dtype of {target.name}, such as 'float32', got {name!r}.")
    return dtype


def _default_dtype(obj: Any) -> str | None:
    """The dtype of Python's own numbers, where it is not the library's choice."""
    types = _scalar_types(obj)
    if not types <= SCALARS:
        return None
    return "complex64" if complex in types else "float32" if float in types else None


def _scalar_types(obj: Any) -> set[type]:
    if not isinstance(obj, (list, tuple)):
        return {type(obj)}
    types = set(map(type, obj)) or {float}
    nested = {cls for cls in types if issubclass(cls, (list, tuple))}
    return types.difference(nested).union(*(_scalar_types(item) for item in obj if type(item) in nested))


def _untracked(x: Any) -> Any:
    """The raw array in `x`; raises if `x` is tracked."""
    return x.__nnx_untracked__() if hasattr(type(x), "__nnx_tracked__") else x


def _on_host(x: Any) -> Any:
    """A NumPy array of the values of `x`, which may share its memory."""
    backend = backend_of_type(x)
    if backend is None:
        import numpy

        return numpy.asarray(x)
    return backend.to_numpy(x)


def to_numpy(x: Any) -> Any:
    """Return a copy of an array of any backend as a NumPy array on the host; sequences and numbers are converted.

    Raises
    ------
    BufferError
        If `x` is tracked: the copy would silently lose its gradient. Use ``nnx.stop_gradient(x)`` first.

    Examples
    --------
    >>> import nnx
    >>> nnx.to_numpy(nnx.asarray([1, 2]))
    array([1, 2])
    """
    x = _untracked(x)
    backend = backend_of_type(x)
    host = _on_host(x)
    # What comes from a device is new already; anything else may still belong to `x`.
    is_new = backend is None or (host.flags.owndata and not backend.on_host)
    return host if is_new else host.copy()


def device(x: Any) -> Any:
    """Return the device that holds the array `x`, as its library names it.

    Examples
    --------
    >>> import nnx
    >>> nnx.backend.device(nnx.asarray([1.0]))
    'cpu'
    """
    try:
        return array_api_compat.device(x)
    except AttributeError:
        raise TypeError(f"device: expected an array, got {type(x).__module__}.{type(x).__qualname__}.") from None


def mixed_backends_error(operation: str, *arrays: Any) -> MixedBackendsError:
    """Build the error for arrays of two backends in one call."""
    names = [f"{backend_label(a)} ({type(a).__module__}.{type(a).__qualname__})" for a in arrays]
    target = backend_label(arrays[0])
    return MixedBackendsError(
        f"{operation}: expected arrays of one backend, got {' and '.join(dict.fromkeys(names))}. "
        f"Move one of them, e.g. nnx.asarray(x, backend={target!r})."
    )


def backend_label(array: Any) -> str:
    """Return the name of the backend that an array (raw or tracked) belongs to, for messages."""
    try:
        return get_backend(array).name
    except TypeError:
        return "no backend"
