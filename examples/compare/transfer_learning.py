"""``examples/transfer_learning.py`` in PyTorch: from MNIST to 20 digits a class of another data set."""

import numpy as np
from torch_loop import accuracy, channels_first, options, tensors, torch, train

from nnx.data.datasets import digits, mnist

chosen = options(__doc__, seeds=10, samples=20_000)
nn = torch.nn


def extractor():
    def block(inputs, outputs):
        return nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()

    pooled = (*block(1, 16), *block(16, 32), nn.MaxPool2d(2), *block(32, 64), nn.MaxPool2d(2))
    return nn.Sequential(*pooled, nn.Flatten())


def fit(net, x, y, epochs, rate, batch_size=20):
    optimizer = torch.optim.Adam(net.parameters())
    train(net, nn.CrossEntropyLoss(), optimizer, x, y, epochs=epochs, batch_size=batch_size, one_cycle=rate)


large, classes = mnist("train")
large, classes = large[: chosen.samples, 2:26, 2:26], torch.from_numpy(classes[: chosen.samples])
small = channels_first(large.reshape(-1, 8, 3, 8, 3, 1).mean(axis=(2, 4)))
torch.manual_seed(0)
pretrained = extractor()
fit(nn.Sequential(pretrained, nn.Linear(256, 10)), small, classes, epochs=2, rate=1e-2, batch_size=64)

images, labels = digits("all")
for seed in range(chosen.seeds):
    torch.manual_seed(seed)
    draw = np.random.default_rng(seed)
    few = np.concatenate([draw.choice(np.flatnonzero(labels == k), 20, replace=False) for k in range(10)])
    rest = np.setdiff1d(np.arange(len(labels)), few)
    x, test_x = channels_first(images[few]), channels_first(images[rest])
    y, test_y = tensors(labels[few], labels[rest])

    net = nn.Sequential(extractor(), nn.Linear(256, 10))
    fit(net, x, y, epochs=30, rate=3e-3)
    print(f"from scratch, seed {seed}: held-out accuracy {accuracy(net, test_x, test_y):.4f}")

    features, head = extractor(), nn.Linear(256, 10)
    features.load_state_dict(pretrained.state_dict())
    with torch.no_grad():
        fixed = features.eval()(x)  # what never changes is computed only once
    fit(head, fixed, y, epochs=30, rate=3e-3)
    net = nn.Sequential(features, head)
    print(f"frozen features, seed {seed}: held-out accuracy {accuracy(net, test_x, test_y):.4f}")

    fit(net, x, y, epochs=15, rate=3e-3)
    print(f"fine-tuned, seed {seed}: held-out accuracy {accuracy(net, test_x, test_y):.4f}", flush=True)
