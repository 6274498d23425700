"""A kind of call of cuBLASLt: its descriptors, made once, and the algorithms that can run it."""

from __future__ import annotations

import contextlib
import ctypes
import threading
import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple

from nnx.errors import BackendError

from .blaslt_layout import Problem
from .blaslt_library import (
    REDUCE_IN_COMPUTE_TYPE,
    TRANSPOSED,
    BlasError,
    Compute,
    DataType,
    Epilogue,
    Heuristic,
    Layout,
    Library,
    Matmul,
    Preference,
    Status,
    status_name,
)

# Of a bias and of what is beside a result: no preference tells of it, and kernels rely on it.
EPILOGUE_ALIGNMENT = 16
_ALGORITHMS = 4  # to ask for; the first is the one that is expected to be fastest
_TRY_ANOTHER = (Status.INVALID_VALUE, Status.ARCH_MISMATCH, Status.NOT_SUPPORTED)
_VECTOR = Epilogue.BIAS | Epilogue.SUM | Epilogue.SUM_A | Epilogue.SUM_B
_SCALAR = {False: ctypes.c_float, True: ctypes.c_double}
_ZERO = {double: of(0.0) for double, of in _SCALAR.items()}
_ONE = {double: of(1.0) for double, of in _SCALAR.items()}


class Unsupported(BackendError):
    """The library has no algorithm for a product as it was asked for."""


class Kind(NamedTuple):
    """What happens to the numbers: types of the factors and of the result, of sums, and the epilogue, 0 for none."""

    factors: DataType
    result: DataType
    compute: Compute
    epilogue: int


class Plan:
    """The descriptors of a kind of call, and the algorithms that can run it, best first.

    Parameters
    ----------
    library, handle
        The library, and its handle for the device, which has to be the current one.
    kind, problem
        What is to be computed.
    aligned
        The bytes to which A, B and D are aligned in every call.
    workspace
        The bytes of workspace that there are.

    Raises
    ------
    Unsupported
        If there is no algorithm.
    """

    def __init__(
        self, library: Library, handle: int, kind: Kind, problem: Problem, aligned: Sequence[int], workspace: int
    ) -> None:
        self._library, self._handle, self._kind, self._problem = library, handle, kind, problem
        self._double = kind.compute is Compute.FLOAT64
        self._lock = threading.Lock()
        with contextlib.ExitStack() as made:
            scale = DataType.float64 if self._double else DataType.float32
            self._operation = operation = self._create(made, "MatmulDesc", kind.compute, scale)
            library.set("MatmulDesc", operation, Matmul.TRANSPOSE_A, TRANSPOSED if problem.transpose_a else 0)
            library.set("MatmulDesc", operation, Matmul.TRANSPOSE_B, TRANSPOSED if problem.transpose_b else 0)
            library.set("MatmulDesc", operation, Matmul.EPILOGUE, kind.epilogue or Epilogue.NONE)
            has_aux = bool(kind.epilogue & Epilogue.AUX)
            if has_aux:
                library.set("MatmulDesc", operation, Matmul.AUX_LEADING, problem.leading[3])
                library.set("MatmulDesc", operation, Matmul.AUX_BATCH_STRIDE, problem.strides[3])
            # The choice of an algorithm looks at how these addresses are aligned.
            self._vector = self._aux = 0
            self._point(EPILOGUE_ALIGNMENT if kind.epilogue & _VECTOR else 0, EPILOGUE_ALIGNMENT if has_aux else 0)
            self._layouts = self._lay_out(made)
            with contextlib.ExitStack() as choosing:
                preference = self._create(choosing, "MatmulPreference")
                self._algorithms = self._choose(preference, aligned, workspace)
            weakref.finalize(self, made.pop_all().close).atexit = False

    def _create(self, made: contextlib.ExitStack, what: str, *arguments: Any) -> int:
        found = self._library.create(f"cublasLt{what}Create", *arguments)
        made.callback(self._library.call, f"cublasLt{what}Destroy", found)
        return found

    def _lay_out(self, made: contextlib.ExitStack) -> list[int]:
        p, kind = self._problem, self._kind
        shapes = ((p.k, p.m) if p.transpose_a else (p.m, p.k), (p.n, p.k) if p.transpose_b else (p.k, p.n), (p.m, p.n))
        layouts = []
        for i, (type_, shape) in enumerate(zip((kind.factors, kind.factors, kind.result), shapes, strict=True)):
            layout = self._create(made, "MatrixLayout", type_, *shape, p.leading[i])
            if p.batch > 1:
                self._library.set("MatrixLayout", layout, Layout.BATCH_COUNT, p.batch)
                self._library.set("MatrixLayout", layout, Layout.BATCH_STRIDE, p.strides[i])
            layouts.append(layout)
        return layouts

    def _choose(self, preference: int, aligned: Sequence[int], workspace: int) -> list[Heuristic]:
        a, b, d = aligned
        given = [
            (Preference.MAX_WORKSPACE, workspace),
            (Preference.ALIGNMENT_A, a),
            (Preference.ALIGNMENT_B, b),
            (Preference.ALIGNMENT_C, d),
            (Preference.ALIGNMENT_D, d),
        ]
        if self._kind.result in (DataType.float16, DataType.bfloat16):
            given.append((Preference.REDUCTION_SCHEMES, REDUCE_IN_COMPUTE_TYPE))
        for attribute, value in given:
            self._library.set("MatmulPreference", preference, attribute, value)
        found, count = (Heuristic * _ALGORITHMS)(), ctypes.c_int(0)
        layouts = (*self._layouts, self._layouts[2])
        try:
            self._library.call(
                "cublasLtMatmulAlgoGetHeuristic",
                *(self._handle, self._operation, *layouts, preference, _ALGORITHMS, found, ctypes.byref(count)),
            )
        except BlasError as error:
            if error.status not in _TRY_ANOTHER:
                raise
        algorithms = [entry for entry in found[: count.value] if entry.state == Status.SUCCESS]
        if not algorithms:
            raise Unsupported(f"cuBLASLt has no algorithm for {self}")
        return algorithms

    def __str__(self) -> str:
        p, kind = self._problem, self._kind
        orders = "".join("T" if turned else "N" for turned in (p.transpose_b, p.transpose_a))
        text = f"{p.n} x {p.k} by {p.k} x {p.m} ({orders}, {kind.factors.name} to {kind.result.name}"
        text += f", {kind.compute.name}" + (f", {p.batch} times" if p.batch > 1 else "")
        return text + (f", epilogue {kind.epilogue})" if kind.epilogue else ")")

    def _point(self, vector: int, aux: int) -> None:
        if vector != self._vector:
            self._library.set("MatmulDesc", self._operation, Matmul.BIAS_POINTER, vector)
            self._vector = vector
        if aux != self._aux:
            self._library.set("MatmulDesc", self._operation, Matmul.AUX_POINTER, aux)
            self._aux = aux

    def run(
        self, a: int, b: int, d: int, aux: int, vector: int, beta: float, workspace: tuple[int, int], stream: int
    ) -> None:
        """Put a call into a stream: D is what it gives, and what is added to it with the weight beta.

        Raises
        ------
        Unsupported
            If none of the algorithms runs it, which with some epilogues is not known before.
        BlasError
            If it fails in another way.
        """
        double, (layout_a, layout_b, layout_d) = self._double, self._layouts
        weight = _ZERO[double] if beta == 0 else _ONE[double] if beta == 1 else _SCALAR[double](beta)
        one, weighted = ctypes.byref(_ONE[double]), ctypes.byref(weight)
        operation = (self._handle, self._operation)
        factors = (one, a, layout_a, b, layout_b)
        result = (weighted, d, layout_d, d, layout_d)
        with self._lock:  # the addresses of the vector and of aux are in the descriptor, until the call returns
            self._point(vector, aux)
            while self._algorithms:
                chosen = ctypes.byref(self._algorithms[0].algorithm)
                status = self._library.matmul(*operation, *factors, *result, chosen, *workspace, stream)
                if status == Status.SUCCESS:
                    return
                if status not in _TRY_ANOTHER:
                    raise BlasError(f"cublasLtMatmul failed for {self}: {status_name(status)}.", status)
                del self._algorithms[0]
        raise Unsupported(f"cuBLASLt has algorithms for {self}, but runs none of them")
