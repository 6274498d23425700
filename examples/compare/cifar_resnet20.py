"""``examples/cifar_resnet20.py`` in PyTorch: ResNet-20 with half the channels, on a fifth of CIFAR-10."""

from torch_loop import accuracy, channels_first, options, random_crop, random_flip, tensors, torch, train

from nnx.data.datasets import cifar10_subset

chosen = options(__doc__, seeds=3, epochs=8, samples=10_000)
nn = torch.nn
(images, labels), (test_images, test_labels) = cifar10_subset("train"), cifar10_subset("test")
used = chosen.samples - chosen.samples // 10  # the last tenth is for validation
mean, std = torch.tensor([0.4914, 0.4822, 0.4465]), torch.tensor([0.2470, 0.2435, 0.2616])
y, test_y = tensors(labels[:used], test_labels)


def prepare(images):
    return (images / 255 - mean[:, None, None]) / std[:, None, None]


def convolution(inputs, outputs, kernel, stride=1):
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.first, self.second = convolution(inputs, outputs, 3, stride), convolution(outputs, outputs, 3)
        self.shortcut = nn.Identity() if inputs == outputs else convolution(inputs, outputs, 1, stride)

    def forward(self, x):
        return torch.relu(self.second(torch.relu(self.first(x))) + self.shortcut(x))


def network(width):
    layers, channels = [convolution(3, width, 3), nn.ReLU()], width
    for outputs in (width, 2 * width, 4 * width):
        for _ in range(3):
            layers.append(Block(channels, outputs, 1 if channels == outputs else 2))
            channels = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


def augment(images):
    # The border is black, as in nnx's script: zero before the mean is taken away.
    return prepare(random_flip(random_crop(images, 4)))


x, test_x = channels_first(images[:used]), prepare(channels_first(test_images))
for seed in range(chosen.seeds):
    torch.manual_seed(seed)
    net = network(8)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    how = {"epochs": chosen.epochs, "batch_size": 64, "one_cycle": 0.1, "augment": augment}
    train(net, nn.CrossEntropyLoss(), optimizer, x, y, **how)
    print(f"seed {seed}: held-out accuracy {accuracy(net, test_x, test_y):.4f}", flush=True)
