"""Descriptions of arrays for tensor copies (TMA), made by NVIDIA's driver."""

from __future__ import annotations

import ctypes
import math
from typing import Any

import numpy as np

from nnx.errors import BackendError

from . import diagnosis
from .launch import Boxed, Tiled

_BYTES, _ALIGNMENT = 128, 64
# Of cuda.h: CU_TENSOR_MAP_DATA_TYPE_UINT16, ..._INTERLEAVE_NONE, ..._SWIZZLE_128B, ..._L2_PROMOTION_L2_128B, and zeros
# outside of the array.
_UINT16, _NO_INTERLEAVE, _SWIZZLE_128, _PROMOTE_128, _ZEROS = 1, 0, 3, 2, 0


def encode(tiled: Tiled | Boxed, address: int, library: Any = None) -> np.ndarray:
    """Return the 128 bytes for an array at an address: an array of one element, which a launch passes by value.

    Raises
    ------
    BackendError
        If the driver refuses it.
    """
    library = library or diagnosis.load_driver()
    memory = np.zeros(_BYTES + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    described = memory[start : start + _BYTES]
    shape, rank = tiled.array.shape, tiled.array.ndim
    # The innermost axis first; of the bytes from one element to the next, those of the innermost are left out.
    strides = [2 * math.prod(shape[axis + 1 :]) for axis in range(rank - 1)][::-1]
    # A box reaches over so many elements that a step for each that it takes fits in.
    reach = [count * step for count, step in zip(tiled.box, tiled.steps, strict=True)][::-1]
    failed = library.cuTensorMapEncodeTiled(
        ctypes.c_void_p(described.ctypes.data),
        ctypes.c_int(_UINT16),
        ctypes.c_uint32(rank),
        ctypes.c_void_p(address),
        (ctypes.c_uint64 * rank)(*shape[::-1]),
        (ctypes.c_uint64 * (rank - 1))(*strides),
        (ctypes.c_uint32 * rank)(*reach),
        (ctypes.c_uint32 * rank)(*tiled.steps[::-1]),
        ctypes.c_int(_NO_INTERLEAVE),
        ctypes.c_int(_SWIZZLE_128),
        ctypes.c_int(_PROMOTE_128),
        ctypes.c_int(_ZEROS),
    )
    if failed:
        raise BackendError(
            f"cuTensorMapEncodeTiled failed with CUDA error {failed} for {'a matrix' if rank == 2 else 'an array'} of "
            f"shape {shape} and tiles of {' x '.join(map(str, tiled.box))}."
        )
    return described.view(f"V{_BYTES}")
