"""Which pixel belongs to what? A small U-Net finds discs, squares and triangles in noise, and labels every pixel.

Run: ``python examples/segmentation.py`` (three runs of 12 epochs on generated pictures, some minutes). It saves
pictures with their true and predicted labels as ``segmentation.png``.
The same in PyTorch: ``examples/compare/segmentation.py``.
"""

import argparse
import statistics

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

import nnx
from nnx.metrics import confusion_matrix
from nnx.models import UNet
from nnx.optim.schedules import one_cycle

# What PyTorch reaches with this recipe (mean of 3 seeds); nnx may fall short of it by 1.5 points.
TORCH = 0.8734
NAMES = ("background", "disc", "square", "triangle")
SIZE, BATCH = 48, 16

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=12)
parser.add_argument("--seeds", type=int, default=3, help="number of runs")
parser.add_argument("--samples", type=int, default=1000, help="training pictures to make; fewer skip the check")
parser.add_argument("--picture", default="segmentation.png")
parser.add_argument("--verbose", type=int, default=1)
options = parser.parse_args()


def scenes(count, seed):
    """Return pictures (count, SIZE, SIZE, 1) float32, and the class of each pixel (count, SIZE, SIZE) int64."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    pictures, masks = np.zeros((count, SIZE, SIZE)), np.zeros((count, SIZE, SIZE), dtype=np.int64)
    for picture, mask in zip(pictures, masks, strict=True):
        for kind in random.integers(1, 4, size=random.integers(2, 5)):  # two to four shapes; the last lies on top
            y, x = random.uniform(6, SIZE - 6, size=2)
            radius, angle = random.uniform(7, 12), random.uniform(0, 2 * np.pi)
            u = np.cos(angle) * (columns - x) + np.sin(angle) * (rows - y)  # along the axes of the shape
            v = np.cos(angle) * (rows - y) - np.sin(angle) * (columns - x)
            inside = {
                1: np.hypot(u, v) < radius,
                2: np.maximum(abs(u), abs(v)) < 0.8 * radius,
                3: np.maximum(-v, (np.sqrt(3) * abs(u) + v) / 2) < 0.6 * radius,
            }[kind]
            picture[inside], mask[inside] = random.uniform(0.5, 1), kind
    pictures += random.normal(scale=0.2, size=pictures.shape)
    return pictures[..., None].astype(np.float32), masks


def overlaps(guesses, truth):
    """Return, for each class, the pixels that both call so over those that either does (intersection over union)."""
    counts = np.asarray(confusion_matrix(guesses, truth, num_classes=len(NAMES)))
    both = np.diag(counts)
    return both / (counts.sum(axis=0) + counts.sum(axis=1) - both)


x, y = scenes(options.samples, seed=0)
test_x, test_y = scenes(200, seed=1)
scores = []
for seed in range(options.seeds):
    nnx.seed(seed)
    net = UNet(in_channels=1, num_classes=len(NAMES), width=8, depth=3)  # (N, 48, 48, 1) -> (N, 48, 48, 4)
    steps = options.epochs * -(-len(x) // BATCH)
    optimizer = nnx.optim.Adam(net, lr=one_cycle(1e-2, total_steps=steps))
    # Cross entropy takes the last axis for the classes, so that every pixel is an example of its own.
    model = nnx.Model(net, loss="cross_entropy", optimizer=optimizer, metrics=["accuracy"])
    model.fit(x, y, epochs=options.epochs, batch_size=BATCH, verbose=options.verbose)
    guesses = model.predict(test_x, batch_size=50).argmax(axis=-1)
    found = overlaps(guesses, test_y)
    scores.append(found.mean())
    parts = ", ".join(f"{name} {value:.3f}" for name, value in zip(NAMES, found, strict=True))
    print(f"seed {seed}: {parts}, held-out IoU {scores[-1]:.4f}", flush=True)  # of the last epoch

figure = Figure(figsize=(9, 4.6), layout="constrained")
colors = ListedColormap(["white", "tab:blue", "tab:orange", "tab:green"])
rows = figure.subplots(3, 6)
for k, (picture, truth, guess) in enumerate(zip(test_x[:6], test_y, guesses, strict=False)):
    rows[0, k].imshow(picture[:, :, 0], cmap="gray")
    rows[1, k].imshow(truth, cmap=colors, vmin=0, vmax=3)
    rows[2, k].imshow(guess, cmap=colors, vmin=0, vmax=3)
for axes in rows.flat:
    axes.set(xticks=[], yticks=[])
for axes, title in zip(rows[:, 0], ("input", "truth", "prediction"), strict=True):
    axes.set_ylabel(title)
figure.savefig(options.picture, dpi=120)
print(f"pictures: {options.picture}")

mean = statistics.mean(scores)
print(f"mean of {len(scores)}: {mean:.4f} (PyTorch: {TORCH:.4f})")
if options.samples >= 1000 and options.epochs >= 12 and options.seeds >= 3:
    bar = TORCH - 0.015
    assert mean >= bar, f"expected at least {bar}"
