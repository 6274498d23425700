"""CIFAR-10, CIFAR-100 and the subset: tiny stand-ins through the whole path, and the real subset where present."""

import hashlib
import importlib
import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from nnx.data.datasets import (
    CIFAR10_CLASSES,
    CIFAR100_CLASSES,
    CIFAR100_SUPERCLASSES,
    cifar10,
    cifar10_subset,
    cifar100,
    cifar_files,
)
from nnx.data.datasets.cifar_files import File, Version
from nnx.errors import DataFileError
from tests.data.pickles import pickled

cifar = importlib.import_module("nnx.data.datasets.cifar")

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(256, size=(6, 32, 32, 3), dtype=np.uint8)
PLANES = IMAGES.transpose(0, 3, 1, 2).reshape(6, 3072)
FINE = np.asarray([3, 9, 0, 1, 3, 7])
COARSE = np.asarray([1, 2, 0, 0, 1, 19])
# Name of the split -> of the files -> rows of the images.
PARTS10 = {"train": {"data_batch_1": slice(0, 2), "data_batch_2": slice(2, 4)}, "test": {"test_batch": slice(4, 6)}}
PARTS100 = {"train": {"train": slice(0, 4)}, "test": {"test": slice(4, 6)}}


def binary10(rows):
    return np.concatenate([FINE[rows, None].astype(np.uint8), PLANES[rows]], axis=1).tobytes()


def binary100(rows):
    labels = np.stack([COARSE[rows], FINE[rows]], axis=1).astype(np.uint8)
    return np.concatenate([labels, PLANES[rows]], axis=1).tobytes()


def python10(rows):
    return pickled(
        {b"batch_label": b"one", b"labels": FINE[rows].tolist(), b"data": PLANES[rows], b"filenames": [b"a"]}
    )


def python100(rows):
    labels = {b"fine_labels": FINE[rows].tolist(), b"coarse_labels": COARSE[rows].tolist()}
    return pickled({b"filenames": [], **labels, b"data": PLANES[rows]})


def file(name, content):
    return File(name, len(content), hashlib.sha256(content).hexdigest())


def packed(folder, contents):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in {"readme.html": b"hello", **contents}.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def version(real, parts, make, suffix=""):
    """A stand-in of a version, the content of its archive, and that of its files."""
    contents = {name + suffix: make(rows) for files in parts.values() for name, rows in files.items()}
    splits = {
        split: tuple(file(name + suffix, contents[name + suffix]) for name in files) for split, files in parts.items()
    }
    archive = packed(real.folder, contents)
    return Version(file(real.archive.name, archive), real.folder, splits), archive, contents


@pytest.fixture
def tiny(web, tmp_path, monkeypatch):
    """Both collections, a few images long, on the local server; an empty cache; no NNX_DATA."""
    stored = {}
    for name, parts, makers in (
        ("CIFAR10", PARTS10, (binary10, python10)),
        ("CIFAR100", PARTS100, (binary100, python100)),
    ):
        real = getattr(cifar_files, name)
        binary, python = (
            version(each, parts, make, suffix)
            for each, make, suffix in zip((real.binary, real.python), makers, (".bin", ""), strict=True)
        )
        monkeypatch.setattr(cifar_files, name, real._replace(binary=binary[0], python=python[0]))
        stored[real.name] = {"binary": binary, "python": python}
        web.files[f"/{binary[0].archive.name}"] = binary[1]
    monkeypatch.setattr(cifar_files, "_MIRROR", web.url("/"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("NNX_DATA", raising=False)
    return tmp_path, stored


def put(directory, version, form):
    """Lay a version down as an archive or as a folder."""
    what, archive, contents = version
    if form == "archive":
        directory.mkdir(parents=True, exist_ok=True)
        (directory / what.archive.name).write_bytes(archive)
        return
    (directory / what.folder).mkdir(parents=True)
    for name, content in contents.items():
        (directory / what.folder / name).write_bytes(content)


def check10(split, **options):
    images, labels = cifar10(split, **options)
    rows = slice(0, 4) if split == "train" else slice(4, 6)
    np.testing.assert_array_equal(images, IMAGES[rows])
    assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
    assert images.flags.c_contiguous
    assert labels.tolist() == FINE[rows].tolist()


def test_the_binary_version_is_downloaded_once(tiny, web):
    for split in ("train", "test", "train"):
        check10(split)
    assert web.requests == ["/cifar-10-binary.tar.gz"]
    folder = tiny[0] / "cache" / "nnx" / "cifar10"
    assert [path.name for path in folder.iterdir()] == ["cifar-10-binary.tar.gz"]


@pytest.mark.parametrize("kind", ["binary", "python"])
@pytest.mark.parametrize("form", ["archive", "folder"])
@pytest.mark.parametrize("where", ["shared", "cache", "root"])
def test_whatever_version_lies_there_is_used(tiny, web, monkeypatch, kind, form, where):
    path, stored = tiny
    folder = {"shared": "shared/cifar10", "cache": "cache/nnx/cifar10", "root": "root/cifar10"}[where]
    put(path / folder, stored["cifar10"][kind], form)
    if where == "shared":
        monkeypatch.setenv("NNX_DATA", str(path / "shared"))
    for split in ("train", "test"):
        check10(split, root=path / "root" if where == "root" else None, download=False)
    assert web.requests == []


@pytest.mark.parametrize("kind", ["binary", "python"])
@pytest.mark.parametrize("form", ["archive", "folder"])
def test_cifar100_has_two_kinds_of_labels(tiny, kind, form):
    path, stored = tiny
    put(path / "cifar100", stored["cifar100"][kind], form)
    for labels, expected in (("fine", FINE), ("coarse", COARSE)):
        images, got = cifar100("train", labels=labels, root=path)
        np.testing.assert_array_equal(images, IMAGES[:4])
        assert got.tolist() == expected[:4].tolist()
        assert cifar100("test", labels=labels, root=path)[1].tolist() == expected[4:].tolist()


def test_cifar100_is_downloaded(tiny, web):
    assert cifar100("test")[1].tolist() == FINE[4:].tolist()
    assert web.requests == ["/cifar-100-binary.tar.gz"]


def test_scaled(tiny):
    images, _ = cifar10("test", dtype="float32")
    np.testing.assert_array_equal(images, (IMAGES[4:] / 255).astype(np.float32))


def test_an_incomplete_folder_is_not_used(tiny, web):
    path, stored = tiny
    put(path / "cache/nnx/cifar10", stored["cifar10"]["python"], "folder")
    (path / "cache/nnx/cifar10/cifar-10-batches-py/data_batch_2").unlink()
    check10("test")
    assert web.requests == []
    check10("train")
    assert web.requests == ["/cifar-10-binary.tar.gz"]


@pytest.mark.parametrize("form", ["archive", "folder"])
def test_a_damaged_file_is_left_alone(tiny, web, form):
    path, stored = tiny
    what, archive, contents = stored["cifar10"]["python"]
    damaged = {name: b"?" + content[1:] for name, content in contents.items()}
    put(path / "cifar10", (what, b"?" + archive[1:], damaged), form)
    with pytest.raises(DataFileError, match=r"expected SHA-256 .* Delete it and run again"):
        cifar10("train", root=path)
    assert web.requests == []


def test_a_missing_file_names_the_place_and_the_source(tiny):
    path, _ = tiny
    with pytest.raises(DataFileError, match="is missing and download=False") as caught:
        cifar10(root=path, download=False)
    assert str(path / "cifar10" / "cifar-10-binary.tar.gz") in str(caught.value)
    assert "/cifar-10-binary.tar.gz), or run again with download=True" in str(caught.value)


def replaced(monkeypatch, name, kind, contents, archive_contents=None):
    """Make other files the right ones, checksums and all."""
    collection = getattr(cifar_files, name)
    old = getattr(collection, kind)
    archive = packed(old.folder, contents if archive_contents is None else archive_contents)
    splits = {"test": tuple(file(each, content) for each, content in contents.items())}
    new = Version(file(old.archive.name, archive), old.folder, splits)
    monkeypatch.setattr(cifar_files, name, collection._replace(**{kind: new}))
    return new, archive, contents


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\x80\x02cos\nsystem\nU\x04true\x85R.", "test_batch: .*the name 'os system'.*nothing in it was run"),
        (
            pickled({b"data": PLANES[4:], b"labels": [1]}),
            r"test_batch: expected data of shape \(N, 3072\) and N integers",
        ),
        (pickled({b"data": PLANES[4:], b"labels": [1, b"2"]}), "N integers as labels"),
        (pickled({b"data": PLANES[4:, :-1], b"labels": [1, 2]}), r"shape \(N, 3072\)"),
        (pickled({b"data": b"none", b"labels": [1, 2]}), r"shape \(N, 3072\)"),
        (pickled({b"data": PLANES[4:]}), "N integers as labels"),
    ],
)
def test_batches_that_are_none(tiny, monkeypatch, content, problem):
    path, _ = tiny
    put(path / "cifar10", replaced(monkeypatch, "CIFAR10", "python", {"test_batch": content}), "folder")
    with pytest.raises(DataFileError, match=problem):
        cifar10("test", root=path)


def test_a_binary_file_of_another_length(tiny, monkeypatch):
    path, _ = tiny
    put(path / "cifar10", replaced(monkeypatch, "CIFAR10", "binary", {"test_batch.bin": b"x" * 3074}), "archive")
    with pytest.raises(DataFileError, match=r"test_batch\.bin: expected rows of 3073 bytes, got 3074 bytes in all"):
        cifar10("test", root=path)


def test_an_archive_without_the_file(tiny, monkeypatch):
    path, _ = tiny
    put(
        path / "cifar10",
        replaced(monkeypatch, "CIFAR10", "binary", {"test_batch.bin": b""}, {"other": b"x"}),
        "archive",
    )
    with pytest.raises(DataFileError, match=r"has no file cifar-10-batches-bin/test_batch\.bin"):
        cifar10("test", root=path)


# ---- the subset


def test_without_its_file_the_subset_is_selected_from_the_whole(tiny, monkeypatch):
    monkeypatch.setattr(cifar, "_OF_EACH_CLASS", {"train": 1, "test": 1})
    monkeypatch.setattr(cifar, "cifar10", lambda *_, **__: (np.arange(7), np.asarray([2, 0, 2, 1, 1, 0, 1])))
    images, labels = cifar10_subset("train")
    assert (images.tolist(), labels.tolist()) == ([0, 1, 3], [2, 0, 1])
    monkeypatch.setattr(cifar, "_OF_EACH_CLASS", {"train": 2, "test": 1})
    assert cifar10_subset("train")[0].tolist() == [0, 1, 2, 3, 4, 5]


def test_the_subset_downloads_the_whole_set(tiny, web):
    images, labels = cifar10_subset("test")
    assert web.requests == ["/cifar-10-binary.tar.gz"]
    np.testing.assert_array_equal(images, IMAGES[4:])
    assert labels.tolist() == FINE[4:].tolist()


def test_the_file_of_the_subset(tiny, web, monkeypatch):
    path, _ = tiny
    stream = io.BytesIO()
    np.savez(stream, x_test=IMAGES[:2], y_test=FINE[:2].astype(np.uint8))
    monkeypatch.setattr(cifar, "_SUBSET", file("cifar10_10k_2k.npz", stream.getvalue()))
    target = path / "cifar10_subset" / "cifar10_10k_2k.npz"
    target.parent.mkdir()
    target.write_bytes(stream.getvalue())
    images, labels = cifar10_subset("test", root=path, download=False)
    np.testing.assert_array_equal(images, IMAGES[:2])
    assert (labels.tolist(), labels.dtype) == (FINE[:2].tolist(), np.int64)
    target.write_bytes(stream.getvalue()[:-1])
    with pytest.raises(DataFileError, match=r"expected .* bytes"):
        cifar10_subset("test", root=path)
    assert web.requests == []


def test_pickled_objects_in_the_file_of_the_subset_are_refused(tiny, monkeypatch):
    path, _ = tiny
    stream = io.BytesIO()
    np.savez(stream, x_test=np.asarray([None]), y_test=FINE[:1])
    monkeypatch.setattr(cifar, "_SUBSET", file("cifar10_10k_2k.npz", stream.getvalue()))
    (path / "cifar10_subset").mkdir()
    (path / "cifar10_subset" / "cifar10_10k_2k.npz").write_bytes(stream.getvalue())
    with pytest.raises(ValueError, match="allow_pickle=False"):
        cifar10_subset("test", root=path)


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_real_subset(split):
    root = os.environ.get("NNX_DATA")
    if not root or not (Path(root) / "cifar10_subset").is_dir():
        pytest.skip("no cifar10_subset under NNX_DATA")
    images, labels = cifar10_subset(split, root=root, download=False)
    each = {"train": 1000, "test": 200}[split]
    assert (images.shape, images.dtype) == ((10 * each, 32, 32, 3), np.uint8)
    assert (np.bincount(labels).tolist(), labels.dtype) == ([each] * 10, np.int64)
    first = {"train": ["frog", "truck", "truck"], "test": ["cat", "ship", "ship"]}[split]
    assert [CIFAR10_CLASSES[label] for label in labels[:3]] == first


@pytest.mark.parametrize("load", [cifar10, cifar100, cifar10_subset])
def test_bad_arguments(load):
    with pytest.raises(ValueError, match=f"{load.__name__}: expected split='train' or 'test', got 'all'"):
        load("all")
    with pytest.raises(TypeError, match=f"{load.__name__}: expected dtype='float32'"):
        load(dtype="int64")


def test_bad_labels():
    with pytest.raises(
        ValueError, match=r"cifar100: expected labels='fine' \(100 classes\) or 'coarse' \(20\), got 'all'"
    ):
        cifar100(labels="all")


def test_class_names():
    for names, count in ((CIFAR10_CLASSES, 10), (CIFAR100_CLASSES, 100), (CIFAR100_SUPERCLASSES, 20)):
        assert len(names) == len(set(names)) == count
        assert list(names) == sorted(names)
