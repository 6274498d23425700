"""Batches of CIFAR as Python 2 pickled them: instruction by instruction, since no Python 3 writes such files."""

import struct

import numpy as np


def pickled(value):
    return b"\x80\x02" + _parts(value) + b"."


def _parts(value):
    if isinstance(value, dict):
        return b"}q\x01(" + b"".join(_parts(part) for pair in value.items() for part in pair) + b"u"
    if isinstance(value, list):
        return b"]q\x02(" + b"".join(map(_parts, value)) + b"e"
    if isinstance(value, bytes):
        return (b"U" + bytes([len(value)]) if len(value) < 256 else b"T" + struct.pack("<i", len(value))) + value
    if isinstance(value, np.ndarray):
        rows, columns = value.shape
        shape = b"J" + struct.pack("<i", rows) + b"M" + struct.pack("<H", columns) + b"\x86"
        kind = (
            b"cnumpy\ndtype\nq\x03U\x02u1K\x00K\x01\x87Rq\x04(K\x03U\x01|NNNJ"
            + b"\xff" * 4
            + b"J"
            + b"\xff" * 4
            + b"K\x00tb"
        )
        made = b"cnumpy.core.multiarray\n_reconstruct\nq\x05cnumpy\nndarray\nq\x06K\x00\x85U\x01b\x87Rq\x07"
        return made + b"(K\x01" + shape + kind + b"\x89" + _parts(value.tobytes()) + b"tb"
    return b"K" + bytes([value]) if value < 256 else b"M" + struct.pack("<H", value)
