"""One product of matrices, before it goes to cuBLASLt: whether its arrays fit together, and what they ask for."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

from nnx.errors import BackendError, DTypeError, ShapeError

from .blaslt_layout import MAX_SIZE, leading_dimension, result_shape, strided
from .blaslt_library import Compute, DataType, Epilogue
from .blaslt_plan import Kind, Unsupported

DTYPES = tuple(kind.name for kind in DataType)
EPILOGUES: dict[str | None, int] = {
    None: 0,
    "relu": Epilogue.RELU,
    "gelu": Epilogue.GELU,
    "drelu": Epilogue.RELU_GRADIENT,
    "dgelu": Epilogue.GELU_GRADIENT,
    "bgrada": Epilogue.SUM_B,  # a is the library's B
    "bgradb": Epilogue.SUM_A,
}


class Call(NamedTuple):
    """The arguments of `Blas.matmul`."""

    a: Any
    b: Any
    out: Any
    transpose_a: bool
    transpose_b: bool
    beta: float
    bias: Any
    epilogue: str | None
    aux: Any
    bias_gradient: Any
    precision: str


@functools.lru_cache(64)
def name_of(dtype: Any) -> str:
    """Return the name of a dtype, which NumPy puts together anew every time."""
    return str(dtype)


def bits_of(call: Call) -> int:
    """Return the epilogue as the library numbers it, 0 for none."""
    bits = int(EPILOGUES[call.epilogue])
    if call.bias_gradient is not None and call.epilogue in ("drelu", "dgelu"):
        bits |= Epilogue.SUM
    return bits | (Epilogue.BIAS if call.bias is not None else 0) | (Epilogue.AUX if call.aux is not None else 0)


def kind_of(call: Call) -> Kind:
    """Return what happens to the numbers; raise Unsupported if the library does not do that."""
    factors, result = DataType[name_of(call.a.dtype)], DataType[name_of(call.out.dtype)]
    epilogue = bits_of(call)
    if factors is DataType.float64:
        if epilogue:
            raise Unsupported("cuBLASLt has no epilogues for float64")
        return Kind(factors, result, Compute.FLOAT64, 0)
    is_tf32 = call.precision == "high" and factors is DataType.float32
    return Kind(factors, result, Compute.TF32 if is_tf32 else Compute.FLOAT32, epilogue)


def rows_of(call: Call) -> bool:
    """Whether the result is row-major; False if it is column-major, which does where there is no epilogue."""
    *_, m, n = call.out.shape
    *_, down, right = strided(call.out).strides
    if leading_dimension(m, n, down, right) is not None:
        return True
    if leading_dimension(n, m, right, down) is None or bits_of(call):
        raise ShapeError(
            f"matmul: expected out as rows{'' if bits_of(call) else ' or columns'} without gaps, got strides "
            f"{call.out.strides} for shape {call.out.shape}."
        )
    return False


def of_transposes(call: Call) -> Call:
    """Return the call that makes the transpose of the result."""
    exchanged = call._replace(a=call.b, b=call.a, out=call.out.mT)
    return exchanged._replace(transpose_a=not call.transpose_b, transpose_b=not call.transpose_a)


@functools.lru_cache(4096)
def shape_of(a: tuple[int, ...], b: tuple[int, ...], transpose_a: bool, transpose_b: bool) -> tuple[int, ...]:
    """Return the shape of the result; raise ShapeError if the shapes do not fit."""
    left = (*a[:-2], a[-1], a[-2]) if transpose_a and len(a) > 1 else a
    right = (*b[:-2], b[-1], b[-2]) if transpose_b and len(b) > 1 else b
    shape = result_shape(left, right)
    if shape is None:
        raise ShapeError(f"matmul: expected shapes (..., m, k) and (..., k, n), got {left} and {right}.")
    return shape


def aux_shape(epilogue: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Of bits for "relu" and "drelu", whose rows are multiples of 128; else of numbers, in rows of multiples of 8."""
    *rows, n = shape
    return (*rows, -(-n // 128) * 16) if epilogue.endswith("relu") else (*rows, -(-n // 8) * 8)


def check(call: Call) -> None:
    """Raise if the arrays and options of a product do not fit together."""
    a, b, out, aux, bias, epilogue = call.a, call.b, call.out, call.aux, call.bias, call.epilogue
    name, wanted = name_of(a.dtype), name_of(out.dtype)
    shape = shape_of(a.shape, b.shape, call.transpose_a, call.transpose_b)
    if b.dtype != a.dtype or name not in DTYPES:
        raise DTypeError(f"matmul: expected two arrays of one of {', '.join(DTYPES)}, got {a.dtype} and {b.dtype}.")
    if wanted != name and (wanted != "float32" or name == "float64"):
        raise DTypeError(f"matmul: expected out of {name} or float32, got {wanted}.")
    if out.shape != shape:
        raise ShapeError(f"matmul: expected out of shape {shape}, got {out.shape}.")
    if max(shape) > MAX_SIZE or max(a.shape) > MAX_SIZE:
        raise ShapeError(f"matmul: expected axes of at most {MAX_SIZE} elements, got {a.shape} and {b.shape}.")
    if call.precision not in ("highest", "high"):
        raise BackendError(f"matmul: expected precision 'highest' or 'high', got {call.precision!r}.")
    gradient = epilogue in ("drelu", "dgelu", "bgrada", "bgradb")
    sums = epilogue in ("bgrada", "bgradb")
    fitting = epilogue in EPILOGUES and not (gradient and bias is not None)
    fitting = fitting and (aux is None or epilogue not in (None, "bgrada", "bgradb"))
    fitting = fitting and (aux is not None or epilogue not in ("drelu", "dgelu"))
    fitting = fitting and (gradient if call.bias_gradient is not None else not sums)
    if not fitting:
        raise BackendError(
            f"matmul: epilogue {epilogue!r} does not go with bias, aux and bias_gradient as they are given. A bias "
            "goes with None, 'relu' and 'gelu'; aux with 'relu' and 'gelu', and 'drelu' and 'dgelu' need it; "
            "bias_gradient with these two, and 'bgrada' and 'bgradb' need it."
        )
    if aux is not None:
        kept = aux_shape(str(epilogue), shape)
        if aux.shape != kept or name_of(aux.dtype) != ("uint8" if "relu" in str(epilogue) else wanted):
            raise ShapeError(f"matmul: expected aux of {kept}, made by aux_for, got {aux.shape} of {aux.dtype}.")
    for label, vector in (("bias", bias), ("bias_gradient", call.bias_gradient)):
        if vector is not None:
            length = shape[-2] if epilogue == "bgrada" else shape[-1]
            if vector.shape != (length,) or vector.dtype != out.dtype or not vector.flags.c_contiguous:
                raise ShapeError(
                    f"matmul: expected {label} as a contiguous vector of {length} {wanted}, got {vector.dtype} of "
                    f"shape {vector.shape}."
                )


def check_written(call: Call) -> None:
    """Raise if what is to be written is read-only."""
    for array in (call.out, call.bias_gradient, call.aux if call.epilogue in ("relu", "gelu") else None):
        if array is not None and not getattr(array.flags, "writeable", True):
            raise BackendError("matmul: expected results that can be written to, got a read-only array; copy it.")
