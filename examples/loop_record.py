"""A training loop by hand, in the tape style: record the forward pass, call ``backward()``, step the optimizer.

Run: ``python examples/loop_record.py``. ``loop_value_and_grad.py`` is the same loop in the functional style.
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

for epoch in range(options.epochs):
    total = correct = 0.0
    for x, y in DataLoader(ArrayDataset(images, labels), batch_size=64, shuffle=True):
        with nnx.record():  # inside, parameters read as tracked arrays
            scores = model(x)  # (N, 10)
            loss = F.cross_entropy(scores, y)
        loss.backward()  # leaves the gradient in every parameter
        optimizer.step()
        optimizer.zero_grad()
        total += float(loss) * len(y)
        correct += (nnx.to_numpy(nnx.stop_gradient(scores)).argmax(axis=-1) == y).sum()
    if epoch % 5 == 4:
        print(f"epoch {epoch + 1:2d}  loss {total / len(labels):.4f}  accuracy {correct / len(labels):.4f}")

accuracy = (model(test_images).argmax(axis=-1) == test_labels).mean()  # outside, raw arrays come out
print(f"held-out accuracy {accuracy:.4f}")
assert accuracy >= 0.955
