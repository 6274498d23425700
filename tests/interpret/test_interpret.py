"""Looking inside a network: against formulas, finite differences and PyTorch; what is left as it was; and refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nnx
from nnx.errors import DTypeError, ShapeError
from nnx.interpret import activations, grad_cam, occlusion, saliency, smooth_grad

IMAGES = np.random.default_rng(0).standard_normal((3, 8, 7, 2))
CLASSES = [2, 0, 3]


def network() -> nnx.Module:
    """A small CNN that behaves otherwise while training."""
    nnx.seed(0)
    return nnx.Sequential(
        nnx.Conv2d(2, 5, 3, padding=1, dtype="float64"),
        nnx.Tanh(),
        nnx.Conv2d(5, 6, 3, dtype="float64"),
        nnx.BatchNorm(6, dtype="float64"),
        nnx.Dropout(0.5),
        nnx.ReLU(),
        nnx.GlobalAvgPool(),
        nnx.Linear(6, 4, dtype="float64"),
    )


def twin(torch: Any, net: nnx.Module) -> Any:
    """The same network in PyTorch, in evaluation mode."""
    other = torch.nn.Sequential(
        torch.nn.Conv2d(2, 5, 3, padding=1),
        torch.nn.Tanh(),
        torch.nn.Conv2d(5, 6, 3),
        torch.nn.BatchNorm2d(6),
        torch.nn.Dropout(0.5),
        torch.nn.ReLU(),
        torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()),
        torch.nn.Linear(6, 4),
    ).double()
    arrays = {name: np.array(nnx.to_numpy(value)) for name, value in net.state_dict().items()}
    state = {name: np.moveaxis(a, -1, 1).copy() if a.ndim > 2 else a for name, a in arrays.items()}
    other.load_state_dict({name: torch.tensor(a) for name, a in state.items()})
    return other.eval()


def agree(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(nnx.to_numpy(found), expected, rtol=1e-9, atol=1e-12)


def first(images: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(images, -1, 1))


@pytest.mark.parametrize("layer", ["0", "2", "5"])
@pytest.mark.parametrize("target", [1, CLASSES, None])
def test_grad_cam_is_that_of_torch(xp_backend: Any, layer: str, target: Any) -> None:
    torch = pytest.importorskip("torch")
    net = network()
    other = twin(torch, net)
    index = int(layer) + 1
    features = other[:index](torch.tensor(first(IMAGES))).detach().requires_grad_()
    scores = other[index:](features)
    classes = scores.argmax(1) if target is None else torch.tensor([target] * 3 if target == 1 else target)
    scores.gather(1, classes[:, None]).sum().backward()
    weights = features.grad.mean(dim=(2, 3), keepdim=True)
    expected = torch.relu((weights * features).sum(dim=1)).detach().numpy()
    assert expected.max() > 0
    agree(grad_cam(net, xp_backend.array(IMAGES), target, layer=layer), expected)
    if isinstance(target, list):
        agree(grad_cam(net, xp_backend.array(IMAGES), np.asarray(target), layer=layer), expected)


def test_saliency_is_the_gradient_of_the_class_score(xp_backend: Any) -> None:
    torch = pytest.importorskip("torch")
    net, x = network(), xp_backend.array(IMAGES)
    found = saliency(net, x, CLASSES)
    images = torch.tensor(first(IMAGES), requires_grad=True)
    twin(torch, net)(images)[torch.arange(3), torch.tensor(CLASSES)].sum().backward()
    agree(found, np.moveaxis(images.grad.numpy(), 1, -1))
    net.eval()
    for k, target in enumerate(CLASSES):
        agree(found[k, ...], nnx.to_numpy(nnx.grad(lambda x: net(x)[k, target])(x))[k])  # noqa: B023
    predicted = nnx.to_numpy(net(x)).argmax(axis=-1)
    agree(saliency(net, x), nnx.to_numpy(saliency(net, x, predicted)))


def test_saliency_of_tracked_input_and_while_recording_is_raw_and_leaves_no_gradients() -> None:
    net = network()
    expected = saliency(net, IMAGES, 1), grad_cam(net, IMAGES, 1, layer="2"), activations(net, IMAGES, "2")["2"]
    x = nnx.variable(IMAGES)
    with nnx.record():
        found = saliency(net, x, 1), grad_cam(net, x, 1, layer="2"), activations(net, x, "2")["2"]
    for one, other in zip(found, expected, strict=True):
        assert type(one) is np.ndarray
        agree(one, other)
    assert all(parameter.grad is None for parameter in net.parameters())
    assert x.grad is None


def test_smooth_grad_is_the_mean_over_noisy_copies(xp_backend: Any) -> None:
    net, x = network(), xp_backend.array(IMAGES)
    agree(smooth_grad(net, x, CLASSES, noise=0.0, samples=2), nnx.to_numpy(saliency(net, x, CLASSES)))
    nnx.seed(7)
    found = smooth_grad(net, x, CLASSES, noise=0.2, samples=3)
    nnx.seed(7)
    width = 0.2 * np.ptp(IMAGES, axis=(1, 2, 3), keepdims=True)
    draws = [nnx.random.data_generator().standard_normal(IMAGES.shape) for _ in range(3)]
    copies = [nnx.to_numpy(saliency(net, xp_backend.array(IMAGES + width * draw), CLASSES)) for draw in draws]
    agree(found, np.mean(copies, axis=0))
    chosen = nnx.to_numpy(net.eval()(x)).argmax(axis=-1)
    nnx.seed(7)
    one = nnx.to_numpy(smooth_grad(net, x, samples=1))
    nnx.seed(7)
    agree(smooth_grad(net, x, chosen, samples=1), one)


@pytest.mark.parametrize("stride", [None, 2, (4, 3)])
def test_occlusion_is_the_fall_of_the_score(xp_backend: Any, stride: Any) -> None:
    net, x = network().eval(), xp_backend.array(IMAGES)
    down, right = (3, 2) if stride is None else (stride, stride) if isinstance(stride, int) else stride
    whole = nnx.to_numpy(net(x))
    expected = np.zeros((3, -(-8 // down), -(-7 // right)))
    for i in range(expected.shape[1]):
        for j in range(expected.shape[2]):
            covered = IMAGES.copy()
            covered[:, i * down : i * down + 3, j * right : j * right + 2] = 0.5
            drop = whole - nnx.to_numpy(net(xp_backend.array(covered)))
            expected[:, i, j] = drop[range(3), CLASSES]
    agree(occlusion(net, x, CLASSES, size=(3, 2), stride=stride, value=0.5), expected)


def test_occlusion_keeps_to_the_class_predicted_for_the_whole_image() -> None:
    net = nnx.Sequential(nnx.Flatten(), nnx.Linear(2, 2, bias=False, dtype="float64"))
    net[1].weight = np.asarray([[3.0, 0.0], [0.0, 2.0]])
    image = np.ones((1, 1, 2, 1))  # without its first pixel it is of the other class
    np.testing.assert_array_equal(occlusion(net, image, size=1), [[[3.0, 0.0]]])


def test_activations_are_the_outputs_of_layers(xp_backend: Any) -> None:
    net, x = network(), xp_backend.array(IMAGES)
    found = activations(net, x, ["5", "0"])
    assert list(found) == ["5", "0"]
    agree(found["0"], nnx.to_numpy(net[0](x)))
    net.eval()
    agree(found["5"], nnx.to_numpy(net[:6](x)))
    nested = nnx.Sequential(net, nnx.Softmax(axis=-1))
    agree(activations(nested, x, "0.5")["0.5"], nnx.to_numpy(found["5"]))


EXPLAIN: dict[str, Callable[..., Any]] = {
    "activations": lambda net, x, target: activations(net, x, ["2", "5"]),
    "saliency": saliency,
    "smooth_grad": lambda net, x, target: smooth_grad(net, x, target, samples=2),
    "grad_cam": lambda net, x, target: grad_cam(net, x, target, layer="2"),
    "occlusion": lambda net, x, target: occlusion(net, x, target, size=4),
}


@pytest.mark.parametrize("name", EXPLAIN)
def test_modes_hooks_and_weights_are_as_before_even_after_an_error(name: str) -> None:
    net = network()
    net[3].eval()  # a frozen batch normalisation
    seen: list[int] = []
    net[2].register_forward_hook(lambda module, args, output: seen.append(1))
    before = {key: np.array(value) for key, value in net.state_dict().items()}
    hooks = [dict(module._hooks) for module in net.modules()]

    def unchanged() -> None:
        assert [module.training for module in net.modules()] == [True] * 4 + [False] + [True] * 4
        assert [dict(module._hooks) for module in net.modules()] == hooks
        for key, value in net.state_dict().items():
            np.testing.assert_array_equal(value, before[key])

    EXPLAIN[name](net, IMAGES, 1)
    assert seen
    unchanged()
    calls: list[int] = []

    def fail(module: nnx.Module, args: Any, output: Any) -> None:
        calls.append(1)
        if len(calls) == failing:
            raise RuntimeError("out of order")

    for failing in (1, 2):  # in the first or the second forward pass
        if failing == 2 and name in ("activations", "saliency"):
            continue
        calls.clear()
        remove = net[6].register_forward_hook(fail)
        hooks[7] = dict(net[6]._hooks)
        with pytest.raises(RuntimeError, match="out of order"):
            EXPLAIN[name](net, IMAGES, 1)
        unchanged()
        remove()
        hooks[7] = {}


@pytest.mark.parametrize("name", [name for name in EXPLAIN if name != "activations"])
def test_wrong_targets_and_networks(name: str) -> None:
    explain, net = EXPLAIN[name], network()
    for target, got in ((4, 4), (-1, -1), ([0, 1, 9], 9), (np.asarray([0, -2, 1]), -2)):
        with pytest.raises(
            ValueError, match=f"{name}: expected target from 0 to 3, one of the 4 classes that the network .* got {got}"
        ):
            explain(net, IMAGES, target)
    with pytest.raises(ShapeError, match=rf"{name}: expected target to be a class or .*, \(3,\), got shape \(2,\)"):
        explain(net, IMAGES, [0, 1])
    with pytest.raises(DTypeError, match=rf"{name}: expected target to be integer classes, got dtype float64. Cast"):
        explain(net, IMAGES, np.zeros(3))
    with pytest.raises(TypeError, match=f"{name}: expected target to be an integer, got 'cat'"):
        explain(net, IMAGES, "cat")
    with pytest.raises(ShapeError, match=rf"{name}: expected the network to return one score per class, \(N, C\), got"):
        explain(net[:6], IMAGES, 1)
    with pytest.raises(TypeError, match=f"{name}: expected a Module as the network, got Model; pass model.net"):
        explain(nnx.Model(net), IMAGES, 1)


def test_wrong_layers_and_inputs() -> None:
    net = network()
    known = "Sequential has no layer '8'; its layers are 0, 1, 2, 3, 4, 5, 6, 7"
    with pytest.raises(ValueError, match=f"grad_cam: {known}"):
        grad_cam(net, IMAGES, 1, layer="8")
    with pytest.raises(ValueError, match=f"activations: {known}"):
        activations(net, IMAGES, "8")
    with pytest.raises(
        ShapeError, match=r"layer '7' to give feature maps \(N, \*spatial, features\), got \(3, 4\). Name"
    ):
        grad_cam(net, IMAGES, 1, layer="7")
    shared = nnx.Sequential(net[0], net[1], nnx.Identity(), net[1], nnx.GlobalAvgPool())
    with pytest.raises(ValueError, match="layer that the network calls once, but for '1' it called it 2 times"):
        grad_cam(shared, IMAGES, 1, layer="1")
    shared.unused = nnx.Identity()
    shared.forward = lambda x: net(x)
    with pytest.raises(ValueError, match="but for 'unused' it did not call it"):
        activations(shared, IMAGES, ["unused"])
    with pytest.raises(DTypeError, match="saliency: expected x of floating-point numbers, got dtype int64"):
        saliency(net, IMAGES.astype("int64"), 1)
    with pytest.raises(TypeError, match="saliency: expected x to be an array, got list"):
        saliency(net, [1.0], 1)
    with pytest.raises(ValueError, match="smooth_grad: expected noise to be a number of at least 0, got -1"):
        smooth_grad(net, IMAGES, 1, noise=-1)
    with pytest.raises(ValueError, match="occlusion: expected size to be a positive integer, got 0"):
        occlusion(net, IMAGES, 1, size=0)
    with pytest.raises(ShapeError, match=r"occlusion: expected images \(N, H, W, C\), got \(8, 7, 2\)"):
        occlusion(net, IMAGES[0], 1, size=2)
