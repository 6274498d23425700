"""What is told before anything is measured: checkout, tools, compiled kernels; and what brings them along."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu import bring, first_light, processes, provenance, record

ROOT = Path(__file__).resolve().parent.parent.parent


def look_up(cache: Path) -> dict:
    command = [sys.executable, "-m", "benchmarks.gpu.carried", "--architecture", "90a", "--most", "3"]
    ended = processes.run(command, 60, cwd=ROOT, environment={"XDG_CACHE_HOME": str(cache)})
    found = processes.answer(ended.tail)
    assert found is not None, ended.tail
    return found


def test_stale_kernels_are_counted_and_not_compiled(tmp_path):
    kernels = tmp_path / "nnx" / "kernels"
    kernels.mkdir(parents=True)
    found = look_up(tmp_path)
    assert (found["hits"], found["misses"]) == (0, len(found["missing"]))
    assert found["misses"] >= 1
    assert list(kernels.iterdir()) == []
    # Of the first of them a good entry, under the name that nnx asks for.
    code = (
        "from benchmarks.gpu import ours; kernel = ours.module('cupy.launchers').EVERY[0];"
        "ours.module('cupy.compiler').compile_kernel(kernel, '90a')"
    )
    ended = processes.run([sys.executable, "-c", code], 60, cwd=ROOT, environment={"XDG_CACHE_HOME": str(tmp_path)})
    assert ended.code == 0, ended.tail
    again = look_up(tmp_path)
    assert (again["hits"], again["misses"]) == (1, found["misses"] - 1)


@pytest.mark.parametrize(
    ("hits", "misses", "kept", "good"), [(2, 0, 2, True), (1, 1, 2, False), (2, 0, 1, False), (0, 0, 0, False)]
)
def test_kernels_that_are_not_found_again_are_a_failure(hits, misses, kept, good, tmp_path, monkeypatch):
    monkeypatch.setattr(bring, "KERNELS", tmp_path / "cache")

    def answer(command: list[str], variables: dict[str, str]) -> object:
        if "benchmarks.gpu.carried" in command:
            return {"hits": hits, "misses": misses, "nvrtc": "13.0"}
        (tmp_path / "cache").mkdir()
        for i in range(kept):
            (tmp_path / "cache" / f"{i}.cubin").touch()
        return 2 if hits else 0

    monkeypatch.setattr(bring, "_answer", answer)
    text, found = bring.kernels("90a")
    assert found is good
    assert text.endswith("WRONG") is not good
    monkeypatch.setattr(bring, "_answer", lambda command, variables: "no NVRTC")
    assert bring.kernels("90a") == ("kernels for sm_90a: no NVRTC", False)


def test_it_is_told_what_is_measured_and_with_what(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(first_light, "run_part", lambda *arguments: None)
    monkeypatch.setattr(provenance.shutil, "which", lambda name: None if name == "g++" else f"/bin/{name}")
    assert first_light.main(["--out", str(tmp_path), "--rehearse", "--part", "ceilings"]) == 0
    printed = capsys.readouterr().out
    assert "tools: g++ not here, git /bin/git, nvcc /bin/nvcc" in printed
    assert "compiled kernels for sm_90a" in printed
    (run,) = json.loads((tmp_path / record.SUMMARY).read_text())["runs"]
    assert run["nnx"]["version"] == provenance.checkout()["version"]
    assert len(run["nnx"]["sources"]) == 64
    assert run["tools"]["g++"] is None
    assert run["kernels"]["architectures"] == ["90a"]


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_a_copy_without_history_knows_its_commit_by_its_sources(tmp_path):
    def git(*arguments: str) -> None:
        names = ["-c", "user.name=x", "-c", "user.email=x@x", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *names, *arguments], cwd=tmp_path, check=True, capture_output=True)

    (tmp_path / "nnx").mkdir()
    (tmp_path / "nnx" / "__init__.py").write_text('__version__ = "1.2.3"\n')
    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    found = provenance.checkout(root=tmp_path)
    assert (found["version"], found["changed"], len(found["commit"])) == ("1.2.3", False, 40)
    assert provenance.told(found) == f"nnx 1.2.3, commit {found['commit'][:12]}"
    brought = tmp_path / "checkout.json"
    brought.write_text(json.dumps(found))
    (tmp_path / ".git").rename(tmp_path / "elsewhere")
    assert provenance.checkout(brought, tmp_path) == found
    (tmp_path / "nnx" / "more.py").write_text("")
    other = provenance.checkout(brought, tmp_path)
    assert (other["commit"], other["sources"] == found["sources"]) == (None, False)
    assert provenance.told(other) == f"nnx 1.2.3, sources {other['sources'][:12]}"
    (tmp_path / "elsewhere").rename(tmp_path / ".git")
    changed = provenance.checkout(root=tmp_path)
    assert provenance.told(changed).endswith(", changed")


@pytest.mark.skipif(os.name != "posix", reason="needs a compiler that is named by a variable")
def test_tests_for_a_device_need_no_compiler_for_the_simulator():
    """Without a device they are skipped, which is not a failure; the gates without a device do fail."""
    tests = ["tests/cuda/test_gpu.py::test_roundings_are_those_of_the_simulator", "tests/cuda/test_random.py"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rA", "--maxfail", "1", *tests]
    variables = {"CXX": "no-such-compiler", "NNX_GPU_TESTS_ON": "cupy", "CUDA_VISIBLE_DEVICES": ""}
    ended = processes.run(command, 120, cwd=ROOT, environment=variables)
    assert "1 skipped" in ended.tail
    assert "1 error" in ended.tail
    assert "the gate for CUDA kernels cannot run: g++ was not found" in ended.tail
