"""Fit a line with an installed nnx: layers, tape, loss and optimizer in one go, in a second."""

import numpy as np

import nnx

nnx.seed(0)
x = np.random.default_rng(0).normal(size=(64, 2)).astype("float32")
y = x @ np.asarray([[2.0], [-3.0]], dtype="float32") + np.float32(0.5)
model = nnx.Linear(2, 1)
optimizer = nnx.optim.Adam(model, lr=0.1)
for _ in range(300):
    with nnx.record():
        loss = nnx.functional.mse_loss(model(x), y)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
if not float(loss) < 1e-4:
    raise SystemExit(f"a line was not learned: mean squared error {float(loss)} after 300 steps")
print(f"smoke: mean squared error {float(loss):.1e}, weight {model.weight.ravel().round(3).tolist()}")
