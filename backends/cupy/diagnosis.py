"""Why CuPy can or cannot run here, found out without importing it: installed packages, the driver, the devices.

CuPy's own errors name a library that did not load; people need the command that repairs it.
"""

from __future__ import annotations

import ctypes
import re
import sys
from dataclasses import dataclass, field
from importlib import metadata, util
from typing import Any

MINIMUM_CUPY = 14
# CUDA's major version -> the first driver that runs it, by NVIDIA's compatibility table; nnx has an extra for each.
_DRIVERS = {12: "525", 13: "580"}
_NO_DEVICE = 100  # CUDA_ERROR_NO_DEVICE
_COMPUTE_CAPABILITY = (75, 76)  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR


@dataclass(frozen=True)
class Device:
    """A CUDA device as the driver describes it; memory in bytes."""

    name: str
    compute_capability: str
    memory: int


@dataclass(frozen=True)
class Driver:
    """The NVIDIA driver: the newest CUDA version it runs, its devices, or the code it failed with."""

    cuda: tuple[int, int]
    devices: list[Device] = field(default_factory=list)
    error: int = 0


# ------------------------------------------------------------------ looking


def packages() -> dict[str, str]:
    """Return the installed distributions that bring a module ``cupy``: name -> version."""
    found = {}
    for distribution in metadata.distributions():
        name = re.sub(r"[-_.]+", "-", distribution.metadata["Name"] or "").lower()
        if name in ("cupy", "amd-cupy") or re.fullmatch(r"cupy-(cuda|rocm)[\w-]+", name):
            found[name] = distribution.version
    return dict(sorted(found.items()))


def load_driver() -> Any:
    """Return NVIDIA's driver library, or None."""
    try:
        return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return None


def driver() -> Driver | None:
    """Ask the driver for its version and devices; None if there is no driver."""
    library = load_driver()
    if library is None:
        return None
    number = ctypes.c_int(0)
    error = library.cuDriverGetVersion(ctypes.byref(number)) or library.cuInit(0)
    cuda = (number.value // 1000, number.value % 1000 // 10)
    if error:
        return Driver(cuda, [], error)
    count = ctypes.c_int(0)
    error = library.cuDeviceGetCount(ctypes.byref(count))
    return Driver(cuda, [_device(library, i) for i in range(count.value)], error)


def _device(library: Any, ordinal: int) -> Device:
    handle, name, memory = ctypes.c_int(0), ctypes.create_string_buffer(256), ctypes.c_size_t(0)
    library.cuDeviceGet(ctypes.byref(handle), ordinal)
    library.cuDeviceGetName(name, 256, handle)
    library.cuDeviceTotalMem_v2(ctypes.byref(memory), handle)
    capability = []
    for attribute in _COMPUTE_CAPABILITY:
        value = ctypes.c_int(0)
        library.cuDeviceGetAttribute(ctypes.byref(value), attribute, handle)
        capability.append(str(value.value))
    return Device(name.value.decode(errors="replace"), ".".join(capability), memory.value)


# ------------------------------------------------------------------ judging


def unavailable() -> str | None:
    """Return None if CuPy can be used, else the reason and the command that repairs it."""
    installed = packages()
    if len(installed) > 1:
        return _conflict(installed)
    name, version = next(iter(installed.items()), ("cupy", ""))
    if not installed and "cupy" not in sys.modules and util.find_spec("cupy") is None:
        return _not_installed()
    if version and _major(version) < MINIMUM_CUPY:
        return (
            f"{name} {version} is too old, nnx needs CuPy {MINIMUM_CUPY} or newer; "
            f"run `pip uninstall -y {name}` and then {_install(driver())}."
        )
    found = driver()
    if found is None:
        return (
            "no NVIDIA driver was found (its library libcuda does not load); install the driver until `nvidia-smi` "
            "works, or start the container with `--gpus all`."
        )
    return _too_old(found, name) or _no_device(found)


def _conflict(installed: dict[str, str]) -> str:
    listed = " and ".join(f"{name} {version}" for name, version in installed.items())
    return (
        f"{len(installed)} CuPy packages are installed, which overwrite each other: {listed}; "
        f"run `pip uninstall -y {' '.join(installed)}` and then {_install(driver())}."
    )


def _not_installed() -> str:
    found = driver()
    if found is None:
        return (
            "CuPy is not installed, and no NVIDIA driver was found. On a machine with an NVIDIA GPU and its driver, "
            f"run {_install(None)}."
        )
    return f"CuPy is not installed; run {_install(found)}."


def _install(found: Driver | None) -> str:
    """The command that installs the right CuPy for a driver."""
    if found is None:
        return (
            f'`pip install "nnx-array[cuda13]"` (driver {_DRIVERS[13]} or newer) or `pip install "nnx-array[cuda12]"` '
            f"(driver {_DRIVERS[12]} or newer)"
        )
    if found.cuda[0] < min(_DRIVERS):
        return f'`pip install "nnx-array[cuda12]"` after updating the NVIDIA driver to {_DRIVERS[12]} or newer'
    return f'`pip install "nnx-array[cuda{min(found.cuda[0], max(_DRIVERS))}]"`'


def _too_old(found: Driver, name: str) -> str | None:
    built_for = re.fullmatch(r"cupy-cuda(\d\d)x?\d*", name)
    needed = int(built_for[1]) if built_for else min(_DRIVERS)
    if found.cuda[0] >= needed:
        return None
    older = ""
    if built_for and found.cuda[0] >= min(_DRIVERS):
        older = f", or run `pip uninstall -y {name}` and then {_install(found)}"
    return (
        f"the NVIDIA driver is too old: it runs CUDA {found.cuda[0]}.{found.cuda[1]}, {name} needs CUDA {needed}; "
        f"update the driver to {_DRIVERS.get(needed, _DRIVERS[12])} or newer{older}."
    )


def _no_device(found: Driver) -> str | None:
    if found.error not in (0, _NO_DEVICE):
        return (
            f"the NVIDIA driver does not start (CUDA error {found.error}); run `nvidia-smi` to see why, and restart "
            "the machine if the driver has just been updated."
        )
    if found.devices:
        return None
    return (
        "the driver shows no CUDA device; run `nvidia-smi -L` to list them, `unset CUDA_VISIBLE_DEVICES` if that "
        "variable hides them, or start the container with `--gpus all`."
    )


def _major(version: str) -> int:
    digits = re.match(r"\d+", version)
    return int(digits[0]) if digits else 0


def report() -> dict[str, Any]:
    """Return what was found, for `python -m nnx doctor`."""
    found = driver()
    return {
        "packages": packages(),
        "driver": None if found is None else {"cuda": f"{found.cuda[0]}.{found.cuda[1]}", "error": found.error},
        "devices": [] if found is None else [vars(device) for device in found.devices],
    }
