"""What the README and the packaging promise: names that exist, blocks that run, extras that bring what is needed."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import nnx

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
IMPORTED_AS = {"scikit-learn": "sklearn"}
BLOCKS = dict(re.findall(r"<!-- ci: (\w+) -->\n```python\n(.*?)```", README, re.DOTALL))


def test_every_name_in_the_readme_exists():
    names = set(re.findall(r"(?<![\w.\-/])nnx(?:\.[A-Za-z_]\w*)+", README)) - {"nnx.backends"}
    assert {"nnx.Model", "nnx.grad", "nnx.save_weights"} <= names
    missing = []
    for name in sorted(names):
        found = nnx
        for part in name.split(".")[1:]:
            if not hasattr(found, part) and type(found) is type(nnx):
                try:
                    importlib.import_module(f"{found.__name__}.{part}")
                except ModuleNotFoundError:
                    missing.append(name)
                    break
            found = getattr(found, part)
    assert missing == []


def test_every_path_in_the_readme_exists():
    paths = set(re.findall(r"`((?:nnx|backends|tests|examples|benchmarks)/[\w./]*)`|\]\(([\w./]+)\)", README))
    assert len(paths) > 5
    assert [path for pair in paths for path in pair if path and not (ROOT / path).exists()] == []


@pytest.mark.parametrize("name", ["example", "loop", "gradient"])
def test_blocks_run(name, tmp_path):
    command = [sys.executable, "-W", "error", "-c", BLOCKS[name]]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    if name == "example":
        accuracy = re.search(r"'accuracy': ([\d.]+)", done.stdout)
        assert accuracy is not None
        assert float(accuracy[1]) > 0.95


def test_the_first_example_shows_model():
    assert next(iter(BLOCKS)) == "example"
    assert "nnx.Model(" in BLOCKS["example"]


def test_what_the_readme_leaves_behind_is_ignored():
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    quickstart = (ROOT / "examples" / "quickstart.py").read_text(encoding="utf-8")
    picture = re.search(r'"--picture", default="([^"]+)"', quickstart)
    assert picture is not None
    assert picture[1] in ignored
    assert "*.safetensors" in ignored


def brought_by(extra: str) -> set[str]:
    """The top-level names that can be imported once nnx is installed with an extra."""
    names: set[str] = set()
    for requirement in PROJECT["optional-dependencies"][extra]:
        own = re.fullmatch(r"nnx-array\[(.*)\]", requirement)
        if own:
            names = names.union(*map(brought_by, own[1].split(",")))
        else:
            names.add(_imported_as(requirement))
    return names


def _imported_as(requirement: str) -> str:
    name = re.match(r"[\w\-]+", requirement)
    assert name is not None
    return IMPORTED_AS.get(name[0], name[0].replace("-", "_"))


def test_the_tests_import_only_what_their_extra_brings():
    known = brought_by("test") | set(map(_imported_as, PROJECT["dependencies"])) | set(sys.stdlib_module_names)
    unknown = {}
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:  # those inside functions may be guarded
            targets = []
            if isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                targets = [node.module or ""]
            for target in targets:
                root = target.partition(".")[0]
                if root not in known | {"nnx", "tests", "benchmarks"}:
                    unknown[str(path.relative_to(ROOT))] = root
    assert unknown == {}, "add it to the extra `test`, or import it with pytest.importorskip"
