"""Training steps of two small MLPs, nnx against PyTorch eager, on the CPU. Run: ``python -m benchmarks.mlp``."""

from __future__ import annotations

import argparse
import itertools
from typing import Any

from benchmarks.timing import compare, fresh_process, ratio, save, table


def contenders(sizes: tuple[int, int, int], batch: int, adam: bool) -> dict[str, Any]:
    """Return one step (forward, backward, and Adam's update if asked for) in both libraries, from equal weights."""
    import numpy as np
    import torch

    import nnx

    rng = np.random.default_rng(0)
    inputs, hidden, classes = sizes
    batches = [
        (rng.standard_normal((batch, inputs), dtype=np.float32), rng.integers(0, classes, batch)) for _ in range(8)
    ]

    net = nnx.Sequential(nnx.Linear(inputs, hidden), nnx.ReLU(), nnx.Linear(hidden, classes))
    loss_of = nnx.CrossEntropyLoss()
    optimizer = nnx.optim.Adam(net, lr=1e-3)
    ours = itertools.cycle(batches)

    def nnx_step() -> None:
        x, y = next(ours)
        with nnx.record():
            loss = loss_of(net(x), y)
        loss.backward()
        if adam:
            optimizer.step()
        optimizer.zero_grad()

    torch_net = torch.nn.Sequential(torch.nn.Linear(inputs, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, classes))
    torch_net.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in net.state_dict().items()})
    torch_loss = torch.nn.CrossEntropyLoss()
    torch_optimizer = torch.optim.Adam(torch_net.parameters(), lr=1e-3, fused=True)
    theirs = itertools.cycle([(torch.from_numpy(x), torch.from_numpy(y)) for x, y in batches])

    def torch_step() -> None:
        x, y = next(theirs)
        torch_optimizer.zero_grad()
        torch_loss(torch_net(x), y).backward()
        if adam:
            torch_optimizer.step()

    return {"nnx": nnx_step, "torch eager" + (", fused Adam" if adam else ""): torch_step}


ROWS = (
    ("MLP 784-128-10, batch 32, forward + backward + Adam", (784, 128, 10), True, 0.9, 0.75),
    ("MLP 64-32-10, batch 32, forward + backward", (64, 32, 10), False, 0.75, 0.5),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--save", action="store_true", help="write a file to benchmarks/results")
    options = parser.parse_args()
    fresh_process(options.threads)

    import torch

    torch.set_num_threads(options.threads)
    rows = []
    for title, sizes, adam, gate, goal in ROWS:
        results = compare(contenders(sizes, 32, adam), rounds=options.rounds)
        name, other = results
        factor = ratio(results, name, other)
        print(table(title, results))
        print(f"  ratio {factor:.2f}   gate {gate} {'met' if factor <= gate else 'MISSED'}   goal {goal}\n")
        rows.append({"work": title, "ratio": factor, "gate": gate, "goal": goal, "results": results})
    if options.save:
        name = "mlp" if options.threads == 1 else f"mlp_{options.threads}_threads"
        print("written:", save(name, {"rows": rows}).name)


if __name__ == "__main__":
    main()
