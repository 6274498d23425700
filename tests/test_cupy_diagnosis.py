"""Why CuPy can or cannot run here, and the command that repairs it, found out without importing CuPy."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import nnx
from nnx import registry
from nnx.errors import BackendError
from tests.cupy_standin import Driver

ROOT = Path(__file__).resolve().parent.parent
diagnosis = importlib.import_module(registry.backend_class("cupy").__module__ + ".diagnosis")


@pytest.mark.parametrize(
    ("installed", "driver", "reason"),
    [
        (
            {},
            Driver(13000),
            'CuPy is not installed; run `pip install "nnx-array[cuda13]"`.',
        ),
        (
            {},
            Driver(12040),
            'CuPy is not installed; run `pip install "nnx-array[cuda12]"`.',
        ),
        (
            {},
            Driver(14010),
            'CuPy is not installed; run `pip install "nnx-array[cuda13]"`.',
        ),
        (
            {},
            Driver(11080),
            'CuPy is not installed; run `pip install "nnx-array[cuda12]"` after updating the NVIDIA driver to 525 '
            "or newer.",
        ),
        (
            {},
            None,
            "CuPy is not installed, and no NVIDIA driver was found. On a machine with an NVIDIA GPU and its driver, "
            'run `pip install "nnx-array[cuda13]"` (driver 580 or newer) or `pip install "nnx-array[cuda12]"` (driver '
            "525 or newer).",
        ),
        (
            {"cupy-cuda12x": "14.2.0", "cupy-cuda13x": "14.2.0"},
            Driver(12040),
            "2 CuPy packages are installed, which overwrite each other: cupy-cuda12x 14.2.0 and cupy-cuda13x 14.2.0; "
            'run `pip uninstall -y cupy-cuda12x cupy-cuda13x` and then `pip install "nnx-array[cuda12]"`.',
        ),
        (
            {"cupy-cuda12x": "13.6.0"},
            Driver(13000),
            "cupy-cuda12x 13.6.0 is too old, nnx needs CuPy 14 or newer; run `pip uninstall -y cupy-cuda12x` and then "
            '`pip install "nnx-array[cuda13]"`.',
        ),
        (
            {"cupy-cuda13x": "14.2.0"},
            None,
            "no NVIDIA driver was found (its library libcuda does not load); install the driver until `nvidia-smi` "
            "works, or start the container with `--gpus all`.",
        ),
        (
            {"cupy-cuda13x": "14.2.0"},
            Driver(12040),
            "the NVIDIA driver is too old: it runs CUDA 12.4, cupy-cuda13x needs CUDA 13; update the driver to 580 or "
            'newer, or run `pip uninstall -y cupy-cuda13x` and then `pip install "nnx-array[cuda12]"`.',
        ),
        (
            {"cupy-cuda12x": "14.2.0"},
            Driver(11080),
            "the NVIDIA driver is too old: it runs CUDA 11.8, cupy-cuda12x needs CUDA 12; update the driver to 525 or "
            "newer.",
        ),
        (
            {"cupy": "14.2.0"},
            Driver(11080),
            "the NVIDIA driver is too old: it runs CUDA 11.8, cupy needs CUDA 12; update the driver to 525 or newer.",
        ),
        (
            {"cupy-cuda13x": "14.2.0"},
            Driver(13000, devices=()),
            "the driver shows no CUDA device; run `nvidia-smi -L` to list them, `unset CUDA_VISIBLE_DEVICES` if that "
            "variable hides them, or start the container with `--gpus all`.",
        ),
        (
            {"cupy-cuda13x": "14.2.0"},
            Driver(13000, error=100),
            "the driver shows no CUDA device; run `nvidia-smi -L` to list them, `unset CUDA_VISIBLE_DEVICES` if that "
            "variable hides them, or start the container with `--gpus all`.",
        ),
        (
            {"cupy-cuda13x": "14.2.0"},
            Driver(13000, error=803),
            "the NVIDIA driver does not start (CUDA error 803); run `nvidia-smi` to see why, and restart the machine "
            "if the driver has just been updated.",
        ),
        ({"cupy-cuda13x": "14.2.0"}, Driver(13000), None),
        ({"cupy-cuda12x": "14.2.0"}, Driver(13000), None),
    ],
)
def test_the_reason_and_its_repair(
    monkeypatch: pytest.MonkeyPatch, installed: dict[str, str], driver: Driver | None, reason: str | None
) -> None:
    monkeypatch.setattr(diagnosis, "packages", lambda: installed)
    monkeypatch.setattr(diagnosis, "load_driver", lambda: driver)
    monkeypatch.setattr(diagnosis.util, "find_spec", lambda name: None)
    assert nnx.available_backends()["cupy"] == reason
    if reason is not None and "cupy" not in registry._loaded:
        with pytest.raises(BackendError, match=re.escape(f"backend 'cupy' is not available: {reason}")):
            nnx.set_backend("cupy")


def test_packages_are_found_by_their_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["CuPy_CUDA13x", "cupy", "cupy-rocm-7-0", "cupyx-helper", "cuda-python", "numpy"]
    found = [SimpleNamespace(metadata={"Name": name}, version="14.2.0") for name in names]
    monkeypatch.setattr(diagnosis.metadata, "distributions", lambda: found)
    assert list(diagnosis.packages()) == ["cupy", "cupy-cuda13x", "cupy-rocm-7-0"]


def test_a_driver_library_that_is_missing_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> Any:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(diagnosis.ctypes, "CDLL", refuse)
    assert diagnosis.driver() is None


def test_the_diagnosis_lists_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "load_driver", lambda: Driver(13000, ("NVIDIA H200", "NVIDIA H200")))
    monkeypatch.setattr(diagnosis, "packages", lambda: {"cupy-cuda13x": "14.2.0"})
    found = registry.backend_class("cupy").diagnosis()
    assert list(found.pop("compiler")["architectures"]) == ["90a"]
    assert set(found.pop("cublaslt")) >= {"version", "path", "problem"}
    assert found == {
        "packages": {"cupy-cuda13x": "14.2.0"},
        "driver": {"cuda": "13.0", "error": 0},
        "devices": [{"name": "NVIDIA H200", "compute_capability": "9.0", "memory": 141 * 2**30}] * 2,
    }


def test_asking_what_is_available_imports_no_cupy(tmp_path: Path) -> None:
    (tmp_path / "cupy.py").write_text("raise AssertionError('imported')")
    code = "import sys, nnx; print(nnx.available_backends()['cupy'] is None, 'cupy' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": f"{ROOT}:{tmp_path}", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[1] == "False"
