"""An MLP on MNIST: 784-512-512-10 with dropout, the recipe of the Keras example of this name (0.984 after 20 epochs).

Run: ``python examples/mnist_mlp.py`` (three runs of 20 epochs). The data are found under ``$NNX_DATA/mnist`` or
downloaded.
"""

import argparse

import nnx
from nnx.data.datasets import mnist

TARGET = 0.980

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--seeds", type=int, default=3, help="number of runs")
parser.add_argument("--batch-size", type=int, default=128)
parser.add_argument("--lr", type=float, default=1e-3)
parser.add_argument("--samples", type=int, default=60_000, help="training images to use; fewer skip the check")
parser.add_argument("--backend", default="numpy")
parser.add_argument("--verbose", type=int, default=1)
options = parser.parse_args()

nnx.set_backend(options.backend)
images, labels = mnist("train")  # (60000, 28, 28, 1) float32 in [0, 1], and (60000,) int64
test_images, test_labels = mnist("test")
images, labels = images[: options.samples], labels[: options.samples]


def network() -> nnx.Module:
    return nnx.Sequential(
        nnx.Flatten(),  # (N, 28, 28, 1) -> (N, 784)
        nnx.Linear(784, 512),
        nnx.ReLU(),
        nnx.Dropout(0.2),
        nnx.Linear(512, 512),
        nnx.ReLU(),
        nnx.Dropout(0.2),
        nnx.Linear(512, 10),
    )


def decay_to_zero(steps: int):
    return lambda step: options.lr * (1 - step / steps)


accuracies = []
for seed in range(options.seeds):
    nnx.seed(seed)
    net = network()
    steps = options.epochs * -(-len(images) // options.batch_size)
    model = nnx.Model(net, optimizer=nnx.optim.AdamW(net, lr=decay_to_zero(steps)), metrics=["accuracy"])
    model.fit(images, labels, epochs=options.epochs, batch_size=options.batch_size, verbose=options.verbose)
    result = model.evaluate(test_images, test_labels, batch_size=1000)
    accuracies.append(result["accuracy"])
    print(f"seed {seed}: test accuracy at the last epoch {result['accuracy']:.4f}")

mean = sum(accuracies) / len(accuracies)
print(f"mean of {len(accuracies)}: {mean:.4f}")
if options.samples == 60_000 and options.epochs >= 20:
    assert mean >= TARGET, f"expected at least {TARGET}"
