"""Long graphs, and graphs that free themselves without the garbage collector."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import nnx


@pytest.fixture
def no_gc():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_a_chain_of_100_000_operations():
    x = nnx.variable(np.asarray(1.0))
    y = x
    for _ in range(100_000):
        y = y + 1e-5
    y.backward()
    assert float(x.grad) == 1.0
    del y  # must not recurse once per node
    x = nnx.variable(np.asarray(1.0))
    y = x
    for _ in range(100_000):
        y = y * 1.0
    del y  # a graph that never ran backwards either


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_long_chain_of_second_order(create_graph):
    def f(x):
        y = x
        for _ in range(20_000):
            y = y * 1.0001
        return y * x

    g = nnx.grad(nnx.grad(f) if create_graph else f)(np.asarray(1.0))
    assert np.isclose(float(g), 2 * 1.0001**20_000)


def test_a_graph_is_freed_by_reference_counts(no_gc):
    x = nnx.variable(np.ones(3))
    a = np.arange(3.0)
    saved = weakref.ref(a)
    y = x * a
    z = np.sum(y)
    del a, y
    assert saved() is not None
    z.backward()
    assert saved() is None  # dropped on the way, though z still lives
    assert x.grad is not None


def test_a_graph_that_never_runs_backwards_is_freed(no_gc):
    x = nnx.variable(np.ones(3))
    a = np.arange(3.0)
    saved = weakref.ref(a)
    z = np.sum(np.sin(x * a))
    del a
    assert saved() is not None
    del z
    assert saved() is None


def _plain_step(p):
    with nnx.record():
        w = p.read()
        loss = np.sum(np.tanh(w @ w) ** 2)
    loss.backward()
    p.value = p.value - 0.01 * p.grad
    p.grad = None


def _value_and_grad_step(p):
    _, g = nnx.value_and_grad(lambda w: np.sum(np.tanh(w) * w[0]))(p.value)
    p.value = p.value - 0.01 * g


def _second_order_step(p):
    def penalty(w):
        return np.sum(nnx.grad(lambda v: np.sum(np.sin(v) * w))(w) ** 2)

    p.value = p.value - 0.01 * nnx.grad(penalty)(p.value)


def _create_graph_step(p):
    x = nnx.variable(p.value)
    (np.sum(x**3)).backward(create_graph=True)
    assert x.grad.tracked
    x.grad = None  # as that is what x's own node holds on to


def _in_place_step(p):
    with nnx.record():
        y = p.read() * 1.0
        y[0, 0] = y[1, 1] * 2.0
        y += 1.0
    np.sum(y).backward()
    p.grad = None


def _abandoned_step(p):
    with nnx.record():
        np.sum(p.read() ** 2)


@pytest.mark.parametrize(
    "step",
    [_plain_step, _value_and_grad_step, _second_order_step, _create_graph_step, _in_place_step, _abandoned_step],
    ids=lambda f: f.__name__.strip("_"),
)
def test_200_steps_leave_nothing_behind(step, no_gc):
    p = nnx.Parameter(np.random.default_rng(0).standard_normal((3, 3)) * 0.1)
    for _ in range(3):
        step(p)
    before = len(gc.get_objects())
    for _ in range(200):
        step(p)
    assert len(gc.get_objects()) - before < 20
