"""``examples/logistic_regression.py`` in PyTorch: two spiral arms, one output with a sigmoid."""

from torch_loop import options, tensors, torch, train

from nnx.data.datasets import spiral

chosen = options(__doc__, seeds=10)
nn = torch.nn
RECIPES = {
    "2-1": (lambda: nn.Sequential(nn.Linear(2, 1), nn.Sigmoid()), 100),
    "2-64-1": (lambda: nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 1), nn.Sigmoid()), 1000),
}

for name, (make, epochs) in RECIPES.items():
    for seed in range(chosen.seeds):
        x, y, test_x, test_y = tensors(*spiral(100, 2, seed=seed), *spiral(1000, 2, seed=1000 + seed))
        torch.manual_seed(seed)
        net = make()
        optimizer = torch.optim.Adam(net.parameters(), lr=2e-2)
        train(net, nn.BCELoss(), optimizer, x, y[:, None].float(), epochs=epochs, batch_size=100)
        accuracy = ((net(test_x)[:, 0] > 0.5) == test_y).double().mean()
        print(f"{name}, seed {seed}: held-out accuracy {accuracy:.4f}")
