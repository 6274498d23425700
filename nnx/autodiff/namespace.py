"""Builds the two namespaces of every array library: the raw one and the differentiable one.

The *raw* namespace is the backend's own, plus the extensions ``special`` and ``indexing`` that the standard lacks. The
*differentiable* namespace has the same functions on `Array`, generated from the rules. Rules compute their first
derivatives in the raw one and higher derivatives in the differentiable one.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

from .. import backend as _backend
from ..backend import backend_of_type, mixed_backends_error
from ..dtypes import dtype_name, is_complex, is_differentiable, is_floating
from ..errors import DTypeError
from . import codegen
from .array import Array, add_operators, no_rule
from .creation import add_creation_functions
from .rule import RULES, Rule
from .rules import load_all
from .tape import Node, Operation, next_seq, record, record_outputs

_SCALARS = (bool, int, float, complex)
_EXTENSIONS = ("linalg", "fft", "special", "indexing")
_PASSED_THROUGH = """
    e inf nan newaxis pi bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 bfloat16 float32 float64
    complex64 complex128 broadcast_shapes isdtype __array_api_version__
"""

_building = threading.Lock()  # two threads must not build two namespaces of one backend
_raw_by_type: dict[type, Any] = {}
namespaces: dict[type, Any] = {type(None): None, **dict.fromkeys(_SCALARS)}


class Namespace(ModuleType):
    """A namespace of functions: behaves like a module."""

    Array: Any
    accept: Callable
    accepted: set[type]
    backend: Any
    can_cast_in_place: Callable
    differentiable: Namespace
    raw: Namespace
    real_dtypes: tuple
    unpickled: Callable
    untracked: Callable
    wrap: Callable

    def __repr__(self) -> str:
        return f"<namespace {self.__name__}>"


# ------------------------------------------------------------------ lookup


def namespace(*arrays: Any) -> Any:
    """Return the namespace to compute with: differentiable if an argument is, else the raw one. None is skipped.

    Raises
    ------
    MixedBackendsError
        If the arrays belong to two backends.
    TypeError
        If there is no array among the arguments.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> xp = nnx.namespace(np.ones(3))
    >>> xp.sum(np.ones(3))
    np.float64(3.0)
    """
    found = None
    for array in arrays:
        try:
            candidate = namespaces[type(array)]
        except KeyError:
            candidate = _resolve(array, "namespace")
        if candidate is found or candidate is None:
            continue
        if found is None or candidate.raw is found:
            found = candidate
        elif found.raw is not candidate:
            raise mixed_backends_error("namespace", *[a for a in arrays if namespaces.get(type(a)) is not None])
    if found is None:
        names = ", ".join(type(a).__name__ for a in arrays) or "nothing"
        raise TypeError(f"namespace: expected at least one array, got {names}; use nnx.asarray(x).")
    return found


def _resolve(array: Any, operation: str) -> Any:
    backend = backend_of_type(array)
    if backend is None:
        raise TypeError(
            f"{operation}: expected an array, got {type(array).__module__}.{type(array).__qualname__}; use "
            "nnx.asarray(x)."
        )
    cls = type(array)
    with _building:
        found = _raw_by_type.get(backend.array_types[0]) or _build(backend)
    namespaces[cls] = found
    found.differentiable.accepted.add(cls)
    return found


def differentiable(xp: Any) -> Any:
    """Return the differentiable namespace over an Array API namespace.

    Its functions are those of the standard (2025.12), plus the extensions ``special`` (erf, gammaln, ...) and
    ``indexing``; its arrays are `nnx.Array`. There is one per array library: ``numpy`` and ``array_api_compat.numpy``
    give the same object.

    Parameters
    ----------
    xp
        ``numpy``, ``cupy``, ``torch``, ``jax.numpy``, ``array_api_strict``, or any other conforming namespace.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> ns = nnx.differentiable(np)
    >>> x = nnx.variable(np.asarray([1.0, 2.0]))
    >>> ns.sum(ns.exp(x)).backward()
    >>> bool(np.all(x.grad == np.exp([1.0, 2.0])))
    True
    """
    if isinstance(xp, Namespace):
        return xp.differentiable
    return differentiable_of(xp.zeros(1), "differentiable")


def differentiable_of(array: Any, operation: str) -> Any:
    """Return the differentiable namespace for a raw array."""
    try:
        found = namespaces[type(array)]
    except KeyError:
        found = _resolve(array, operation)
    if found is None:
        raise TypeError(f"{operation}: expected an array, got {type(array).__name__}; use nnx.asarray(x).")
    return found.differentiable


def unpickled(backend: str, values: Any) -> Array:
    """Return an untracked differentiable array of a backend with the values of a NumPy array."""
    raw = _backend.load_backend(backend).asarray(values)
    return differentiable_of(raw, "pickle").wrap(raw)


def require_differentiable(operation: str, array: Any) -> None:
    """Raise unless an array holds real or complex floating-point numbers."""
    if not is_differentiable(array.dtype):
        raise DTypeError(
            f"{operation}: expected floating-point numbers, got dtype {dtype_name(array.dtype)}. Cast it, e.g. "
            "xp.astype(x, xp.float32)."
        )


# ------------------------------------------------------------------ building


def _build(backend: Any) -> Any:
    """Build both namespaces of a backend and return the raw one."""
    load_all()
    raw = _build_raw(backend)
    ns = _build_differentiable(backend, raw)
    raw.raw = ns.raw = raw
    raw.differentiable = ns.differentiable = ns
    _raw_by_type[backend.array_types[0]] = raw
    for cls in backend.array_types:
        namespaces[cls] = raw
        ns.accepted.add(cls)
    namespaces[ns.Array] = ns
    return raw


def _build_raw(backend: Any) -> Namespace:
    raw = Namespace(f"nnx.raw[{backend.name}]", f"The Array API on {backend.name} arrays, with extensions.")
    xp = backend.xp
    for name in dir(xp):
        if not name.startswith("_") or name.startswith("__array"):
            setattr(raw, name, getattr(xp, name))
    for extension in _EXTENSIONS:
        module = Namespace(f"{raw.__name__}.{extension}")
        for name in dir(getattr(xp, extension, None)) if extension in ("linalg", "fft") else ():
            if not name.startswith("_"):
                setattr(module, name, getattr(getattr(xp, extension), name))
        setattr(raw, extension, module)
    raw.backend = backend
    for rule in RULES.values():
        function = backend.extensions.get(rule.name)
        if function is None and rule.forward is not None and _lookup(xp, rule.name) is None:
            function = functools.partial(rule.forward, raw)
        if function is not None:
            _place(raw, rule.name, function)
    return raw


def _lookup(xp: Any, name: str) -> Callable | None:
    extension, _, function = name.rpartition(".")
    if extension in ("special", "indexing"):
        return None
    return getattr(getattr(xp, extension, None) if extension else xp, function, None)


def _place(module: Any, name: str, function: Any) -> None:
    extension, _, function_name = name.rpartition(".")
    setattr(getattr(module, extension) if extension else module, function_name, function)


def _build_differentiable(backend: Any, raw: Namespace) -> Namespace:
    xp = backend.xp
    ns = Namespace(f"nnx.differentiable[{backend.name}]", f"The differentiable Array API over {backend.name}.")
    cls: type[Array] = type("Array", (Array,), {"__slots__": (), "_namespace": ns, "__module__": ns.__name__})
    accepted: set[type] = {*_SCALARS, *backend.array_types}
    names = _names(ns, cls, raw, accepted, backend)
    ns.Array, ns.backend, ns.accepted = cls, backend, accepted
    ns.wrap, ns.untracked, ns.accept = names["wrap"], names["raw"], names["accept"]
    ns.unpickled = unpickled
    ns.real_dtypes = tuple(raw.empty(0, dtype=d).dtype for d in (raw.float32, raw.float64) if d is not None)
    for name in _PASSED_THROUGH.split():
        if hasattr(xp, name):
            setattr(ns, name, getattr(xp, name))
    for extension in _EXTENSIONS:
        if extension in ("special", "indexing") or hasattr(xp, extension):
            setattr(ns, extension, Namespace(f"{ns.__name__}.{extension}"))

    @functools.cache
    def operation(name: str) -> Operation:
        rule = RULES[name]
        return Operation(
            name,
            codegen.compile_vjp(rule),
            codegen.sources(rule),
            ns,
            holomorphic=rule.holomorphic,
            outputs=max(1, len(rule.outputs)),
        )

    for rule in RULES.values():
        function = _generate(rule, raw, names, operation)
        if function is not None and ("." not in rule.name or hasattr(ns, rule.name.partition(".")[0])):
            function.__module__ = ns.__name__
            function.__doc__ = f"`{rule.name}` of the Array API standard or of nnx's extensions, recorded if tracked."
            _place(ns, rule.name, function)
    if hasattr(ns, "linalg"):
        for name in ("matmul", "matrix_transpose", "tensordot", "vecdot"):
            setattr(ns.linalg, name, getattr(ns, name))
    _add_inspection(ns, xp, names["raw"])
    ns.can_cast_in_place = functools.partial(_can_cast_in_place, xp)
    add_operators(cls, names, operation)
    add_creation_functions(ns, raw, names["raw"], track_all=os.environ.get("NNX_TRACK_ALL") == "1")
    return ns


def _generate(rule: Rule, raw: Any, names: dict[str, Any], operation: Callable) -> Callable | None:
    extension, _, function_name = rule.name.rpartition(".")
    forward = getattr(getattr(raw, extension) if extension else raw, function_name, None)
    if forward is None:
        return None
    scope = {**names, "forward": forward, "body": rule.body}
    if rule.kind == "op":
        return codegen.compile_function(
            codegen.operation_source(rule), function_name, rule.name, {**scope, "OP": operation(rule.name)}
        )
    return codegen.compile_function(codegen.other_source(rule), function_name, rule.name, scope)


def _names(ns: Any, cls: type[Array], raw: Any, accepted: set[type], backend: Any) -> dict[str, Any]:
    """The names that generated functions refer to."""

    def wrap(value: Any, node: Node | None = None) -> Any:
        if isinstance(value, (tuple, list)):
            return rebuild(value, [wrap(v) for v in value])
        array = cls()
        array._data = value
        array._node = node
        return array

    def rebuild(like: Any, values: list) -> Any:
        return type(like)(*values) if hasattr(like, "_fields") else type(like)(values)

    def accept(value: Any, operation: str) -> Any:
        """Return a raw value that may take part in an operation, and remember its class."""
        if type(value) in accepted or value is None:
            return value
        if isinstance(value, Array):
            raise mixed_backends_error(operation, ns.wrap(ns.raw.zeros(0)), value)
        found = backend_of_type(value) if hasattr(value, "shape") else None
        if found is backend:
            accepted.add(type(value))
        elif found is not None:
            raise mixed_backends_error(operation, ns.wrap(ns.raw.zeros(0)), value)
        return value

    def unwrap(value: Any, operation: str = "operation") -> Any:
        if type(value) is cls:
            return value._data
        if type(value) is tuple or type(value) is list:
            return type(value)([unwrap(v, operation) for v in value])
        return accept(value, operation)

    def tracked(*values: Any) -> bool:
        return any(isinstance(v, Array) and v._node is not None for v in values)

    def lift(scalar: Any, like: Any) -> Any:
        return raw.asarray(scalar, dtype=like.dtype, device=_backend.device(like))

    def is_operand(value: Any) -> bool:
        if isinstance(value, Array) or (hasattr(value, "shape") and hasattr(value, "dtype")):
            accept(value, "operator")
            return True
        return isinstance(value, _SCALARS)

    return {
        "Array": cls,
        "NS": ns,
        "Node": Node,
        "RAW": accepted,
        "OPERANDS": frozenset({cls, *_SCALARS, *backend.array_types}),
        "SCALARS": _SCALARS,
        "accept": accept,
        "is_differentiable": is_differentiable,
        "is_operand": is_operand,
        "lift": lift,
        "next_seq": next_seq,
        "no_rule": no_rule,
        "raw": unwrap,
        "rebuild": rebuild,
        "record": record,
        "record_outputs": record_outputs,
        "tracked": tracked,
        "wrap": wrap,
    }


def _add_inspection(ns: Any, xp: Any, unwrap: Callable) -> None:
    def finfo(type: Any, /) -> Any:
        return xp.finfo(unwrap(type))

    def iinfo(type: Any, /) -> Any:
        return xp.iinfo(unwrap(type))

    def can_cast(from_: Any, to: Any, /) -> bool:
        return xp.can_cast(unwrap(from_), to)

    def result_type(*arrays_and_dtypes: Any) -> Any:
        return xp.result_type(*[unwrap(a) for a in arrays_and_dtypes])

    def __array_namespace_info__() -> Any:
        return xp.__array_namespace_info__()

    for function in (finfo, iinfo, can_cast, result_type, __array_namespace_info__):
        setattr(ns, function.__name__, function)


def _can_cast_in_place(xp: Any, source: Any, target: Any) -> bool:
    if is_complex(source):
        return is_complex(target)
    return is_floating(target) or is_complex(target) if is_floating(source) else True
