"""One step of every optimizer, nnx against PyTorch, on the CPU. Run: ``python -m benchmarks.optim``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from benchmarks.timing import compare, fresh_process, ratio, save, table

TENSORS = 100
SHAPES = {"100 tensors × 10⁵ elements": (400, 250), "100 tensors × 100 elements": (20, 5)}
# name -> (options, how PyTorch runs it: fused where it has that, else foreach, else neither)
OPTIMIZERS: dict[str, tuple[dict[str, Any], str]] = {
    "SGD": ({"momentum": 0.9}, "fused"),
    "Adam": ({}, "fused"),
    "AdamW": ({}, "fused"),
    "Adagrad": ({}, "fused"),
    "Adamax": ({}, "foreach"),
    "NAdam": ({}, "foreach"),
    "RAdam": ({}, "foreach"),
    "Adadelta": ({}, "foreach"),
    "RMSprop": ({"momentum": 0.9}, "foreach"),
    "Rprop": ({}, "foreach"),
    "ASGD": ({}, "foreach"),
    "Adafactor": ({}, "foreach"),
    "Muon": ({}, ""),
}
GATE = 1.0


def contenders(name: str, shape: tuple[int, ...]) -> dict[str, Callable[[], Any]]:
    """Return a step from equal parameters and gradients in both libraries."""
    import numpy as np
    import torch

    import nnx

    options, mode = OPTIMIZERS[name]
    rng = np.random.default_rng(0)
    values = [rng.standard_normal(shape, dtype=np.float32) for _ in range(TENSORS)]
    grads = [rng.standard_normal(shape, dtype=np.float32) for _ in range(TENSORS)]
    ours = [nnx.Parameter(v) for v in values]
    theirs = [torch.nn.Parameter(torch.from_numpy(v.copy())) for v in values]
    for p, q, g in zip(ours, theirs, grads, strict=True):
        p.grad = g
        q.grad = torch.from_numpy(g.copy())
    optimizer = getattr(nnx.optim, name)(ours, lr=1e-4, **options)
    kind = getattr(torch.optim, name)
    torch_optimizer = kind(theirs, lr=1e-4, **options, **({mode: True} if mode else {}))
    label = f"torch {mode}" if mode else "torch"
    return {"nnx": optimizer.step, label: torch_optimizer.step}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", choices=OPTIMIZERS, help="measure one optimizer")
    parser.add_argument("--save", action="store_true", help="write a file to benchmarks/results")
    options = parser.parse_args()
    fresh_process(options.threads)

    import torch

    torch.set_num_threads(options.threads)
    rows = []
    for name in [options.only] if options.only else OPTIMIZERS:
        for title, shape in SHAPES.items():
            results = compare(contenders(name, shape), rounds=options.rounds)
            ours, theirs = results
            factor = ratio(results, ours, theirs)
            print(table(f"{name}, {title}", results))
            print(f"  ratio {factor:.2f}   gate {GATE} {'met' if factor <= GATE else 'MISSED'}\n")
            rows.append({"work": f"{name}, {title}", "ratio": factor, "gate": GATE, "results": results})
    if options.save:
        name = "optim" if options.threads == 1 else f"optim_{options.threads}_threads"
        print("written:", save(name, {"rows": rows}).name)


if __name__ == "__main__":
    main()
