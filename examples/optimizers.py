"""Every optimizer fits the same sine curve with the same network, 1-64-64-1, from the same weights.

Run: ``python examples/optimizers.py`` (some seconds). It prints a table and saves the curves as ``optimizers.png``.
"""

import argparse
import statistics
import time

import numpy as np
from matplotlib.figure import Figure

import nnx
import nnx.functional as F
from nnx import optim

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--evaluations", type=int, default=500, help="of the loss and its gradient; fewer skip the check")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--picture", default="optimizers.png")
options = parser.parse_args()


def muon_for_matrices(net):
    """Muon is for weight matrices; AdamW takes the biases."""
    matrices = [parameter for parameter in net.parameters() if len(parameter.shape) == 2]
    biases = [parameter for parameter in net.parameters() if len(parameter.shape) == 1]
    return optim.Muon(matrices, lr=1e-2), optim.AdamW(biases, lr=1e-2)


# Each with about the best learning rate for this task: it is of another order of magnitude from one to the next.
# One panel of the picture for each family.
FAMILIES = {
    "steps along the gradient, or a rate for each parameter": {
        "SGD": lambda net: optim.SGD(net, lr=0.2),
        "SGD, momentum": lambda net: optim.SGD(net, lr=0.03, momentum=0.9),
        "SGD, Nesterov": lambda net: optim.SGD(net, lr=0.03, momentum=0.9, nesterov=True),
        "ASGD": lambda net: optim.ASGD(net, lr=0.1),
        "LARS": lambda net: optim.LARS(net, lr=3.0),
        "Adagrad": lambda net: optim.Adagrad(net, lr=0.1),
        "Adadelta": lambda net: optim.Adadelta(net, lr=1.0),
        "RMSprop": lambda net: optim.RMSprop(net, lr=1e-3),
        "Rprop": lambda net: optim.Rprop(net, lr=1e-3),
        "L-BFGS": lambda net: optim.LBFGS(net, line_search_fn="strong_wolfe"),
    },
    "Adam and its relatives": {
        "Adam": lambda net: optim.Adam(net, lr=1e-2),
        "AdamW": lambda net: optim.AdamW(net, lr=3e-3),
        "Adamax": lambda net: optim.Adamax(net, lr=1e-2),
        "NAdam": lambda net: optim.NAdam(net, lr=3e-3),
        "RAdam": lambda net: optim.RAdam(net, lr=1e-2),
        "LAMB": lambda net: optim.LAMB(net, lr=1e-2),
        "Lion": lambda net: optim.Lion(net, lr=1e-3),
        "Adafactor": lambda net: optim.Adafactor(net, lr=1e-2),
        "Muon": muon_for_matrices,
        "Lookahead, Adam": lambda net: optim.Lookahead(optim.Adam(net, lr=1e-2)),
    },
}

x = np.linspace(0.0, 1.0, 256, dtype=np.float32)[:, None]  # (256, 1)
y = np.sin(2 * np.pi * x)


def train(make):
    """Return the loss at every evaluation."""
    nnx.seed(options.seed)
    net = nnx.Sequential(nnx.Linear(1, 64), nnx.ReLU(), nnx.Linear(64, 64), nnx.ReLU(), nnx.Linear(64, 1))
    made = make(net)
    first, *others = made if isinstance(made, tuple) else (made,)
    losses = []

    def closure():  # L-BFGS asks for the loss many times in a step, the others once
        for optimizer in (first, *others):
            optimizer.zero_grad()
        with nnx.record():
            loss = F.mse_loss(net(x), y)
        loss.backward()
        losses.append(float(loss))
        return loss

    while len(losses) < options.evaluations:
        first.step(closure)
        for optimizer in others:
            optimizer.step()
    return losses[: options.evaluations]


print("optimizer          last loss   below 0.01 after   seconds")
figure = Figure(figsize=(15, 5.5), layout="constrained")
last = {}
for axes, (family, makers) in zip(figure.subplots(1, 2, sharey=True), FAMILIES.items(), strict=True):
    for name, make in makers.items():
        start = time.perf_counter()
        losses = train(make)
        seconds = time.perf_counter() - start
        last[name] = statistics.median(losses[-20:])  # some jump about at the end
        reached = next((str(k) for k, loss in enumerate(losses) if loss < 0.01), "–")
        print(f"{name:16s}   {last[name]:9.1e}   {reached:>16s}   {seconds:7.2f}")
        lowest = [min(losses[: k + 1]) for k in range(len(losses))]  # curves that only fall are easier to tell apart
        axes.semilogy(lowest, linewidth=1.8, label=name)
    axes.set(title=family, xlabel="evaluations of the gradient")
    axes.grid(alpha=0.3)
    lines = sorted(axes.lines, key=lambda line: line.get_ydata()[-1], reverse=True)  # in the order of their right ends
    axes.legend(handles=lines, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, labelspacing=0.9)
figure.axes[0].set_ylabel("lowest mean squared error so far")
figure.savefig(options.picture, dpi=120)
print(f"curves: {options.picture}")

if options.evaluations >= 500:
    assert max(last.values()) < 0.05, "a tenth of what the zero function gets: every optimizer should be below"
    assert min(last.values()) < 5e-5
