"""Tell three spiral arms apart, and keep the network from learning the noise by heart: by an L2 penalty, or by dropout.

Run: ``python examples/spiral.py`` (ten runs of each, half a minute). It saves the decision boundaries as
``spiral.png``. The same in PyTorch: ``examples/compare/spiral.py``.
"""

import argparse
import statistics

from matplotlib.figure import Figure

import nnx
import nnx.plots
from nnx.data.datasets import spiral

# What PyTorch reaches with this recipe (mean of 10 seeds); nnx may fall short of it by 1.5 points.
TORCH = {"L2 penalty": 0.8449, "dropout": 0.8518}
TARGET = 0.80

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--seeds", type=int, default=10, help="number of runs; with fewer only TARGET counts")
parser.add_argument("--picture", default="spiral.png")
options = parser.parse_args()


def with_penalty() -> nnx.Module:
    net = nnx.Sequential(nnx.Linear(2, 64), nnx.ReLU(), nnx.Linear(64, 64), nnx.ReLU(), nnx.Linear(64, 3))
    # Model adds 5e-5 times the sum of the squares of all parameters to the loss. Its gradient, 1e-4 times the
    # parameter, is what PyTorch's optimizers call weight_decay=1e-4.
    return net.regularize(nnx.regularizers.L2(5e-5))


def with_dropout() -> nnx.Module:
    return nnx.Sequential(
        nnx.Linear(2, 64),
        nnx.ReLU(),
        nnx.Dropout(0.1),  # a tenth of the 64 numbers becomes zero, other ones in every step; in training only
        nnx.Linear(64, 64),
        nnx.ReLU(),
        nnx.Dropout(0.1),
        nnx.Linear(64, 3),  # one score per arm
    )


RECIPES = {"L2 penalty": (with_penalty, 300), "dropout": (with_dropout, 600)}  # dropout takes longer to learn

figure = Figure(figsize=(9, 4.8), layout="constrained")
panels = figure.subplots(1, 2, sharex=True, sharey=True)
for (name, (network, epochs)), axes in zip(RECIPES.items(), panels, strict=True):
    accuracies = []
    for seed in range(options.seeds):
        nnx.seed(seed)
        points, labels = spiral(100, classes=3, noise=0.2, seed=seed)  # (300, 2) float32 and (300,) int64
        test_points, test_labels = spiral(1000, classes=3, noise=0.2, seed=1000 + seed)  # a fresh draw
        net = network()
        model = nnx.Model(net, loss="cross_entropy", optimizer=nnx.optim.Adam(net, lr=5e-3), metrics=["accuracy"])
        model.fit(points, labels, epochs=epochs, batch_size=100, verbose=0)
        result = model.evaluate(test_points, test_labels, batch_size=1000)
        accuracies.append(result["accuracy"])
        print(f"{name}, seed {seed}: held-out accuracy {result['accuracy']:.4f}")
        if seed == 0:
            nnx.plots.decision_boundary(model.predict, points, labels, axes=axes)
            axes.set_title(f"{name}: {result['accuracy']:.1%} on new points")
    mean = statistics.mean(accuracies)
    print(f"{name}: mean of {len(accuracies)} {mean:.4f} (PyTorch: {TORCH[name]:.4f})")
    bar = max(TARGET, TORCH[name] - 0.015) if options.seeds >= 10 else TARGET
    assert mean >= bar, f"{name}: expected at least {bar}"
figure.savefig(options.picture, dpi=120)
print(f"decision boundaries: {options.picture}")
