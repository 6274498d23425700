"""Reader for IDX files, the format of MNIST: strict, so that a damaged file is never taken for data."""

import gzip
import math
import os
import zlib
from pathlib import Path

import numpy as np

from nnx.errors import DataFileError

# Third byte of the file -> element type, big-endian.
_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP_MAGIC = b"\x1f\x8b"


def read_idx(source: str | os.PathLike[str] | bytes) -> np.ndarray:
    """Read an array from an IDX file, plain or gzip-compressed.

    The format: two zero bytes, one byte for the element type, one for the number of axes; the size of each
    axis as a 32-bit unsigned integer; the elements, all big-endian, last axis fastest [1]_.

    Parameters
    ----------
    source : path or bytes
        The file, or its content.

    Returns
    -------
    array : numpy.ndarray
        A new, writable array in native byte order: uint8, int8, int16, int32, float32 or float64.

    Raises
    ------
    DataFileError
        If the content is not exactly one intact IDX array.
    OSError
        If the file cannot be read.

    References
    ----------
    .. [1] Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits", section "File
       formats for the MNIST database".

    Examples
    --------
    >>> from nnx.data.datasets import read_idx
    >>> read_idx(bytes([0, 0, 0x08, 1, 0, 0, 0, 3, 5, 0, 4]))
    array([5, 0, 4], dtype=uint8)
    """
    if isinstance(source, bytes):
        name, content = f"<{len(source)} bytes>", source
    else:
        name, content = os.fspath(source), Path(source).read_bytes()
    if content[:2] == _GZIP_MAGIC:
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise DataFileError(
                f"read_idx: {name} is a truncated or corrupt gzip file ({error}). Delete it and get it again."
            ) from error
    return _parse(name, content)


def _parse(name: str, content: bytes) -> np.ndarray:
    if len(content) < 4:
        raise DataFileError(f"read_idx: {name} is too short for an IDX file: {len(content)} bytes, expected 4 or more.")
    if content[:2] != b"\0\0":
        raise DataFileError(
            f"read_idx: {name} is not an IDX file: expected two zero bytes first, got 0x{content[:4].hex()}."
        )
    code, ndim = content[2], content[3]
    if code not in _DTYPES:
        known = ", ".join(f"0x{known:02x}" for known in _DTYPES)
        raise DataFileError(f"read_idx: {name} has the unknown element type 0x{code:02x}; expected one of {known}.")
    if ndim == 0:
        raise DataFileError(f"read_idx: {name} declares no axes; expected one or more.")
    start = 4 + 4 * ndim
    if len(content) < start:
        raise DataFileError(f"read_idx: {name} ends within its header: {len(content)} bytes, {ndim} axes need {start}.")
    shape = tuple(int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4))
    dtype = np.dtype(_DTYPES[code])
    expected = start + math.prod(shape) * dtype.itemsize
    if len(content) != expected:
        problem = "truncated" if len(content) < expected else "longer than it declares"
        raise DataFileError(
            f"read_idx: {name} is {problem}: {len(content)} bytes (uncompressed), expected {expected} for "
            f"{dtype.name} {shape}. Delete it and get it again."
        )
    return np.frombuffer(content, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))
