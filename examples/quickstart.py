"""Train a first network on 1,797 handwritten digits of 8x8 pixels, in a few seconds and without a download.

Run: ``python examples/quickstart.py``. It prints a table and saves the learning curves as ``quickstart.png``.
"""

import argparse

import nnx
import nnx.plots
from nnx.data.datasets import digits

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=40)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--picture", default="quickstart.png")
options = parser.parse_args()

nnx.seed(options.seed)
images, labels = digits("train")  # (1438, 8, 8, 1) float32 in [0, 1], and (1438,) int64
test_images, test_labels = digits("test")  # 359 images that are never trained on

net = nnx.Sequential(
    nnx.Flatten(),  # (N, 8, 8, 1) -> (N, 64)
    nnx.Linear(64, 128),
    nnx.ReLU(),
    nnx.Linear(128, 64),
    nnx.ReLU(),
    nnx.Linear(64, 10),  # one score per class
)
print(net.summary(), end="\n\n")

model = nnx.Model(net, loss="cross_entropy", optimizer=nnx.optim.AdamW(net, lr=1e-3), metrics=["accuracy"])
history = model.fit(images, labels, epochs=options.epochs, validation_split=0.1, verbose=0)
print(history, end="\n\n")

result = model.evaluate(test_images, test_labels)
print(f"held-out accuracy {result['accuracy']:.4f}, loss {result['loss']:.4f}")

nnx.plots.learning_curves(history, options.picture)
print(f"learning curves: {options.picture}")

assert result["accuracy"] >= 0.955, "the network should recognise more than 95 % of the digits"
