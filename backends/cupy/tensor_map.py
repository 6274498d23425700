"""Descriptions of matrices for tensor copies (TMA), made by NVIDIA's driver."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from nnx.errors import BackendError

from . import diagnosis
from .launch import Tiled

_BYTES, _ALIGNMENT = 128, 64
# Of cuda.h: CU_TENSOR_MAP_DATA_TYPE_UINT16, ..._INTERLEAVE_NONE, ..._SWIZZLE_128B, ..._L2_PROMOTION_L2_128B, and zeros
# outside of the array.
_UINT16, _NO_INTERLEAVE, _SWIZZLE_128, _PROMOTE_128, _ZEROS = 1, 0, 3, 2, 0


def encode(tiled: Tiled, address: int, library: Any = None) -> np.ndarray:
    """Return the 128 bytes for a matrix at an address: an array of one element, which a launch passes by value.

    Raises
    ------
    BackendError
        If the driver refuses it.
    """
    library = library or diagnosis.load_driver()
    memory = np.zeros(_BYTES + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    described = memory[start : start + _BYTES]
    rows, columns = tiled.array.shape
    failed = library.cuTensorMapEncodeTiled(
        ctypes.c_void_p(described.ctypes.data),
        ctypes.c_int(_UINT16),
        ctypes.c_uint32(2),
        ctypes.c_void_p(address),
        (ctypes.c_uint64 * 2)(columns, rows),  # the innermost first
        (ctypes.c_uint64 * 1)(2 * columns),
        (ctypes.c_uint32 * 2)(tiled.tile_columns, tiled.tile_rows),
        (ctypes.c_uint32 * 2)(1, 1),
        ctypes.c_int(_NO_INTERLEAVE),
        ctypes.c_int(_SWIZZLE_128),
        ctypes.c_int(_PROMOTE_128),
        ctypes.c_int(_ZEROS),
    )
    if failed:
        raise BackendError(
            f"cuTensorMapEncodeTiled failed with CUDA error {failed} for a matrix of shape {tiled.array.shape} and "
            f"tiles of {tiled.tile_rows} x {tiled.tile_columns}."
        )
    return described.view(f"V{_BYTES}")
