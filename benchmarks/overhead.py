"""What recording costs: operations on small arrays, NumPy against nnx. Run: ``python -m benchmarks.overhead``."""

from __future__ import annotations

import argparse
from typing import Any

from benchmarks.timing import compare, fresh_process, save, table

GATE, GOAL = 0.5, 0.35  # microseconds over NumPy, for the tracked 4x4 addition


def cases() -> dict[str, dict[str, Any]]:
    """Return for each operation: on raw arrays, on untracked and on tracked ones."""
    import numpy as np

    import nnx

    ns = nnx.differentiable(np)
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((4, 4), dtype=np.float32) for _ in range(2))
    operations = {
        "add": lambda x, y: x + y,
        "multiply": lambda x, y: x * y,
        "matmul": lambda x, y: x @ y,
        "slice": lambda x, y: x[1:],
    }
    functions = {"tanh": (np.tanh, ns.tanh), "sum": (np.sum, ns.sum)}
    found: dict[str, dict[str, Any]] = {}
    kinds = {
        "NumPy": (a, b),
        "untracked": (ns.asarray(a), ns.asarray(b)),
        "tracked": (nnx.variable(a), nnx.variable(b)),
    }
    for name, operation in operations.items():
        found[name] = {k: _repeat(operation, x, y) for k, (x, y) in kinds.items()}
    for name, (raw, recorded) in functions.items():
        found[name] = {
            k: _repeat(lambda x, _, f=raw if k == "NumPy" else recorded: f(x), x, y) for k, (x, y) in kinds.items()
        }
    return found


def _repeat(operation: Any, x: Any, y: Any, times: int = 1000) -> Any:
    def repeated() -> None:
        for _ in range(times):
            operation(x, y)

    return repeated


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/overhead.json")
    options = parser.parse_args()
    fresh_process(1)
    rows = []
    for name, contenders in cases().items():
        results = compare(contenders, rounds=options.rounds, seconds=0.05)
        for r in results.values():  # the functions repeat an operation 1000 times
            r["median_us"] /= 1000
            r["quartiles_us"] = [q / 1000 for q in r["quartiles_us"]]
            r["samples_us"] = [s / 1000 for s in r["samples_us"]]
        over = {k: results[k]["median_us"] - results["NumPy"]["median_us"] for k in ("untracked", "tracked")}
        print(table(f"{name}, 4x4 float32", results))
        print(f"  over NumPy: untracked {over['untracked']:+.2f} µs, tracked {over['tracked']:+.2f} µs\n")
        rows.append({"operation": name, "over_numpy_us": over, "results": results})
    tracked = rows[0]["over_numpy_us"]["tracked"]
    verdict = "met" if tracked <= GATE else "MISSED"
    print(f"tracked addition: {tracked:.2f} µs over NumPy; gate {GATE} {verdict}, goal {GOAL}")
    if options.save:
        print("written:", save("overhead", {"gate_us": GATE, "goal_us": GOAL, "rows": rows}).name)


if __name__ == "__main__":
    main()
