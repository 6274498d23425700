"""``examples/mnist_cnn.py`` in PyTorch: two convolutions and two linear layers, on 55,000 of the training images."""

from torch_loop import accuracy, channels_first, options, tensors, torch, train

from nnx.data.datasets import mnist

chosen = options(__doc__, seeds=3, epochs=4, samples=60_000)
nn = torch.nn
(images, labels), (test_images, test_labels) = mnist("train"), mnist("test")
used = chosen.samples - chosen.samples // 12  # the last twelfth is for validation
x, test_x = channels_first(images[:used]), channels_first(test_images)
y, test_y = tensors(labels[:used], test_labels)


def convolution(inputs, outputs):
    return nn.Conv2d(inputs, outputs, 3, padding=1), nn.MaxPool2d(2), nn.ReLU()


for seed in range(chosen.seeds):
    torch.manual_seed(seed)
    hidden = [nn.Flatten(), nn.Dropout(0.2), nn.Linear(1568, 64), nn.ReLU(), nn.Dropout(0.2)]
    net = nn.Sequential(*convolution(1, 16), *convolution(16, 32), *hidden, nn.Linear(64, 10))
    optimizer = torch.optim.Adam(net.parameters())
    train(net, nn.CrossEntropyLoss(), optimizer, x, y, epochs=chosen.epochs, batch_size=64, one_cycle=5e-3)
    print(f"seed {seed}: held-out accuracy {accuracy(net, test_x, test_y):.4f}", flush=True)
