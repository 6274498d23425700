"""``examples/fashion_mnist_mlp.py`` in PyTorch: 784-256-128-10 with dropout, on 55,000 of the training images."""

from torch_loop import options, tensors, torch, train

from nnx.data.datasets import fashion_mnist

chosen = options(__doc__, seeds=3, epochs=20, samples=60_000)
nn = torch.nn
images, labels, test_images, test_labels = tensors(*fashion_mnist("train"), *fashion_mnist("test"))
used = chosen.samples - chosen.samples // 12  # the last twelfth is for validation
images, labels = images[:used], labels[:used]

for seed in range(chosen.seeds):
    torch.manual_seed(seed)
    hidden = [nn.Linear(784, 256), nn.ReLU(), nn.Dropout(0.2), nn.Linear(256, 128), nn.ReLU(), nn.Dropout(0.2)]
    net = nn.Sequential(nn.Flatten(), *hidden, nn.Linear(128, 10))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    train(net, nn.CrossEntropyLoss(), optimizer, images, labels, epochs=chosen.epochs, batch_size=128, anneal=True)
    with torch.no_grad():
        accuracy = (net(test_images).argmax(dim=-1) == test_labels).double().mean()
    print(f"seed {seed}: held-out accuracy {accuracy:.4f}")
