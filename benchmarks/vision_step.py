"""Training steps of LeNet-5 and ResNet-20 on the CPU, against PyTorch. Run: ``python -m benchmarks.vision_step``."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable
from typing import Any

from benchmarks.timing import compare, fresh_process, ratio, save, table

BATCH = 64
ROWS = (("LeNet-5", (28, 28, 1)), ("ResNet-20", (32, 32, 3)))


def contenders(name: str, shape: tuple[int, int, int]) -> dict[str, Callable[[], Any]]:
    """Return a step (forward, backward, SGD with momentum) in both libraries, PyTorch in both of its layouts."""
    import numpy as np
    import torch

    import nnx
    from tests.models import torch_twins as twins

    rng = np.random.default_rng(0)
    batches = [(rng.standard_normal((BATCH, *shape), dtype=np.float32), rng.integers(0, 10, BATCH)) for _ in range(4)]
    net = nnx.models.LeNet5() if name == "LeNet-5" else nnx.models.resnet20()
    loss_of = nnx.CrossEntropyLoss()
    optimizer = nnx.optim.SGD(net, lr=1e-3, momentum=0.9)
    ours = itertools.cycle(batches)

    def nnx_step() -> None:
        x, y = next(ours)
        with nnx.record():
            loss = loss_of(net(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    def torch_step(layout: Any) -> Callable[[], None]:
        twin = twins.LeNet5() if name == "LeNet-5" else twins.ResNet(twins.BasicBlock, (3, 3, 3), 10, 16, "cifar")
        twin = twin.to(memory_format=layout)
        optimizer = torch.optim.SGD(twin.parameters(), lr=1e-3, momentum=0.9, fused=True)
        loss_of = torch.nn.CrossEntropyLoss()
        images = [torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1))) for x, _ in batches]
        images = [x.contiguous(memory_format=layout) for x in images]
        theirs = itertools.cycle([(x, torch.from_numpy(y)) for x, (_, y) in zip(images, batches, strict=True)])

        def step() -> None:
            x, y = next(theirs)
            optimizer.zero_grad()
            loss_of(twin(x), y).backward()
            optimizer.step()

        return step

    return {
        "nnx": nnx_step,
        "torch eager": torch_step(torch.contiguous_format),
        "torch eager, channels_last": torch_step(torch.channels_last),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--save", action="store_true", help="write a file to benchmarks/results")
    options = parser.parse_args()
    fresh_process(options.threads)

    import torch

    torch.set_num_threads(options.threads)
    rows = []
    for name, shape in ROWS:
        title = f"{name}, batch {BATCH}, forward + backward + SGD"
        results = compare(contenders(name, shape), rounds=options.rounds, seconds=0.3)
        ours, *others = results
        factors = {other: ratio(results, ours, other) for other in others}
        print(table(title, results))
        print("  ratios", ", ".join(f"{other}: {factor:.2f}" for other, factor in factors.items()), "\n")
        rows.append({"work": title, "ratios": factors, "results": results})
    if options.save:
        name = "vision_step" if options.threads == 1 else f"vision_step_{options.threads}_threads"
        print("written:", save(name, {"rows": rows}).name)


if __name__ == "__main__":
    main()
