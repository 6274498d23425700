"""Downloads, against a server on this machine: checked, atomic, and never over the user's own files."""

import hashlib
import socket
from pathlib import Path

import pytest

from nnx.data.datasets import fetch
from nnx.data.datasets.download import cache_directory, directories
from nnx.errors import DataFileError

CONTENT = bytes(range(256)) * 3000  # several chunks
SHA256 = hashlib.sha256(CONTENT).hexdigest()
WRONG = b"!" + CONTENT[1:]


def get(directory, *urls, download=True):
    return fetch("data.bin", urls, SHA256, len(CONTENT), directory, download)


def names(directory):
    return sorted(path.name for path in Path(directory).iterdir())


@pytest.fixture
def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return f"http://127.0.0.1:{port}/data.bin"


def test_a_missing_file_is_downloaded_once(web, tmp_path):
    web.files["/a"] = CONTENT
    directory = tmp_path / "made" / "here"
    for _ in range(2):
        path = get(directory, web.url("/a"))
        assert path == directory / "data.bin"
        assert path.read_bytes() == CONTENT
    assert web.requests == ["/a"]
    assert names(directory) == ["data.bin"]


def test_progress_is_shown_on_terminals_only(web, tmp_path, capfd):
    web.files["/a"] = CONTENT
    get(tmp_path, web.url("/a"))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (404, "404"),
        (503, "503"),
        (WRONG, "got " + hashlib.sha256(WRONG).hexdigest()),
        (CONTENT[:1000], f"expected {len(CONTENT)} bytes, got 1000"),
        ((CONTENT[:1000], len(CONTENT)), f"expected {len(CONTENT)} bytes, got 1000"),
        (CONTENT + b"+", f"expected {len(CONTENT)} bytes, got {len(CONTENT) + 1}"),
        (b"", "got 0"),
    ],
    ids=["404", "503", "wrong", "short", "cut off", "long", "empty"],
)
def test_a_bad_mirror_is_passed_over_and_alone_is_an_error(web, tmp_path, bad, problem):
    web.files |= {"/bad": bad, "/good": CONTENT}
    with pytest.raises(DataFileError) as caught:
        get(tmp_path / "one", web.url("/bad"))
    message = str(caught.value)
    assert message.startswith("data.bin could not be downloaded:\n")
    assert f"{web.url('/bad')}: " in message
    assert problem in message
    assert f"Put the file at {tmp_path / 'one' / 'data.bin'} yourself" in message
    assert names(tmp_path / "one") == []

    path = get(tmp_path / "two", web.url("/bad"), web.url("/good"))
    assert path.read_bytes() == CONTENT
    assert web.requests == ["/bad", "/bad", "/good"]
    assert names(tmp_path / "two") == ["data.bin"]


def test_an_endless_answer_is_cut(web, tmp_path):
    web.files["/a"] = CONTENT * 20
    with pytest.raises(DataFileError, match="expected 768000 bytes, got 786432"):
        get(tmp_path, web.url("/a"))


def test_without_a_network_the_error_names_every_address_and_the_place(tmp_path, closed_port):
    urls = [closed_port, closed_port + "?mirror"]
    with pytest.raises(DataFileError) as caught:
        get(tmp_path, *urls)
    message = str(caught.value)
    assert "Connection refused" in message
    assert message.count(closed_port) == 4
    assert f"Put the file at {tmp_path / 'data.bin'} yourself (from {urls[0]}, {urls[1]})" in message
    assert message.endswith("or run again with a network.")
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (CONTENT[:-1], f"expected {len(CONTENT)} bytes, got {len(CONTENT) - 1}"),
        (WRONG, f"expected SHA-256 {SHA256}, got {hashlib.sha256(WRONG).hexdigest()}"),
    ],
)
@pytest.mark.parametrize("download", [True, False])
def test_a_damaged_file_is_neither_used_nor_replaced(web, tmp_path, content, problem, download):
    web.files["/a"] = CONTENT
    path = tmp_path / "data.bin"
    path.write_bytes(content)
    with pytest.raises(DataFileError) as caught:
        get(tmp_path, web.url("/a"), download=download)
    assert str(caught.value) == (
        f"{path} is truncated, corrupt or another file: {problem}. Delete it and run again with "
        f"download=True to get a fresh copy."
    )
    assert path.read_bytes() == content
    assert web.requests == []


def test_download_false_uses_no_network(web, tmp_path):
    web.files["/a"] = CONTENT
    with pytest.raises(DataFileError, match="is missing and download=False") as caught:
        get(tmp_path / "nowhere", web.url("/a"), download=False)
    assert web.url("/a") in str(caught.value)
    assert web.requests == []
    assert names(tmp_path) == []


def test_where_files_are_looked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("NNX_DATA", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_directory() == tmp_path / "home" / ".cache" / "nnx"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert directories("mnist") == [tmp_path / "xdg" / "nnx" / "mnist"]
    monkeypatch.setenv("NNX_DATA", str(tmp_path / "shared"))
    assert directories("mnist") == [tmp_path / "shared" / "mnist", tmp_path / "xdg" / "nnx" / "mnist"]
    assert directories("mnist", tmp_path / "mine") == [tmp_path / "mine" / "mnist"]
