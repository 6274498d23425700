"""A training loop by hand, in the functional style: `nnx.value_and_grad` returns the loss and the gradients.

Run: ``python examples/loop_value_and_grad.py``. ``loop_record.py`` is the same loop in the tape style.
"""

import argparse

import nnx
import nnx.functional as F
from nnx.data import ArrayDataset, DataLoader
from nnx.data.datasets import digits

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=30)
options = parser.parse_args()

nnx.seed(0)
images, labels = digits("train")
test_images, test_labels = digits("test")
model = nnx.Sequential(nnx.Flatten(), nnx.Linear(64, 64), nnx.GELU(), nnx.Linear(64, 10))
optimizer = nnx.optim.SGD(model, lr=0.1, momentum=0.9)


def loss_fn(model, x, y):
    scores = model(x)  # (N, 10)
    return F.cross_entropy(scores, y), scores


loss_and_grads = nnx.value_and_grad(loss_fn, has_aux=True)  # with respect to the parameters of the model
for epoch in range(options.epochs):
    total = correct = 0.0
    for x, y in DataLoader(ArrayDataset(images, labels), batch_size=64, shuffle=True):
        (loss, scores), grads = loss_and_grads(model, x, y)  # grads: {"1.weight": array, "1.bias": array, ...}
        optimizer.step(grads)
        total += float(loss) * len(y)
        correct += (scores.argmax(axis=-1) == y).sum()
    if epoch % 5 == 4:
        print(f"epoch {epoch + 1:2d}  loss {total / len(labels):.4f}  accuracy {correct / len(labels):.4f}")

accuracy = (model(test_images).argmax(axis=-1) == test_labels).mean()
print(f"held-out accuracy {accuracy:.4f}")
assert accuracy >= 0.955
