"""update_bn: the statistics of batch normalisation estimated anew, or left as they were."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nnx


class Running(nnx.Module):
    """As much of a batch normalisation as update_bn knows."""

    def __init__(self) -> None:
        self.momentum: Any = 0.1
        self.mean = nnx.Buffer(np.full(2, 9.0))
        self.seen = 0

    def reset_running_stats(self) -> None:
        self.mean, self.seen = np.zeros(2), 0

    def forward(self, x: Any) -> Any:
        if self.training:
            self.seen += 1
            share = 1 / self.seen if self.momentum is None else self.momentum
            self.mean = (1 - share) * self.mean + share * np.mean(x, axis=0)
        return x


@pytest.mark.parametrize("pairs", [False, True])
def test_update_bn_averages_over_all_batches(pairs: bool) -> None:
    layer = Running()
    net = nnx.Sequential(nnx.Linear(2, 2, dtype="float64"), layer).eval()
    net[0].training = True
    x = np.random.default_rng(0).standard_normal((12, 2))
    dataset = nnx.data.ArrayDataset(x, np.zeros(12)) if pairs else nnx.data.ArrayDataset(x)
    average = nnx.optim.SWA(net)
    average.update()
    net[0].weight = net[0].weight * 5
    with average.applied():
        nnx.optim.update_bn(nnx.data.DataLoader(dataset, batch_size=4), net)
        wanted = np.mean(net[0](x), axis=0)
        np.testing.assert_allclose(layer.mean, wanted, rtol=1e-12)
    np.testing.assert_array_equal(layer.mean, np.full(2, 9.0))
    with average.applied():
        np.testing.assert_allclose(layer.mean, wanted, rtol=1e-12)  # the estimate belongs to the average
    assert layer.momentum == 0.1
    assert (net.training, net[0].training, layer.training) == (False, True, False)


def test_update_bn_of_a_batch_norm_is_torchs() -> None:
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).standard_normal((12, 3))
    ours = nnx.Sequential(nnx.BatchNorm(3, dtype="float64"))
    theirs = torch.nn.Sequential(torch.nn.BatchNorm1d(3, dtype=torch.float64))
    ours(x * 5 + 3)  # statistics to forget
    nnx.optim.update_bn([x[i : i + 4] for i in range(0, 12, 4)], ours)
    torch.optim.swa_utils.update_bn([torch.tensor(x[i : i + 4]) for i in range(0, 12, 4)], theirs)
    for name, value in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[name], value.numpy(), rtol=1e-9)


def batch_norm() -> tuple[nnx.Sequential, dict[str, np.ndarray]]:
    net = nnx.Sequential(nnx.BatchNorm(3, dtype="float64"))
    net(np.random.default_rng(0).standard_normal((12, 3)) * 5 + 3)
    return net, {name: value.copy() for name, value in net.state_dict().items()}


def assert_as_before(net: nnx.Sequential, before: dict[str, np.ndarray]) -> None:
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    assert net[0].momentum == 0.1
    assert net.training


@pytest.mark.parametrize("loader", [[], (), iter(())])
def test_update_bn_without_data_is_refused_and_changes_nothing(loader: Any) -> None:
    net, before = batch_norm()
    with pytest.raises(ValueError, match=r"^update_bn: expected at least one batch, got none; pass a loader of the"):
        nnx.optim.update_bn(loader, net)
    assert_as_before(net, before)


def test_a_batch_that_raises_leaves_the_statistics() -> None:
    net, before = batch_norm()
    with pytest.raises(ValueError, match="BatchNorm"):
        nnx.optim.update_bn([np.ones((4, 3)), np.ones((4, 7))], net)
    assert_as_before(net, before)


def test_arguments_of_update_bn_are_checked() -> None:
    net, _ = batch_norm()
    with pytest.raises(
        TypeError, match=r"^update_bn: expected loader to be an iterable of batches, got NoneType; pass"
    ):
        nnx.optim.update_bn(None, net)  # type: ignore[arg-type]
    with pytest.raises(
        TypeError, match=r"got list; pass a Module\. The loader comes first: update_bn\(loader, net\)\.$"
    ):
        nnx.optim.update_bn(net, [np.ones((4, 3))])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^update_bn: expected net to be a network, got int; pass a Module\.$"):
        nnx.optim.update_bn([np.ones((4, 3))], 3)
