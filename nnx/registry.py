"""The backends there are: their protocol, the plug-ins of nnx and of other packages, and which one handles an array."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from . import settings
from .errors import BackendError
from .guests import guest_backend, guest_named

_BUILT_IN = {
    "numpy": "nnx.backends.numpy:NumpyBackend",
    "cupy": "nnx.backends.cupy:CupyBackend",
    "simt": "nnx.backends.simt:SimtBackend",
    "strict": "nnx.backends.strict:StrictBackend",
}
_TEST_ONLY = frozenset({"simt", "strict"})
SCALARS = frozenset({bool, int, float, complex, type(None)})


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
    on_host
        Whether arrays live in host memory, so that looking at a value costs nothing.
    extensions
        Native versions of functions that the standard lacks, by dotted name (``"indexing.take_transpose"``).
    kernels
        Overrides of primitives (`nnx.kernels.Kernel`), by the primitive's name.
    """

    name: str
    xp: Any
    array_types: tuple[type, ...]
    writable: bool
    on_host: bool
    extensions: Mapping[str, Callable]
    kernels: Mapping[str, Any]

    @classmethod
    def unavailable(cls) -> str | None:
        """Return None if the backend can be used here, else the reason and the command that repairs it."""

    def asarray(self, obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Any:
        """Return `obj` (array of any library, sequence or number) as an array of this backend."""

    def to_numpy(self, x: Any) -> Any:
        """Return an array of this backend as a NumPy array on the host."""

    def synchronize(self) -> None:
        """Wait until the device has finished all work."""


# What has to be there before an instance is made; the rest may be set by ``__init__``.
_MEMBERS = ("name", "unavailable", "asarray", "to_numpy", "synchronize")


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


@functools.cache
def _entry_points() -> dict[str, str]:
    """The plug-ins of other packages; reading them takes milliseconds, so once."""
    from importlib.metadata import entry_points

    found = {e.name: e.value for e in entry_points(group="nnx.backends")}
    return {name: value for name, value in found.items() if name not in _BUILT_IN}


def backend_class(name: str) -> type[Backend]:
    """Return the class of a backend, whether or not it can be used here; raise if there is none, or a broken one."""
    target = _BUILT_IN.get(name) or _entry_points().get(name)
    if target is None:
        known = ", ".join(repr(n) for n in sorted({*_BUILT_IN, *_entry_points()} - _TEST_ONLY))
        raise BackendError(f"unknown backend {name!r}: expected one of {known}.")
    if target.startswith("nnx.backends."):
        _mount_backends()
    module, _, attribute = target.partition(":")
    try:
        cls = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise BackendError(
            f"backend {name!r} is broken: {target} does not import: {error}. {_reinstall(name)}"
        ) from error
    missing = [member for member in _MEMBERS if not hasattr(cls, member)]
    if missing:
        raise BackendError(
            f"backend {name!r} is broken: {target} lacks {', '.join(missing)} of the protocol nnx.backend.Backend. "
            f"{_reinstall(name)}"
        )
    return cls


def _reinstall(name: str) -> str:
    return "Reinstall nnx-array." if name in _BUILT_IN else "Update or uninstall the package that registers it."


_loaded: dict[str, Backend] = {}
_by_type: dict[type, Backend] = {}


def load_backend(name: str) -> Backend:
    """Return the backend of a name, importing it at the first use.

    Raises
    ------
    BackendError
        If the name is unknown, or the backend cannot run here; the text names the command that repairs it.
    ValueError
        If it is the first one to be loaded, and an environment variable of nnx is set wrongly.
    """
    if not _loaded:
        settings.check()
    return load_unchecked(name)


def load_unchecked(name: str) -> Backend:
    """Return the backend of a name, whatever the environment variables of nnx say."""
    backend = _loaded.get(name) or guest_named(name)
    if backend is None:
        cls = backend_class(name)
        reason = cls.unavailable()
        if reason is not None:
            raise BackendError(f"backend {name!r} is not available: {reason}")
        backend = _loaded.setdefault(name, cls())  # a second thread that came here meanwhile takes the first one's
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
    return {name: _why_unavailable(name) for name in (*_BUILT_IN, *_entry_points()) if name not in _TEST_ONLY}


def _why_unavailable(name: str) -> str | None:
    try:
        return backend_class(name).unavailable()
    except BackendError as error:
        return str(error)


# ------------------------------------------------------------------ the backend of an array


def backend_of_type(array: Any) -> Backend | None:
    """Return the backend that handles the class of `array`, or None if it is no array."""
    cls = type(array)
    backend = _by_type.get(cls)
    if backend is None and cls not in SCALARS:
        backend = _find_backend(array)
        if backend is not None:
            _by_type[cls] = backend
    return backend


def _find_backend(array: Any) -> Backend | None:
    name = type(array).__module__.partition(".")[0]
    name = {"array_api_strict": "strict"}.get(name, name)
    if name != "builtins" and name not in _loaded and (name in _BUILT_IN or name in _entry_points()):
        load_backend(name)
    for cls in type(array).__mro__:  # the nearest one: arrays of a plug-in may subclass NumPy's
        if cls in _by_type:
            return _by_type[cls]
    return guest_backend(array)
