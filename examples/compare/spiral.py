"""``examples/spiral.py`` in PyTorch: three spiral arms, with weight decay and with dropout."""

from torch_loop import options, tensors, torch, train

from nnx.data.datasets import spiral

chosen = options(__doc__, seeds=10)
nn = torch.nn


def with_penalty():
    net = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3))
    return net, torch.optim.Adam(net.parameters(), lr=5e-3, weight_decay=1e-4)


def with_dropout():
    hidden = [nn.Linear(2, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.1)]
    net = nn.Sequential(*hidden, nn.Linear(64, 3))
    return net, torch.optim.Adam(net.parameters(), lr=5e-3)


for name, (make, epochs) in {"L2 penalty": (with_penalty, 300), "dropout": (with_dropout, 600)}.items():
    for seed in range(chosen.seeds):
        x, y, test_x, test_y = tensors(*spiral(100, 3, seed=seed), *spiral(1000, 3, seed=1000 + seed))
        torch.manual_seed(seed)
        net, optimizer = make()
        train(net, nn.CrossEntropyLoss(), optimizer, x, y, epochs=epochs, batch_size=100)
        accuracy = (net(test_x).argmax(dim=-1) == test_y).double().mean()
        print(f"{name}, seed {seed}: held-out accuracy {accuracy:.4f}")
