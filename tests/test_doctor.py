"""`python -m nnx doctor`: what it reports, how it looks, what it exits with."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnx
from nnx import doctor
from nnx.__main__ import main
from nnx.backend import backend_class

ROOT = Path(__file__).resolve().parent.parent


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "nnx", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without CuPy and without an NVIDIA driver."""
    diagnosis = sys.modules[backend_class("cupy").__module__ + ".diagnosis"]
    monkeypatch.setattr(diagnosis, "packages", dict)
    monkeypatch.setattr(diagnosis, "load_driver", lambda: None)
    monkeypatch.setattr(diagnosis.util, "find_spec", lambda name: None)


# ------------------------------------------------------------------ the report


def test_the_report_is_plain_data() -> None:
    found = doctor.report()
    assert json.loads(json.dumps(found)) == found
    assert found["ok"] is True
    assert found["backends"]["numpy"] is None
    assert "strict" not in found["backends"]
    assert found["versions"]["numpy"] == np.__version__
    assert found["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["versions"]["nnx"]
    assert found["platform"]["cpus"] == os.cpu_count()
    assert found["platform"]["threads"] == nnx.get_num_threads()
    assert set(found["cuda"]) == {"packages", "driver", "devices", "compiler", "cublaslt"}


def test_blas_and_its_threads_are_named() -> None:
    from threadpoolctl import threadpool_info

    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    assert [blas["threads"] for blas in doctor.report()["blas"]] == [pool["num_threads"] for pool in pools]
    assert all(pool["internal_api"] in blas["name"] for pool, blas in zip(pools, doctor.report()["blas"], strict=True))


def test_an_optional_package_that_is_missing_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_OPTIONAL", ("no-such-package-of-anyone",))
    found = doctor.report()
    assert found["versions"]["no-such-package-of-anyone"] is None
    assert "no-such-package-of-anyone  not installed" in doctor.text(found)


@pytest.mark.usefixtures("no_driver")
def test_only_telling_variables_are_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NNX_DATA", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    monkeypatch.setenv("MY_PASSWORD", "hunter2")
    found = doctor.report()
    assert found["environment"]["NNX_DATA"] == str(tmp_path)
    assert found["environment"]["CUDA_VISIBLE_DEVICES"] == "1"
    assert "hunter2" not in doctor.text(found)


def test_data_directories(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NNX_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = doctor.report()
    assert found["data"] == {"NNX_DATA": None, "cache": str(tmp_path / "nnx")}
    assert f"{tmp_path / 'nnx'} (does not exist)" in doctor.text(found)
    (tmp_path / "nnx").mkdir()
    assert "(does not exist)" not in doctor.text(found)


# ------------------------------------------------------------------ a backend that does not compute


class Broken:
    """A backend that loads, but fails at the first operation, or computes nonsense."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error
        self.xp = self
        self.float32 = np.float32

    def asarray(self, obj: Any, dtype: Any = None) -> np.ndarray:
        if self.error is not None:
            raise self.error
        return np.asarray(obj, dtype=dtype)

    def exp(self, x: np.ndarray) -> np.ndarray:
        return x

    def matmul(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return a @ b

    def to_numpy(self, x: np.ndarray) -> np.ndarray:
        return x

    def synchronize(self) -> None:
        pass


@pytest.mark.parametrize(
    ("name", "error", "reason"),
    [
        (
            "cupy",
            RuntimeError("CuPy failed to load libnvrtc.so.13\nmore"),
            "it loads, but does not compute: RuntimeError: CuPy failed to load libnvrtc.so.13. If a CUDA library is "
            'missing, run `pip install "nnx-array[cuda13]"` (for cupy-cuda12x: `pip install "nnx-array[cuda12]"`), '
            "which brings them.",
        ),
        (
            "numpy",
            None,
            "it computes [[4, 6], [4, 6]] as [[0.0, 0.0], [0.0, 0.0]]. Run `pip install --force-reinstall numpy`.",
        ),
        (
            "other",
            ValueError(),
            "it loads, but does not compute: ValueError. Update or uninstall the package that registers it.",
        ),
    ],
)
def test_backends_are_tried_out(
    monkeypatch: pytest.MonkeyPatch, name: str, error: Exception | None, reason: str
) -> None:
    monkeypatch.setattr(doctor, "load_unchecked", lambda name: Broken(error))
    monkeypatch.setattr(doctor, "available_backends", lambda: {"numpy": None, name: None})
    assert doctor.report()["backends"][name] == reason


def test_exit_code_without_a_working_numpy(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(doctor, "load_unchecked", lambda name: Broken(None))
    assert main(["doctor"]) == 1
    assert "NumPy does not work: nnx cannot run here." in capsys.readouterr().out


# ------------------------------------------------------------------ the text


REPORT = {
    "ok": True,
    "problems": {},
    "versions": {"nnx": "1.2.3", "python": "3.12.1", "torch": None},
    "platform": {"system": "Linux-6.1", "machine": "x86_64", "cpus": 16, "threads": 8},
    "blas": [{"name": "openblas 0.3.31", "threads": 8}],
    "backends": {
        "numpy": None,
        "cupy": "the NVIDIA driver is too old: it runs CUDA 12.4, cupy-cuda13x needs CUDA 13; update the driver to 580 "
        'or newer, or run `pip uninstall -y cupy-cuda13x` and then `pip install "nnx-array[cuda12]"`.',
    },
    "cuda": {
        "packages": {"cupy-cuda13x": "14.2.0"},
        "driver": {"cuda": "12.4", "error": 803},
        "devices": [{"name": "NVIDIA H200", "compute_capability": "9.0", "memory": 141 * 2**30}],
        "compiler": {
            "nvrtc": None,
            "problem": 'NVRTC was not found. Install it: `pip install "nvidia-cuda-nvrtc==13.*"`.',
            "architectures": {"90a": {"compiled": 2, "seconds": 0.31, "hits": 1}},
            "cache": "/nowhere/nnx/kernels",
            "kept": 3,
            "not_kept": None,
            "kept_bytes": 120_000,
            "kept_seconds": 0.5,
        },
        "cublaslt": {"version": "12.9.1", "path": "/nowhere/libcublasLt.so.12", "problem": None},
    },
    "environment": {},
    "data": {"NNX_DATA": None, "cache": "/nowhere/nnx"},
}
TEXT = """\
Versions
  nnx            1.2.3
  python         3.12.1
  torch          not installed

Machine
  system         Linux-6.1
  CPUs           16 (8 used by nnx)
  BLAS           openblas 0.3.31 with 8 threads

Backends
  numpy          works
  cupy           not usable: the NVIDIA driver is too old: it runs CUDA 12.4, cupy-cuda13x needs CUDA 13;
                 update the driver to 580 or newer, or run `pip uninstall -y cupy-cuda13x` and then
                 `pip install "nnx-array[cuda12]"`.

CUDA
  CuPy packages  cupy-cuda13x 14.2.0
  driver         runs CUDA 12.4, but fails with error 803
  NVRTC          not usable: NVRTC was not found. Install it: `pip install "nvidia-cuda-nvrtc==13.*"`.
  cuBLASLt       12.9.1 (/nowhere/libcublasLt.so.12)
  kernel cache   /nowhere/nnx/kernels: 3 compiled files, 0.1 MB, which took 0.5 s
  sm_90a         2 files of kernels compiled in 0.3 s, 1 from the cache
  device 0       NVIDIA H200, compute capability 9.0, 141.0 GiB

Environment
  (no variable of nnx, CUDA or BLAS is set)

Data
  NNX_DATA       not set
  cache          /nowhere/nnx (does not exist)

NumPy works."""


def test_the_text_is_aligned_and_keeps_commands_whole() -> None:
    assert doctor.text(REPORT) == TEXT


# ------------------------------------------------------------------ the command line


def test_doctor_runs() -> None:
    done = run("doctor", NNX_KERNELS="off")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Versions\n")
    assert done.stdout.endswith("NumPy works.\n")
    assert "NNX_KERNELS" in done.stdout


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        ({"NNX_KERNELS": "bad"}, "expected one of 'off', 'auto', 'require', got 'bad'. Correct it or unset it."),
        ({"NNX_NUM_THREADS": "x"}, "expected a positive integer, got 'x'. Correct it or unset it."),
        (
            {"NNX_BACKEND": "foo"},
            "unknown backend 'foo': expected one of 'cupy', 'numpy'. Or unset it: arrays are then born on NumPy.",
        ),
        (
            {"NNX_DATA": "/nowhere/at/all"},
            "expected a folder, got '/nowhere/at/all'. Create it, correct or unset the variable.",
        ),
        ({"NNX_THREADS": "2"}, "nnx has no such variable. Did you mean NNX_NUM_THREADS?"),
    ],
)
def test_a_variable_that_is_set_wrongly_is_told_with_the_fix(environment: dict[str, str], problem: str) -> None:
    done = run("doctor", **environment)
    (name,) = environment
    section = " ".join(done.stdout.partition("\nProblems\n")[2].split())
    assert section.startswith(f"{name} {problem}")
    assert section.endswith(f"NumPy works, but what is said under Problems has to be repaired: {name}.")
    assert re.search(r"^  numpy +works$", done.stdout, re.MULTILINE)
    assert (done.returncode, done.stderr) == (1, "")


def test_problems_do_not_hide_each_other() -> None:
    done = run("doctor", NNX_KERNELS="bad", NNX_NUM_THREADS="0")
    assert done.stdout.endswith("has to be repaired: NNX_KERNELS, NNX_NUM_THREADS.\n")
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        ([], 2, ""),
        (["docter"], 2, "python -m nnx: expected a command, got 'docter'.\n"),
        (["doctor", "who"], 2, "python -m nnx doctor: expected no arguments, got 'who'.\n"),
        (["--help"], 0, ""),
    ],
)
def test_usage(capsys: pytest.CaptureFixture, arguments: list[str], code: int, complaint: str) -> None:
    assert main(arguments) == code
    printed = capsys.readouterr()
    usage = printed.err.removeprefix(complaint) if code else printed.out
    assert usage.startswith("usage: python -m nnx COMMAND\n")
    assert "doctor" in usage
    assert printed.err.startswith(complaint)


def test_the_module_exits_with_the_code() -> None:
    assert run().returncode == 2
    assert run("-h").returncode == 0
