"""The IDX reader: every element type, plain and compressed, and nothing but intact files."""

import gzip
import struct

import numpy as np
import pytest

from nnx.data.datasets import read_idx
from nnx.errors import DataFileError

CODES = {"uint8": 0x08, "int8": 0x09, "int16": 0x0B, "int32": 0x0C, "float32": 0x0D, "float64": 0x0E}


def idx(array, code=None):
    code = CODES[array.dtype.name] if code is None else code
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.mark.parametrize("dtype", CODES)
@pytest.mark.parametrize("shape", [(5,), (2, 3, 4), (0, 7), (1, 1, 1, 1)])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_round_trip(dtype, shape, pack, tmp_path):
    array = (np.arange(np.prod(shape)) * 37 - 50).astype(dtype).reshape(shape)
    content = pack(idx(array))
    path = tmp_path / "data.idx"
    path.write_bytes(content)
    for source in (content, path, str(path)):
        result = read_idx(source)
        np.testing.assert_array_equal(result, array)
        assert (result.dtype, result.shape) == (np.dtype(dtype), shape)
        assert result.dtype.isnative
        assert result.flags.writeable


def test_values_are_big_endian():
    content = bytes([0, 0, 0x0B, 1, 0, 0, 0, 2, 0x01, 0x02, 0xFF, 0xFE])
    assert read_idx(content).tolist() == [258, -2]


GOOD = idx(np.arange(6, dtype=np.int16).reshape(2, 3))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"too short for an IDX file: 0 bytes, expected 4 or more"),
        (b"PK\x03\x04rest", "is not an IDX file: expected two zero bytes first, got 0x504b0304"),
        (b"\0\x01" + GOOD[2:], "is not an IDX file"),
        (
            b"\0\0\x0a\x01" + GOOD[4:],
            "unknown element type 0x0a; expected one of 0x08, 0x09, 0x0b, 0x0c, 0x0d, 0x0e",
        ),
        (b"\0\0\x08\0", "declares no axes"),
        (GOOD[:11], "ends within its header: 11 bytes, 2 axes need 12"),
        (GOOD[:-1], r"is truncated: 23 bytes \(uncompressed\), expected 24 for int16 \(2, 3\)"),
        (GOOD + b"\0", "is longer than it declares: 25 bytes"),
        (b"\0\0\x0e\x03" + b"\xff" * 12, r"is truncated: 16 bytes .*expected \d{30}"),
        (gzip.compress(GOOD)[:-9], "truncated or corrupt gzip file .* Delete it"),
        (gzip.compress(GOOD)[:-8] + b"\0" * 8, "truncated or corrupt gzip file .*CRC"),
        (gzip.compress(GOOD)[:12] + b"\xff" * 20, "truncated or corrupt gzip file"),
        (gzip.compress(GOOD) + b"more", "truncated or corrupt gzip file"),
        (gzip.compress(GOOD[:-1]), "is truncated"),
    ],
)
def test_damage_is_named(content, message, tmp_path):
    path = tmp_path / "damaged-idx2"
    path.write_bytes(content)
    with pytest.raises(DataFileError, match=message) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)
    with pytest.raises(DataFileError, match=f"<{len(content)} bytes>"):
        read_idx(content)


def test_a_missing_file_is_not_a_damaged_one(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_idx(tmp_path / "nowhere")
