"""Every example runs, from another folder, and meets its own assertions; its twin in PyTorch runs, or says why not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import nnx
from tests import activation_table

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
# Without arguments an example runs as users run it, and is held to its full bar.
SHORT = {
    "california_housing": [],
    "cifar_resnet20": ["--samples", "200", "--epochs", "1", "--seeds", "1", "--verbose", "0"],
    "depth_and_kernel_size": ["--samples", "200", "--epochs", "1"],
    "fashion_mnist_cnn": ["--samples", "3000", "--epochs", "1", "--seeds", "1", "--verbose", "0"],
    "fashion_mnist_mlp": ["--samples", "6000", "--epochs", "1", "--seeds", "1", "--verbose", "0"],
    "feature_hierarchy": ["--samples", "500", "--epochs", "1"],
    "gallery": [],
    "logistic_regression": ["--seeds", "3"],
    "loop_record": [],
    "loop_value_and_grad": [],
    "mnist_cnn": ["--samples", "3000", "--epochs", "1", "--seeds", "1", "--verbose", "0"],
    "mnist_mlp": ["--samples", "2000", "--epochs", "1", "--seeds", "1", "--verbose", "0"],
    "numpy_and_scipy": [],
    "optimizers": [],
    "quickstart": [],
    "segmentation": ["--samples", "64", "--epochs", "2", "--seeds", "1", "--verbose", "0"],
    "spiral": ["--seeds", "3"],
    "transfer_learning": ["--samples", "5000", "--seeds", "2"],
}
PICTURES = {
    "california_housing": ["california_housing.png"],
    "cifar_resnet20": ["cifar_resnet20.png"],
    "depth_and_kernel_size": ["depth_and_kernel_size.png"],
    "fashion_mnist_cnn": ["fashion_mnist_cnn.png"],
    "fashion_mnist_mlp": ["fashion_mnist_mlp.png"],
    "feature_hierarchy": ["feature_maps.png", "filters.png", "patches.png", "saliency.png"],
    "gallery": ["activations.png", "schedules.png"],
    "logistic_regression": ["logistic_regression.png"],
    "mnist_cnn": ["mnist_cnn.png"],
    "optimizers": ["optimizers.png"],
    "quickstart": ["quickstart.png"],
    "segmentation": ["segmentation.png"],
    "spiral": ["spiral.png"],
    "transfer_learning": ["transfer_learning.png"],
}
NEEDS = {**dict.fromkeys(PICTURES, "matplotlib"), "numpy_and_scipy": "scipy"}
DATA = {
    "california_housing": "california_housing",
    "cifar_resnet20": "cifar10_subset",
    "depth_and_kernel_size": "fashion_mnist",
    "fashion_mnist_cnn": "fashion_mnist",
    "fashion_mnist_mlp": "fashion_mnist",
    "feature_hierarchy": "cifar10_subset",
    "mnist_cnn": "mnist",
    "mnist_mlp": "mnist",
    "transfer_learning": "mnist",
}
TWINS = {
    "california_housing": ["--seeds", "1", "--epochs", "1"],
    "cifar_resnet20": ["--seeds", "1", "--epochs", "1", "--samples", "200"],
    "fashion_mnist_cnn": ["--seeds", "1", "--epochs", "1", "--samples", "3000"],
    "fashion_mnist_mlp": ["--seeds", "1", "--epochs", "1", "--samples", "6000"],
    "logistic_regression": ["--seeds", "1"],
    "mnist_cnn": ["--seeds", "1", "--epochs", "1", "--samples", "3000"],
    "segmentation": ["--seeds", "1", "--epochs", "1", "--samples", "64"],
    "spiral": ["--seeds", "1"],
    "transfer_learning": ["--seeds", "1", "--samples", "5000"],
}


def skip_without_data(name):
    folder = os.environ.get("NNX_DATA")
    if name in DATA and (folder is None or not (Path(folder) / DATA[name]).is_dir()):
        pytest.skip(f"{DATA[name]} is not under NNX_DATA")


def run(path, arguments, cwd, *folders):
    """Run a script with warnings as errors, with folders to import from, and return what it printed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [*folders, EXAMPLES.parent]))}
    command = [sys.executable, "-W", "error", str(path), *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_run_here():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(SHORT)
    assert {path.stem for path in EXAMPLES.glob("compare/*.py")} == {*TWINS, "torch_loop"}
    assert set(TWINS) <= set(SHORT)


@pytest.mark.parametrize("name", SHORT)
def test_example(name, tmp_path):
    skip_without_data(name)
    pytest.importorskip(NEEDS.get(name, "numpy"))
    path = EXAMPLES / f"{name}.py"
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 150
    output = run(path, SHORT[name], tmp_path)
    assert sorted(found.name for found in tmp_path.iterdir()) == PICTURES.get(name, [])
    for picture in PICTURES.get(name, []):
        assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")
    if name == "quickstart":
        assert "held-out accuracy" in output


@pytest.mark.parametrize("name", TWINS)
def test_twin_in_torch(name, tmp_path):
    skip_without_data(name)
    pytest.importorskip("torch")
    assert ", seed 0: held-out " in f", {run(EXAMPLES / 'compare' / f'{name}.py', TWINS[name], tmp_path)}"


@pytest.mark.parametrize("name", TWINS)
def test_twin_without_torch_says_so(name, tmp_path):
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')")
    output = run(EXAMPLES / "compare" / f"{name}.py", [], tmp_path, tmp_path)
    assert output.startswith("skipped: ")
    assert "PyTorch, which is not installed (pip install torch)" in output


def test_the_gallery_leaves_nothing_out():
    source = (EXAMPLES / "gallery.py").read_text(encoding="utf-8")
    names = {f"F.{row.function}" for row in activation_table.ALL}
    public = {name for name in vars(nnx.optim.schedules) if callable(getattr(nnx.optim.schedules, name))}
    names |= {f"schedules.{name}(" for name in public - {"Schedule"}}
    assert len(names) > 40
    assert {name for name in names if name not in source} == set()


def test_every_optimizer_is_compared():
    source = (EXAMPLES / "optimizers.py").read_text(encoding="utf-8")
    classes = [each for each in vars(nnx.optim).values() if isinstance(each, type)]
    names = {each.__name__ for each in classes if issubclass(each, nnx.optim.Optimizer)} - {"Optimizer"}
    assert {"SGD", "Adam"} < names
    assert {name for name in names if f"optim.{name}(" not in source} == set(), "add a line to FAMILIES"


def test_what_examples_leave_behind_is_ignored():
    ignored = (EXAMPLES.parent / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert {picture for pictures in PICTURES.values() for picture in pictures} <= set(ignored)
