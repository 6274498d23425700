"""What examples reach beside the same recipe in PyTorch (``examples/compare``), seed by seed.

Run: ``python -m benchmarks.recipes --save``, some minutes. Initial weights differ, so that means are what to compare.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.timing import fresh_process, save

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
MARGIN = 0.015  # what nnx may fall short of PyTorch by
RECIPES = ("spiral", "logistic_regression", "fashion_mnist_mlp", "california_housing")
# What an example promises whatever PyTorch reaches, by (example, part of it).
FLOORS = {
    ("spiral", "L2 penalty"): 0.80,
    ("spiral", "dropout"): 0.80,
    ("logistic_regression", "2-64-1"): 0.90,
    ("fashion_mnist_mlp", ""): 0.88,
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
    ours, theirs = (figures(outputs[library]) for library in scripts)
    rows = []
    for part, measured in ours:
        values = {"nnx": ours[part, measured], "torch": theirs[part, measured]}
        lowest = bar(name, part, values["torch"])
        rows.append({"example": name, "part": part, "measure": measured, "bar": lowest, "results": values})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=RECIPES, help="one recipe; nothing is saved")
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
    if options.save and not options.only:
        print("written:", save("recipes", {"rows": rows}).name)


if __name__ == "__main__":
    main()
