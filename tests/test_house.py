"""The order of the house: who may import whom, how long a file may be, what `import nnx` costs."""

from __future__ import annotations

import ast
import os
import re
import statistics
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import nnx

ROOT = Path(__file__).resolve().parent.parent
MAX_LINES = 400
MAX_IMPORT_SECONDS = 0.2

# From the ground up. A module imports from its own package and from the floors below; names on one line share
# a floor, but do not import each other.
FLOORS: list[tuple[str, ...]] = [
    ("errors", "dtypes", "checks", "settings", "precision"),
    ("threads",),
    ("guests",),
    ("registry",),
    ("backend",),
    ("kernels",),
    ("random",),
    ("autodiff",),
    ("functional",),
    ("init", "regularizers", "constraints"),
    ("capture",),
    ("metrics",),
    ("data",),
    ("optim",),
    ("layers",),
    ("losses",),
    ("io",),
    ("models",),
    ("plots",),
    ("training",),
    ("interpret",),
    ("sklearn",),
    ("doctor", "__main__"),
    ("__init__",),
]
FLOOR = {name: height for height, names in enumerate(FLOORS) for name in names}
# Neighbours on one floor that may see each other, one way.
NEIGHBOURS = {("dtypes", "errors"), ("__main__", "doctor")}
# (importing module, imported module): why it may look up. Keep it short; an empty table is the aim.
LOOKS_UP: dict[tuple[str, str], str] = {}

BACKENDS_MAY_IMPORT = {"nnx.backend", "nnx.errors", "nnx.dtypes"}
PURE_ARRAY_API = ("functional", "layers", "losses", "optim")
NOT_ON_IMPORT = ("cupy", "torch", "matplotlib", "scipy", "sklearn")


@dataclass(frozen=True)
class Import:
    importer: str
    target: str
    line: int
    only_for_types: bool

    def __str__(self) -> str:
        return f"{self.importer} (line {self.line}) imports {self.target}"


def module_files(root: Path = ROOT) -> dict[str, Path]:
    """Every module of the library by its import name; a package goes by its own name, not ``__init__``."""
    files = {}
    for folder, package in ((root / "nnx", "nnx"), (root / "backends", "nnx.backends")):
        for path in sorted(folder.rglob("*.py")):
            parts = [package, *path.relative_to(folder).with_suffix("").parts]
            files[".".join(parts).removesuffix(".__init__")] = path
    return files


def imports_of(module: str, path: Path, modules: dict[str, Path]) -> Iterator[Import]:
    """Every import statement of a file, inside functions too, with relative ones resolved."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for statement in node.body
        for inner in ast.walk(statement)
    }
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, base] if base else parents)
            # `from package import name` imports the module package.name if there is one, else the package.
            names = [f"{base}.{alias.name}" for alias in node.names]
            targets = sorted({name if name in modules else base for name in names})
        else:
            continue
        for target in targets:
            yield Import(module, target, node.lineno, id(node) in for_types)


def library_imports(root: Path = ROOT) -> list[Import]:
    modules = module_files(root)
    return [found for module, path in modules.items() for found in imports_of(module, path, modules)]


def floor_name(module: str) -> str:
    return "__init__" if module == "nnx" else module.split(".")[1]


def upward(imports: list[Import]) -> list[str]:
    """The imports within ``nnx`` that run up, or across to a neighbour."""
    wrong = []
    for found in imports:
        if not found.target.startswith("nnx") or (found.importer, found.target) in LOOKS_UP:
            continue
        if found.target.split(".")[0] != "nnx" or found.importer.startswith("nnx.backends"):
            continue
        here, there = floor_name(found.importer), floor_name(found.target)
        if there == "backends":
            wrong.append(f"{found}: nnx names no backend, nnx.backend loads them by name")
        elif here == there or (here, there) in NEIGHBOURS or FLOOR.get(there, 99) < FLOOR.get(here, 99):
            continue
        else:
            wrong.append(f"{found}: {there} is not below {here}")
    return wrong


def cycles(imports: list[Import]) -> list[list[str]]:
    """The groups of modules that reach each other; imports for type checkers do not run, so do not count."""
    graph: dict[str, set[str]] = {}
    for found in imports:
        if not found.only_for_types and found.importer != found.target:
            graph.setdefault(found.importer, set()).add(found.target)
    reach = {module: _reachable(module, graph) for module in graph}
    groups = {
        tuple(sorted({module} | {other for other in reach[module] if module in reach.get(other, ())}))
        for module in graph
        if module in reach[module]
    }
    return [list(group) for group in sorted(groups)]


def _reachable(start: str, graph: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    left = [start]
    while left:
        for target in graph.get(left.pop(), ()):
            if target not in seen:
                seen.add(target)
                left.append(target)
    return seen


def run(code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a snippet in a fresh interpreter that finds this checkout's nnx first, installed or not."""
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_module_has_a_floor():
    names = {floor_name(module) for module in module_files()} - {"backends"}
    assert names <= FLOOR.keys(), f"add to FLOORS, at the height of DESIGN: {sorted(names - FLOOR.keys())}"


def test_imports_only_run_down():
    assert upward(library_imports()) == []


def test_no_import_cycles():
    assert cycles(library_imports()) == []


def test_the_exceptions_are_still_needed():
    found = {(each.importer, each.target) for each in library_imports()}
    assert LOOKS_UP.keys() <= found, f"strike from LOOKS_UP: {sorted(LOOKS_UP.keys() - found)}"


def test_backends_import_only_the_ground_floor_and_siblings():
    wrong = [
        str(found)
        for found in library_imports()
        if found.importer.startswith("nnx.backends")
        and found.target.split(".")[0] in ("nnx", "backends")
        and not found.target.startswith("nnx.backends")
        and found.target not in BACKENDS_MAY_IMPORT
    ]
    assert wrong == []


def test_cuda_launchers_import_no_cupy():
    # backends/simt runs the same launchers on the CPU, where there is no CuPy.
    wrong = [
        str(found)
        for found in library_imports()
        if found.importer.startswith("nnx.backends.cupy.launchers") and found.target.split(".")[0] in ("cupy", "cupyx")
    ]
    assert wrong == []


@pytest.mark.parametrize("floor", PURE_ARRAY_API)
def test_upper_floors_are_pure_array_api(floor: str):
    folder = ROOT / "nnx" / floor
    wrong = []
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Name):
                names = [node.id]
            elif isinstance(node, ast.Import):
                names = [alias.name.split(".")[0] for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [(node.module or "").split(".")[0]]
            if {"np", "numpy", "cupy", "cp"} & set(names):
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert wrong == [], f"only functions of the Array API here: {wrong}"


def test_the_checks_see_what_they_are_there_for(tmp_path: Path):
    sources = {
        "nnx/__init__.py": "from nnx import functional\n",
        "nnx/backend.py": "def f():\n    from nnx.functional import relu\n",
        "nnx/functional/__init__.py": "from .activations import relu\n",
        "nnx/functional/activations.py": "from . import norms\nfrom nnx.errors import ShapeError\n",
        "nnx/functional/norms.py": "from nnx.functional import relu\nimport nnx.backends.numpy\n",
        "nnx/errors.py": "",
        "backends/__init__.py": "",
        "backends/numpy/__init__.py": "import numpy\nfrom . import conv\n",
        "backends/numpy/conv.py": "from nnx.backend import f\n",
    }
    for name, text in sources.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    imports = library_imports(tmp_path)
    assert [line.split(":")[0] for line in upward(imports)] == [
        "nnx.backend (line 2) imports nnx.functional",
        "nnx.functional.norms (line 2) imports nnx.backends.numpy",
    ]
    ring = ["nnx.functional", "nnx.functional.activations", "nnx.functional.norms"]
    assert [set(ring) <= set(group) for group in cycles(imports)] == [True]
    assert ("nnx.backends.numpy", "nnx.backends.numpy.conv") in {(i.importer, i.target) for i in imports}


def test_no_file_is_too_long():
    folders = ("nnx", "backends", "tests", "examples", "benchmarks")
    suffixes = (".py", ".cu", ".cuh", ".cpp", ".hpp")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in suffixes]
    lengths = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8").count("\n") for path in files}
    too_long = {name: lines for name, lines in sorted(lengths.items()) if lines > MAX_LINES}
    assert too_long == {}, f"over {MAX_LINES} lines; give the second subject in each a file of its own"


def test_pyproject_lists_exactly_the_packages_of_the_tree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = project["tool"]["setuptools"]["packages"]
    tree = sorted(module for module, path in module_files().items() if path.name == "__init__.py")
    assert sorted(listed) == tree, "a package that is not listed is missing from the wheel"
    # A folder of modules without __init__.py would import from a checkout and be missing from the wheel.
    for module in module_files():
        assert module in tree or module.rpartition(".")[0] in tree, f"no __init__.py beside {module}"


def test_the_version_is_a_literal_that_the_build_can_read():
    source = (ROOT / "nnx" / "__init__.py").read_text(encoding="utf-8")
    assert re.search(r'^__version__ = "\d+\.\d+\.\d+(?:\.dev\d+|rc\d+)?"$', source, re.MULTILINE)


def test_import_brings_nothing_heavy_along(tmp_path: Path):
    code = f"import sys, nnx; print(*sorted(set(sys.modules) & set({NOT_ON_IMPORT!r})))"
    done = run(code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_what_is_imported_at_the_first_use_is_what_type_checkers_see():
    tree = ast.parse((ROOT / "nnx" / "__init__.py").read_text(encoding="utf-8"))
    (for_types,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {alias.name: node.module for node in for_types.body for alias in node.names}
    assert {name for name, module in seen.items() if module is None} == nnx._MODULES
    assert {name: module for name, module in seen.items() if module} == nnx._NAMES
    for name in seen:
        assert name in dir(nnx)
        assert getattr(nnx, name) is not None
    with pytest.raises(AttributeError, match="module 'nnx' has no attribute 'modles'"):
        nnx.modles  # noqa: B018
    with pytest.raises(AttributeError, match=r"'BatchNorm2d'; nnx\.BatchNorm is for images of any"):
        nnx.BatchNorm2d  # noqa: B018


def test_import_is_quick(tmp_path: Path):
    code = "import time, numpy; start = time.perf_counter(); import nnx; print(time.perf_counter() - start)"
    assert run(code, cwd=tmp_path).returncode == 0  # the first import also writes the bytecode
    seconds = [float(run(code, cwd=tmp_path).stdout) for _ in range(5)]
    assert statistics.median(seconds) <= MAX_IMPORT_SECONDS, f"import nnx after numpy took {seconds}"


def test_backends_refuses_to_be_a_package_of_its_own():
    done = run("import backends", cwd=ROOT)
    assert done.returncode == 1
    assert "expected these modules under the name nnx.backends, got 'backends'" in done.stderr
    assert "Install the checkout (`pip install -e .`) and write `import nnx.backends`" in done.stderr
    assert run("import backends.numpy", cwd=ROOT).returncode == 1


def test_an_uninstalled_checkout_mounts_the_backends(tmp_path: Path):
    # Without the hook of an editable installation, only nnx.backend can know where the folder lies.
    code = """
import sys
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in getattr(finder, "__module__", "")]
import nnx.backend
nnx.backend.load_backend("numpy")
print(sys.modules["nnx.backends"].__file__)
"""
    done = run(code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()) == ROOT / "backends" / "__init__.py"
