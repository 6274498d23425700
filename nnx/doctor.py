"""What nnx finds on this machine, and the command that repairs what is missing: ``python -m nnx doctor``."""

from __future__ import annotations

import difflib
import os
import platform
import re
import sys
import textwrap
from importlib import metadata
from typing import Any

from . import settings
from .backend import available_backends, backend_class, get_num_threads
from .data.datasets.download import cache_directory
from .errors import BackendError
from .registry import load_unchecked

_REQUIRED = ("numpy", "array-api-compat", "safetensors", "tqdm", "threadpoolctl")
_WIDTH = 110
_OPTIONAL = ("matplotlib", "onnx", "pillow", "scikit-learn", "scipy", "tokenizers", "torch")
# Set by people for reasons, and the first suspects when something differs from one machine to another.
_VARIABLES = (
    "CUDA_PATH",
    "CUDA_VISIBLE_DEVICES",
    "CUPY_CACHE_DIR",
    "CUPY_TF32",
    "MKL_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "XDG_CACHE_HOME",
)


def report() -> dict[str, Any]:
    """Return what nnx finds on this machine: plain dicts, lists, strings and numbers.

    Returns
    -------
    report : dict
        ``ok`` (whether NumPy works and nothing is set wrongly), ``problems`` (environment variables of nnx that are set
        wrongly -> what to do), ``versions``, ``platform``, ``blas``, ``backends`` (name -> None or why it cannot
        be used), ``cuda`` (packages, driver, devices with memory in bytes, compiler, cublaslt), ``environment`` and
        ``data``.

    Examples
    --------
    >>> import nnx.doctor
    >>> nnx.doctor.report()["ok"]
    True
    """
    backends = {name: reason or _try_out(name) for name, reason in available_backends().items()}
    problems = _problems(backends)
    return {
        "ok": backends["numpy"] is None and not problems,
        "problems": problems,
        "versions": _versions(),
        "platform": {
            "system": platform.platform(),
            "machine": platform.machine(),
            "cpus": os.cpu_count() or 1,
            "threads": get_num_threads(),
        },
        "blas": _blas(),
        "backends": backends,
        "cuda": backend_class("cupy").diagnosis(),  # type: ignore[attr-defined]
        "environment": {k: v for k, v in sorted(os.environ.items()) if k.startswith("NNX_") or k in _VARIABLES},
        "data": {"NNX_DATA": os.environ.get("NNX_DATA"), "cache": str(cache_directory())},
    }


def _problems(backends: dict[str, str | None]) -> dict[str, str]:
    """What is wrong with the environment variables of nnx, by name; `backends` is what each of them suffers from."""
    found = {name: problem.removeprefix(f"{name}: ") for name, problem in settings.problems().items()}
    name, data = os.environ.get("NNX_BACKEND"), os.environ.get("NNX_DATA")
    if name:
        reason = backends[name] if name in backends else _try_out(name)
        if reason is not None:
            found["NNX_BACKEND"] = f"{reason.rstrip('.')}. Or unset it: arrays are then born on NumPy."
    if data and not os.path.isdir(data):
        found["NNX_DATA"] = f"expected a folder, got {data!r}. Create it, correct or unset the variable."
    for name in os.environ:
        meant = difflib.get_close_matches(name, settings.VARIABLES, n=1, cutoff=0.8)
        if meant and name.startswith("NNX_") and name not in settings.VARIABLES:
            found[name] = f"nnx has no such variable. Did you mean {meant[0]}?"
    return found


def _versions() -> dict[str, str | None]:
    """The versions of nnx, of Python and of packages; None for what is not installed."""
    own = getattr(sys.modules[__package__], "__version__", None)
    found = {
        "nnx": own or _version("nnx-array") or "unknown: a checkout that is not installed",
        "python": platform.python_version(),
    }
    return {**found, **{name: _version(name) for name in (*_REQUIRED, *_OPTIONAL)}}


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _blas() -> list[dict[str, Any]]:
    """The BLAS libraries that are loaded, with the threads that they use."""
    import numpy  # noqa: F401  loads its BLAS library
    from threadpoolctl import threadpool_info

    return [
        {"name": f"{pool['internal_api']} {pool['version'] or ''}".strip(), "threads": pool["num_threads"]}
        for pool in threadpool_info()
        if pool["user_api"] == "blas"
    ]


def _try_out(name: str) -> str | None:
    """Compute something small on a backend; return what went wrong, or None."""
    try:
        backend = load_unchecked(name)
        x = backend.asarray([[1.0, 2.0], [3.0, 4.0]], dtype=backend.xp.float32)
        result = backend.to_numpy(backend.xp.matmul(backend.xp.exp(x - x), x)).tolist()
        backend.synchronize()
    except BackendError as error:
        return str(error)
    except Exception as error:  # whatever a broken installation raises is what the report has to say
        first = str(error).strip().partition("\n")[0].rstrip(".")
        told = f"{type(error).__name__}: {first}" if first else type(error).__name__
        return f"it loads, but does not compute: {told}. {_repair(name)}"
    if result != [[4.0, 6.0], [4.0, 6.0]]:
        return f"it computes [[4, 6], [4, 6]] as {result}. {_repair(name)}"
    return None


def _repair(name: str) -> str:
    if name == "numpy":
        return "Run `pip install --force-reinstall numpy`."
    if name == "cupy":
        return (
            'If a CUDA library is missing, run `pip install "nnx-array[cuda13]"` (for cupy-cuda12x: '
            '`pip install "nnx-array[cuda12]"`), which brings them.'
        )
    return "Update or uninstall the package that registers it."


# ------------------------------------------------------------------ as text


def text(found: dict[str, Any]) -> str:
    """Write a report as aligned plain text.

    Examples
    --------
    >>> import nnx.doctor
    >>> nnx.doctor.text(nnx.doctor.report()).splitlines()[0]
    'Versions'
    """
    platform_rows = {
        "system": found["platform"]["system"],
        "CPUs": f"{found['platform']['cpus']} ({found['platform']['threads']} used by nnx)",
        "BLAS": ", ".join(f"{b['name']} with {b['threads']} threads" for b in found["blas"]) or "none found",
    }
    sections = {
        "Versions": {k: v or "not installed" for k, v in found["versions"].items()},
        "Machine": platform_rows,
        "Backends": {k: "works" if v is None else f"not usable: {v}" for k, v in found["backends"].items()},
        "CUDA": _cuda_rows(found["cuda"]),
        "Environment": found["environment"] or {"(no variable of nnx, CUDA or BLAS is set)": ""},
        "Data": _data_rows(found["data"]),
    }
    if found["problems"]:
        sections["Problems"] = found["problems"]
    width = max(len(key) for key in _keys(sections))
    lines = []
    for title, rows in sections.items():
        lines += ["", title, *(_row(f"  {key:{width}}  ", value) for key, value in rows.items())]
    lines += ["", _verdict(found)]
    return "\n".join(lines[1:])


def _verdict(found: dict[str, Any]) -> str:
    if found["backends"]["numpy"] is not None:
        return "NumPy does not work: nnx cannot run here."
    if found["problems"]:
        return f"NumPy works, but what is said under Problems has to be repaired: {', '.join(found['problems'])}."
    return "NumPy works."


def _row(label: str, value: str) -> str:
    """A row whose text is folded beside its label; a command in backquotes stays on one line, to be copied."""
    joined = re.sub("`[^`]*`", lambda command: command[0].replace(" ", "\0"), value)
    folded = textwrap.fill(
        joined,
        _WIDTH,
        initial_indent=label,
        subsequent_indent=" " * len(label),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return (folded or label).replace("\0", " ").rstrip()


def _keys(sections: dict[str, dict[str, str]]) -> list[str]:
    return [key for rows in sections.values() for key, value in rows.items() if value]


def _cuda_rows(cuda: dict[str, Any]) -> dict[str, str]:
    driver = cuda["driver"]
    if driver is None:
        told = "not found"
    else:
        told = f"runs CUDA {driver['cuda']}" + (f", but fails with error {driver['error']}" if driver["error"] else "")
    rows = {
        "CuPy packages": ", ".join(f"{name} {version}" for name, version in cuda["packages"].items()) or "none",
        "driver": told,
    }
    compiler = cuda["compiler"]
    rows["NVRTC"] = compiler["nvrtc"] or f"not usable: {compiler['problem']}"
    blas = cuda["cublaslt"]
    rows["cuBLASLt"] = f"{blas['version']} ({blas['path']})" if blas["version"] else f"not usable: {blas['problem']}"
    rows["kernel cache"] = (
        f"{compiler['cache']}: {compiler['kept']} compiled files, {compiler['kept_bytes'] / 1e6:.1f} MB, which took "
        f"{compiler['kept_seconds']:.1f} s"
        + (f"; nothing new can be kept: {compiler['not_kept']}" if compiler["not_kept"] else "")
    )
    for architecture, used in compiler["architectures"].items():
        rows[f"sm_{architecture}"] = (
            f"{used['compiled']} files of kernels compiled in {used['seconds']:.1f} s, {used['hits']} from the cache"
        )
    for number, device in enumerate(cuda["devices"]):
        rows[f"device {number}"] = (
            f"{device['name']}, compute capability {device['compute_capability']}, {device['memory'] / 2**30:.1f} GiB"
        )
    return rows


def _data_rows(data: dict[str, str | None]) -> dict[str, str]:
    return {k: f"{v}{'' if os.path.isdir(v) else ' (does not exist)'}" if v else "not set" for k, v in data.items()}


def main() -> int:
    """Print the report; return 0 if NumPy works and no variable is set wrongly, else 1."""
    found = report()
    print(text(found))
    return 0 if found["ok"] else 1
