"""checkpoint and custom_vjp."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nnx
from nnx.errors import ShapeError, StaleParameterError

RNG = np.random.default_rng(0)


def close(actual: Any, expected: Any) -> None:
    assert type(actual) is type(expected)
    np.testing.assert_allclose(nnx.to_numpy(actual), nnx.to_numpy(expected), rtol=1e-12, atol=1e-14)


# ------------------------------------------------------------------ checkpoint


def test_checkpoint_gives_the_same_gradients(xp_backend: Any) -> None:
    xp = xp_backend.ns
    x, y = xp_backend.array(RNG.standard_normal((3, 4))), xp_backend.array(RNG.standard_normal((4, 2)))

    def f(x: Any, tree: dict, power: int = 2) -> Any:
        return {"a": xp.tanh(xp.matmul(x, tree["y"])) ** power, "b": xp.sum(xp.sin(x), axis=0)}

    def loss(g: Callable) -> Callable:
        def total(x: Any, y: Any) -> Any:
            out = g(x, {"y": y}, power=3)
            return xp.sum(out["a"]) + xp.sum(out["b"] * out["b"])

        return total

    plain = nnx.value_and_grad(loss(f), argnums=(0, 1))(x, y)
    cheap = nnx.value_and_grad(loss(nnx.checkpoint(f)), argnums=(0, 1))(x, y)
    close(cheap[0], plain[0])
    for found, wanted in zip(cheap[1], plain[1], strict=True):
        close(found, wanted)
    nnx.check_grads(loss(nnx.checkpoint(f)), (x, y))
    out = nnx.checkpoint(f)(x, {"y": y})  # nothing is tracked: a plain call
    assert isinstance(nnx.stop_gradient(out["a"]), xp_backend.backend.array_types)
    assert not getattr(out["a"], "tracked", False)


def network(backend: str) -> tuple[nnx.Module, nnx.Module]:
    nnx.seed(0)
    body = nnx.Sequential(nnx.Linear(4, 6), nnx.Dropout(0.5), nnx.GELU(), nnx.Linear(6, 4)).to("float64").to(backend)
    return body, nnx.Linear(4, 1).to("float64").to(backend)


@pytest.mark.parametrize("style", ["record", "value_and_grad"])
def test_checkpoint_finds_parameters_and_replays_masks(xp_backend: Any, style: str) -> None:
    xp, name = xp_backend.ns, xp_backend.backend.name
    x = xp_backend.array(RNG.standard_normal((5, 4)))
    found = []
    for wrap in (lambda f: f, nnx.checkpoint):
        body, head = network(name)
        net = nnx.Sequential(body, head)
        nnx.seed(3)

        def loss(n: Any, body: Any = body, head: Any = head, wrap: Callable = wrap) -> Any:
            hidden = wrap(lambda v: body(v))(x)
            return xp.sum(head(wrap(body)(hidden)) ** 2)

        if style == "record":
            with nnx.record():
                value = loss(net)
            later = nnx.random.get_state()["dropout"]
            value.backward()
            grads = {n: p.grad for n, p in net.named_parameters()}
            value = nnx.stop_gradient(value)
        else:
            value, grads = nnx.value_and_grad(loss)(net)
            later = nnx.random.get_state()["dropout"]
        assert nnx.random.get_state()["dropout"] == later  # the second run draws nothing new
        found.append((value, grads, later))
    (plain, grads, state), (cheap, cheap_grads, cheap_state) = found
    assert state == cheap_state
    close(cheap, plain)
    assert list(grads) == list(cheap_grads)
    for key, wanted in grads.items():
        close(cheap_grads[key], wanted)


def test_checkpoint_inside_checkpoint(xp_backend: Any) -> None:
    xp = xp_backend.ns
    inner = nnx.checkpoint(lambda x: xp.sin(x) * x)
    outer = nnx.checkpoint(lambda x: inner(inner(x)) * x)
    x = xp_backend.array(RNG.standard_normal(3))
    nnx.check_grads(lambda x: xp.sum(outer(x)), (x,))


def test_checkpoint_keeps_nothing_but_its_arguments() -> None:
    kept: list[weakref.ref] = []

    def f(x: Any) -> Any:
        middle = np.exp(x)
        kept.append(weakref.ref(nnx.stop_gradient(middle)))
        return np.sin(middle)

    x = nnx.variable(np.ones(3))
    y = nnx.checkpoint(f)(x)
    assert kept[0]() is None
    np.sum(y).backward()
    assert len(kept) == 2
    assert kept[1]() is None
    plain = f(nnx.variable(np.ones(3)))
    assert plain.tracked
    assert kept[2]() is not None  # what an ordinary call keeps
    np.testing.assert_allclose(x.grad, np.cos(np.exp(np.ones(3))) * np.e)


def test_checkpoint_notices_changed_parameters() -> None:
    layer = nnx.Linear(2, 2)
    with nnx.record():
        loss = np.sum(nnx.checkpoint(layer)(np.ones((1, 2), "f4")))
    layer.weight = layer.weight * 2
    with pytest.raises(StaleParameterError):
        loss.backward()


def test_checkpoint_with_frozen_parameters_only_is_a_plain_call() -> None:
    layer = nnx.Linear(2, 2).freeze()
    with nnx.record():
        out = nnx.checkpoint(layer)(np.ones((1, 2), "f4"))
    assert type(out) is np.ndarray


def test_what_checkpoint_refuses() -> None:
    x = nnx.variable(np.ones(2))
    with pytest.raises(ValueError, match=r"checkpoint: the function uses a tracked array .* Pass it as an argument\."):
        nnx.checkpoint(lambda y: y * x)(np.ones(2))
    with pytest.raises(TypeError, match="checkpoint: expected the function to return arrays, got float"):
        nnx.checkpoint(lambda y: 1.0)(x)
    index = nnx.checkpoint(lambda y: np.argmax(nnx.stop_gradient(y)))(x)
    assert not getattr(index, "tracked", False)  # integers carry no gradient


# ------------------------------------------------------------------ custom_vjp


def stable_log1pexp() -> Any:
    @nnx.custom_vjp
    def f(x: Any) -> Any:
        """log(1 + exp(x))."""
        return np.log1p(np.exp(x))

    def forward(x: Any) -> tuple:
        return f(x), x

    def backward(x: Any, g: Any) -> tuple:
        return (g * (1 - 1 / (1 + np.exp(x))),)

    f.defvjp(forward, backward)
    return f


def test_custom_vjp_is_used_at_every_order() -> None:
    f = stable_log1pexp()
    assert (f.__name__, f.__doc__) == ("f", "log(1 + exp(x)).")
    x = RNG.standard_normal(4)
    np.testing.assert_allclose(f(x), np.log1p(np.exp(x)))
    nnx.check_grads(f, (x,))
    nnx.check_grads(lambda x: f(x) * f(x * x), (x,))
    calls = []
    double = nnx.custom_vjp(lambda x: x)
    double.defvjp(lambda x: (x, None), lambda _, g: (calls.append(1), (2 * g,))[1])
    assert float(nnx.grad(double)(np.asarray(3.0))) == 2.0  # not the derivative of x
    assert calls == [1]
    assert float(nnx.grad(nnx.grad(lambda x: double(x) * x))(np.asarray(3.0))) == 4.0


def test_custom_vjp_with_several_arguments_and_outputs(xp_backend: Any) -> None:
    xp = xp_backend.ns
    f = nnx.custom_vjp(lambda a, pair, n: (a * pair[0], pair[1] + n))
    f.defvjp(
        lambda a, pair, n: ((a * pair[0], pair[1] + n), (a, pair)),
        lambda saved, g: (g[0] * saved[1][0], [g[0] * saved[0], g[1]], None),
    )
    a, b, c = (xp_backend.array(RNG.standard_normal(3)) for _ in range(3))

    def loss(a: Any, b: Any, c: Any) -> Any:
        left, right = f(a, [b, c], 2.0)
        return xp.sum(left * right)

    nnx.check_grads(loss, (a, b, c))
    close(nnx.grad(loss, argnums=1)(a, b, c), a * (c + 2.0))


def test_custom_vjp_works_on_the_tape() -> None:
    f = stable_log1pexp()
    layer = nnx.Linear(2, 1, dtype="float64")
    x = np.ones((1, 2))
    with nnx.record():
        loss = np.sum(f(layer(x)))
    loss.backward()
    expected = 1 / (1 + np.exp(-layer(x)))
    np.testing.assert_allclose(layer.parameter("bias").grad, expected[0])


def test_what_custom_vjp_refuses() -> None:
    x = nnx.variable(np.ones(3))
    f = nnx.custom_vjp(lambda x: x)
    assert f(np.ones(1)).tolist() == [1.0]
    with pytest.raises(RuntimeError, match=r"custom_vjp: call <lambda>\.defvjp\(forward, backward\) before"):
        f(x)

    def run(backward: Callable) -> None:
        f.defvjp(lambda x: (x * 1.0, None), backward)
        np.sum(f(nnx.variable(np.ones(3)))).backward()

    with pytest.raises(TypeError, match="to return a tuple of 1 gradients, one per argument, got ndarray"):
        run(lambda _, g: g)
    with pytest.raises(TypeError, match="a tuple of 1 gradients"):
        run(lambda _, g: (g, g))
    with pytest.raises(
        ShapeError, match=r"custom_vjp: expected a gradient of shape \(3,\), that of the argument, got \(\)"
    ):
        run(lambda _, g: (np.sum(g),))
    with pytest.raises(ShapeError, match="custom_vjp: expected gradient 0 to "):
        run(lambda _, g: ([g, g],))
    run(lambda _, g: (None,))
    outside = nnx.variable(np.ones(3))
    f.defvjp(lambda x: (x * outside, None), lambda _, g: (g,))
    with pytest.raises(ValueError, match="custom_vjp: the function uses a tracked array"):
        f(x)


def test_gradients_of_a_dict_are_matched_by_key(xp_backend):
    f = nnx.custom_vjp(lambda t: t["a"] * t["b"])
    f.defvjp(lambda t: (t["a"] * t["b"], t), lambda t, g: ({"b": g * t["a"], "a": g * t["b"]},))
    a, b = xp_backend.array([2.0]), xp_backend.array([5.0])
    g = nnx.grad(lambda t: f(t)[0])({"a": a, "b": b})
    np.testing.assert_allclose(nnx.to_numpy(g["a"]), [5.0])
    np.testing.assert_allclose(nnx.to_numpy(g["b"]), [2.0])


def test_a_checkpointed_function_makes_no_python_numbers(xp_backend):
    f = nnx.checkpoint(lambda x: x * float(x[0]))
    with pytest.raises(TypeError, match="would lose the gradient"):
        nnx.grad(lambda x: nnx.namespace(x).sum(f(x)))(xp_backend.array([1.0, 2.0]))
