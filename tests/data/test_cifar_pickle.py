"""The reader of CIFAR's pickles: what these files hold, and not a step further."""

import os
import pickle
import struct
import warnings

import numpy as np
import pytest

from nnx.data.datasets.cifar_pickle import read_batch
from nnx.errors import DataFileError
from tests.data.pickles import pickled

PIXELS = np.arange(2 * 3072).reshape(2, 3072).astype(np.uint8)
BATCH = {b"batch_label": b"x" * 300, b"labels": [6, 300], b"data": PIXELS, b"filenames": [b"a.png", b"b.png"]}
CONTENT = pickled(BATCH)


def test_the_stand_in_is_a_pickle():
    with warnings.catch_warnings(action="ignore"):  # NumPy has moved since
        loaded = pickle.loads(CONTENT, encoding="bytes")
    np.testing.assert_array_equal(loaded.pop(b"data"), PIXELS)
    assert loaded == {key: value for key, value in BATCH.items() if key != b"data"}


def test_a_batch():
    batch = read_batch("data_batch_1", CONTENT)
    np.testing.assert_array_equal(batch.pop(b"data"), PIXELS)
    assert batch == {key: value for key, value in BATCH.items() if key != b"data"}


def test_things_remembered():
    again = b"\x80\x02}q\x00(U\x01aU\x01xq\x01r\x01\x01\x00\x00U\x01bh\x01U\x01cj\x01\x01\x00\x00u."
    assert read_batch("f", again) == {b"a": b"x", b"b": b"x", b"c": b"x"}
    assert read_batch("f", again) == pickle.loads(again, encoding="bytes")
    assert read_batch("f", b"\x80\x02}U\x01a(\x88\x89NJ\xfe\xff\xff\xff)ts.") == {b"a": (True, False, None, -2, ())}


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", range(6))
def test_a_malicious_pickle_is_refused_and_not_run(tmp_path, protocol):
    content = pickle.dumps({"data": Evil(tmp_path / "made")}, protocol)
    with pytest.raises(DataFileError, match=r"the file: .*nothing in it was run"):
        read_batch("the file", content)
    assert not (tmp_path / "made").exists()
    pickle.loads(content)
    assert (tmp_path / "made").exists()  # it would have worked


@pytest.mark.parametrize(
    ("program", "what"),
    [
        (b"cos\nsystem\nU\x02ls\x85R.", "the name 'os system' at byte"),
        (b"cbuiltins\neval\n.", "the name 'builtins eval'"),
        (b"cnumpy\nload\n.", "the name 'numpy load'"),
        (b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\ndtype\nK\x00\x85U\x01b\x87R.", "a call of something else"),
        (b"cnumpy\nndarray\nK\x09\x85R.", "a call of something else"),
        (b"cnumpy\ndtype\nU\x01O\x85R.", "a call of something else"),
        (b"U\x0bnumpy dtype(U\x02u1K\x00K\x01tR.", "a call of something else"),
        (b"U\x0bnumpy dtype}b.", "a state of something else"),
        (b"U\x01x(K\x01e.", "items of something else"),
        (b"](K\x01K\x02u.", "entries of something else"),
        (b"(K\x01ios\nsystem\n.", "the instruction b'i'"),
        (b"\x8c\x02os\x8c\x06system\x93.", r"the instruction b'\\x8c'"),
        (b"Pabc\n.", "the instruction b'P'"),
        (b"\x82\x01.", r"the instruction b'\\x82'"),
        (b"}.}.", "something after its end"),
        (b"\x80\x04}.", "another protocol than 2"),
        (b"K\x07.", "got a int"),
        (pickled(BATCH).replace(b"U\x02u1K", b"U\x02O8K")[2:], "a call of something else"),
        (pickled(BATCH).replace(b"\x89T", b"\x88T")[2:], "an array that is not of bytes in rows"),
    ],
)
def test_what_else_a_pickle_may_hold_is_refused(program, what):
    with pytest.raises(DataFileError, match=what):
        read_batch("f", b"\x80\x02" + program)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80",
        b"\x80\x02",
        CONTENT[:-1],
        CONTENT[:50],
        CONTENT[:-20],
        b"\x80\x02t.",
        b"\x80\x02}]K\x01s.",
        b"\x80\x02h\x05.",
        b"\x80\x02T\xff\xff\xff\xff.",
        b"\x80\x02cnumpy",
        b"\x80\x02(U\x01au.",
        b"\x80\x02}}.",
        CONTENT.replace(struct.pack("<i", 2 * 3072), struct.pack("<i", 3072), 1),
    ],
)
def test_damaged_files(content):
    with pytest.raises(DataFileError):
        read_batch("f", content)


def test_where_a_file_is_cut_off():
    with pytest.raises(
        DataFileError, match=r"^f is truncated or corrupt near byte \d+ of 50\. Delete it and get it again"
    ):
        read_batch("f", CONTENT[:50])


def test_no_damage_brings_up_another_error():
    rng = np.random.default_rng(0)
    small = pickled({b"labels": [1, 2], b"data": PIXELS[:, :4], b"name": b"x"})
    refused = 0
    for _ in range(3000):
        changed = bytearray(small)
        for position in rng.integers(len(small), size=rng.integers(1, 4)):
            changed[position] = rng.integers(256)
        try:
            read_batch("f", bytes(changed))
        except DataFileError:
            refused += 1
    assert 1000 < refused < 3000
