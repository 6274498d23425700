"""Whole training steps: nothing leaks, and threads do not disturb each other."""

from __future__ import annotations

import gc
import threading
import tracemalloc
from typing import Any

import numpy as np
import pytest

import nnx

OPTIMIZERS = {
    "SGD": lambda net: nnx.optim.SGD(net, lr=0.05, momentum=0.9),
    "AdamW": lambda net: nnx.optim.AdamW(net, lr=0.01),
}


def network(backend: str, dropout: float = 0.0) -> nnx.Sequential:
    net = nnx.Sequential(nnx.Linear(6, 16), nnx.ReLU(), nnx.Dropout(dropout), nnx.Linear(16, 3))
    return net.to(backend)


def data(backend: str) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((20, 6)).astype("f4"), rng.integers(0, 3, 20)
    return nnx.asarray(x, backend=backend), nnx.asarray(y, backend=backend)


def train(net: nnx.Module, optimizer: Any, batch: tuple, steps: int) -> float:
    x, y = batch
    for _ in range(steps):
        with nnx.record():
            loss = nnx.functional.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return float(loss)


def array_memory() -> int:
    """The bytes that arrays hold; what Python keeps in its free lists does not count."""
    only_arrays = tracemalloc.DomainFilter(inclusive=True, domain=np.lib.tracemalloc_domain)
    return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces([only_arrays]).traces)


@pytest.mark.parametrize("backend", ["numpy", "strict"])
@pytest.mark.parametrize("kind", list(OPTIMIZERS))
def test_200_steps_leave_nothing_behind(kind: str, backend: str) -> None:
    net = network(backend, dropout=0.1)
    optimizer, batch = OPTIMIZERS[kind](net), data(backend)
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        train(net, optimizer, batch, 60)  # past everything that is made once
        objects, memory = len(gc.get_objects()), array_memory()
        train(net, optimizer, batch, 200)
        assert len(gc.get_objects()) - objects < 20
        assert array_memory() == memory
    finally:
        tracemalloc.stop()
        gc.enable()


@pytest.mark.parametrize("kind", list(OPTIMIZERS))
def test_training_learns_alike_on_every_backend_and_without_kernels(kind: str) -> None:
    losses = {}
    for name, backend, mode in (("kernels", "numpy", "auto"), ("plain", "numpy", "off"), ("strict", "strict", "auto")):
        nnx.seed(0)
        net = network(backend, dropout=0.2)
        with nnx.use_kernels(mode):
            losses[name] = train(net, OPTIMIZERS[kind](net), data(backend), 30)
        net.eval()
    assert losses["kernels"] < 0.9
    np.testing.assert_allclose(losses["plain"], losses["kernels"], rtol=1e-3)
    np.testing.assert_allclose(losses["strict"], losses["kernels"], rtol=1e-3)


@pytest.mark.parametrize("laid_out", [False, True])
@pytest.mark.parametrize("kind", list(OPTIMIZERS))
def test_gradients_that_were_recorded_themselves(xp_backend: Any, kind: str, laid_out: bool) -> None:
    """After ``backward(create_graph=True)`` they are tracked arrays; the optimizer takes their values."""
    found = []
    for create_graph in (False, True):
        nnx.seed(0)
        net = nnx.Linear(3, 2)
        optimizer = OPTIMIZERS[kind](net)
        if laid_out:
            optimizer.state_dict()
        for _ in range(3):
            with nnx.record():
                loss = nnx.functional.mse_loss(
                    net(xp_backend.array(np.ones((2, 3)), "float32")), xp_backend.array(np.zeros((2, 2)), "float32")
                )
            loss.backward(create_graph=create_graph)
            weight = net.parameter("weight")
            assert isinstance(weight.grad, nnx.Array) == create_graph
            assert isinstance(weight.raw_grad, xp_backend.backend.array_types)
            optimizer.step()
            assert isinstance(weight.value, xp_backend.backend.array_types)
            optimizer.zero_grad()
            assert weight.grad is weight.raw_grad is None
        found.append({name: nnx.to_numpy(array) for name, array in net.state_dict().items()})
    for name, array in found[0].items():
        np.testing.assert_allclose(found[1][name], array, rtol=1e-5, err_msg=name)


def test_recorded_gradients_move_along() -> None:
    parameter = nnx.Parameter(np.asarray([1.0, 2.0]))
    layer = nnx.Module()
    layer.scale = parameter
    with nnx.record():
        loss = np.sum(layer.scale * layer.scale)
    loss.backward(create_graph=True)
    layer.to("strict")
    assert nnx.to_numpy(parameter.grad).tolist() == [2.0, 4.0]


def test_two_threads_train_two_networks_on_two_backends_as_if_alone() -> None:
    def job(backend: str, kind: str) -> dict[str, np.ndarray]:
        with nnx.use_backend(backend):
            net = nets[backend]
            train(net, OPTIMIZERS[kind](net), data(backend), 60)
            return {k: nnx.to_numpy(v) for k, v in net.state_dict().items()}

    def fresh() -> dict[str, nnx.Module]:
        nnx.seed(0)
        return {backend: network(backend) for backend in ("numpy", "strict")}

    jobs = [("numpy", "AdamW"), ("strict", "SGD")]
    nets = fresh()
    alone = [job(*j) for j in jobs]
    nets = fresh()
    together: dict[int, Any] = {}
    threads = [threading.Thread(target=lambda i=i, j=j: together.update({i: job(*j)})) for i, j in enumerate(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, expected in enumerate(alone):
        for name, array in expected.items():
            np.testing.assert_array_equal(together[i][name], array)
