"""``examples/california_housing.py`` in PyTorch: 13-64-64-1 on standardised features."""

import numpy as np
from torch_loop import options, tensors, torch, train

from nnx.data.datasets import california_housing

chosen = options(__doc__, seeds=3, epochs=30)
nn = torch.nn
features, values = california_housing()
features[:, 3:7] = np.log(features[:, 3:7])
training = len(features) * 4 // 5

for seed in range(chosen.seeds):
    order = np.random.default_rng(seed).permutation(len(features))
    x, y = features[order], values[order]
    x = np.where(np.isnan(x), np.nanmedian(x[:training], axis=0), x)
    x = (x - x[:training].mean(axis=0)) / x[:training].std(axis=0)
    y = ((y - y[:training].mean()) / y[:training].std())[:, None]
    x, y, test_x, test_y = tensors(x[:training], y[:training], x[training:], y[training:])

    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(13, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    train(net, nn.MSELoss(), optimizer, x, y, epochs=chosen.epochs, batch_size=64, anneal=True)
    with torch.no_grad():
        residual = ((net(test_x) - test_y) ** 2).sum()
    score = 1 - residual / ((test_y - test_y.mean()) ** 2).sum()
    print(f"seed {seed}: held-out R2 {score:.4f}")
