"""Batch normalisation with a residual and ReLU: what its parts give, in one call; and the blocks that use it."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import nnx
from nnx import functional
from nnx.errors import DTypeError, MixedBackendsError, ShapeError
from nnx.layers.norm_batch import norm_relu
from tests.tolerances import assert_close

CHANNELS = 6
SHAPES = [(4, 6), (3, 5, 6), (2, 3, 4, 6), (2, 2, 3, 2, 6)]
GIVEN = [(), ("weight",), ("bias", "residual"), ("residual",), ("weight", "bias", "residual")]


def values(shape: tuple[int, ...], given: tuple[str, ...]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(len(shape))
    shapes = {"input": shape, "weight": shape[-1:], "bias": shape[-1:], "residual": shape}
    return {name: rng.standard_normal(shapes[name]) * 2 + 0.3 for name in ("input", *given)}


def buffers(array: Any) -> list[nnx.Buffer]:
    rng = np.random.default_rng(9)
    return [nnx.Buffer(array(rng.uniform(0.5, 1.5, CHANNELS))) for _ in range(2)]


def in_parts(input: Any, running: Any, training: bool, residual: Any = None, **options: Any) -> Any:
    out = functional.batch_norm(input, *running, training=training, **options)
    return functional.relu(out if residual is None else nnx.namespace(out, residual).add(out, residual))


def in_one(input: Any, running: Any, training: bool, **options: Any) -> Any:
    return functional.batch_norm_relu(input, *running, training=training, **options)


@pytest.mark.parametrize("mode", ["auto", "off"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("given", GIVEN, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_it_is_its_parts(
    xp_backend: Any, shape: tuple[int, ...], given: tuple[str, ...], training: bool, mode: str
) -> None:
    arrays = {name: xp_backend.array(array) for name, array in values(shape, given).items()}
    results = []
    for function in (in_parts, in_one):
        running = buffers(xp_backend.array)

        def call(*tracked: Any, function: Any = function, running: Any = running) -> Any:
            named = dict(zip(arrays, tracked, strict=True))
            return function(named.pop("input"), running, training, momentum=0.3, eps=0.01, **named)

        with nnx.use_kernels(mode):
            out, pullback = nnx.vjp(call, *arrays.values())
            grads = pullback(xp_backend.array(np.random.default_rng(1).standard_normal(shape)))
        results.append([out, *grads, *[buffer.value for buffer in running]])
    for one, parts in zip(*reversed(results), strict=True):
        assert_close(one, parts)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values_and_gradients_are_those_of_torch(shape: tuple[int, ...], training: bool) -> None:
    torch = pytest.importorskip("torch")
    arrays = values(shape, GIVEN[-1])
    running = buffers(np.asarray)

    def call(input: Any, weight: Any, bias: Any, residual: Any) -> Any:
        return in_one(input, running, training, weight=weight, bias=bias, residual=residual)

    theirs = {name: torch.tensor(array, requires_grad=True) for name, array in arrays.items()}
    moved = [torch.tensor(buffer.value) for buffer in running]
    turned = torch.movedim(theirs["input"], -1, 1)
    out = torch.nn.functional.batch_norm(turned, *moved, theirs["weight"], theirs["bias"], training)
    expected = torch.relu(torch.movedim(out, 1, -1) + theirs["residual"])
    cotangent = np.random.default_rng(1).standard_normal(shape)
    expected.backward(torch.tensor(cotangent))
    found, pullback = nnx.vjp(call, *arrays.values())
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-9, atol=1e-12)
    for grad, their in zip(pullback(cotangent), theirs.values(), strict=True):
        np.testing.assert_allclose(grad, their.grad.numpy(), rtol=1e-9, atol=1e-12)
    for buffer, their in zip(running, moved, strict=True):
        np.testing.assert_allclose(buffer.value, their.numpy(), rtol=1e-12)


@pytest.mark.parametrize("training", [True, False])
def test_first_and_second_derivatives(xp_backend: Any, training: bool) -> None:
    running = [None, None] if training else [buffer.value for buffer in buffers(xp_backend.array)]

    def call(input: Any, weight: Any, bias: Any, residual: Any) -> Any:
        return in_one(input, running, training, weight=weight, bias=bias, residual=residual)

    nnx.check_grads(call, [xp_backend.array(a) for a in values((2, 3, 6), GIVEN[-1]).values()])


@pytest.mark.parametrize("name", ["input", "weight", "bias", "residual", "running_mean", "running_var"])
def test_only_one_array_is_tracked(xp_backend: Any, name: str) -> None:
    names = ["running_mean", "running_var"]
    arrays = {key: xp_backend.array(a) for key, a in values((4, 6), GIVEN[-1]).items()}
    arrays |= dict(zip(names, [buffer.value for buffer in buffers(xp_backend.array)], strict=True))

    def one(x: Any) -> Any:
        out = functional.batch_norm_relu(**(arrays | {name: x}))
        return nnx.namespace(out).sum(out * out)

    def parts(x: Any) -> Any:
        given = arrays | {name: x}
        running = [given.pop(key) for key in names]
        out = in_parts(given.pop("input"), running, False, **given)
        return nnx.namespace(out).sum(out * out)

    assert_close(nnx.grad(one)(arrays[name]), nnx.grad(parts)(arrays[name]))


@pytest.mark.parametrize("training", [True, False])
def test_an_empty_batch(xp_backend: Any, training: bool) -> None:
    arrays = [xp_backend.array(a) for a in values((4, 6), GIVEN[-1]).values()]
    arrays[0], arrays[3] = arrays[0][:0, :], arrays[3][:0, :]
    running = buffers(xp_backend.array)
    before = [nnx.to_numpy(buffer.value) for buffer in running]
    for mode in ("auto", "off"):
        with nnx.use_kernels(mode):
            out, pullback = nnx.vjp(
                lambda x, w, b, r: in_one(x, running, training, weight=w, bias=b, residual=r), *arrays
            )
            grads = pullback(out)
        assert out.shape == (0, 6)
        assert [g.shape for g in grads] == [a.shape for a in arrays]
        assert not any(nnx.to_numpy(g).any() for g in grads)
    for buffer, old in zip(running, before, strict=True):
        np.testing.assert_array_equal(nnx.to_numpy(buffer.value), old)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_dtype_stays(dtype: str) -> None:
    arrays = [a.astype(dtype) for a in values((40, 6), GIVEN[-1]).values()]
    for mode in ("auto", "off"):
        with nnx.use_kernels(mode):
            out, pullback = nnx.vjp(
                lambda x, w, b, r: in_one(x, [None, None], True, weight=w, bias=b, residual=r), *arrays
            )
            assert {str(a.dtype) for a in (out, *pullback(out))} == {dtype}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["input", "residual"])
def test_what_is_no_number_spreads_as_in_the_parts(name: str, value: float) -> None:
    arrays = values((4, 6), GIVEN[-1])
    arrays[name][1, 2] = value
    with np.errstate(invalid="ignore"):
        expected = in_parts(running=[None, None], training=True, **arrays)
        found = in_one(running=[None, None], training=True, **arrays)
    np.testing.assert_allclose(found, expected)
    assert np.isnan(found).any() == (name == "input" or np.isnan(value))


ONES = np.ones((4, 6))


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        (
            {"residual": np.ones((4, 5))},
            ShapeError,
            "batch_norm_relu: expected residual of shape (4, 6), that of the input, got (4, 5).",
        ),
        (
            {"residual": np.ones((4, 6), "f4")},
            DTypeError,
            "batch_norm_relu: expected residual of dtype float64, that of the input, got float32. Cast it, e.g. ",
        ),
        (
            {"residual": [[1.0]]},
            TypeError,
            "batch_norm_relu: expected residual to be an array, got list; use nnx.asarray(residual).",
        ),
        ({"eps": 0.0}, ValueError, "batch_norm_relu: expected eps to be a number above 0, got 0.0;"),
        ({"training": False}, ValueError, "batch_norm_relu: expected running_mean and running_var with training=False"),
        ({"weight": np.ones(5)}, ShapeError, "batch_norm_relu: expected (N, ..., 5), got (4, 6)."),
        (
            {"input": ONES[:1]},
            ShapeError,
            "batch_norm_relu: expected more than one value per channel while training, got an input of shape (1, 6)",
        ),
    ],
)
def test_what_it_says_of_mistakes(options: dict, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(text)}"):
        functional.batch_norm_relu(
            **{"input": ONES, "running_mean": None, "running_var": None, "training": True} | options
        )


def test_arrays_of_two_backends() -> None:
    with nnx.use_backend("strict"):
        residual = nnx.asarray(ONES)
    with pytest.raises(MixedBackendsError, match=r"^batch_norm_relu: "):
        functional.batch_norm_relu(ONES, None, None, training=True, residual=residual)


# ------------------------------------------------------------------ layers and networks


def primitives_of(network: Any, x: Any) -> str:
    """What `nnx.explain` says after a call of a network, which forgets what was called before."""
    from nnx import kernels

    kernels._decisions.clear()
    network(x)
    return nnx.explain()


class Twice(nnx.BatchNorm):
    def forward(self, input: Any) -> Any:
        return 2 * super().forward(input)


@pytest.mark.parametrize("build", [Twice, lambda n: nnx.GroupNorm(2, n), lambda n: nnx.Identity()])
def test_other_layers_run_as_they_are(build: Any) -> None:
    layer, arrays = build(CHANNELS), values((4, 6), ("residual",))
    x, residual = (a.astype("f4") for a in arrays.values())
    np.testing.assert_array_equal(norm_relu(layer, x, residual), functional.relu(layer(x) + residual))
    np.testing.assert_array_equal(norm_relu(layer, x), functional.relu(layer(x)))


@pytest.mark.parametrize("momentum", [0.1, None])
def test_a_layer_counts_and_follows_its_batches(momentum: float | None) -> None:
    norms = [nnx.BatchNorm(CHANNELS, momentum=momentum) for _ in range(2)]
    x = values((4, 6), ())["input"].astype("f4")
    for _ in range(3):
        found, expected = norm_relu(norms[0], x), functional.relu(norms[1](x))
    np.testing.assert_array_equal(found, expected)
    for name, array in norms[1].state_dict().items():
        np.testing.assert_array_equal(norms[0].state_dict()[name], array)
    for norm in norms:
        norm.eval()
    np.testing.assert_array_equal(norm_relu(norms[0], x), functional.relu(norms[1](x)))
    with pytest.raises(ShapeError, match=r"^BatchNorm\(6\): expected \(N, \.\.\., 6\), got \(4, 5\)"):
        norm_relu(norms[0], x[:, :5])


BLOCKS = {
    "basic": lambda: nnx.models.BasicBlock(8, 8),
    "bottleneck": lambda: nnx.models.Bottleneck(8, 2),
    "network": lambda: nnx.models.ResNet(nnx.models.BasicBlock, (1, 1), 5, in_channels=8, width=4, stem="cifar"),
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", BLOCKS)
def test_hooks_see_every_layer_and_change_nothing(name: str, training: bool) -> None:
    nnx.seed(0)
    net, x = BLOCKS[name]().train(training), np.random.default_rng(0).standard_normal((2, 6, 6, 8)).astype("f4")
    state = {key: np.array(array) for key, array in net.state_dict().items()}
    expected = net(x)
    after = {key: np.array(array) for key, array in net.state_dict().items()}
    net.load_state_dict(state)
    seen = []
    layers = [(key, layer) for key, layer in net.named_modules() if isinstance(layer, nnx.BatchNorm | nnx.ReLU)]
    removers = [layer.register_forward_hook(lambda *_, key=key: seen.append(key)) for key, layer in layers]
    found = net(x)
    assert set(seen) == {key for key, _ in layers}
    np.testing.assert_array_equal(found, expected)
    for key, array in net.state_dict().items():
        np.testing.assert_array_equal(array, after[key])
    for remove in removers:
        remove()
    kind = "batch_norm_relu" if training else "batch_norm_inference"
    text = primitives_of(net, x)
    assert kind in text
    assert "relu  " not in text.replace("batch_norm_relu", "")


def test_a_hook_changes_what_comes_after() -> None:
    net, x = nnx.models.BasicBlock(8, 8), np.ones((2, 3, 3, 8), "f4")
    net.bn2.register_forward_hook(lambda layer, args, output: output * 0 - 3)
    assert not net(x).any()
    net.bn2.register_forward_hook(lambda layer, args, output: output + 4)
    np.testing.assert_array_equal(net(x), np.full(x.shape, 2, "f4"))
