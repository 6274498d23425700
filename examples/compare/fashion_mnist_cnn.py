"""``examples/fashion_mnist_cnn.py`` in PyTorch: two convolutions, without and with batch normalisation."""

from torch_loop import accuracy, channels_first, options, random_flip, tensors, torch, train

from nnx.data.datasets import fashion_mnist

chosen = options(__doc__, seeds=3, epochs=6, samples=60_000)
nn = torch.nn
(images, labels), (test_images, test_labels) = fashion_mnist("train"), fashion_mnist("test")
used = chosen.samples - chosen.samples // 12  # the last twelfth is for validation
x, test_x = channels_first(images[:used]), channels_first(test_images)
y, test_y = tensors(labels[:used], test_labels)


def network(normalised):
    def convolution(inputs, outputs):
        norm = [nn.BatchNorm2d(outputs)] if normalised else []
        return nn.Conv2d(inputs, outputs, 3, padding=1), nn.MaxPool2d(2), *norm, nn.ReLU()

    norm = [nn.BatchNorm1d(128)] if normalised else []
    hidden = [nn.Flatten(), nn.Dropout(0.2), nn.Linear(3136, 128), *norm, nn.ReLU(), nn.Dropout(0.2)]
    return nn.Sequential(*convolution(1, 16), *convolution(16, 64), *hidden, nn.Linear(128, 10))


for name, rate in {"plain": 3e-3, "BatchNorm": 1e-2}.items():
    for seed in range(chosen.seeds):
        torch.manual_seed(seed)
        net = network(normalised=name == "BatchNorm")
        optimizer = torch.optim.AdamW(net.parameters(), weight_decay=0.01)
        how = {"epochs": chosen.epochs, "batch_size": 128, "one_cycle": rate, "augment": random_flip}
        train(net, nn.CrossEntropyLoss(), optimizer, x, y, **how)
        print(f"{name}, seed {seed}: held-out accuracy {accuracy(net, test_x, test_y):.4f}", flush=True)
