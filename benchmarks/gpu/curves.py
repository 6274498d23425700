"""MNIST trained on the card and on the CPU, from the same weights, over the same images: the losses, step by step.

Two networks: an MLP, and one of convolutions with dropout, whose masks are the same bits in both places. Rounding
differs, so that the curves part slowly; how fast is told. Without MNIST the images are synthetic, and that is said.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from . import ours
from .session import Session

BATCH, RATE = 64, 1e-3
STEPS = 400


def run(session: Session) -> None:
    """Train both networks in both places, and again on the card with TF32 allowed."""
    images, labels, test, source = digits(session.rehearse)
    batch = session.sized(BATCH, 2)
    steps = session.sized(STEPS, 2)
    session.measure("data", lambda: {"source": source, "images": len(images)}, expected=0)
    for name in ("MLP", "CNN"):
        curves = {}
        for place, precision in (("numpy", "highest"), (session.gpu.backend, "highest"), (session.gpu.backend, "high")):
            label = f"{name} on {place}" + (", tf32" if precision == "high" else "")
            measured = session.measure(
                label,
                lambda n=name, b=place, p=precision: train(session, n, b, p, (images, labels), test, steps, batch),
                expected=20,
                limit=150,
                source=source,
            )
            curves[label] = measured or session.known("curves", label)
        (_, here), *others = curves.items()
        for label, there in others:
            if here and there:
                label = label.replace(" on ", ": ") + " against numpy"
                session.measure(label, lambda a=here, b=there: compared(a, b), expected=0)


def digits(tiny: bool = False) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray], str]:
    """Return training images and labels, test images and labels, and where they are from."""
    if not tiny:
        try:
            from nnx.data.datasets import mnist

            images, labels = mnist("train", download=False)
            return images, labels, mnist("test", download=False), "MNIST"
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"[:200]
    else:
        reason = "a rehearsal"
    rng = np.random.default_rng(0)
    count = 30 if tiny else 20_000
    patterns = rng.random((10, 28, 28, 1), dtype=np.float32)
    labels = rng.integers(0, 10, count)
    images = (0.5 * patterns[labels] + 0.5 * rng.random((count, 28, 28, 1), dtype=np.float32)).astype("f4")
    kept = count // 10
    return images[kept:], labels[kept:], (images[:kept], labels[:kept]), f"synthetic ({reason})"


def network(nnx: Any, name: str) -> Any:
    """The two networks."""
    if name == "MLP":
        return nnx.Sequential(nnx.Flatten(), nnx.Linear(784, 128), nnx.ReLU(), nnx.Linear(128, 10))
    return nnx.Sequential(
        nnx.Conv2d(1, 16, 3, padding=1),
        nnx.ReLU(),
        nnx.MaxPool2d(2),
        nnx.Conv2d(16, 32, 3, padding=1),
        nnx.ReLU(),
        nnx.MaxPool2d(2),
        nnx.Flatten(),
        nnx.Dropout(0.2),
        nnx.Linear(1568, 64),
        nnx.ReLU(),
        nnx.Linear(64, 10),
    )


def train(
    session: Session, name: str, place: str, precision: str, images: tuple, test: tuple, steps: int, batch: int
) -> dict[str, Any]:
    """Train one network in one place; return its losses, the accuracy on test images and the time of a step."""
    nnx = ours.nnx()
    ours.backend(session.gpu)
    x, y = images
    losses = []
    with nnx.use_backend(place) as backend, nnx.use_float32_precision(precision):
        nnx.seed(7)
        net = network(nnx, name)
        optimizer = nnx.optim.Adam(net, lr=RATE)
        order = np.random.default_rng(7).permutation(len(x))
        start = 0.0
        for step in range(steps):
            if step == 1:  # the first one compiles
                backend.synchronize()
                start = time.perf_counter()
            picked = np.take(order, range(step * batch, (step + 1) * batch), mode="wrap")
            inputs, targets = nnx.asarray(x[picked]), nnx.asarray(y[picked])
            with nnx.record():
                loss = nnx.functional.cross_entropy(net(inputs), targets)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(nnx.stop_gradient(loss))
        backend.synchronize()
        seconds = time.perf_counter() - start
        values = [float(nnx.to_numpy(loss)) for loss in losses]
        net.eval()
        right = 0
        for first in range(0, len(test[0]), 1000):
            scores = nnx.to_numpy(net(nnx.asarray(test[0][first : first + 1000])))
            right += int((scores.argmax(1) == test[1][first : first + 1000]).sum())
    return {
        "losses": values,
        "test accuracy": right / len(test[0]),
        "us_per_step": seconds / max(1, steps - 1) * 1e6,
        "explain": nnx.explain(),
    }


def compared(here: dict[str, Any], there: dict[str, Any]) -> dict[str, Any]:
    """Tell how far two curves part."""
    a, b = np.asarray(here["losses"]), np.asarray(there["losses"])
    apart = np.abs(a - b) / np.maximum(np.abs(a), 1e-6)
    first = {}
    for limit in (1e-6, 1e-5, 1e-4, 1e-3, 1e-2):
        beyond = np.nonzero(apart > limit)[0]
        first[f"{limit:g}"] = int(beyond[0]) if len(beyond) else None
    return {
        "largest relative difference": float(apart.max()),
        "in the first 10 steps": float(apart[:10].max()),
        "first step beyond": first,
        "mean of the last 50 losses": [float(a[-50:].mean()), float(b[-50:].mean())],
        "test accuracy": [here["test accuracy"], there["test accuracy"]],
    }
