"""What a module does with all its arrays at once: check those that are to be loaded, convert them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any

from ..backend import device, get_backend, load_backend, to_numpy
from ..dtypes import dtype_name, is_floating
from ..errors import BackendError, DTypeError, WeightsError

_FLOATS = ("float16", "bfloat16", "float32", "float64")


def checked_state(label: str, own: Mapping[str, Any], state: Mapping[str, Any], strict: bool) -> dict[str, Any]:
    """Return the arrays of `state` by name, each on the backend and device of the one in `own` that it replaces.

    Raises
    ------
    TypeError
        If `state` is no mapping.
    WeightsError
        Listing everything that does not fit.
    """
    if not isinstance(state, Mapping):
        raise TypeError(
            f"{label}.load_state_dict: expected arrays by name, as state_dict() returns them, got "
            f"{type(state).__name__}."
        )
    loaded = {}
    problems = []
    if strict:
        problems += [f"missing: {name} {tuple(own[name].shape)}" for name in own if name not in state]
        problems += [f"unexpected: {name}" for name in state if name not in own]
    for name, old in own.items():
        if name not in state:
            continue
        new = state[name]
        wrong = _misfits(new, old)
        problems += [f"{name}: expected {problem}" for problem in wrong]
        if not wrong:
            loaded[name] = get_backend(old).asarray(to_numpy(new), dtype=old.dtype, device=device(old))
    if problems:
        raise WeightsError(
            f"the weights do not fit {label} ({len(problems)} problems, nothing was loaded):\n  "
            + "\n  ".join(problems)
        )
    return loaded


def _misfits(new: Any, old: Any) -> list[str]:
    if not hasattr(new, "dtype"):
        return [f"a raw array, got {type(new).__name__}"]
    if getattr(new, "tracked", False):
        return ["a raw array, got a tracked one"]
    problems = []
    if tuple(new.shape) != tuple(old.shape):
        problems.append(f"shape {tuple(old.shape)}, got {tuple(new.shape)}")
    if dtype_name(new.dtype) != dtype_name(old.dtype):
        problems.append(f"dtype {dtype_name(old.dtype)}, got {dtype_name(new.dtype)}")
    return problems


def converter(label: str, target: Any, arrays: Iterable[Any]) -> Callable[[Any], Any]:
    """Return a function that moves raw arrays to a backend, or casts those of floating-point numbers to a dtype.

    Raises
    ------
    TypeError, BackendError
        If `target` is neither a floating-point dtype nor a backend that can be used.
    DTypeError
        If one of `arrays` could not be cast, so that nothing has been when it comes to light.
    """
    name = target if isinstance(target, str) or not isinstance(target, Hashable) else dtype_name(target)
    if name in _FLOATS:
        for backend in map(get_backend, arrays):
            if not hasattr(backend.xp, name):
                raise DTypeError(f"{label}.to: backend {backend.name!r} has no dtype {name!r}.")
        return lambda raw: _cast(raw, name)
    if not isinstance(target, str):
        raise TypeError(f"{label}.to: expected the name of a backend or a floating-point dtype, got {target!r}.")
    try:
        backend = load_backend(target)
    except BackendError as error:
        raise BackendError(
            f"{label}.to: {target!r} is no floating-point dtype ({', '.join(_FLOATS)}), and no backend: {error}"
        ) from None
    return lambda raw: raw if isinstance(raw, backend.array_types) else backend.asarray(to_numpy(raw))


def _cast(raw: Any, name: str) -> Any:
    xp = get_backend(raw).xp
    return xp.astype(raw, getattr(xp, name), copy=False) if is_floating(raw.dtype) else raw
