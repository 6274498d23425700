"""Networks: they predict what PyTorch's predict with the same weights, and weights travel both ways."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnx
from nnx import models
from nnx.errors import ShapeError, WeightsError

torch = pytest.importorskip("torch")
twins = pytest.importorskip("tests.models.torch_twins")

_SMALL_VGG = (8, "M", 16, 16, "M")
NETWORKS: dict[str, tuple[Callable[[], nnx.Module], Callable[[], Any], tuple[int, ...]]] = {
    "LeNet-5": (models.LeNet5, lambda: twins.LeNet5(), (2, 28, 28, 1)),
    "ResNet-18": (
        lambda: models.resnet18(7),
        lambda: twins.ResNet(twins.BasicBlock, (2, 2, 2, 2), 7),
        (2, 65, 64, 3),
    ),
    "ResNet-20": (
        models.resnet20,
        lambda: twins.ResNet(twins.BasicBlock, (3, 3, 3), 10, 16, "cifar"),
        (2, 32, 32, 3),
    ),
    "ResNet-50": (
        lambda: models.resnet50(7),
        lambda: twins.ResNet(twins.Bottleneck, (3, 4, 6, 3), 7),
        (1, 64, 64, 3),
    ),
    "MobileNetV2": (lambda: models.MobileNetV2(7), lambda: twins.MobileNetV2(7), (2, 64, 64, 3)),
    "VGG": (
        lambda: models.VGG(_SMALL_VGG, 5, pooled=2, hidden=12),
        lambda: twins.VGG(_SMALL_VGG, 5, False, 2, 12),
        (2, 16, 12, 3),
    ),
    "VGG with batch norm": (
        lambda: models.VGG(_SMALL_VGG, 5, batch_norm=True, pooled=2, hidden=12),
        lambda: twins.VGG(_SMALL_VGG, 5, True, 2, 12),
        (2, 16, 12, 3),
    ),
    "U-Net": (lambda: models.UNet(3, 2, 8, 3), lambda: twins.UNet(3, 2, 8, 3), (2, 16, 24, 3)),
}


@pytest.fixture(params=NETWORKS)
def pair(request: pytest.FixtureRequest) -> tuple[nnx.Module, Any, np.ndarray]:
    """A network, its twin with running statistics that differ from 0 and 1, and a batch of images."""
    ours, theirs, shape = NETWORKS[request.param]
    torch.manual_seed(0)
    twin = theirs()
    images = np.random.default_rng(0).standard_normal(shape).astype("float32")
    with torch.no_grad():
        twin.train()(channels_first(images))
    return ours(), twin.eval(), images


def channels_first(images: np.ndarray) -> Any:
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(images, -1, 1)))


def predicted(twin: Any, images: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        out = twin(channels_first(images)).numpy()
    return np.moveaxis(out, 1, -1)


def example(net: Any, images: np.ndarray) -> dict[str, Any]:
    """Networks that flatten images need one to turn their weights."""
    return {"example": images[:1]} if hasattr(net, "flatten") else {}


def test_the_names_are_those_of_torch(pair: Any) -> None:
    net, twin, _ = pair
    assert list(net.state_dict()) == list(twin.state_dict())


def test_a_model_of_torch_loads_and_predicts_equally(pair: Any, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    net, twin, images = pair
    path = tmp_path / "net.safetensors"
    save_file(twin.state_dict(), path)
    nnx.io.load_torch_weights(net, path, **example(net, images))
    expected = predicted(twin, images)
    np.testing.assert_allclose(net.eval()(images), expected, rtol=0, atol=1e-5 * max(1, np.abs(expected).max()))


def test_and_back(pair: Any, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    net, twin, images = pair
    path = tmp_path / "net.safetensors"
    nnx.io.save_torch_weights(net, path, **example(net, images))
    twin.load_state_dict(load_file(path))
    ours = net.eval()(images)
    np.testing.assert_allclose(predicted(twin, images), ours, rtol=0, atol=1e-5 * max(1, np.abs(ours).max()))


def test_a_state_dict_in_memory_loads_too() -> None:
    net, twin = nnx.Conv2d(3, 4, 3), torch.nn.Conv2d(3, 4, 3)
    nnx.io.load_torch_weights(net, twin.state_dict())
    np.testing.assert_array_equal(net.weight, np.moveaxis(twin.weight.detach().numpy(), 1, -1))
    half = {name: w.to(torch.bfloat16) for name, w in twin.state_dict().items()}
    nnx.io.load_torch_weights(net, half)
    np.testing.assert_allclose(net.bias, twin.bias.detach().numpy(), rtol=1e-2)


def test_loading_leaves_modes_and_hooks_as_they_were() -> None:
    net = models.LeNet5()
    net.classifier.eval()
    nnx.io.load_torch_weights(net, twins.LeNet5().state_dict(), example=np.zeros((1, 28, 28, 1), "float32"))
    assert net.training
    assert net.features.training
    assert not net.classifier.training
    assert not any(each._hooks for each in net.modules())


def test_flattened_images_need_an_example(tmp_path: Path) -> None:
    message = r"LeNet5 flattens images, whose values PyTorch counts in another order\. Pass example=, a batch"
    net = models.LeNet5()
    before = net.state_dict()["classifier.0.weight"].copy()
    with pytest.raises(WeightsError, match=f"^load_torch_weights: {message}"):
        nnx.io.load_torch_weights(net, twins.LeNet5().state_dict())
    with pytest.raises(WeightsError, match=f"^save_torch_weights: {message}"):
        nnx.io.save_torch_weights(net, tmp_path / "net.safetensors")
    np.testing.assert_array_equal(net.state_dict()["classifier.0.weight"], before)


def test_a_flatten_before_a_dropout_is_seen(tmp_path: Path) -> None:
    net = nnx.Sequential(nnx.Flatten(), nnx.Dropout(0.5), nnx.Linear(2 * 3 * 4, 5))
    twin = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(), torch.nn.Linear(24, 5)).eval()
    images = np.random.default_rng(0).standard_normal((3, 2, 3, 4)).astype("float32")
    nnx.io.load_torch_weights(net, twin.state_dict(), example=images)
    np.testing.assert_allclose(net.eval()(images), predicted(twin, images), rtol=1e-5, atol=1e-6)


def test_normed_weights_travel_too(tmp_path: Path) -> None:
    """Weight and spectral norm keep weights under other names; their axes are turned alike."""
    from safetensors.torch import load_file, save_file
    from torch.nn.utils import parametrizations as norms

    torch.manual_seed(0)
    net = nnx.Sequential(
        nnx.weight_norm(nnx.Conv2d(3, 3, 3)),
        nnx.spectral_norm(nnx.ConvTranspose2d(3, 3, 3)),
        nnx.Flatten(),
        nnx.spectral_norm(nnx.Linear(6 * 6 * 3, 4)),
    )
    twin = torch.nn.Sequential(
        norms.weight_norm(torch.nn.Conv2d(3, 3, 3)),
        norms.spectral_norm(torch.nn.ConvTranspose2d(3, 3, 3)),
        torch.nn.Flatten(),
        norms.spectral_norm(torch.nn.Linear(6 * 6 * 3, 4)),
    ).eval()
    images = np.random.default_rng(0).standard_normal((2, 6, 6, 3)).astype("float32")
    path = tmp_path / "net.safetensors"
    save_file(twin.state_dict(), path)
    nnx.io.load_torch_weights(net, path, example=images)
    np.testing.assert_allclose(net.eval()(images), predicted(twin, images), rtol=0, atol=1e-5)
    nnx.io.save_torch_weights(net, path, example=images)
    again = load_file(path)
    for name, array in twin.state_dict().items():
        np.testing.assert_allclose(again[name], array, rtol=1e-6, atol=1e-7, err_msg=name)


def test_weights_that_do_not_fit_are_listed() -> None:
    net = models.LeNet5()
    state = twins.LeNet5().state_dict()
    state["features.0.weight"] = torch.zeros(6, 3, 5, 5)
    del state["classifier.4.bias"]
    with pytest.raises(WeightsError) as raised:
        nnx.io.load_torch_weights(net, state, example=np.zeros((1, 28, 28, 1), "float32"))
    text = str(raised.value)
    assert text.startswith("the weights, turned to features last: ")
    assert "features.0.weight: expected shape (6, 5, 5, 1), got (6, 5, 5, 3)" in text
    assert "classifier.4.bias" in text


def test_a_file_of_nnx_is_sent_to_load_weights(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    net = nnx.Conv2d(1, 1, 1)
    nnx.save_weights(net, path)
    with pytest.raises(
        WeightsError, match=r"was written by nnx, not by PyTorch; use nnx\.load_weights\(module, path\)"
    ):
        nnx.io.load_torch_weights(net, path)


def test_what_is_no_weight_is_refused() -> None:
    with pytest.raises(TypeError, match="expected 'weight' to be a tensor or an array, got list"):
        nnx.io.load_torch_weights(nnx.Linear(1, 1), {"weight": [[1.0]]})


@pytest.mark.parametrize("name", ["LeNet-5", "ResNet-20", "U-Net"])
def test_gradients_equal_those_of_torch(name: str) -> None:
    ours, theirs, shape = NETWORKS[name]
    torch.manual_seed(0)
    net, twin = ours().to("float64"), theirs().double()
    images = np.random.default_rng(0).standard_normal(shape)
    nnx.io.load_torch_weights(net, twin.state_dict(), example=images)
    loss, grads = nnx.value_and_grad(lambda net, x: nnx.namespace(y := net(x)).mean(y**2))(net, images)
    expected = (twin(channels_first(images)) ** 2).mean()
    expected.backward()
    assert float(loss) == pytest.approx(expected.item(), rel=1e-9)
    for key, parameter in twin.named_parameters():
        if "classifier.0.weight" in key:
            continue  # its inputs are in another order
        wanted = parameter.grad.numpy()
        if wanted.ndim == 4:
            transposed = ".up." in key
            wanted = np.moveaxis(wanted, 0, -1) if transposed else np.moveaxis(wanted, 1, -1)
        np.testing.assert_allclose(grads[key], wanted, rtol=1e-8, atol=1e-9 * max(1.0, np.abs(wanted).max()))


@pytest.mark.parametrize(
    ("name", "millions"),
    [("resnet18", 11.690), ("resnet50", 25.557), ("MobileNetV2", 3.505), ("vgg11", 132.863), ("resnet20", 0.272)],
)
def test_they_have_the_published_number_of_parameters(name: str, millions: float) -> None:
    net = getattr(models, name)()
    assert sum(p.size for p in net.parameters()) / 1e6 == pytest.approx(millions, abs=0.001)


def test_a_unet_needs_sides_that_halve() -> None:
    with pytest.raises(
        ShapeError, match=r"UNet: expected images \(N, H, W, C\) with H and W multiples of 8, got \(1, 20"
    ):
        models.UNet(1, 2, 4, 3)(np.zeros((1, 20, 16, 1), "float32"))


def test_images_that_do_not_fit_are_refused() -> None:
    with pytest.raises(
        ShapeError, match=r"UNet: expected images \(N, H, W, 3\), got \(2, 3, 32, 32\)\. This looks like"
    ):
        models.UNet(3, 2, 4, 2)(np.ones((2, 3, 32, 32), "float32"))
    with pytest.raises(
        ShapeError, match=r"LeNet5: expected images \(N, 28, 28, 1\), got \(2, 32, 32, 1\)\. Pad or resize"
    ):
        models.LeNet5()(np.ones((2, 32, 32, 1), "float32"))


def test_unknown_options_are_refused() -> None:
    with pytest.raises(
        ValueError, match="ResNet: expected layers to give the number of blocks of each stage, got none"
    ):
        models.ResNet(models.BasicBlock, ())
    with pytest.raises(ValueError, match="MobileNetV2: expected width_mult"):
        models.MobileNetV2(3, -1)
    with pytest.raises(ValueError, match="ResNet: expected stem to be 'imagenet' or 'cifar', got 'mnist'"):
        models.ResNet(models.BasicBlock, (1,), stem="mnist")
    with pytest.raises(ValueError, match="VGG: expected numbers of filters and 'M' in layers, got 'A'"):
        models.VGG((8, "A"))


@pytest.mark.parametrize(
    ("layers", "where"),
    [
        ((nnx.Flatten(), nnx.BatchNorm(36), nnx.Linear(36, 3)), r"1 \(BatchNorm\)"),
        ((nnx.Flatten(), nnx.Lambda(lambda x: x * 2), nnx.PReLU(36), nnx.Linear(36, 3)), r"2 \(PReLU\)"),
        ((nnx.Flatten(), nnx.Linear(36, 36), nnx.Unflatten(1, (3, 3, 4)), nnx.Conv2d(4, 2, 3)), r"2 \(Unflatten\)"),
    ],
)
def test_an_order_that_cannot_be_told_is_refused(layers: tuple, where: str) -> None:
    """Loaded in the order that they have, such weights would be wrong in silence."""
    net = nnx.Sequential(*layers)
    state = {name: np.array(array) for name, array in net.state_dict().items()}
    with pytest.raises(WeightsError, match=rf"cannot tell the order of the features at {where}: PyTorch counts"):
        nnx.io.load_torch_weights(net, state, example=np.zeros((1, 3, 3, 4), "float32"))
