"""``examples/segmentation.py`` in PyTorch: a small U-Net that finds discs, squares and triangles in noise."""

import numpy as np
from torch_loop import channels_first, options, torch, train

chosen = options(__doc__, seeds=3, epochs=12, samples=1000)
nn = torch.nn
SIZE, CLASSES = 48, 4


def scenes(count, seed):
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    pictures, masks = np.zeros((count, SIZE, SIZE)), np.zeros((count, SIZE, SIZE), dtype=np.int64)
    for picture, mask in zip(pictures, masks, strict=True):
        for kind in random.integers(1, 4, size=random.integers(2, 5)):
            y, x = random.uniform(6, SIZE - 6, size=2)
            radius, angle = random.uniform(7, 12), random.uniform(0, 2 * np.pi)
            u = np.cos(angle) * (columns - x) + np.sin(angle) * (rows - y)
            v = np.cos(angle) * (rows - y) - np.sin(angle) * (columns - x)
            inside = {
                1: np.hypot(u, v) < radius,
                2: np.maximum(abs(u), abs(v)) < 0.8 * radius,
                3: np.maximum(-v, (np.sqrt(3) * abs(u) + v) / 2) < 0.6 * radius,
            }[kind]
            picture[inside], mask[inside] = random.uniform(0.5, 1), kind
    pictures += random.normal(scale=0.2, size=pictures.shape)
    return channels_first(pictures[..., None].astype(np.float32)), torch.from_numpy(masks)


def twice(inputs, outputs):
    first, second = (nn.Conv2d(channels, outputs, 3, padding=1, bias=False) for channels in (inputs, outputs))
    return nn.Sequential(first, nn.BatchNorm2d(outputs), nn.ReLU(), second, nn.BatchNorm2d(outputs), nn.ReLU())


class UNet(nn.Module):
    """At each level two convolutions; half the size for the next one, and back up beside what was there before."""

    def __init__(self, inputs, outputs, width, depth):
        super().__init__()
        self.before, self.after = twice(inputs, width), twice(2 * width, width)
        self.below = UNet(width, 2 * width, 2 * width, depth - 1) if depth > 1 else twice(width, 2 * width)
        self.up = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.last = nn.Identity() if outputs == width else nn.Conv2d(width, outputs, 1)

    def forward(self, x):
        x = self.before(x)
        deeper = self.up(self.below(nn.functional.max_pool2d(x, 2)))
        return self.last(self.after(torch.cat((x, deeper), dim=1)))


(x, y), (test_x, test_y) = scenes(chosen.samples, seed=0), scenes(200, seed=1)
for seed in range(chosen.seeds):
    torch.manual_seed(seed)
    net = UNet(1, CLASSES, width=8, depth=3)
    optimizer = torch.optim.Adam(net.parameters())
    train(net, nn.CrossEntropyLoss(), optimizer, x, y, epochs=chosen.epochs, batch_size=16, one_cycle=1e-2)
    with torch.no_grad():
        guesses = torch.cat([net(part).argmax(dim=1) for part in test_x.split(50)])
    both = torch.stack([((guesses == k) & (test_y == k)).sum() for k in range(CLASSES)])
    either = torch.stack([((guesses == k) | (test_y == k)).sum() for k in range(CLASSES)])
    print(f"seed {seed}: held-out IoU {(both / either).mean():.4f}", flush=True)
