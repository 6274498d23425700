"""The files of CIFAR-10 and CIFAR-100: where they may lie, in which of two versions, and what they must contain."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nnx.data.datasets.cifar_pickle import read_batch
from nnx.data.datasets.download import directories, fetch
from nnx.errors import DataFileError

_MIRROR = "https://www.cs.toronto.edu/~kriz/"
_PIXELS = 3 * 32 * 32


class File(NamedTuple):
    name: str
    size: int
    sha256: str


class Version(NamedTuple):
    archive: File
    folder: str  # in the archive, and where people unpack it
    splits: dict[str, tuple[File, ...]]


class Collection(NamedTuple):
    name: str  # of the function and of the directory
    binary: Version  # the one to download: its files are plain bytes
    python: Version
    labels: tuple[str, ...]  # kinds of label, in the order of their bytes in the binary version
    keys: tuple[bytes, ...]  # and their names in the Python version


CIFAR10 = Collection(
    "cifar10",
    Version(
        File(
            "cifar-10-binary.tar.gz",
            170052171,
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        ),
        "cifar-10-batches-bin",
        {
            "train": (
                File("data_batch_1.bin", 30730000, "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"),
                File("data_batch_2.bin", 30730000, "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed"),
                File("data_batch_3.bin", 30730000, "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67"),
                File("data_batch_4.bin", 30730000, "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48"),
                File("data_batch_5.bin", 30730000, "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add"),
            ),
            "test": (
                File("test_batch.bin", 30730000, "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"),
            ),
        },
    ),
    Version(
        File(
            "cifar-10-python.tar.gz",
            170498071,
            "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
        ),
        "cifar-10-batches-py",
        {
            "train": (
                File("data_batch_1", 31035704, "54636561a3ce25bd3e19253c6b0d8538147b0ae398331ac4a2d86c6d987368cd"),
                File("data_batch_2", 31035320, "766b2cef9fbc745cf056b3152224f7cf77163b330ea9a15f9392beb8b89bc5a8"),
                File("data_batch_3", 31035999, "0f00d98ebfb30b3ec0ad19f9756dc2630b89003e10525f5e148445e82aa6a1f9"),
                File("data_batch_4", 31035696, "3f7bb240661948b8f4d53e36ec720d8306f5668bd0071dcb4e6c947f78e9682b"),
                File("data_batch_5", 31035623, "d91802434d8376bbaeeadf58a737e3a1b12ac839077e931237e0dcd43adcb154"),
            ),
            "test": (File("test_batch", 31035526, "f53d8d457504f7cff4ea9e021afcf0e0ad8e24a91f3fc42091b8adef61157831"),),
        },
    ),
    ("fine",),
    (b"labels",),
)

CIFAR100 = Collection(
    "cifar100",
    Version(
        File(
            "cifar-100-binary.tar.gz",
            168513733,
            "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
        ),
        "cifar-100-binary",
        {
            "train": (
                File("train.bin", 153700000, "f31298fc616915fa142368359df1c4ca2ae984d6915ca468b998a5ec6aeebf29"),
            ),
            "test": (File("test.bin", 30740000, "d8b1e6b7b3bee4020055f0699b111f60b1af1e262aeb93a0b659061746f8224a"),),
        },
    ),
    Version(
        File(
            "cifar-100-python.tar.gz",
            169001437,
            "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
        ),
        "cifar-100-python",
        {
            "train": (File("train", 155249918, "735e79b04f092ca3d2e6d07f368c0a7d70d48c48d28865950cc24454cf45129b"),),
            "test": (File("test", 31049707, "4b67687d9933c4db8f0831104447f15b93774f4f464bd0516f0f0f2ac83b7864"),),
        },
    ),
    ("coarse", "fine"),
    (b"coarse_labels", b"fine_labels"),
)


def load(
    collection: Collection, split: str, labels: str, root: str | os.PathLike[str] | None, download: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 32, 32, 3) of uint8 and labels (N,) of int64, from whichever version lies there."""
    version, contents = _contents(collection, split, root, download)
    which = collection.labels.index(labels)
    planes, classes = [], []
    for file, content in zip(version.splits[split], contents, strict=True):
        if version is collection.binary:
            pixels, label = _binary(file.name, content, len(collection.labels), which)
        else:
            pixels, label = _python(file.name, content, collection.keys[which])
        planes.append(pixels)
        classes.append(label)
    channels_first = np.concatenate(planes).reshape(-1, 3, 32, 32)
    return np.ascontiguousarray(np.moveaxis(channels_first, 1, -1)), np.concatenate(classes).astype(np.int64)


def _contents(
    collection: Collection, split: str, root: str | os.PathLike[str] | None, download: bool
) -> tuple[Version, list[bytes]]:
    """The files of a split after their checks, packed or not; downloaded first if they are nowhere."""
    places = directories(collection.name, root)
    for directory in places:
        for version in (collection.binary, collection.python):
            if (directory / version.archive.name).exists():
                return version, _unpacked(_checked(version.archive, directory), version, split)
            folder, files = directory / version.folder, version.splits[split]
            if all((folder / file.name).exists() for file in files):
                return version, [_checked(file, folder).read_bytes() for file in files]
    version = collection.binary
    path = _checked(version.archive, places[-1], [_MIRROR + version.archive.name], download)
    return version, _unpacked(path, version, split)


def _checked(file: File, directory: Path, urls: Sequence[str] = (), download: bool = True) -> Path:
    return fetch(file.name, urls, file.sha256, file.size, directory, download)


def _unpacked(path: Path, version: Version, split: str) -> list[bytes]:
    """Files of an archive, read in memory: nothing is written where a name inside the archive says."""
    import tarfile  # here, not above: it takes longer to import than the rest of nnx.data

    wanted = [f"{version.folder}/{file.name}" for file in version.splits[split]]
    found = {}
    with tarfile.open(path, "r:gz") as archive:
        for member in archive:
            source = archive.extractfile(member) if member.name in wanted else None
            if source is not None:
                found[member.name] = source.read()
            if len(found) == len(wanted):
                break
    missing = [name for name in wanted if name not in found]
    if missing:
        raise DataFileError(f"{path} has no file {missing[0]}. Delete it and get it again.")
    return [found[name] for name in wanted]


def _binary(name: str, content: bytes, kinds: int, which: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels and labels of a .bin file: a byte for each kind of label, then the three planes of an image, and so on."""
    row = kinds + _PIXELS
    if len(content) % row:
        raise DataFileError(f"{name}: expected rows of {row} bytes, got {len(content)} bytes in all.")
    rows = np.frombuffer(content, np.uint8).reshape(-1, row)
    return rows[:, kinds:], rows[:, which]


def _python(name: str, content: bytes, key: bytes) -> tuple[np.ndarray, np.ndarray]:
    batch = read_batch(name, content)
    pixels, labels = batch.get(b"data"), batch.get(key)
    if isinstance(pixels, np.ndarray) and pixels.shape[1:] == (_PIXELS,) and isinstance(labels, list):
        if [type(label) for label in labels] == [int] * len(pixels):
            return pixels, np.asarray(labels)
    raise DataFileError(f"{name}: expected data of shape (N, {_PIXELS}) and N integers as {key.decode()}.")
