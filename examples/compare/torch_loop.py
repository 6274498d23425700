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


def channels_first(images):
    """Return images (N, H, W, C) as a tensor (N, C, H, W), laid out in memory as they were."""
    return torch.from_numpy(images).permute(0, 3, 1, 2)


def random_crop(images, padding):
    """Shift each image by up to `padding` pixels in both directions; zeros fill the border."""
    count, _, height, width = images.shape
    padded = torch.nn.functional.pad(images, (padding,) * 4)
    top, left = torch.randint(2 * padding + 1, (2, count, 1))
    rows, columns = top + torch.arange(height), left + torch.arange(width)
    taken = padded.permute(0, 2, 3, 1)[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return taken.permute(0, 3, 1, 2)


def random_flip(images):
    """Swap left and right in half of the images."""
    chosen = torch.rand(len(images)) < 0.5
    return torch.where(chosen[:, None, None, None], images.flip(-1), images)


def train(net, loss_of, optimizer, x, y, *, epochs, batch_size, anneal=False, one_cycle=None, augment=None):
    """Go through the tensors in a new order in every epoch; `augment` is a function of the inputs of a batch.

    `anneal` lets the learning rate fall to 0, as a cosine; `one_cycle` is the highest learning rate of a single cycle.
    """
    steps = epochs * -(-len(x) // batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps) if anneal else None
    if one_cycle is not None:
        # The momentum stays as it is: nnx's schedules are of the learning rate alone.
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, one_cycle, total_steps=steps, cycle_momentum=False)
    net.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(x)).split(batch_size):
            optimizer.zero_grad()
            inputs = x[batch] if augment is None else augment(x[batch])
            loss_of(net(inputs), y[batch]).backward()
            optimizer.step()
            if schedule is not None:
                schedule.step()
    net.eval()


def accuracy(net, x, y):
    """Return the share of images whose class is found, in evaluation mode."""
    with torch.no_grad():
        found = torch.cat([net(part).argmax(dim=-1) for part in x.split(500)])
    return (found == y).double().mean()
