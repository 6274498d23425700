"""Two convolutions on Fashion-MNIST, without and with batch normalisation, on images that are mirrored at random.

Run: ``python examples/fashion_mnist_cnn.py`` (three runs of each, some minutes). The data are found under
``$NNX_DATA/fashion_mnist`` or downloaded. It saves which articles are taken for which, as ``fashion_mnist_cnn.png``.
The same in PyTorch: ``examples/compare/fashion_mnist_cnn.py``.
"""

import argparse
import statistics

import nnx
import nnx.plots
from nnx.data import ArrayDataset, DataLoader
from nnx.data.datasets import FASHION_MNIST_CLASSES, fashion_mnist
from nnx.data.transforms import RandomHorizontalFlip
from nnx.optim.schedules import one_cycle

# What PyTorch reaches with this recipe (mean of 3 seeds); nnx may fall short of it by 1.5 points.
TORCH = {"plain": 0.9106, "BatchNorm": 0.9249}
TARGET = {"plain": 0.905, "BatchNorm": 0.92}
BATCH = 128

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=6)
parser.add_argument("--seeds", type=int, default=3, help="number of runs")
parser.add_argument("--samples", type=int, default=60_000, help="training images to use; fewer skip the check")
parser.add_argument("--picture", default="fashion_mnist_cnn.png")
parser.add_argument("--verbose", type=int, default=1)
options = parser.parse_args()

images, labels = fashion_mnist("train")  # (60000, 28, 28, 1) float32 in [0, 1], and (60000,) int64
test_images, test_labels = fashion_mnist("test")  # looked at once, at the end
images, labels = images[: options.samples], labels[: options.samples]
used = len(images) - len(images) // 12  # the last 5,000 of 60,000 are for validation
steps = options.epochs * -(-used // BATCH)


def network(normalised: bool) -> nnx.Module:
    def norm(features):
        # In training the mean becomes 0 and the variance 1 over each batch, so that the steps can be larger.
        return [nnx.BatchNorm(features)] if normalised else []

    return nnx.Sequential(
        nnx.Conv2d(1, 16, 3, padding=1),  # (N, 28, 28, 1) -> (N, 28, 28, 16)
        nnx.MaxPool2d(2),  # -> (N, 14, 14, 16)
        *norm(16),
        nnx.ReLU(),
        nnx.Conv2d(16, 64, 3, padding=1),  # -> (N, 14, 14, 64)
        nnx.MaxPool2d(2),  # -> (N, 7, 7, 64)
        *norm(64),
        nnx.ReLU(),
        nnx.Flatten(),  # -> (N, 3136)
        nnx.Dropout(0.2),
        nnx.Linear(3136, 128),
        *norm(128),
        nnx.ReLU(),
        nnx.Dropout(0.2),
        nnx.Linear(128, 10),  # one score per kind of clothing
    )


RATES = {"plain": 3e-3, "BatchNorm": 1e-2}
means = {}
for name, rate in RATES.items():
    accuracies = []
    for seed in range(options.seeds):
        nnx.seed(seed)
        net = network(normalised=name == "BatchNorm")
        # A shoe that points the other way is a shoe: every epoch sees half of the images mirrored, others each time.
        pairs = ArrayDataset(images[:used], labels[:used])
        batches = DataLoader(pairs, BATCH, shuffle=True, transform=RandomHorizontalFlip())
        optimizer = nnx.optim.AdamW(net, lr=one_cycle(rate, total_steps=steps), weight_decay=0.01)
        model = nnx.Model(net, loss="cross_entropy", optimizer=optimizer, metrics=["accuracy"])
        kept = (images[used:], labels[used:])
        model.fit(batches, epochs=options.epochs, validation_data=kept, verbose=options.verbose)
        result = model.evaluate(test_images, test_labels, batch_size=500)
        accuracies.append(result["accuracy"])
        print(f"{name}, seed {seed}: held-out accuracy {result['accuracy']:.4f}", flush=True)  # of the last epoch
    means[name] = statistics.mean(accuracies)
    print(f"{name}: mean of {len(accuracies)} {means[name]:.4f} (PyTorch: {TORCH[name]:.4f})")

guesses = model.predict(test_images, batch_size=500).argmax(axis=-1)
counts = nnx.metrics.confusion_matrix(guesses, test_labels, num_classes=10)  # rows: what it is, columns: the guess
nnx.plots.confusion_matrix(counts, FASHION_MNIST_CLASSES, options.picture)
print(f"what is taken for what: {options.picture}")

if options.samples == 60_000 and options.epochs >= 6 and options.seeds >= 3:
    for name, mean in means.items():
        bar = max(TARGET[name], TORCH[name] - 0.015)
        assert mean >= bar, f"{name}: expected at least {bar}"
