"""How deep, and with how large a kernel? Sixteen small networks on the same 4,000 images of Fashion-MNIST.

Each has 1 to 4 convolutions of 16 channels, with kernels of 1, 3, 5 or 7 pixels; then the mean over the whole picture,
and a linear layer. What a network can tell apart is a matter of how far it sees: its receptive field is the square of
pixels that one number of its last feature map depends on.

Run: ``python examples/depth_and_kernel_size.py`` (some minutes). The data are found under ``$NNX_DATA/fashion_mnist``
or downloaded. It prints a table and saves ``depth_and_kernel_size.png``.
"""

import argparse
import statistics

from matplotlib.figure import Figure

import nnx
from nnx.data.datasets import fashion_mnist
from nnx.optim.schedules import one_cycle

DEPTHS, KERNELS, CHANNELS, BATCH = (1, 2, 3, 4), (1, 3, 5, 7), 16, 50

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=5)
parser.add_argument("--seeds", type=int, default=1, help="number of runs of each network")
parser.add_argument("--samples", type=int, default=4_000, help="training images to use; fewer skip the check")
parser.add_argument("--picture", default="depth_and_kernel_size.png")
options = parser.parse_args()

images, labels = fashion_mnist("train")  # (60000, 28, 28, 1) float32 in [0, 1], and (60000,) int64
x, y = images[: options.samples], labels[: options.samples]
# A choice between networks is part of training: it is made on images kept for validation, never on the test images.
kept_x, kept_y = images[-2000:], labels[-2000:]


def network(depth, kernel):
    layers, inputs = [], 1
    for k in range(depth):
        layers.append(nnx.Conv2d(inputs, CHANNELS, kernel, padding="same"))
        if k < 2:
            layers.append(nnx.MaxPool2d(2))  # 28 x 28 -> 14 x 14 -> 7 x 7
        layers += [nnx.BatchNorm(CHANNELS), nnx.ReLU()]
        inputs = CHANNELS
    return nnx.Sequential(*layers, nnx.GlobalAvgPool(), nnx.Linear(CHANNELS, 10))


def receptive_field(depth, kernel):
    size, step = 1, 1  # in pixels of the image: how far a number sees, and how far apart neighbours are
    for k in range(depth):
        size += (kernel - 1) * step
        if k < 2:
            size, step = size + step, 2 * step
    return size


print("convolutions   kernel   receptive field   parameters   accuracy   seconds")
accuracy, sizes = {}, {}
for depth in DEPTHS:
    for kernel in KERNELS:
        results, seconds = [], 0.0
        for seed in range(options.seeds):
            nnx.seed(seed)
            net = network(depth, kernel)
            schedule = one_cycle(2e-2, total_steps=options.epochs * -(-len(x) // BATCH))
            model = nnx.Model(net, optimizer=nnx.optim.Adam(net, lr=schedule), metrics=["accuracy"])
            history = model.fit(x, y, epochs=options.epochs, batch_size=BATCH, verbose=0)
            results.append(model.evaluate(kept_x, kept_y, batch_size=250)["accuracy"])
            seconds += sum(history.seconds)
        accuracy[depth, kernel] = statistics.mean(results)
        sizes[depth, kernel] = sum(parameter.value.size for parameter in net.parameters())
        field = f"{receptive_field(depth, kernel)} x {receptive_field(depth, kernel)}"
        row = f"{depth:12d}   {kernel:6d}   {field:>15s}   {sizes[depth, kernel]:10,d}"
        print(f"{row}   {accuracy[depth, kernel]:8.4f}   {seconds:7.1f}", flush=True)

figure = Figure(figsize=(10, 4), layout="constrained")
left, right = figure.subplots(1, 2, sharey=True)
for kernel in KERNELS:
    values = [accuracy[depth, kernel] for depth in DEPTHS]
    left.plot(DEPTHS, values, "o-", label=f"{kernel} x {kernel}")
    right.semilogx([sizes[depth, kernel] for depth in DEPTHS], values, "o-")
left.set(xlabel="convolutions", ylabel="accuracy on images kept for validation", xticks=DEPTHS)
right.set(xlabel="parameters")
left.legend(title="kernel")
for axes in (left, right):
    axes.grid(alpha=0.3)
figure.savefig(options.picture, dpi=120)
print(f"curves: {options.picture}")

if options.samples >= 4_000 and options.epochs >= 5:
    for depth in DEPTHS:
        assert accuracy[depth, 3] > accuracy[depth, 1] + 0.05, "so few pixels do not tell shapes"
    assert accuracy[4, 3] > accuracy[1, 3] + 0.05, "a single convolution sees too little of the picture"
