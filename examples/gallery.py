"""Draw every activation with its derivative, and every learning-rate schedule.

Run: ``python examples/gallery.py``. It saves ``activations.png`` and ``schedules.png``.
"""

import argparse
import math

import numpy as np
from matplotlib.figure import Figure

import nnx
import nnx.functional as F
from nnx.optim import schedules

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--activations", default="activations.png", help="where to save the first picture")
parser.add_argument("--schedules", default="schedules.png", help="where to save the second")
options = parser.parse_args()


def vector(function, *others, **arguments):
    """An activation that mixes several numbers, as a function of the first one: what becomes of (x, *others)?"""

    def first_output(x):
        xp = nnx.namespace(x)
        inputs = [x, *(xp.full_like(x, other) for other in others)]
        return function(xp.stack(inputs, axis=-1), **arguments)[..., 0]

    return first_output


def gate(x):
    """GLU multiplies one half of its input by the sigmoid of the other half; here x is in the latter."""
    xp = nnx.namespace(x)
    return F.glu(xp.stack([xp.ones_like(x), x], axis=-1))[..., 0]


ACTIVATIONS = {
    "relu": F.relu,
    "leaky_relu": lambda x: F.leaky_relu(x, negative_slope=0.1),
    "prelu": lambda x: F.prelu(x, np.asarray([0.25])),  # the slope is learned; 0.25 is what it starts from
    "rrelu": F.rrelu,  # random slopes in training; their mean afterwards
    "relu6": F.relu6,
    "elu": F.elu,
    "selu": F.selu,
    "celu": lambda x: F.celu(x, alpha=2.0),
    "gelu": F.gelu,
    "gelu, tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "swish, beta 3": lambda x: F.swish(x, beta=3.0),
    "mish": F.mish,
    "hardswish": F.hardswish,
    "softplus": F.softplus,
    "logsigmoid": F.logsigmoid,
    "sigmoid": F.sigmoid,
    "hardsigmoid": F.hardsigmoid,
    "tanh": F.tanh,
    "hardtanh": F.hardtanh,
    "softsign": F.softsign,
    "tanhshrink": F.tanhshrink,
    "softshrink": lambda x: F.softshrink(x, lambd=1.0),
    "hardshrink": lambda x: F.hardshrink(x, lambd=1.0),
    "threshold": lambda x: F.threshold(x, threshold=1.0, value=-1.0),
    "softmax of (x, 0)": vector(F.softmax, 0.0),
    "log_softmax of (x, 0)": vector(F.log_softmax, 0.0),
    "softmin of (x, 0)": vector(F.softmin, 0.0),
    "sparsemax of (x, 0)": vector(F.sparsemax, 0.0),
    "glu of (1, x)": gate,
    "maxout of (x, –1)": vector(F.maxout, -1.0, pool_size=2),
}

STEPS = 100
COOL = schedules.cosine_annealing(1.0, T_max=STEPS - 20)
SCHEDULES = {
    "step_decay": ("halved every 20 steps", schedules.step_decay(1.0, step_size=20, gamma=0.5)),
    "multi_step_decay": ("at steps 30 and 80", schedules.multi_step_decay(1.0, milestones=[30, 80], gamma=0.3)),
    "exponential_decay": ("× 0.96 per step", schedules.exponential_decay(1.0, gamma=0.96)),
    "inverse_time_decay": ("1 / (1 + 0.1 step)", schedules.inverse_time_decay(1.0, decay=0.1)),
    "polynomial_decay": ("power 2", schedules.polynomial_decay(1.0, total_iters=STEPS, power=2.0)),
    "cosine_annealing": ("to 0 at step 100", schedules.cosine_annealing(1.0, T_max=STEPS)),
    "cosine_warm_restarts": ("each twice as long", schedules.cosine_warm_restarts(1.0, T_0=15, T_mult=2)),
    "cyclic": ("triangular", schedules.cyclic(0.1, 1.0, step_size_up=12)),
    "cyclic, triangular2": ("half as high each time", schedules.cyclic(0.1, 1.0, 12, mode="triangular2")),
    "one_cycle": ("peak after 30 %", schedules.one_cycle(1.0, total_steps=STEPS + 1)),
    "constant_warmup": ("a third for 20 steps", schedules.constant_warmup(1.0, total_iters=20)),
    "linear": ("from a third, 40 steps", schedules.linear(1.0, total_iters=40)),
    "linear_warmup": ("20 steps", schedules.linear_warmup(1.0, warmup_steps=20)),
    "noam": ("Transformer, 20 steps up", schedules.noam(d_model=512, warmup_steps=20, factor=math.sqrt(512 * 20))),
    "sequence": ("warm-up, then cosine", schedules.sequence([schedules.linear_warmup(1.0, 20), COOL], milestones=[20])),
    "chained": (
        "two factors multiplied",
        schedules.chained(1.0, [schedules.constant_warmup(1.0, 0.5, 20), schedules.exponential_decay(1.0, 0.97)]),
    ),
    "per_epoch": ("epochs of 10 steps", schedules.per_epoch(schedules.exponential_decay(1.0, 0.75), 10)),
    "multiplicative": ("× f(step) each step", schedules.multiplicative(1.0, lambda step: 1 - 0.1 / step**0.3)),
    "lambda_factor": ("any function", schedules.lambda_factor(1.0, lambda step: 0.6 + 0.4 * math.sin(step / 8))),
    "ReduceLROnPlateau": ("when the loss stalls", schedules.ReduceLROnPlateau(1.0, factor=0.4, patience=8)),
}


def without_jumps(y):
    """A line should not join the two sides of a jump."""
    return np.where(np.abs(np.diff(y, append=y[-1])) > 0.2, np.nan, y)


figure = Figure(figsize=(17, 11), layout="constrained")
frame = {"xlim": (-4.5, 7), "ylim": (-2.2, 6.5), "xticks": (-4, 0, 4)}
panels = figure.subplots(4, 8, sharex=True, sharey=True, subplot_kw=frame).flat
x = np.linspace(-4.5, 7.0, 1151)
for axes, (name, function) in zip(panels, ACTIVATIONS.items(), strict=False):  # the last panel is for the legend
    y = function(x)
    slope = nnx.grad(lambda x, function=function: nnx.namespace(x).sum(function(x)))(x)  # one derivative per point
    assert np.median(np.abs(np.gradient(y, x) - slope)) < 1e-4, f"{name}: finite differences say something else"
    axes.axhline(0.0, color="0.75", linewidth=0.8)
    axes.axvline(0.0, color="0.75", linewidth=0.8)
    axes.fill_between(x, slope, color="tab:orange", alpha=0.15, linewidth=0)
    axes.plot(x, without_jumps(slope), color="tab:orange", linewidth=1.8, label="derivative")
    axes.plot(x, without_jumps(y), color="tab:blue", linewidth=2.2, label="function")
    axes.set_title(name)
panels[-1].axis("off")
panels[-1].legend(*panels[0].get_legend_handles_labels(), loc="center", fontsize=13, frameon=False)
figure.savefig(options.activations, dpi=110)
print(f"{len(ACTIVATIONS)} activations: {options.activations}")

figure = Figure(figsize=(14, 10), layout="constrained")
panels = figure.subplots(4, 5, sharex=True, sharey=True).flat
for axes, (name, (note, schedule)) in zip(panels, SCHEDULES.items(), strict=True):
    rates = []
    for step in range(STEPS):
        rates.append(schedule(step))
        if name == "ReduceLROnPlateau":  # it alone looks at the loss: this one falls for 40 steps and then stays
            schedule.step(max(0.5, 1.0 - step / 80))
    axes.stairs(rates, baseline=0.0, fill=True, color="tab:blue", alpha=0.15)
    axes.stairs(rates, baseline=None, color="tab:blue", linewidth=2)
    axes.set_title(name, fontweight="bold", fontsize=11, pad=20)
    axes.text(0.5, 1.03, note, transform=axes.transAxes, horizontalalignment="center", color="0.35")
figure.supxlabel("step")
figure.supylabel("learning rate, as a share of the highest")
figure.savefig(options.schedules, dpi=110)
print(f"{len(SCHEDULES)} schedules: {options.schedules}")
