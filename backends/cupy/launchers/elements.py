"""What launchers share about arrays: the types of their elements in kernels, and memory without gaps."""

from __future__ import annotations

from typing import Any

# dtype -> the type of elements in a kernel
ELEMENTS = {"float32": "float", "float64": "double", "float16": "f16", "bfloat16": "bf16"}
# those of kernels that add up in float
FLOAT_SUMS = {"float32": "float", "bfloat16": "bf16", "float16": "f16"}
ITEMSIZE = {"float32": 4, "tf32": 4, "bfloat16": 2, "float16": 2}


def contiguous(array: Any) -> Any:
    """Return an array that lies in memory as its axes say: itself, or a copy, which costs less than the reference."""
    return array if array.flags.c_contiguous else array.copy()
