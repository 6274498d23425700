"""What a convolutional network looks at: edges and colours first, then textures, then parts of things.

It learns 10,000 photographs of CIFAR-10, and is then taken apart: the filters of the first layer, the feature maps of
one photograph in every layer, the patches that excite single channels most, and where the network looks for what it
says (saliency and Grad-CAM). How well a linear classifier does on each layer's features is the hierarchy in numbers.

Run: ``python examples/feature_hierarchy.py`` (a minute or two). The data are found under ``$NNX_DATA`` or downloaded
(170 MB). It saves ``filters.png``, ``feature_maps.png``, ``patches.png`` and ``saliency.png``.
"""

import argparse

import numpy as np
from matplotlib.figure import Figure

import nnx
import nnx.plots
from nnx.data.datasets import CIFAR10_CLASSES, cifar10_subset
from nnx.data.transforms import Compose, Normalize, RandomHorizontalFlip, ToFloat
from nnx.interpret import activations, grad_cam, saliency
from nnx.optim.schedules import one_cycle

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=5)
parser.add_argument("--samples", type=int, default=10_000, help="training images to use; fewer skip the check")
options = parser.parse_args()

images, labels = cifar10_subset("train")  # (10000, 32, 32, 3) uint8 and (10000,) int64
test_images, test_labels = cifar10_subset("test")
images, labels = images[: options.samples], labels[: options.samples]
prepare = Compose([ToFloat(), Normalize(mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616))])


def block(inputs, outputs, kernel):
    return nnx.Conv2d(inputs, outputs, kernel, padding="same"), nnx.BatchNorm(outputs), nnx.ReLU()


nnx.seed(0)
net = nnx.Sequential(
    *block(3, 16, 5),
    nnx.MaxPool2d(2),  # (N, 32, 32, 16) -> (N, 16, 16, 16)
    *block(16, 32, 3),
    nnx.MaxPool2d(2),  # -> (N, 8, 8, 32)
    *block(32, 64, 3),
    nnx.GlobalAvgPool(),  # -> (N, 64)
    nnx.Linear(64, 10),
)
# Where blocks end: (pixels between two numbers of a feature map, side of the square of pixels that one number sees).
LAYERS = {"2": (1, 5), "6": (2, 10), "10": (4, 20)}

augment = Compose([RandomHorizontalFlip(), prepare])
batches = nnx.data.DataLoader(nnx.data.ArrayDataset(images, labels), 50, shuffle=True, transform=augment)
optimizer = nnx.optim.Adam(net, lr=one_cycle(1e-2, total_steps=options.epochs * len(batches)))
model = nnx.Model(net, optimizer=optimizer, metrics=["accuracy"])
model.fit(batches, epochs=options.epochs)
x = prepare(test_images)
whole = model.evaluate(x, test_labels, batch_size=250)["accuracy"]
print(f"held-out accuracy {whole:.4f}")

# A layer knows as much about the classes as a linear classifier finds in the means of its channels. It learns from
# three quarters of the test images, which the network has not seen, and is judged by the rest.
maps = {name: [] for name in ("input", *LAYERS)}
for part in np.split(x, 8):
    for name, found in {"input": part, **activations(net, part, list(LAYERS))}.items():
        maps[name].append(found)
maps = {name: np.concatenate(parts) for name, parts in maps.items()}
probes = {}
for name, found in maps.items():
    features = found.mean(axis=(1, 2))
    features = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-6)
    probe = nnx.Linear(features.shape[-1], 10)
    classifier = nnx.Model(probe, optimizer=nnx.optim.Adam(probe, lr=1e-2), metrics=["accuracy"])
    classifier.fit(features[:1500], test_labels[:1500], epochs=30, batch_size=50, verbose=0)
    probes[name] = classifier.evaluate(features[1500:], test_labels[1500:])["accuracy"]
    print(f"layer {name:>5s}: maps of {found.shape[1:]}, a linear classifier on their means finds {probes[name]:.3f}")

nnx.plots.filters(net[0], "filters.png")  # later filters have too many channels to be seen as colours

horse = int(np.flatnonzero(test_labels == 7)[1])
figure = Figure(figsize=(11, 4), layout="constrained")
for part, (name, (_, field)) in zip(figure.subfigures(1, 3), LAYERS.items(), strict=True):
    part.suptitle(f"layer {name}: each number sees {field} x {field} pixels")
    for k, axes in enumerate(part.subplots(4, 4).flat):
        axes.imshow(maps[name][horse, :, :, k], cmap="viridis")
        axes.set_axis_off()
figure.savefig("feature_maps.png", dpi=120)

# For some channels, the six images with the largest number anywhere in that map, cut to what the number sees.
figure = Figure(figsize=(11, 4.2), layout="constrained")
for part, (name, (step, field)) in zip(figure.subfigures(1, 3), LAYERS.items(), strict=True):
    part.suptitle(f"layer {name}: what excites 6 channels most")
    edge = -(-field // (2 * step))  # numbers at the edge of a map see beyond the image
    inner = maps[name][:, edge:-edge, edge:-edge]
    highest = inner.max(axis=(1, 2))  # (N, C): of each image and channel
    channels = np.argsort(-highest.max(axis=0))[:6]
    for row, channel in zip(part.subplots(6, 6), channels, strict=True):
        for axes, k in zip(row, np.argsort(-highest[:, channel]), strict=False):
            place = np.unravel_index(inner[k, :, :, channel].argmax(), inner.shape[1:3])
            top, left = (step * (edge + p) + (step - field) // 2 for p in place)
            axes.imshow(test_images[k, top : top + field, left : left + field])
            axes.set_axis_off()
figure.savefig("patches.png", dpi=120)

chosen = [int(np.flatnonzero(test_labels == k)[1]) for k in (0, 1, 4, 5, 7, 8, 9)]
slopes = abs(saliency(net, x[chosen])).max(axis=-1)
heat = grad_cam(net, x[chosen], layer="10")
figure = Figure(figsize=(11, 5.1), layout="constrained")
columns = figure.subplots(3, len(chosen)).T
for column, k, slope, warmth in zip(columns, chosen, slopes, heat, strict=True):
    guess = int(net.eval()(x[k : k + 1]).argmax())
    column[0].imshow(test_images[k])
    column[0].set_title(CIFAR10_CLASSES[guess] + ("" if guess == test_labels[k] else " (wrong)"))
    column[1].imshow(slope, cmap="magma")
    column[2].imshow(test_images[k].mean(axis=-1), cmap="gray")
    column[2].imshow(warmth, cmap="inferno", alpha=0.6, interpolation="bilinear", extent=(-0.5, 31.5, 31.5, -0.5))
for axes, title in zip(columns[0], ("image", "saliency", "Grad-CAM"), strict=True):
    axes.set_ylabel(title)
for axes in columns.flat:
    axes.set(xticks=[], yticks=[])
figure.savefig("saliency.png", dpi=120)
print("pictures: filters.png, feature_maps.png, patches.png, saliency.png")

if options.samples >= 10_000 and options.epochs >= 5:
    assert whole >= 0.5
    assert probes["input"] < probes["2"] < probes["6"] < probes["10"]
