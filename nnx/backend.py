"""The ground floor: which array library does the work.

A *backend* is a plug-in for one array library. The array decides which backend handles it; `set_backend` only decides
where new arrays and parameters are born. Kernels are optional overrides of the primitives of `nnx.functional`, and
`choose_kernel` is the one place that asks whether to run one.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from .errors import BackendError, MixedBackendsError

_BUILT_IN = {
    "numpy": "nnx.backends.numpy:NumpyBackend",
    "cupy": "nnx.backends.cupy:CupyBackend",
    "strict": "nnx.backends.strict:StrictBackend",
}
_TEST_ONLY = frozenset({"strict"})
_SCALARS = frozenset({bool, int, float, complex, type(None)})


class Kernel(Protocol):
    """A fast override of one primitive on one backend. All arrays it sees are raw.

    `supports` returns None, or the reason why this call has to take the reference. `forward` returns the output and
    whatever `backward` needs; `backward` returns one gradient (or None) per array argument of the primitive.
    """

    def supports(self, *args: Any) -> str | None: ...
    def forward(self, *args: Any) -> tuple[Any, Any]: ...
    def backward(self, grad: Any, residuals: Any, needs: tuple) -> tuple: ...


@runtime_checkable
class Backend(Protocol):
    """What nnx asks of an array library beyond the Array API standard.

    Attributes
    ----------
    name
        The name users pass to `set_backend`.
    xp
        The raw namespace: conforms to the standard as far as array_api_compat makes its library conform.
    array_types
        The classes of its arrays.
    writable
        Whether views write through to their base, so that parameters can live in one flat buffer.
    extensions
        Native versions of functions that the standard lacks, by dotted name (``"indexing.take_transpose"``).
    kernels
        Overrides of primitives, by the primitive's name.
    """

    name: str
    xp: Any
    array_types: tuple[type, ...]
    writable: bool
    extensions: Mapping[str, Callable]
    kernels: Mapping[str, Kernel]

    @classmethod
    def unavailable(cls) -> str | None:
        """Return None if the backend can be used here, else the reason and the command that repairs it."""

    def asarray(self, obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Any:
        """Return `obj` (array of any library, sequence or number) as an array of this backend."""

    def to_numpy(self, x: Any) -> Any:
        """Return an array of this backend as a NumPy array on the host."""

    def synchronize(self) -> None:
        """Wait until the device has finished all work."""


# ------------------------------------------------------------------ registry


def _mount_backends() -> None:
    """Make `nnx.backends` importable from a checkout that has not been installed."""
    if importlib.util.find_spec("nnx.backends") is not None:
        return
    folder = Path(__file__).resolve().parent.parent / "backends"
    spec = importlib.util.spec_from_file_location(
        "nnx.backends", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise BackendError(f"nnx.backends is not installed and {folder} does not exist; run `pip install -e .`.")
    module = importlib.util.module_from_spec(spec)
    sys.modules["nnx.backends"] = module
    spec.loader.exec_module(module)


def _entry_points() -> dict[str, str]:
    from importlib.metadata import entry_points

    found = {e.name: e.value for e in entry_points(group="nnx.backends")}
    return {name: value for name, value in found.items() if name not in _BUILT_IN}


def _backend_class(name: str) -> type[Backend]:
    target = _BUILT_IN.get(name) or _entry_points().get(name)
    if target is None:
        known = ", ".join(repr(n) for n in sorted({*_BUILT_IN, *_entry_points()} - _TEST_ONLY))
        raise BackendError(f"unknown backend {name!r}: expected one of {known}.")
    if target.startswith("nnx.backends."):
        _mount_backends()
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


_loaded: dict[str, Backend] = {}
_by_type: dict[type, Backend] = {}


def load_backend(name: str) -> Backend:
    """Return the backend of a name, importing it at the first use.

    Raises
    ------
    BackendError
        If the name is unknown, or the backend cannot run here; the text names the command that repairs it.
    """
    backend = _loaded.get(name)
    if backend is None:
        cls = _backend_class(name)
        reason = cls.unavailable()
        if reason is not None:
            raise BackendError(f"backend {name!r} is not available: {reason}")
        backend = _loaded[name] = cls()
        for array_type in backend.array_types:
            _by_type[array_type] = backend
    return backend


def available_backends() -> dict[str, str | None]:
    """List the backends known here: name -> None if it can be used, else the reason why not.

    Examples
    --------
    >>> import nnx
    >>> nnx.available_backends()["numpy"] is None
    True
    """
    names = [*_BUILT_IN, *_entry_points()]
    return {name: _backend_class(name).unavailable() for name in names if name not in _TEST_ONLY}


# ------------------------------------------------------------------ the backend of an array


def backend_of_type(array: Any) -> Backend | None:
    """Return the backend that handles the class of `array`, or None if it is no array."""
    cls = type(array)
    backend = _by_type.get(cls)
    if backend is None and cls not in _SCALARS:
        backend = _find_backend(array)
        if backend is not None:
            _by_type[cls] = backend
    return backend


def _find_backend(array: Any) -> Backend | None:
    root = type(array).__module__.partition(".")[0]
    for name in {"array_api_strict": ("strict",)}.get(root, (root,)):
        if name in _BUILT_IN and name not in _loaded and _backend_class(name).unavailable() is None:
            load_backend(name)
    for backend in _loaded.values():
        if isinstance(array, backend.array_types):
            return backend
    from .guests import guest_backend

    return guest_backend(array)


# ------------------------------------------------------------------ the default backend

_default: str | None = None
_override: ContextVar[Backend | None] = ContextVar("nnx_backend", default=None)


def set_backend(name: str) -> None:
    """Choose where new arrays and parameters are born: ``"numpy"``, ``"cupy"`` or a plug-in's name.

    Existing arrays stay where they are, and every operation runs where its arrays live. The environment variable
    ``NNX_BACKEND`` sets the initial choice.

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

    Examples
    --------
    >>> import nnx
    >>> with nnx.use_backend("numpy") as backend:
    ...     backend.name
    'numpy'
    """
    token = _override.set(load_backend(name))
    try:
        yield _loaded[name]
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
        return backend if backend is not None else load_backend(_default or os.environ.get("NNX_BACKEND") or "numpy")
    raw = getattr(x, "_data", x) if hasattr(type(x), "__nnx_tracked__") else x
    found = backend_of_type(raw)
    if found is None:
        raise TypeError(f"expected an array, got {type(x).__module__}.{type(x).__qualname__}; use nnx.asarray(x).")
    return found


def asarray(obj: Any, dtype: Any = None, *, backend: str | None = None, device: Any = None) -> Any:
    """Return `obj` as an array of `backend`, by default of the one chosen with `set_backend`.

    Parameters
    ----------
    obj
        An array of any library, a (nested) sequence of numbers, or a number.
    dtype
        A dtype or its name, such as ``"float32"``. By default arrays keep theirs and Python floats become float32.
    backend
        The name of a backend.
    device
        A device of that backend.

    Examples
    --------
    >>> import nnx
    >>> nnx.asarray([1.0, 2.0])
    array([1., 2.], dtype=float32)
    """
    target = load_backend(backend) if backend is not None else get_backend()
    if isinstance(dtype, str):
        dtype = getattr(target.xp, dtype)
    if isinstance(obj, target.array_types):
        return target.asarray(obj, dtype=dtype, device=device)
    if hasattr(obj, "__array_namespace__") or hasattr(obj, "__dlpack__"):
        obj = to_numpy(obj)
    elif dtype is None and _is_float_data(obj):
        dtype = target.xp.float32
    return target.asarray(obj, dtype=dtype, device=device)


def _is_float_data(obj: Any) -> bool:
    while isinstance(obj, (list, tuple)) and obj:
        if any(isinstance(item, float) for item in obj):
            return True
        obj = obj[0]
    return isinstance(obj, float)


def to_numpy(x: Any) -> Any:
    """Return an array of any backend as a NumPy array on the host; sequences and numbers are converted.

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
    if hasattr(type(x), "__nnx_tracked__"):
        x = x.__nnx_untracked__()
    backend = backend_of_type(x)
    if backend is None or isinstance(x, (list, tuple)):
        import numpy

        return numpy.asarray(x)
    return backend.to_numpy(x)


def device(x: Any) -> Any:
    """Return the device that holds `x`, as its library names it."""
    import array_api_compat

    return array_api_compat.device(x)


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


# ------------------------------------------------------------------ kernels

_kernel_mode: ContextVar[str | None] = ContextVar("nnx_kernels", default=None)
_decisions: dict[str, tuple[str, str | None]] = {}
_MODES = ("off", "auto", "require")


def _checked_mode(mode: str, source: str) -> str:
    if mode not in _MODES:
        raise ValueError(f"{source}: expected one of {', '.join(map(repr, _MODES))}, got {mode!r}.")
    return mode


_initial_mode = _checked_mode(os.environ.get("NNX_KERNELS", "auto"), "NNX_KERNELS")


@contextmanager
def use_kernels(mode: str) -> Iterator[None]:
    """Switch the fast kernels within a ``with`` block: ``"off"``, ``"auto"``, or ``"require"`` (raise if one cannot run).

    The environment variable ``NNX_KERNELS`` sets the initial mode.

    Examples
    --------
    >>> import nnx
    >>> with nnx.use_kernels("off"):
    ...     pass
    """
    token = _kernel_mode.set(_checked_mode(mode, "use_kernels"))
    try:
        yield
    finally:
        _kernel_mode.reset(token)


def choose_kernel(primitive: str, backend: Backend, args: tuple) -> Kernel | None:
    """Return the kernel that shall run a call of a primitive, or None for the reference.

    Raises
    ------
    BackendError
        In mode ``"require"``, if no kernel can run; the text gives the reason.
    """
    mode = _kernel_mode.get() or _initial_mode
    kernel = backend.kernels.get(primitive)
    if kernel is None:
        reason: str | None = f"backend {backend.name!r} has no kernel for it"
    elif mode == "off":
        reason = "kernels are switched off"
    else:
        reason = kernel.supports(*args)
    _decisions[primitive] = (backend.name, reason)
    if reason is None:
        return kernel
    if mode == "require":
        raise BackendError(f"{primitive}: no kernel can run: {reason}. Use NNX_KERNELS=auto to allow the reference.")
    return None


def explain() -> str:
    """Tell for every primitive called so far whether its last call ran a kernel or the reference, and why.

    Examples
    --------
    >>> import nnx, numpy as np
    >>> _ = nnx.functional.linear(np.ones((2, 3), "float32"), np.ones((4, 3), "float32"))
    >>> "linear" in nnx.explain()
    True
    """
    lines = [
        f"{primitive:24s} {name:8s} {'kernel' if reason is None else 'reference: ' + reason}"
        for primitive, (name, reason) in sorted(_decisions.items())
    ]
    return "\n".join(lines) if lines else "no primitive has been called yet"


# ------------------------------------------------------------------ threads


def set_num_threads(n: int) -> None:
    """Set how many CPU threads nnx and the BLAS library beneath NumPy may use (initially ``NNX_NUM_THREADS``, if set).

    Examples
    --------
    >>> import nnx
    >>> nnx.set_num_threads(nnx.get_num_threads())
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ValueError(f"set_num_threads: expected a positive integer, got {n!r}.")
    from threadpoolctl import threadpool_limits

    global _num_threads
    threadpool_limits(n, user_api="blas")
    _num_threads = n


def get_num_threads() -> int:
    """Return how many CPU threads nnx may use."""
    if _num_threads is not None:
        return _num_threads
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _threads_from_environment() -> int | None:
    text = os.environ.get("NNX_NUM_THREADS")
    if text is None:
        return None
    if not text.isdigit() or int(text) < 1:
        raise ValueError(f"NNX_NUM_THREADS: expected a positive integer, got {text!r}.")
    return int(text)


_num_threads: int | None = None
if (_requested := _threads_from_environment()) is not None:
    set_num_threads(_requested)
