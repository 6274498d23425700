"""From source to cubin: the cache on disk and everything that may be wrong with it, errors and their texts."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from nnx.errors import BackendError
from tests.cuda.own_kernels import module, own, source

cache, compiler, nvrtc = module("cupy.cache"), module("cupy.compiler"), module("cupy.nvrtc")
MASK = module("cupy.launchers.random").MASK
SCALE = module("cupy.launchers.dropout").MASKED_SCALE


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache, on disk and in memory."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(compiler, "_cubins", {})
    monkeypatch.setattr(compiler, "statistics", compiler.Statistics())
    return tmp_path / "nnx" / "kernels"


def again(kernel: Any = MASK, architecture: str = "90a") -> Any:
    """Compile as a new process would."""
    compiler._cubins.clear()
    return compiler.compile_kernel(kernel, architecture)


def counts() -> tuple[int, int]:
    return compiler.statistics.compiled, compiler.statistics.hits


# ------------------------------------------------------------------ the cache


def test_a_second_process_reads_what_the_first_one_compiled(fresh: Path) -> None:
    first = again()
    assert (first.from_cache, first.code[:4]) == (False, b"\x7fELF")
    second = again()
    assert (second.from_cache, second.code, second.usage) == (True, first.code, first.usage)
    assert second.seconds == first.seconds > 0
    assert counts() == (1, 1)
    assert [path.name.rpartition("-")[0] for path in fresh.iterdir()] == ["random-sm_90a"]
    assert compiler.compile_kernel(MASK, "90a") is second  # in this process: from memory
    assert counts() == (1, 1)


def test_all_that_decides_is_in_the_key(fresh: Path) -> None:
    text = source.read_source("random.cu")
    changed_header = dataclasses.replace(text, headers=tuple((n, t + "\n// more") for n, t in text.headers))
    changed_text = dataclasses.replace(text, text=text.text + "\n// more")
    kernels = [MASK, *(dataclasses.replace(MASK, given=given) for given in (changed_header, changed_text))]
    for kernel in [*kernels, SCALE["float32"], SCALE["float64"]]:
        again(kernel)
    again(MASK, "80")
    assert counts() == (6, 0)
    assert len(list(fresh.iterdir())) == 6


def test_another_version_of_the_compiler_compiles_anew(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    again()
    by = dataclasses.replace(nvrtc.load_compiler(), version=(13, 1))
    monkeypatch.setattr(compiler, "load_compiler", lambda newest: by)
    again()
    assert counts() == (2, 0)


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "no facts", "other facts", "a folder"])
def test_a_broken_entry_is_compiled_anew(fresh: Path, damage: str) -> None:
    good = again()
    (path,) = fresh.iterdir()
    data = path.read_bytes()
    if damage == "a folder":
        path.unlink()
        path.mkdir()
    else:
        facts = {} if damage == "no facts" else {"usage": {"draw_mask": {"wrong": 1}}}
        broken = {"cut": data[:-9], "changed": data[:-1] + b"?", "empty": b""}
        path.write_bytes(broken.get(damage, b""))
        if damage not in broken:
            cache.write(path.name, cache.Entry(data.partition(b"\n")[2], 1.0, facts))
    assert (again().code, counts()) == (good.code, (2, 0))
    if damage != "a folder":
        assert (again().code, counts()) == (good.code, (2, 1))


@pytest.mark.parametrize("obstacle", ["a file in the way", "a full disk", "a read-only folder", "no home"])
def test_a_cache_that_cannot_be_written_costs_time_only(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, obstacle: str
) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise OSError(28, "No space left on device")

    def read_only(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    if obstacle == "a file in the way":
        fresh.parent.mkdir()
        fresh.write_text("")
    elif obstacle == "a full disk":
        monkeypatch.setattr(cache.os, "replace", full)
    elif obstacle == "a read-only folder":
        monkeypatch.setattr(cache.tempfile, "mkstemp", read_only)
    else:
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setattr(cache.Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    assert again().code == again().code
    assert counts() == (2, 0)
    assert compiler.statistics.not_kept
    assert module("cupy.precompiling").report()["not_kept"] == compiler.statistics.not_kept
    if obstacle == "a full disk":
        assert "No space left on device" in compiler.statistics.not_kept
        assert list(fresh.iterdir()) == []  # nothing half-written stays
    assert cache.contents(".cubin") == []


# ------------------------------------------------------------------ errors


def test_an_error_of_the_source_names_the_line(fresh: Path) -> None:
    kernel = own("tiled.cu", "tiled", text="#include <common.cuh>\nKERNEL(32) tiled(float* x) { x[0] = y; }\n")
    with pytest.raises(nvrtc.CompileError) as caught:
        again(kernel)
    told = str(caught.value)
    assert told.startswith("tiled.cu does not compile with NVRTC 13.0 and the options -arch=sm_90a")
    assert 'tiled.cu(2): error: identifier "y" is undefined' in told
    assert list(fresh.glob("*")) == []


def test_a_kernel_that_does_not_exist() -> None:
    kernel = dataclasses.replace(MASK, name="draw")
    with pytest.raises(BackendError, match=r"random.cu: expected a kernel 'draw', got draw_words, draw_uniform"):
        assert kernel.declaration
    with pytest.raises(BackendError, match=r"the CUDA source .*nowhere.cu cannot be read .*; reinstall nnx-array"):
        source.read_source("nowhere.cu")


def test_a_parameter_of_an_unknown_type() -> None:
    kernel = own("tiled.cu", "tiled", text="KERNEL(32) tiled(float4* x) {}\n")
    with pytest.raises(BackendError, match=r"tiled.cu: tiled: expected parameters of the types bool, .* 'float4\* x'"):
        assert kernel.declaration


@pytest.mark.parametrize(
    ("capability", "architecture"),
    [((8, 0), "80"), ((8, 9), "89"), ((9, 0), "90a"), ((10, 0), "100"), ((12, 1), "121")],
)
def test_the_architecture_of_a_device(capability: tuple[int, int], architecture: str) -> None:
    assert compiler.architecture_of(capability) == architecture


def test_an_old_device_is_refused() -> None:
    with pytest.raises(BackendError, match=r"need compute capability 8.0 or newer, the device has 7.5"):
        compiler.architecture_of((7, 5))


def test_a_missing_compiler_is_told_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvrtc, "_candidates", lambda major: iter([f"libnvrtc.so.{major}.none"]))
    for newest, command in ((13, "nvidia-cuda-nvrtc==13.*"), (12, "nvidia-cuda-nvrtc-cu12==12.*")):
        with pytest.raises(BackendError) as caught:
            nvrtc.load_compiler.__wrapped__(newest)
        assert str(caught.value) == (
            f'NVRTC, the compiler of CUDA kernels, was not found. Install it: `pip install "{command}"`.'
        )


def test_a_compiler_that_does_not_load_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "libnvrtc.so.13"
    broken.write_text("no library")
    monkeypatch.setattr(nvrtc, "_candidates", lambda major: iter([str(broken)]))
    with pytest.raises(BackendError, match=r"What was found does not load: .*libnvrtc.so.13: .*Install it"):
        nvrtc.load_compiler.__wrapped__(13)


def test_a_toolkit_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "lib64").mkdir()
    for name in ("libnvrtc.so.13", "libnvrtc-builtins.so.13.0", "libnvrtc.so.12"):
        (tmp_path / "lib64" / name).write_text("")
    monkeypatch.setenv("CUDA_PATH", str(tmp_path))
    found = [path for path in nvrtc._candidates(13) if path.startswith(str(tmp_path))]
    assert found == [str(tmp_path / "lib64" / "libnvrtc.so.13")]


# ------------------------------------------------------------------ ahead of time


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them are compiled in test_compile.py."""
    own = {kernel.file: kernel for kernel in module("cupy.launchers").EVERY}
    kernels = (own["random.cu"], own["dropout.cu"], own["convolution_hopper.cu"])
    monkeypatch.setattr(module("cupy.precompiling"), "EVERY", kernels)


@pytest.mark.usefixtures("few")
def test_precompile(fresh: Path) -> None:
    cupy = module("cupy")
    done = cupy.precompile(["80", "90a"])
    assert [(file.file, file.architecture) for file in done] == [
        ("random.cu", "80"),
        ("random.cu", "90a"),
        ("dropout.cu", "80"),
        ("dropout.cu", "90a"),
        ("convolution_hopper.cu", "90a"),
    ]
    assert not any(file.from_cache for file in done)
    assert len(list(fresh.iterdir())) == len(done) == counts()[0]
    compiler._cubins.clear()
    assert all(file.from_cache for file in cupy.precompile(["80", "90a"]))


@pytest.mark.usefixtures("few")
def test_precompile_for_architectures_that_are_not_among_the_tested(fresh: Path) -> None:
    done = module("cupy").precompile(["103", "121"])
    assert {(file.file, file.architecture) for file in done} == {
        (file, architecture) for file in ("random.cu", "dropout.cu") for architecture in ("103", "121")
    }


@pytest.mark.parametrize("name", ["75", "sm_90", "hello", "", "901"])
def test_precompile_knows_what_there_is(name: str) -> None:
    with pytest.raises(BackendError, match=rf"^precompile: expected architectures among 80, .*, got '{name}'\.$"):
        module("cupy").precompile(["80", name])


@pytest.mark.usefixtures("few")
def test_precompile_for_the_devices_here(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    diagnosis = module("cupy.diagnosis")
    devices = [diagnosis.Device("H200", "9.0", 1), diagnosis.Device("T4", "7.5", 1), diagnosis.Device("H200", "9.0", 1)]
    monkeypatch.setattr(diagnosis, "driver", lambda: diagnosis.Driver((13, 0), devices))
    assert {file.architecture for file in module("cupy").precompile()} == {"90a"}
    report = module("cupy.precompiling").report()
    assert (report["nvrtc"], report["problem"]) == ("13.0", None)
    assert report["architectures"]["90a"]["hits"] == 0
    compiler._cubins.clear()
    report = module("cupy.precompiling").report()
    files = len(list(fresh.iterdir()))
    assert report["architectures"] == {"90a": {"compiled": 0, "seconds": 0, "hits": files}}
    assert (report["kept"], report["cache"]) == (files, str(fresh))
    assert report["kept_bytes"] > 0
    assert report["kept_seconds"] > 0
    monkeypatch.setattr(diagnosis, "driver", lambda: None)
    with pytest.raises(BackendError, match=r"^precompile: no CUDA device was found .* e\.g\. precompile"):
        module("cupy").precompile()
