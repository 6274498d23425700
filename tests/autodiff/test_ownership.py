"""Gradients own their memory, and what has just been computed is not copied for that."""

import numpy as np

import nnx
from nnx.autodiff.ownership import exclusive


def _mutable(grads):
    """Every gradient can be changed in place, and none of the others changes with it."""
    for g in grads:
        before = [np.array(other) for other in grads]
        g *= 2.0
        assert [np.array_equal(a, b) for a, b in zip(before, grads, strict=True)] == [other is not g for other in grads]


def test_gradients_own_their_memory():
    x, y = np.ones((2, 3)), np.ones(6)
    _mutable([nnx.grad(np.sum)(x)])
    _mutable(nnx.grad(lambda a, b: np.sum((a + b) ** 2), (0, 1))(x, x))
    _mutable(nnx.grad(lambda a, b: np.sum((np.reshape(a, (6,)) + b) ** 2), (0, 1))(x, y))
    _mutable(nnx.value_and_grad(lambda a, b: np.mean(a) + np.sum(b), (0, 1))(x, y)[1])
    _, pullback = nnx.vjp(lambda a, b: a + b, y, y)
    cotangent = np.full(6, 3.0)
    _mutable([*pullback(cotangent), cotangent])
    _mutable([nnx.jvp(lambda a: a, (x,), (x,))[1], x])
    _mutable([nnx.hvp(lambda a: np.sum(a * a) / 2, (x,), (x,)), x])


def test_gradients_of_a_backward_pass_own_their_memory():
    cotangent = np.full((2, 3), 3.0)
    for build in (lambda a, b: a + b, lambda a, b: np.reshape(a, (6,)) + np.reshape(b, (6,)), lambda a, b: a * 2 + b):
        a, b = nnx.variable(np.ones((2, 3))), nnx.variable(np.ones((2, 3)))
        out = build(a, b)
        seed = np.reshape(cotangent, out.shape)
        out.backward(seed)
        _mutable([a.grad, b.grad, seed])
    a = nnx.variable(np.ones(3))
    np.sum(a).backward()  # one number shown three times
    _mutable([a.grad])


def test_a_retained_graph_does_not_share_its_memory_with_gradients():
    kept = np.ones(3)
    f = nnx.custom_vjp(lambda x: np.sum(x))
    f.defvjp(lambda x: (np.sum(x), kept), lambda saved, g: (saved,))
    a = nnx.variable(np.ones(3))
    out = f(a)
    out.backward(retain_graph=True)
    np.multiply(a.grad, 5.0, out=a.grad)
    a.grad = None
    out.backward()
    np.testing.assert_array_equal(a.grad, np.ones(3))


def test_a_gradient_fresh_from_a_product_is_not_copied():
    fresh, other = np.ones((784, 128)), np.ones((784, 128))
    g, view = exclusive([fresh, other.T], [np.ones(3)])
    assert g is fresh
    assert view.base is other
    first, second = exclusive([fresh, fresh.T], [])
    assert first is fresh
    assert not np.shares_memory(second, fresh)


def test_a_large_gradient_fresh_from_a_rule_is_not_copied():
    computed = []

    def rule(saved, g):
        computed.append(np.full((300, 300), 2.0) * g)
        return (computed[-1],)

    f = nnx.custom_vjp(lambda x: np.sum(x) * 2)
    f.defvjp(lambda x: (np.sum(x) * 2, None), rule)
    for retain in (False, True):
        x = nnx.variable(np.ones((300, 300)))
        f(x).backward(retain_graph=retain)
        assert np.shares_memory(x.grad, computed[-1]) is not retain
