"""MNIST and Fashion-MNIST: tiny stand-ins through the whole path, and the real files where present."""

import gzip
import hashlib
import importlib
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from nnx.data.datasets import FASHION_MNIST_CLASSES, fashion_mnist, mnist
from nnx.errors import DataFileError

module = importlib.import_module("nnx.data.datasets.mnist")  # the attribute of that name is the function

IMAGES = np.arange(3 * 28 * 28).reshape(3, 28, 28).astype(np.uint8)
LABELS = np.array([5, 0, 9], dtype=np.uint8)
NAMES = ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")


def packed(array):
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 0x08, array.ndim, *array.shape)
    return gzip.compress(header + array.tobytes(), mtime=0)


def stamp(content):
    return len(content), hashlib.sha256(content).hexdigest()


CONTENTS = dict(zip(NAMES, (packed(IMAGES), packed(LABELS)), strict=True))


@pytest.fixture
def tiny(web, tmp_path, monkeypatch):
    """The test split of MNIST, three images long, on the local server; an empty cache; no NNX_DATA."""
    files = tuple(module._File(name, *stamp(c), *stamp(gzip.decompress(c))) for name, c in CONTENTS.items())
    mirrors = (web.url("/dead/"), web.url("/live/"))
    monkeypatch.setattr(module, "_MNIST", module._Collection("mnist", mirrors, {"test": files}))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("NNX_DATA", raising=False)
    web.files |= {f"/live/{name}": content for name, content in CONTENTS.items()}
    return tmp_path


def put(directory, **changes):
    directory.mkdir(parents=True)
    for name, content in (CONTENTS | changes).items():
        (directory / name).write_bytes(content)
    return directory


def test_download_from_the_second_mirror_into_the_cache(tiny, web):
    for _ in range(2):
        images, labels = mnist("test")
        assert (images.shape, images.dtype) == ((3, 28, 28, 1), np.float32)
        np.testing.assert_array_equal(images[..., 0], (IMAGES / 255).astype(np.float32))
        assert labels.dtype == np.int64
        assert labels.tolist() == [5, 0, 9]
    assert web.requests == [f"/{mirror}/{name}" for name in NAMES for mirror in ("dead", "live")]
    assert sorted(path.name for path in (tiny / "cache" / "nnx" / "mnist").iterdir()) == sorted(NAMES)


def test_raw_bytes(tiny):
    images, labels = mnist("test", dtype="uint8", root=tiny / "mine")
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images[..., 0], IMAGES)
    assert labels.dtype == np.int64
    assert (tiny / "mine" / "mnist" / NAMES[0]).exists()
    assert not (tiny / "cache").exists()


def test_nnx_data_comes_before_the_cache_and_the_network(tiny, web, monkeypatch):
    put(tiny / "shared" / "mnist")
    monkeypatch.setenv("NNX_DATA", str(tiny / "shared"))
    assert mnist("test", download=False)[1].tolist() == [5, 0, 9]
    assert web.requests == []


def test_a_damaged_file_under_nnx_data_is_left_alone(tiny, web, monkeypatch):
    broken = b"?" + CONTENTS[NAMES[1]][1:]
    directory = put(tiny / "shared" / "mnist", **{NAMES[1]: broken})
    monkeypatch.setenv("NNX_DATA", str(tiny / "shared"))
    with pytest.raises(DataFileError, match=r"expected SHA-256 .* Delete it and run again") as caught:
        mnist("test")
    assert str(directory / NAMES[1]) in str(caught.value)
    assert (directory / NAMES[1]).read_bytes() == broken
    assert web.requests == []


def unpacked(directory, names=NAMES):
    directory.mkdir(parents=True)
    for name in names:
        (directory / name.removesuffix(".gz")).write_bytes(gzip.decompress(CONTENTS[name]))
    return directory


@pytest.mark.parametrize("where", ["shared", "cache", "root"])
def test_files_that_someone_has_unpacked_are_used(tiny, web, monkeypatch, where):
    folder = {"shared": "shared/mnist", "cache": "cache/nnx/mnist", "root": "root/mnist"}[where]
    unpacked(tiny / folder)
    if where == "shared":
        monkeypatch.setenv("NNX_DATA", str(tiny / "shared"))
    images, labels = mnist("test", root=tiny / "root" if where == "root" else None)
    np.testing.assert_array_equal(images[..., 0], (IMAGES / 255).astype(np.float32))
    assert labels.tolist() == [5, 0, 9]
    assert web.requests == []


def test_nnx_data_comes_first_also_unpacked_and_in_part(tiny, web, monkeypatch):
    unpacked(tiny / "shared" / "mnist", NAMES[:1])
    put(tiny / "cache" / "nnx" / "mnist", **{NAMES[0]: b"damaged, and not looked at"})
    monkeypatch.setenv("NNX_DATA", str(tiny / "shared"))
    assert mnist("test")[1].tolist() == [5, 0, 9]
    assert web.requests == []


def test_a_damaged_unpacked_file_is_refused(tiny, web, monkeypatch):
    path = unpacked(tiny / "shared" / "mnist") / NAMES[1].removesuffix(".gz")
    monkeypatch.setenv("NNX_DATA", str(tiny / "shared"))
    whole = path.read_bytes()
    for content, problem in (
        (whole[:-1], rf"expected {len(whole)} bytes, got {len(whole) - 1}"),
        (whole[:-1] + b"\1", "expected SHA-256"),
        (CONTENTS[NAMES[1]], f"expected {len(whole)} bytes"),  # compressed under the name of an unpacked one
    ):
        path.write_bytes(content)
        with pytest.raises(DataFileError, match=problem) as caught:
            mnist("test")
        assert str(path) in str(caught.value)
        assert path.read_bytes() == content
    assert web.requests == []


def test_a_truncated_file_in_the_cache_is_not_used(tiny, web):
    put(tiny / "cache" / "nnx" / "mnist", **{NAMES[0]: CONTENTS[NAMES[0]][:-5]})
    size = len(CONTENTS[NAMES[0]])
    with pytest.raises(DataFileError, match=f"expected {size} bytes, got {size - 5}"):
        mnist("test")
    assert web.requests == []


def test_without_network_the_error_says_what_to_do(tiny, web):
    web.files.clear()
    with pytest.raises(DataFileError) as caught:
        mnist("test")
    message = str(caught.value)
    for mirror in ("/dead/", "/live/"):
        assert web.url(mirror + NAMES[0]) in message
    assert str(tiny / "cache" / "nnx" / "mnist" / NAMES[0]) in message


@pytest.mark.parametrize("load", [mnist, fashion_mnist])
def test_bad_arguments(load):
    with pytest.raises(ValueError, match=f"{load.__name__}: expected split='train' or 'test', got 'all'"):
        load("all")
    with pytest.raises(TypeError, match=f"{load.__name__}: expected dtype='float32'"):
        load(dtype="float64")


REAL = {
    # split -> first labels, labels per class
    (mnist, "train"): ([5, 0, 4, 1, 9], [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]),
    (mnist, "test"): ([7, 2, 1, 0, 4], [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]),
    (fashion_mnist, "train"): ([9, 0, 0, 3, 0], [6000] * 10),
    (fashion_mnist, "test"): ([9, 2, 1, 1, 6], [1000] * 10),
}
MOMENTS = {mnist: (0.1307, 0.3081), fashion_mnist: (0.2860, 0.3530)}


@pytest.mark.parametrize(("load", "split"), REAL)
def test_the_real_files(load, split):
    root = os.environ.get("NNX_DATA")
    if not root or not (Path(root) / load.__name__).is_dir():
        pytest.skip(f"no {load.__name__} under NNX_DATA")
    images, labels = load(split, root=root, download=False)
    for file in getattr(module, f"_{load.__name__.upper()}").splits[split]:
        packed_file = Path(root) / load.__name__ / file.name
        if packed_file.exists():
            assert stamp(gzip.decompress(packed_file.read_bytes())) == (file.plain_size, file.plain_sha256)
    first, counts = REAL[load, split]
    assert images.shape == (sum(counts), 28, 28, 1)
    assert labels[:5].tolist() == first
    assert np.bincount(labels).tolist() == counts
    assert (images.min(), images.max()) == (0.0, 1.0)
    if split == "train":
        mean, deviation = MOMENTS[load]
        assert abs(images.mean(dtype=np.float64) - mean) < 5e-5
        assert abs(images.std(dtype=np.float64) - deviation) < 5e-5


def test_class_names():
    assert len(set(FASHION_MNIST_CLASSES)) == 10
