"""What a machine without a network needs beside CuPy, NumPy and PyTorch, gathered where there is one::

    python -m benchmarks.gpu.bring

It fills ``.gpu_wheels`` (which git ignores; some 40 MB) with the packages that nnx and its tests import, for the Python
and the platform of that machine, and with MNIST. Carry the folder along with the checkout: `first_light` uses of
it what the machine does not have.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from . import processes, provenance

FOLDER = Path(__file__).resolve().parent.parent.parent / ".gpu_wheels"
DATA, SUITE, KERNELS = FOLDER / "data", FOLDER / "array-api-tests", FOLDER / "cache"
CHECKOUT = FOLDER / "checkout.json"
LIMIT = 64 << 20
# Distribution -> the oldest version that serves. Nothing here brings another NumPy, CuPy or PyTorch.
NEEDED = {
    "array-api-compat": "1.16",
    "safetensors": "0.5",
    "tqdm": "4.66",
    "threadpoolctl": "3.5",
    "ml-dtypes": "0.5",
    # of the tests
    "pytest": "8.4",
    "pluggy": "1.5",
    "iniconfig": "2.0",
    "packaging": "22",
    "pygments": "2.7",
    "pytest-xdist": "3.6",
    "execnet": "2.1",
    "pytest-timeout": "2.3",
    "pytest-json-report": "1.5",
    "pytest-metadata": "3.1",
    "hypothesis": "6.151",
    "sortedcontainers": "2.4",
    "attrs": "22",
    "ndindex": "1.8",
    "array-api-extra": "0.9",
    "array-api-strict": "2.5",
    "einops": "0.8",
}
_PLATFORMS = (*(f"manylinux_2_{n}" for n in (17, 24, 26, 27, 28, 31, 34)), "manylinux2014", "manylinux1")


def missing_here(folder: Path = FOLDER) -> list[Path]:
    """Return the folders of packages that were brought along and that this machine lacks, or has too old."""
    found = []
    for name, oldest in NEEDED.items():
        place = folder / name
        if not place.is_dir():
            continue
        try:
            if version_of(metadata.version(name)) >= version_of(oldest):
                continue
        except metadata.PackageNotFoundError:
            pass
        found.append(place)
    return found


def version_of(text: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with."""
    match = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def wheels(python: str, machine: str, into: Path, names: Sequence[str] = tuple(NEEDED)) -> list[str]:
    """Download wheels and unpack each into a folder of its own; return what failed."""
    failed = []
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", folder]
            command += ["--python-version", python, "--implementation", "cp"]
            for platform in _PLATFORMS:
                command += ["--platform", f"{platform}_{machine}"]
            done = subprocess.run([*command, f"{name}>={NEEDED[name]}"], capture_output=True, text=True, check=False)
            files = sorted(Path(folder).glob("*.whl"))
            if done.returncode or not files:
                failed.append(f"{name}: {done.stderr.strip()[-300:]}")
                continue
            place = into / name
            shutil.rmtree(place, ignore_errors=True)
            with zipfile.ZipFile(files[0]) as wheel:
                wheel.extractall(place)
            print(f"{files[0].name}: {size_of(place) / 1e6:.1f} MB", flush=True)
    return failed


def size_of(folder: Path) -> int:
    """Return the bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def mnist(source: Path | None) -> str:
    """Copy the files of MNIST; return what was done."""
    root = source or (Path(os.environ["NNX_DATA"]) if "NNX_DATA" in os.environ else None)
    files = sorted((root / "mnist").glob("*-ubyte*")) if root is not None else []
    if not files:
        return "no MNIST: pass --data or set NNX_DATA to a folder with mnist/; the curves will be of synthetic images"
    (DATA / "mnist").mkdir(parents=True, exist_ok=True)
    for file in files:
        target = DATA / "mnist" / file.name
        target.unlink(missing_ok=True)
        shutil.copyfile(file, target)
    return f"MNIST: {len(files)} files from {root}"


def kernels(architecture: str) -> tuple[str, bool]:
    """Compile nnx's kernels ahead of time, into a cache that `first_light` copies to where it can write.

    Returns what was done, and whether another process finds every one of them there.
    """
    code = (
        "import nnx, sys; from nnx.backend import load_backend; load_backend('numpy'); "
        "from nnx.backends.cupy.precompiling import precompile; "
        f"print({processes.ANSWER!r} + str(len(precompile([sys.argv[1]]))))"
    )
    shutil.rmtree(KERNELS, ignore_errors=True)
    variables = {"XDG_CACHE_HOME": str(KERNELS), "PYTHONPATH": str(provenance.ROOT)}
    compiled = _answer([sys.executable, "-c", code, architecture], variables)
    if not isinstance(compiled, int):
        return f"kernels for sm_{architecture}: {compiled}", False
    found = _answer([sys.executable, "-m", "benchmarks.gpu.carried", "--architecture", architecture], variables)
    if not isinstance(found, dict):
        return f"kernels for sm_{architecture}: {found}", False
    kept = len(list(KERNELS.rglob("*.cubin")))
    good = found["misses"] == 0 and found["hits"] == compiled == kept > 0
    told = f"{compiled} compiled, {kept} kept, {found['hits']} found again, {found['misses']} not"
    return f"kernels for sm_{architecture}, NVRTC {found['nvrtc']}: {told}" + ("" if good else ": WRONG"), good


def _answer(command: Sequence[str], variables: dict[str, str]) -> Any:
    """Return what a child answers, or the end of what it printed."""
    done = subprocess.run(
        command, env={**os.environ, **variables}, cwd=provenance.ROOT, capture_output=True, text=True, check=False
    )
    found = processes.answer(done.stdout)
    return (done.stdout + done.stderr).strip()[-300:] if found is None else found


def has_driver() -> bool:
    """Return whether NVIDIA's driver is on this machine."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def suite(source: Path) -> str:
    """Copy a checkout of array-api-tests, with its history: the commit is checked where it runs."""
    shutil.rmtree(SUITE, ignore_errors=True)
    # The commits are asked for by name; git's objects are most of the checkout, and not needed for that.
    left = shutil.ignore_patterns("*.pack", "*.idx", "*.rev", "__pycache__", ".hypothesis")
    shutil.copytree(source, SUITE, symlinks=True, ignore=left)
    return f"array-api-tests from {source}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default="3.12", help="version of Python there (3.12)")
    parser.add_argument("--machine", default="x86_64", help="its processor (x86_64)")
    parser.add_argument("--data", type=Path, help="folder with mnist/; else $NNX_DATA")
    parser.add_argument("--suite", type=Path, help="a checkout of array-api-tests with its submodule")
    parser.add_argument("--architecture", help="compile nnx's kernels for it here: 90a for an H100 or H200")
    options = parser.parse_args(arguments)
    FOLDER.mkdir(exist_ok=True)
    failed = wheels(options.python, options.machine, FOLDER)
    print(mnist(options.data))
    if options.suite is not None:
        print(suite(options.suite))
    CHECKOUT.write_text(json.dumps(provenance.checkout()) + "\n", encoding="utf-8")
    good = True
    if options.architecture:
        text, good = kernels(options.architecture)
        print(text)
    for problem in failed:
        print(f"not brought: {problem}")
    size = size_of(FOLDER)
    print(f"{FOLDER.name}: {size / 1e6:.1f} MB" + (", more than 64 MiB: leave something out" if size > LIMIT else ""))
    return 1 if failed or not good or size > LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())
