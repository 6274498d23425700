"""What examples reach beside the same recipe in PyTorch (``examples/compare``), seed by seed.

Run: ``python -m benchmarks.recipes --save``, an hour on one core. With ``--only NAME`` that recipe's figures take the
place of its old ones in the file. Initial weights differ, so that means are what to compare.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.timing import RESULTS, fresh_process, machine, save

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
MARGIN = 0.015  # what nnx may fall short of PyTorch by
RECIPES = (
    "spiral",
    "logistic_regression",
    "fashion_mnist_mlp",
    "california_housing",
    "mnist_cnn",
    "fashion_mnist_cnn",
    "cifar_resnet20",
    "transfer_learning",
    "segmentation",
)
# What an example promises whatever PyTorch reaches, by (example, part of it).
FLOORS = {
    ("spiral", "L2 penalty"): 0.80,
    ("spiral", "dropout"): 0.80,
    ("logistic_regression", "2-64-1"): 0.90,
    ("fashion_mnist_mlp", ""): 0.88,
    ("mnist_cnn", ""): 0.99,
    ("fashion_mnist_cnn", "plain"): 0.905,
    ("fashion_mnist_cnn", "BatchNorm"): 0.92,
}
_LINE = re.compile(r"^(?:(?P<part>.+), )?seed \d+: (?:.*, )?held-out (?P<measure>\w+) (?P<value>-?\d+\.\d+)$", re.M)


def figures(output: str) -> dict[tuple[str, str], list[float]]:
    """Return what a script printed for its seeds, in order, by (part of the recipe, what was measured)."""
    found: dict[tuple[str, str], list[float]] = {}
    for line in _LINE.finditer(output):
        found.setdefault((line["part"] or "", line["measure"]), []).append(float(line["value"]))
    return found


def bar(name: str, part: str, theirs: list[float]) -> float:
    """Return what the mean of nnx has to reach."""
    return max(FLOORS.get((name, part), 0.0), statistics.mean(theirs) - MARGIN)


def measure(name: str) -> list[dict[str, Any]]:
    """Run an example and its twin; return a row per part of the recipe, with the figures of both."""
    scripts = {"nnx": EXAMPLES / f"{name}.py", "torch": EXAMPLES / "compare" / f"{name}.py"}
    outputs = {
        library: subprocess.run([sys.executable, str(path)], stdout=subprocess.PIPE, text=True, check=True).stdout
        for library, path in scripts.items()
    }
    return compare(name, outputs["nnx"], outputs["torch"])


def compare(name: str, nnx_output: str, torch_output: str) -> list[dict[str, Any]]:
    """Return a row per part of a recipe from what both scripts printed."""
    ours, theirs = figures(nnx_output), figures(torch_output)
    rows = []
    for part, measured in ours:
        values = {"nnx": ours[part, measured], "torch": theirs[part, measured]}
        lowest = bar(name, part, values["torch"])
        rows.append({"example": name, "part": part, "measure": measured, "bar": lowest, "results": values})
    return rows


def replaced(name: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of the result file, with those of one recipe new, in the order of RECIPES."""
    content = json.loads((RESULTS / "recipes.json").read_text(encoding="utf-8"))
    before, now = ({key: found[key] for key in ("cpu", "threads")} for found in (content["machine"], machine()))
    if before != now:
        raise SystemExit(f"The figures in the file are of another machine: {before}, not {now}. Leave out --only.")
    others = [row for row in content["rows"] if row["example"] != name]
    return sorted(others + rows, key=lambda row: RECIPES.index(row["example"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=RECIPES, help="one recipe")
    parser.add_argument("--save", action="store_true", help="write a file to benchmarks/results")
    options = parser.parse_args()
    fresh_process(threads=1)
    import torch  # for its version; without it the twins would have nothing to say

    print(f"PyTorch {torch.__version__}")
    rows = []
    for name in [options.only] if options.only else RECIPES:
        for row in measure(name):
            means = {library: statistics.mean(values) for library, values in row["results"].items()}
            print(name, row["part"], row["measure"], *(f"{k} {v:.4f}" for k, v in means.items()), flush=True)
            rows.append(row)
    if options.save:
        rows = replaced(options.only, rows) if options.only else rows
        print("written:", save("recipes", {"rows": rows}).name)


if __name__ == "__main__":
    main()
