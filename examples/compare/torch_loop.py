"""What the scripts of this folder share: PyTorch, or a word that it is missing, and a training loop for arrays."""

import argparse
import sys

try:
    import torch
except ModuleNotFoundError:
    print("skipped: this script is for comparison with PyTorch, which is not installed (pip install torch)")
    sys.exit(0)

torch.set_num_threads(1)


def options(description, seeds, **more):
    """Return the command line: ``--seeds``, and integers with these names and defaults."""
    parser = argparse.ArgumentParser(description=description)
    for name, default in {"seeds": seeds, **more}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    return parser.parse_args()


def tensors(*arrays):
    return [torch.from_numpy(array) for array in arrays]


def train(net, loss_of, optimizer, x, y, *, epochs, batch_size, anneal=False):
    """Go through the tensors in a new order in every epoch; `anneal` lets the learning rate fall to 0, as a cosine."""
    steps = epochs * -(-len(x) // batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps) if anneal else None
    net.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(x)).split(batch_size):
            optimizer.zero_grad()
            loss_of(net(x[batch]), y[batch]).backward()
            optimizer.step()
            if schedule is not None:
                schedule.step()
    net.eval()
