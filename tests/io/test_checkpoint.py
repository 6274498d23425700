"""Weights to files and back; files that are damaged, foreign or of another network."""

import json
import os
import stat

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import nnx
from nnx.errors import WeightsError


class Net(nnx.Module):
    """All kinds of state: parameters, a tied one, a 0-d and an integer buffer."""

    def __init__(self, width=4, dtype="float32"):
        self.first = nnx.Linear(3, width, dtype=dtype)
        self.second = nnx.Linear(width, 2, bias=False, dtype=dtype)
        self.second.again = self.second.parameter("weight")
        self.scale = nnx.Buffer(nnx.asarray(np.asarray(0.5, dtype=dtype)))
        self.count = nnx.Buffer(nnx.asarray(np.asarray([3], dtype="int64")))


def values(net):
    return {name: nnx.to_numpy(raw).copy() for name, raw in net.state_dict().items()}


def assert_same(left, right):
    assert left.keys() == right.keys()
    for name in left:
        assert left[name].dtype == right[name].dtype
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.safetensors"


def test_round_trip(xp_backend, path):
    saved, loaded = Net(), Net()
    before = values(saved)
    nnx.save_weights(saved, path)
    assert_same(values(saved), before)
    loaded.scale = xp_backend.array(np.asarray(9.0, "float32"))
    nnx.load_weights(loaded, path)
    assert_same(values(loaded), before)
    assert isinstance(loaded.first.weight, type(xp_backend.array([0.0])))
    assert loaded.second.parameter("again") is loaded.second.parameter("weight")


def test_one_backend_loads_what_another_saved(path):
    with nnx.use_backend("strict"):
        saved = Net()
    loaded = Net()
    nnx.save_weights(saved, path)
    nnx.load_weights(loaded, path)
    assert_same(values(loaded), values(saved))


def test_round_trip_of_views_into_flat_storage(path):
    net, other = Net(), Net()
    nnx.optim.Adam(net).state_dict()  # moves the parameters into flat storage
    nnx.optim.Adam(other).state_dict()
    address = other.first.weight.ctypes.data
    nnx.save_weights(net, path)
    nnx.load_weights(other, path)
    assert_same(values(other), values(net))
    assert other.first.weight.ctypes.data == address


def test_transposed_and_float64_arrays_keep_their_values(path):
    saved, loaded = Net(dtype="float64"), Net(dtype="float64")
    transposed = np.asfortranarray(np.arange(12.0).reshape(4, 3))
    saved.first.weight = nnx.Parameter(transposed)
    nnx.save_weights(saved, path)
    nnx.load_weights(loaded, path)
    np.testing.assert_array_equal(loaded.first.weight, transposed)


def test_the_file_says_where_it_comes_from(path):
    nnx.save_weights(Net(), path)
    with safe_open(path, framework="numpy") as opened:
        metadata = opened.metadata()
    assert metadata.keys() == {"format", "layout", "nnx_version"}
    assert (metadata["format"], metadata["layout"]) == ("nnx", "features-last")


def test_the_file_is_readable_as_the_umask_says(path):
    before = os.umask(0o027)
    try:
        nnx.save_weights(Net(), path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_failed_save_leaves_the_old_file_and_nothing_else(path, monkeypatch):
    nnx.save_weights(Net(), path)
    old = path.read_bytes()

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        nnx.save_weights(Net(), path)
    assert path.read_bytes() == old
    assert os.listdir(path.parent) == [path.name]


def test_saving_through_a_link_keeps_the_link(path, tmp_path):
    link = tmp_path / "latest.safetensors"
    path.touch()
    link.symlink_to(path)
    nnx.save_weights(Net(), link)
    assert link.is_symlink()
    nnx.load_weights(Net(), path)


def test_saving_needs_an_existing_folder_and_a_file_name(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"save_weights: the folder '.*nowhere' does not exist; create it"):
        nnx.save_weights(Net(), tmp_path / "nowhere" / "net.safetensors")
    with pytest.raises(IsADirectoryError, match="save_weights: expected the name of a file, got the folder"):
        nnx.save_weights(Net(), tmp_path)


def test_a_file_that_cannot_be_written_is_named_as_it_was_given(tmp_path, monkeypatch):
    def refuse(self, **options):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(type(tmp_path), "touch", refuse)
    with pytest.raises(PermissionError, match="save_weights: Permission denied") as caught:
        nnx.save_weights(Net(), tmp_path / "net.safetensors")
    assert caught.value.filename == str(tmp_path / "net.safetensors")
    assert ".tmp" not in str(caught.value)


def test_the_longest_file_name_will_do(tmp_path):
    path = tmp_path / ("n" * 255)
    nnx.save_weights(Net(), path)
    nnx.load_weights(Net(), path)
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("function", [nnx.save_weights, nnx.load_weights])
def test_what_is_no_module_is_refused(function, path):
    name = function.__name__
    with pytest.raises(TypeError, match=rf"^{name}: expected a Module, got Model\. Write model\.{name}\(path\)\.$"):
        function(nnx.Model(Net()), path)
    with pytest.raises(TypeError, match=rf"^{name}: expected a Module, got list\. Write nnx\.{name}\(module, path\)"):
        function([1], path)
    assert not path.exists()


def test_a_dtype_that_the_format_does_not_have(path):
    class Odd(nnx.Module):
        def __init__(self):
            self.x = nnx.Buffer(np.zeros(2, dtype=np.longdouble))

    with pytest.raises(WeightsError, match=r"safetensors cannot store these arrays \((longdouble|float\d+)"):
        nnx.save_weights(Odd(), path)
    assert os.listdir(path.parent) == []


def test_all_misfits_are_listed_at_once_and_nothing_changes(path):
    nnx.save_weights(Net(width=4), path)

    class Other(Net):
        def __init__(self):
            super().__init__(width=5)
            self.scale = nnx.Buffer(np.zeros((), "float64"))
            del self.count
            self.third = nnx.Linear(2, 2)

    net = Other()
    before = values(net)
    with pytest.raises(WeightsError) as caught:
        nnx.load_weights(net, path)
    text = str(caught.value)
    assert text.startswith(f"{str(path)!r}: the weights do not fit Other")
    for problem in (
        "missing: third.weight (2, 2)",
        "missing: third.bias (2,)",
        "unexpected: count",
        "first.weight: expected shape (5, 3), got (4, 3)",
        "first.bias: expected shape (5,), got (4,)",
        "scale: expected dtype float64, got float32",
    ):
        assert problem in text
    assert_same(values(net), before)


def test_not_strict_takes_what_there_is(path):
    nnx.save_weights(nnx.Sequential(nnx.Linear(3, 4), nnx.Linear(4, 4)), path)
    net = nnx.Sequential(nnx.Linear(3, 4))
    with pytest.raises(WeightsError, match=r"unexpected: 1\.weight"):
        nnx.load_weights(net, path)
    nnx.load_weights(net, path, strict=False)
    with safe_open(path, framework="numpy") as opened:
        np.testing.assert_array_equal(net.module("0").weight, opened.get_tensor("0.weight"))


def test_a_missing_file_is_just_missing(path):
    with pytest.raises(FileNotFoundError):
        nnx.load_weights(Net(), path)


@pytest.mark.parametrize("keep", [0, 5, 8, 100, -1])
def test_a_file_that_was_cut_short(path, keep):
    nnx.save_weights(Net(), path)
    path.write_bytes(path.read_bytes()[:keep])
    net = Net()
    before = values(net)
    with pytest.raises(WeightsError, match=r"net\.safetensors' is .*cut short.*Save or download it again\.$"):
        nnx.load_weights(net, path)
    assert_same(values(net), before)


def _with_header(path, change):
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = change(content[8 : 8 + size])
    path.write_bytes(len(header).to_bytes(8, "little") + header + content[8 + size :])


def _overlap(header):
    entries = json.loads(header)
    entries["first.bias"]["data_offsets"] = entries["first.weight"]["data_offsets"]
    return json.dumps(entries).encode()


@pytest.mark.parametrize(
    "change",
    [
        lambda header: b"\xff" + header[1:],
        lambda header: header.replace(b"data_offsets", b"data_offsetz"),
        lambda header: header.replace(b'"F32"', b'"F99"'),
        lambda header: b"[1, 2]",
        _overlap,
    ],
)
def test_a_file_with_a_damaged_header(path, change):
    nnx.save_weights(Net(), path)
    _with_header(path, change)
    with pytest.raises(WeightsError, match=r"net\.safetensors' is damaged"):
        nnx.load_weights(Net(), path)


def test_a_file_with_something_behind_its_end(path):
    nnx.save_weights(Net(), path)
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(WeightsError, match=r"is damaged: expected \d+ bytes, got \d+"):
        nnx.load_weights(Net(), path)


def test_files_of_other_kinds(path):
    np.savez(path.with_suffix(".npz"), x=np.zeros(3))
    with pytest.raises(WeightsError, match=r"is no safetensors file: it is a zip archive, such as torch\.save writes"):
        nnx.load_weights(Net(), path.with_suffix(".npz"))
    path.write_text("weights: none\n")
    with pytest.raises(WeightsError, match="no safetensors file"):
        nnx.load_weights(Net(), path)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_a_file_that_nnx_did_not_write_is_refused(path, metadata):
    net = nnx.Linear(3, 3)
    save_file({name: np.ones_like(raw) for name, raw in net.state_dict().items()}, path, metadata=metadata)
    before = values(net)
    text = (
        r"was not written by nnx \(no layout=features-last in its metadata\)\. A PyTorch file needs its axes "
        r"transposed: nnx keeps features last, PyTorch channels first\. Use nnx\.io\.load_torch_weights"
    )
    with pytest.raises(WeightsError, match=text):
        nnx.load_weights(net, path)
    assert_same(values(net), before)


def test_a_file_of_another_layout_is_refused(path):
    save_file({"weight": np.zeros(3)}, path, metadata={"format": "nnx", "layout": "channels-first"})
    with pytest.raises(WeightsError, match="expected layout=features-last in its metadata, got layout=channels-first"):
        nnx.load_weights(Net(), path)
