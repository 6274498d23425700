"""Products of matrices through cuBLASLt: in the caller's stream, without copies, planned once for each kind of call.

A call allocates nothing but its result, and waits for nothing, so that a CUDA graph can capture it.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np

from nnx.errors import BackendError

from .blaslt_call import (
    DTYPES,
    Call,
    aux_shape,
    bits_of,
    check,
    check_written,
    kind_of,
    name_of,
    of_transposes,
    rows_of,
    shape_of,
)
from .blaslt_layout import MAX_SIZE, arrange, strided
from .blaslt_library import Epilogue, Library
from .blaslt_plan import EPILOGUE_ALIGNMENT, Plan
from .blaslt_plan import Unsupported as Unsupported

_IN_STEPS = (Epilogue.BIAS, Epilogue.RELU, Epilogue.RELU | Epilogue.BIAS)  # can be done one after the other
_OF_BITS = 2 | 8  # ReLU and its gradient keep a bit for each element
_SUMS = Epilogue.SUM | Epilogue.SUM_A | Epilogue.SUM_B
_OF_GRADIENTS = 8 | 64 | _SUMS
_MAX_KNOWN = 1024
_MAX_ALIGNMENT = 256  # what is aligned better is no better to any algorithm
# How a kind of call is done: it gets the call, and the addresses of the library's A, B, D, of aux and of the vector.
Way = Callable[[Call, Sequence[int]], None]


class Place(Protocol):
    """Where arrays live and calls run: CuPy's devices, or what the tests put in their place."""

    def address(self, array: Any) -> int:
        """Return where the memory of an array begins."""

    def empty(self, shape: tuple[int, ...], dtype: str, like: Any) -> Any:
        """Return a new array on the device of another, with undefined values."""

    def device(self, array: Any) -> int:
        """Return the number of the device of an array."""

    def current(self, device: int) -> AbstractContextManager:
        """Make a device the current one."""

    def stream(self, device: int) -> int:
        """Return the current stream of the current device."""

    def workspace(self, device: int, stream: int) -> tuple[int, int]:
        """Return the address and the bytes of memory that calls in a stream may use: always the same."""


class Blas:
    """Products of matrices by cuBLASLt.

    Parameters
    ----------
    library
        The loaded library.
    place
        Where the arrays live.
    """

    def __init__(self, library: Library, place: Place) -> None:
        self.library, self._place = library, place
        self._handles: dict[int, int] = {}
        self._ways: dict[tuple[Any, ...], Way] = {}
        self._lock = threading.RLock()

    def refusal(self, *arrays: Any) -> str | None:
        """Return None if matrices of these arrays can be multiplied, else the reason."""
        dtype = arrays[0].dtype
        if name_of(dtype) not in DTYPES or any(array.dtype != dtype for array in arrays):
            return f"it takes {', '.join(DTYPES)} arrays of one dtype"
        longest = max([max(array.shape, default=0) for array in arrays])
        return None if longest <= MAX_SIZE else f"an axis of {longest} elements is longer than cuBLASLt takes"

    def aux_for(self, epilogue: str, shape: Sequence[int], dtype: str, like: Any) -> Any:
        """Return an array for what "relu" or "gelu" keep of a result of this shape and dtype for their gradients."""
        kept, name = aux_shape(epilogue, tuple(shape)), "uint8" if epilogue == "relu" else dtype
        return self._place.empty(kept, name, like)

    def matmul(
        self,
        a: Any,
        b: Any,
        *,
        transpose_a: bool = False,
        transpose_b: bool = False,
        out: Any = None,
        beta: float = 0.0,
        bias: Any = None,
        epilogue: str | None = None,
        aux: Any = None,
        bias_gradient: Any = None,
        precision: str = "highest",
    ) -> Any:
        """Return ``epilogue(a @ b + beta * out + bias)``, written to `out` if it is given.

        Parameters
        ----------
        a, b
            Arrays (..., m, k) and (..., k, n) of one dtype: float32, float64, float16 or bfloat16; before the last two
            axes they are broadcast. A matrix may be a view with any distance between its rows, transposed or not;
            other views are copied.
        transpose_a, transpose_b
            Exchange the last two axes of a factor.
        out
            Array (..., m, n) of the dtype of the factors, or of float32; it must not share memory with them.
        beta
            The weight of what is in `out`.
        bias
            Vector (n,) of the dtype of the result.
        epilogue
            "relu", "gelu" (by tanh): the function is applied, and what its gradient needs is kept in `aux`, if that is
            given. "drelu", "dgelu": the result is multiplied by the derivative at what is in `aux`, and the sums over
            its rows are written to `bias_gradient`, if that is given. "bgrada", "bgradb": sums of the factor a or b
            over k, vectors of m or n, are written to `bias_gradient`.
        aux
            Array that `aux_for` made.
        bias_gradient
            Contiguous vector of the dtype of the result, which is written.
        precision
            "high" lets float32 factors be rounded to TF32. Sums are in float32, of float64 in float64.

        Raises
        ------
        ShapeError, DTypeError, BackendError
            If the arrays do not fit together.
        Unsupported
            If the library cannot do it. A bias, and ReLU without `aux`, are then done in steps of their own instead.
        BlasError
            If the library fails.
        """
        place = self._place
        address, device = place.address, place.device(a)
        if out is None:
            shape = shape_of(a.shape, b.shape, transpose_a, transpose_b)
            out = place.empty(shape, name_of(a.dtype), a)
        call = Call(a, b, out, transpose_a, transpose_b, beta, bias, epilogue, aux, bias_gradient, precision)
        check_written(call)
        vector = bias if bias_gradient is None else bias_gradient
        right, left, result = address(b), address(a), address(out)
        addresses = (right, left, result, 0 if aux is None else address(aux), 0 if vector is None else address(vector))
        # All that decides how it is done, and whether the arrays fit together.
        key = (
            *(device, transpose_a, transpose_b, epilogue, precision, a.dtype, b.dtype, out.dtype),
            *(a.shape, a.strides, b.shape, b.strides, out.shape, out.strides),
            *(_alignment(right), _alignment(left), _alignment(result)),
            None if aux is None else (aux.dtype, aux.shape, aux.strides, addresses[3] % EPILOGUE_ALIGNMENT),
            None if bias is None else (bias.dtype, bias.shape, bias.strides, addresses[4] % EPILOGUE_ALIGNMENT),
            None if bias_gradient is None else (bias_gradient.dtype, bias_gradient.shape, bias_gradient.strides),
        )
        with place.current(device):
            (self._ways.get(key) or self._find(key, call, device, addresses))(call, addresses)
        return out

    # -------------------------------------------------------------- ways

    def _find(self, key: tuple[Any, ...], call: Call, device: int, addresses: Sequence[int]) -> Way:
        with self._lock:
            if key not in self._ways:
                check(call)
                while len(self._ways) >= _MAX_KNOWN:
                    del self._ways[next(iter(self._ways))]  # the oldest
                try:
                    self._ways[key] = self._way(key, call, device, addresses)
                except Unsupported as error:
                    self._ways[key] = self._without(call, str(error))
            return self._ways[key]

    def _way(self, key: tuple[Any, ...], call: Call, device: int, addresses: Sequence[int]) -> Way:
        if not call.out.size or not call.a.size:
            return _without_product
        if not rows_of(call):
            return self._exchanged
        epilogue, kind = bits_of(call), kind_of(call)
        left, right = strided(call.a, call.transpose_a), strided(call.b, call.transpose_b)
        if left.shape[-1] == 1 and epilogue & _OF_GRADIENTS:
            raise Unsupported("cuBLASLt takes no products over one element with this epilogue")
        if any(pointer % EPILOGUE_ALIGNMENT for pointer in addresses[3:]):
            raise Unsupported(f"cuBLASLt takes vectors and aux that are aligned to {EPILOGUE_ALIGNMENT} bytes")
        # Of an array of bits, the library counts the bits.
        per_item = 8 if epilogue & _OF_BITS else 1
        beside = None if call.aux is None else strided(call.aux, scale=per_item)
        summed = {"bgrada": "a", "bgradb": "b"}.get(call.epilogue or "", "")
        copies = "".join(name for name, x in (("a", call.a), ("b", call.b)) if not x.flags.c_contiguous)
        batch = call.out.shape[:-2]
        groups = arrange(left.broadcast(batch), right.broadcast(batch), strided(call.out), beside, summed, copies)
        if isinstance(groups, str):
            if summed and summed in groups:
                raise Unsupported(f"cuBLASLt sums the factor {summed} in another order only")
            return functools.partial(self._with_copies, groups)
        if epilogue & _SUMS and (len(groups) > 1 or len(groups[0].offsets) > 1 or groups[0].problem.batch > 1):
            raise Unsupported("cuBLASLt gives sums of one product, not of many together")
        if device not in self._handles:
            self._handles[device] = self.library.handle()
        workspace = self._place.workspace(device, self._place.stream(device))[1]
        aside = 0 if call.aux is None else 8 * call.aux.dtype.itemsize // per_item
        bits = (*[8 * x.dtype.itemsize for x in (call.b, call.a, call.out)], aside)
        plans = []
        for problem, offsets in groups:
            starts = [tuple([by * size // 8 for by, size in zip((*o, 0)[:4], bits, strict=True)]) for o in offsets]
            aligned = [_alignment(functools.reduce(int.__or__, [x[i] for x in starts], addresses[i])) for i in range(3)]
            plans.append((Plan(self.library, self._handles[device], kind, problem, aligned, workspace), starts))
        return functools.partial(self._by_plans, key, device, plans)

    def _without(self, call: Call, reason: str) -> Way:
        """What is done where the library does not do it as it was asked for."""

        def refuse(call: Call, addresses: Sequence[int]) -> None:
            raise Unsupported(reason)

        return self._in_steps if bits_of(call) in _IN_STEPS else refuse

    def _by_plans(self, key: tuple[Any, ...], device: int, plans: list, call: Call, addresses: Sequence[int]) -> None:
        right, left, result, aux, vector = addresses
        stream = self._place.stream(device)
        workspace = self._place.workspace(device, stream)
        done = 0
        try:
            for plan, offsets in plans:
                for r, x, d, beside in offsets:
                    plan.run(right + r, left + x, result + d, aux + beside, vector, call.beta, workspace, stream)
                    done += 1
        except Unsupported as error:
            self._ways[key] = self._without(call, str(error))
            if done and call.beta:
                raise BackendError(f"{error}; a part of out has been changed already.") from error
            self._ways[key](call, addresses)

    def _with_copies(self, which: str, call: Call, addresses: Sequence[int]) -> None:
        a, b = call.a.copy() if "a" in which else call.a, call.b.copy() if "b" in which else call.b
        self.matmul(**call._replace(a=a, b=b)._asdict())

    def _exchanged(self, call: Call, addresses: Sequence[int]) -> None:
        """The result is column-major: its transpose is the product of the transposes."""
        self.matmul(**of_transposes(call)._asdict())

    def _in_steps(self, call: Call, addresses: Sequence[int]) -> None:
        beta, bias = call.beta, call.bias
        if bias is not None and beta == 0:  # rounded once, with the product
            call.out[...] = bias
            beta, bias = 1.0, None
        self.matmul(**call._replace(beta=beta, bias=None, epilogue=None)._asdict())
        _finish(call.out, bias, call.epilogue)


def _alignment(address: int) -> int:
    """The largest power of two that divides an address, up to what matters."""
    marked = address | _MAX_ALIGNMENT
    return marked & -marked


# ------------------------------------------------------------------ without the library


def _without_product(call: Call, addresses: Sequence[int]) -> None:
    """A product of no elements, or over none."""
    out = call.out
    if out.size and (call.aux is not None or call.epilogue == "gelu"):
        raise Unsupported("cuBLASLt takes no products over nothing with this epilogue")
    if call.epilogue in ("bgrada", "bgradb") and call.a.size + call.b.size:
        raise Unsupported("cuBLASLt gives no sums of a factor without a product")
    if call.beta == 0:
        out[...] = 0
    elif call.beta != 1:
        out *= call.beta
    if call.bias_gradient is not None:
        call.bias_gradient[...] = 0
    _finish(out, call.bias, call.epilogue)


def _finish(out: Any, bias: Any, epilogue: str | None) -> None:
    """Add a bias, and apply ReLU, if there are any."""
    if bias is not None:
        out += bias
    if epilogue == "relu":
        np.maximum(out, 0, out=out)  # CuPy's own, for its arrays; its clip knows no bfloat16
