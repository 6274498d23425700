"""Every example runs, from another folder, and meets its own assertions."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
SHORT = {
    "loop_record": [],
    "loop_value_and_grad": [],
    "mnist_mlp": ["--samples", "2000", "--epochs", "1", "--seeds", "1", "--verbose", "0"],
    "numpy_and_scipy": [],
    "quickstart": [],
}
NEEDS = {"quickstart": "matplotlib", "numpy_and_scipy": "scipy"}


def mnist_is_here():
    folder = os.environ.get("NNX_DATA")
    return folder is not None and (Path(folder) / "mnist").is_dir()


def test_every_example_is_run_here():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(SHORT)


@pytest.mark.parametrize("name", SHORT)
def test_example(name, tmp_path):
    if name == "mnist_mlp" and not mnist_is_here():
        pytest.skip("MNIST is not under NNX_DATA")
    pytest.importorskip(NEEDS.get(name, "numpy"))
    path = EXAMPLES / f"{name}.py"
    assert len(path.read_text().splitlines()) <= 150
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent)}
    command = [sys.executable, "-W", "error", str(path), *SHORT[name]]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    if name == "quickstart":
        assert (tmp_path / "quickstart.png").read_bytes().startswith(b"\x89PNG")
        assert "held-out accuracy" in run.stdout
