"""Data files: where they lie, checked by size and SHA-256 before every use, downloaded where missing.

A file that fails the check is never used, and never overwritten: it may be the user's own.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from nnx.errors import DataFileError

_CHUNK = 1 << 18
_TIMEOUT = 30.0  # seconds without a sign of life from the server


def cache_directory() -> Path:
    """Where downloads go: ``$XDG_CACHE_HOME/nnx``, otherwise ``~/.cache/nnx``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "nnx"


def directories(collection: str, root: str | os.PathLike[str] | None = None) -> list[Path]:
    """The directories that may hold the files of a collection, in order; the last one is where downloads go.

    `root`, if given, is the only place. Otherwise ``$NNX_DATA`` comes first, if set (nothing is ever written to
    it), then the cache.
    """
    if root is not None:
        return [Path(root) / collection]
    shared = os.environ.get("NNX_DATA")
    cache = cache_directory() / collection
    return [Path(shared) / collection, cache] if shared else [cache]


def fetch(
    name: str,
    urls: Sequence[str],
    sha256: str,
    size: int,
    directory: str | os.PathLike[str],
    download: bool = True,
) -> Path:
    """Path of a data file that has passed its check, downloaded first if it is missing.

    A download is written to a temporary file beside its destination and renamed once it has passed the check,
    so an interrupted one leaves nothing behind.

    Parameters
    ----------
    name : str
        File name.
    urls : sequence of str
        Addresses of the file, tried in turn until one delivers the right content.
    sha256 : str
        SHA-256 of the content, in hexadecimal.
    size : int
        Length in bytes.
    directory : path
        Where the file lies or goes; made if missing.
    download : bool
        False: never use the network.

    Returns
    -------
    path : pathlib.Path
        ``directory / name``.

    Raises
    ------
    DataFileError
        If the file there has the wrong size or checksum (it is left alone), or is missing and cannot be
        downloaded.

    Examples
    --------
    >>> import hashlib, pathlib, tempfile
    >>> from nnx.data.datasets import fetch
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     _ = (pathlib.Path(directory) / "a.bin").write_bytes(b"abc")
    ...     fetch("a.bin", [], hashlib.sha256(b"abc").hexdigest(), 3, directory).name
    'a.bin'
    """
    path = Path(directory) / name
    if path.exists():
        problem = check(path, sha256, size)
        if problem is not None:
            raise DataFileError(
                f"{path} is truncated, corrupt or another file: {problem}. Delete it and run again with "
                f"download=True to get a fresh copy."
            )
        return path
    advice = f"Put the file at {path} yourself (from {', '.join(urls) or 'its source'})"
    if not download:
        raise DataFileError(f"{path} is missing and download=False. {advice}, or run again with download=True.")
    path.parent.mkdir(parents=True, exist_ok=True)
    failures = []
    for url in urls:
        problem = _download(url, path, sha256, size)
        if problem is None:
            return path
        failures.append(f"\n  {url}: {problem}")
    raise DataFileError(f"{name} could not be downloaded:{''.join(failures)}\n{advice}, or run again with a network.")


def check(path: Path, sha256: str, size: int) -> str | None:
    """What is wrong with a file, or None. The size comes first: it is free, and tells a truncated file."""
    actual_size = path.stat().st_size
    if actual_size != size:
        return f"expected {size} bytes, got {actual_size}"
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != sha256:
        return f"expected SHA-256 {sha256}, got {actual}"
    return None


def _download(url: str, path: Path, sha256: str, size: int) -> str | None:
    """Download one address to `path`. Returns what went wrong on the way, or None."""
    # Here, not above: the HTTP client takes longer to import than all of nnx.data.
    import http.client
    import urllib.request

    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.part")
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "nnx"})
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as response, temporary.open("xb") as file:
            _copy(response, file, path.name, size)
        problem = check(temporary, sha256, size)
        if problem is None:
            temporary.replace(path)
        return problem
    except (OSError, http.client.HTTPException, ValueError) as error:
        return str(error) or type(error).__name__
    finally:
        temporary.unlink(missing_ok=True)


def _copy(response: Any, file: BinaryIO, name: str, size: int) -> None:
    """Copy with a progress bar (on terminals only); a stream longer than `size` is cut one chunk after it."""
    from tqdm import tqdm

    with tqdm(total=size, unit="B", unit_scale=True, desc=name, disable=None) as bar:
        while file.tell() <= size and (chunk := response.read(_CHUNK)):
            file.write(chunk)
            bar.update(len(chunk))
