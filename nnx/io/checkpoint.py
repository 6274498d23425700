"""Weights in safetensors files: plain arrays by name, safe to load from anywhere.

nnx keeps features last, PyTorch channels first. A convolution weight may fit both ways round, so the metadata of every
file tells its layout, and files that do not are refused instead of loaded wrong in silence.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..backend import to_numpy
from ..errors import WeightsError
from ..layers import Module

LAYOUT = "features-last"
_LENGTH_BYTES = 8
_FOREIGN = {
    b"PK\x03\x04": "it is a zip archive, such as torch.save writes",
    b"\x89HDF": "it is an HDF5 file, such as Keras writes",
}


def save_weights(module: Module, path: str | os.PathLike[str]) -> None:
    """Write the parameters and buffers of a module to a safetensors file.

    The file appears under its name only when it is complete: whoever reads it at any moment, even after a crash, finds
    the old or the new weights. The module is only read; arrays on a device are copied to the host one at a time.

    Parameters
    ----------
    module
        What to save: the entries of ``module.state_dict()``, a tied parameter under each of its names.
    path
        The file, by convention ``*.safetensors``. An existing one is replaced.

    Raises
    ------
    TypeError
        If `module` is no Module.
    WeightsError
        If the file format has no such dtype.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import os, tempfile
    >>> import nnx
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.safetensors")
    ...     nnx.save_weights(nnx.Linear(3, 2), path)
    ...     nnx.load_weights(nnx.Linear(3, 2), path)
    """
    check_module("save_weights", module)
    arrays = {name: np.asarray(to_numpy(raw)) for name, raw in module.state_dict().items()}
    metadata = {"format": "nnx", "layout": LAYOUT, "nnx_version": _version()}
    write_safetensors("save_weights", arrays, metadata, Path(path))


def load_weights(module: Module, path: str | os.PathLike[str], strict: bool = True) -> None:
    """Read the parameters and buffers of a module from a file that `save_weights` wrote.

    Parameters
    ----------
    module
        Where to load. Its arrays keep their backend, their device and their place in memory.
    path
        The file.
    strict
        Whether names that are missing in the file, or that only the file has, are errors. Shapes and dtypes always are.

    Raises
    ------
    WeightsError
        If the file is damaged, was not written by nnx, or does not fit the module: then all problems are listed at
        once. The module has not changed.
    FileNotFoundError
        If there is no such file.

    Examples
    --------
    >>> import os, tempfile
    >>> import nnx
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.safetensors")
    ...     nnx.save_weights(nnx.Linear(3, 2), path)
    ...     try:
    ...         nnx.load_weights(nnx.Linear(5, 2), path)
    ...     except ValueError as error:
    ...         print(str(error).splitlines()[-1].strip())
    weight: expected shape (2, 5), got (2, 3)
    """
    check_module("load_weights", module)
    file = os.fspath(path)
    state, metadata = read_safetensors(file)
    _check_layout(file, metadata)
    try:
        module.load_state_dict(state, strict=strict)
    except WeightsError as error:
        raise WeightsError(f"{file!r}: {error}") from None


def check_module(function: str, module: Any) -> None:
    if isinstance(module, Module):
        return
    own = isinstance(getattr(module, "net", None), Module) and hasattr(module, function)  # a Model, which is above
    advice = f" Write model.{function}(path)." if own else f" Write nnx.{function}(module, path)."
    raise TypeError(f"{function}: expected a Module, got {type(module).__name__}.{advice}")


def write_safetensors(function: str, arrays: Mapping[str, np.ndarray], metadata: dict[str, str], path: Path) -> None:
    """Write a file that appears under its name only when it is complete."""
    target = Path(os.path.realpath(path))  # a link stays one: what it points to is replaced
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{function}: the folder {str(target.parent)!r} does not exist; create it first.")
    if target.is_dir():
        raise IsADirectoryError(f"{function}: expected the name of a file, got the folder {str(target)!r}.")
    temporary = target.with_name(f".nnx.{secrets.token_hex(8)}.tmp")  # short: the longest name allowed may be wanted
    try:
        _write(function, arrays, metadata, temporary)
        os.replace(temporary, target)
    except OSError as error:  # nobody knows the temporary name
        raise OSError(error.errno, f"{function}: {error.strerror or error}", str(target)) from None
    finally:
        with contextlib.suppress(OSError):  # nor should the tidying up hide why the writing failed
            temporary.unlink(missing_ok=True)


def _version() -> str:
    try:
        return importlib.metadata.version("nnx-array")
    except importlib.metadata.PackageNotFoundError:  # a checkout that is not installed
        return "unknown"


def _write(function: str, arrays: Mapping[str, np.ndarray], metadata: dict[str, str], file: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    file.touch(exist_ok=False)
    mode = file.stat().st_mode  # what the umask allows; safetensors would leave the file to its owner alone
    try:
        save_file({name: np.asarray(a, order="C") for name, a in arrays.items()}, file, metadata=metadata)
        file.chmod(mode)
    except (SafetensorError, KeyError) as error:
        dtypes = ", ".join(sorted({array.dtype.name for array in arrays.values()}))
        raise WeightsError(f"{function}: safetensors cannot store these arrays ({dtypes}): {error}") from error
    with open(file, "rb+") as written:  # the name must not reach the disk before the content
        os.fsync(written.fileno())


def read_safetensors(file: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the arrays and the metadata of a file."""
    _check_whole(file)
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as opened:
            arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (not a mapping)
            return arrays, opened.metadata() or {}
    except SafetensorError as error:
        raise WeightsError(f"{file!r} is damaged or no safetensors file: {error}. {_AGAIN}") from error


_AGAIN = "Save or download it again."


def _check_whole(file: str) -> None:
    """Raise a readable error if a file is cut short or of another kind; safetensors checks the rest."""
    with open(file, "rb") as opened:
        start = opened.read(_LENGTH_BYTES)
        size = os.fstat(opened.fileno()).st_size
        for magic, kind in _FOREIGN.items():
            if start.startswith(magic):
                raise WeightsError(f"{file!r} is no safetensors file: {kind}. nnx loads what nnx.save_weights wrote.")
        if size < _LENGTH_BYTES:
            raise WeightsError(f"{file!r} is no safetensors file or cut short: it has {size} bytes. {_AGAIN}")
        header_size = int.from_bytes(start, "little")
        if _LENGTH_BYTES + header_size > size:
            raise WeightsError(
                f"{file!r} is cut short or no safetensors file: its header should have {header_size} bytes, the whole "
                f"file has {size}. {_AGAIN}"
            )
        header = opened.read(header_size)
    try:
        entries = json.loads(header)
        ends = [entry["data_offsets"][1] for name, entry in entries.items() if name != "__metadata__"]
        expected = _LENGTH_BYTES + header_size + max(ends, default=0)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise WeightsError(f"{file!r} is damaged or no safetensors file: its header is unreadable. {_AGAIN}") from error
    if size != expected:
        what = "cut short" if size < expected else "damaged"
        raise WeightsError(f"{file!r} is {what}: expected {expected} bytes, got {size}. {_AGAIN}")


def _check_layout(file: str, metadata: Mapping[str, str]) -> None:
    layout = metadata.get("layout")
    if layout is None:
        raise WeightsError(
            f"{file!r} was not written by nnx (no layout={LAYOUT} in its metadata). A PyTorch file needs its axes "
            "transposed: nnx keeps features last, PyTorch channels first. Use nnx.io.load_torch_weights(module, path)."
        )
    if layout != LAYOUT:
        raise WeightsError(f"{file!r}: expected layout={LAYOUT} in its metadata, got layout={layout}.")
