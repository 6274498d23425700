"""cuBLASLt, NVIDIA's library of matrix products, through ctypes: where it is found, its functions and its numbers.

The functions that multiply need a device; everything in this file but `Library.handle` works without one.
"""

from __future__ import annotations

import ctypes
import functools
import os
import re
import sys
from collections.abc import Iterator
from enum import IntEnum, IntFlag
from typing import Any, NamedTuple

from nnx.errors import BackendError

from .libraries import candidates
from .nvrtc import MAJORS

_WHEELS = {13: "nvidia-cublas", 12: "nvidia-cublas-cu12"}


class BlasError(BackendError):
    """A function of cuBLASLt failed; `status` is its code."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


# ------------------------------------------------------------------ the numbers of its interface


class Status(IntEnum):
    """What a function returns."""

    SUCCESS = 0
    NOT_INITIALIZED = 1
    ALLOC_FAILED = 3
    INVALID_VALUE = 7
    ARCH_MISMATCH = 8
    MAPPING_ERROR = 11
    EXECUTION_FAILED = 13
    INTERNAL_ERROR = 14
    NOT_SUPPORTED = 15
    LICENSE_ERROR = 16


def status_name(status: int) -> str:
    """Return the name that NVIDIA's documentation gives to a status."""
    known = status in Status.__members__.values()
    return f"CUBLAS_STATUS_{Status(status).name}" if known else f"status {status}"


class DataType(IntEnum):
    """`cudaDataType`: the type of elements."""

    float32 = 0
    float64 = 1
    float16 = 2
    bfloat16 = 14


class Compute(IntEnum):
    """`cublasComputeType_t`: how products are added up. TF32 rounds float32 factors to 10 bits of mantissa."""

    FLOAT32 = 68
    FLOAT64 = 70
    TF32 = 77


class Epilogue(IntFlag):
    """`cublasLtEpilogue_t`: what is done to a result before it is stored; its numbers are made of these bits."""

    NONE = 1
    RELU = 2
    BIAS = 4
    RELU_GRADIENT = 8 | 128
    SUM = 16
    GELU = 32
    GELU_GRADIENT = 64 | 128
    AUX = 128
    SUM_A = 256
    SUM_B = 512


TRANSPOSED = 1  # CUBLAS_OP_T
# CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE: parts of a sum are kept in the type of the sum, not in that of the result.
REDUCE_IN_COMPUTE_TYPE = 2


class Attribute(NamedTuple):
    """An attribute of a descriptor: its number and the type of its value."""

    number: int
    type: Any


class Matmul:
    """Attributes of `cublasLtMatmulDesc_t`, the operation."""

    TRANSPOSE_A = Attribute(3, ctypes.c_int32)
    TRANSPOSE_B = Attribute(4, ctypes.c_int32)
    EPILOGUE = Attribute(7, ctypes.c_uint32)
    BIAS_POINTER = Attribute(8, ctypes.c_void_p)
    AUX_POINTER = Attribute(11, ctypes.c_void_p)
    AUX_LEADING = Attribute(12, ctypes.c_int64)
    AUX_BATCH_STRIDE = Attribute(13, ctypes.c_int64)


class Layout:
    """Attributes of `cublasLtMatrixLayout_t`, a matrix in column-major order."""

    BATCH_COUNT = Attribute(5, ctypes.c_int32)
    BATCH_STRIDE = Attribute(6, ctypes.c_int64)


class Preference:
    """Attributes of `cublasLtMatmulPreference_t`, the choice of an algorithm."""

    MAX_WORKSPACE = Attribute(1, ctypes.c_uint64)
    REDUCTION_SCHEMES = Attribute(3, ctypes.c_uint32)
    ALIGNMENT_A = Attribute(5, ctypes.c_uint32)
    ALIGNMENT_B = Attribute(6, ctypes.c_uint32)
    ALIGNMENT_C = Attribute(7, ctypes.c_uint32)
    ALIGNMENT_D = Attribute(8, ctypes.c_uint32)


class Algorithm(ctypes.Structure):
    """`cublasLtMatmulAlgo_t`, whose contents are its own affair."""

    _fields_ = [("data", ctypes.c_uint64 * 8)]


class Heuristic(ctypes.Structure):
    """`cublasLtMatmulHeuristicResult_t`: an algorithm, and the bytes of workspace that it needs."""

    _fields_ = [
        ("algorithm", Algorithm),
        ("workspace", ctypes.c_size_t),
        ("state", ctypes.c_int),
        ("waves", ctypes.c_float),
        ("reserved", ctypes.c_int * 4),
    ]


_P, _INT, _SIZE = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
_SET = (_INT, (_P, _INT, _P, _SIZE))
# name -> type of the result, types of the arguments
PROTOTYPES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "cublasLtGetVersion": (_SIZE, ()),
    "cublasLtCreate": (_INT, (_P,)),
    "cublasLtMatmulDescCreate": (_INT, (_P, _INT, _INT)),
    "cublasLtMatmulDescDestroy": (_INT, (_P,)),
    "cublasLtMatmulDescSetAttribute": _SET,
    "cublasLtMatrixLayoutCreate": (_INT, (_P, _INT, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_int64)),
    "cublasLtMatrixLayoutDestroy": (_INT, (_P,)),
    "cublasLtMatrixLayoutSetAttribute": _SET,
    "cublasLtMatmulPreferenceCreate": (_INT, (_P,)),
    "cublasLtMatmulPreferenceDestroy": (_INT, (_P,)),
    "cublasLtMatmulPreferenceSetAttribute": _SET,
    # handle, operation, layouts of A, B, C, D, preference, how many to return, where, how many there are
    "cublasLtMatmulAlgoGetHeuristic": (_INT, (_P,) * 7 + (_INT, _P, _P)),
    # handle, operation, alpha, A, its layout, B, its layout, beta, C, its layout, D, its layout, algorithm, workspace,
    # its bytes, stream
    "cublasLtMatmul": (_INT, (_P,) * 14 + (_SIZE, _P)),
}


# ------------------------------------------------------------------ the library


class Library:
    """A loaded cuBLASLt.

    Parameters
    ----------
    functions
        What has its functions as attributes: a ``ctypes.CDLL``, or what stands in for one.
    path
        Where it was found.
    """

    def __init__(self, functions: Any, path: str) -> None:
        self.path = path
        self._functions: dict[str, Any] = {}
        for name, (result, arguments) in PROTOTYPES.items():
            function = getattr(functions, name)
            function.restype, function.argtypes = result, arguments
            self._functions[name] = function
        self.matmul = self._functions["cublasLtMatmul"]

    @property
    def version(self) -> tuple[int, int, int]:
        """Its version: (13, 0, 2)."""
        number = self._functions["cublasLtGetVersion"]()
        return number // 10000, number // 100 % 100, number % 100

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function.

        Raises
        ------
        BlasError
            If it fails.
        """
        status = self._functions[name](*arguments)
        if status:
            raise BlasError(f"{name} failed: {status_name(status)}.", status)

    def handle(self) -> int:
        """Return a new handle for the current device."""
        return self.create("cublasLtCreate")

    def create(self, name: str, *arguments: Any) -> int:
        """Call a function that makes something, and return its address."""
        made = ctypes.c_void_p()
        self.call(name, ctypes.byref(made), *arguments)
        return made.value or 0

    def set(self, kind: str, descriptor: int, attribute: Attribute, value: int | None) -> None:
        """Set an attribute of a descriptor of the kind "MatmulDesc", "MatrixLayout" or "MatmulPreference"."""
        held = attribute.type(value)
        size = ctypes.sizeof(held)
        self.call(f"cublasLt{kind}SetAttribute", descriptor, attribute.number, ctypes.byref(held), size)


# ------------------------------------------------------------------ finding it


def repair(major: int = MAJORS[0]) -> str:
    """Return the command that installs cuBLASLt."""
    return f'`pip install "{_WHEELS.get(major, _WHEELS[MAJORS[0]])}=={major}.*"`'


@functools.cache
def load_library(newest: int = MAJORS[0]) -> Library:
    """Load cuBLASLt of CUDA `newest`, or of the version before it; the one that is loaded already, if there is one.

    Raises
    ------
    BackendError
        If it is not installed, or does not load; the text names the command that repairs it.
    """
    majors = [major for major in MAJORS if major <= newest] or [MAJORS[-1]]
    problems = []
    for major in majors:
        loaded = _already_loaded(major)
        if loaded is not None:
            return loaded
    for major in majors:
        for path in _candidates(major):
            try:
                return Library(ctypes.CDLL(path), path)
            except OSError as error:
                if os.path.isabs(path):
                    problems.append(str(error))
    told = f" What was found does not load: {'; '.join(problems)}." if problems else ""
    raise BackendError(f"cuBLASLt, NVIDIA's matrix products, was not found.{told} Install it: {repair(majors[0])}.")


def _name(major: int) -> str:
    return f"cublasLt64_{major}.dll" if sys.platform == "win32" else f"libcublasLt.so.{major}"


def _already_loaded(major: int) -> Library | None:
    """The one that CuPy or another package has loaded: one copy is enough, and it is half a gigabyte."""
    if not hasattr(os, "RTLD_NOLOAD"):
        return None
    try:
        return Library(ctypes.CDLL(_name(major), mode=os.RTLD_NOLOAD | os.RTLD_NOW), _name(major))
    except OSError:
        return None


def _candidates(major: int) -> Iterator[str]:
    pattern = re.compile(re.escape(_name(major)) + r"(\.\d+)*")
    return candidates(_WHEELS[major], "cublasLt", pattern, _name(major))


def report(newest: int = MAJORS[0]) -> dict[str, Any]:
    """Return what ``python -m nnx doctor`` tells: the version and where it was found, or the problem."""
    try:
        found = load_library(newest)
    except BackendError as error:
        return {"version": None, "path": None, "problem": str(error)}
    return {"version": ".".join(map(str, found.version)), "path": found.path, "problem": None}
