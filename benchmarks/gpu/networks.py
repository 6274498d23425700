"""The layers and networks that are measured, by their sizes, and the networks in PyTorch."""

from __future__ import annotations

from collections import Counter
from typing import Any

from benchmarks.conv import Layer

BATCH = 128
_STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))


def resnet50(batch: int = BATCH) -> dict[Layer, int]:
    """Return the distinct convolutions of ResNet-50 on images of 224 x 224, and how often each occurs: 53 in all.

    The stride is in the 3 x 3 convolution, as in torchvision and in `nnx.models.resnet50`.
    """
    found: Counter[Layer] = Counter()
    found[Layer("ResNet-50 first", batch, 224, 3, 64, 7, 2)] += 1
    size, channels = 56, 64
    for width, blocks, first_stride in _STAGES:
        for block in range(blocks):
            stride = first_stride if block == 0 else 1
            found[Layer("ResNet-50", batch, size, channels, width, 1)] += 1
            found[Layer("ResNet-50", batch, size, width, width, 3, stride)] += 1
            if block == 0:
                found[Layer("ResNet-50", batch, size, channels, 4 * width, 1, stride)] += 1
            size, channels = size // stride, 4 * width
            found[Layer("ResNet-50", batch, size, width, channels, 1)] += 1
    return dict(found)


def depthwise(batch: int = BATCH) -> dict[Layer, int]:
    """Return some depthwise convolutions of MobileNetV2 on images of 224 x 224, and how often each occurs."""
    sizes = ((112, 32, 1, 1), (112, 96, 2, 1), (56, 144, 1, 1), (28, 192, 1, 2), (14, 384, 1, 4), (7, 960, 1, 3))
    return {
        Layer("MobileNetV2", batch, size, channels, channels, 3, stride, channels): count
        for size, channels, stride, count in sizes
    }


def out_size(layer: Layer) -> int:
    """Return the height and width of a layer's output."""
    return (layer.size + 2 * (layer.kernel // 2) - layer.kernel) // layer.stride + 1


def flops(layer: Layer) -> float:
    """Return the operations of any of the three directions: a product and a sum each."""
    places = layer.batch * out_size(layer) ** 2
    return 2.0 * places * layer.outputs * layer.kernel**2 * (layer.channels // layer.groups)


def elements(layer: Layer) -> tuple[int, int, int]:
    """Return the elements of input, weight and output."""
    weight = layer.outputs * layer.kernel**2 * (layer.channels // layer.groups)
    image = layer.batch * layer.size**2 * layer.channels
    return image, weight, layer.batch * out_size(layer) ** 2 * layer.outputs


# ------------------------------------------------------------------ networks in PyTorch


def mlp(torch: Any) -> Any:
    """784-128-10, the network of MNIST."""
    nn = torch.nn
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))


def lenet(torch: Any) -> Any:
    """LeNet-5 as `nnx.models.LeNet5`."""
    nn = torch.nn
    features = [nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)]
    features += [nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    return nn.Sequential(*features, nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10))


def resnet20(torch: Any) -> Any:
    """ResNet-20 for images of 32 x 32, as `nnx.models.resnet20`."""
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, inputs: int, outputs: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
            self.bn1, self.bn2 = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)
            short = [nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)]
            self.shortcut = nn.Sequential(*short) if stride > 1 or inputs != outputs else nn.Identity()

        def forward(self, x: Any) -> Any:
            out = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
            return torch.relu(out + self.shortcut(x))

    blocks = [Block(max(16, 16 * 2**s // 2) if s and not b else 16 * 2**s, 16 * 2**s, 2 if s and not b else 1)
              for s in range(3) for b in range(3)]  # fmt: skip
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)]
    return nn.Sequential(nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), *blocks, *head)


def resnet50_network(torch: Any, width: int = 64) -> Any:
    """ResNet-50 as torchvision's, with the stride in the 3 x 3 convolution."""
    nn = torch.nn

    def conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> list[Any]:
        return [nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs)]

    class Block(nn.Module):
        def __init__(self, inputs: int, inner: int, stride: int) -> None:
            super().__init__()
            first, second = [*conv(inputs, inner, 1), nn.ReLU()], [*conv(inner, inner, 3, stride), nn.ReLU()]
            self.main = nn.Sequential(*first, *second, *conv(inner, 4 * inner, 1))
            plain = stride == 1 and inputs == 4 * inner
            self.shortcut = nn.Identity() if plain else nn.Sequential(*conv(inputs, 4 * inner, 1, stride))

        def forward(self, x: Any) -> Any:
            return torch.relu(self.main(x) + self.shortcut(x))

    layers = [*conv(3, width, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    inputs = width
    for stage, (_, blocks, first_stride) in enumerate(_STAGES):
        for block in range(blocks):
            layers.append(Block(inputs, width << stage, 1 if block else first_stride))
            inputs = 4 * width << stage
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 1000))


def gpt(torch: Any, *, layers: int, width: int, heads: int, vocabulary: int, length: int) -> Any:
    """A GPT-2: pre-norm blocks, GELU (tanh), learned positions, tied embedding; 124 M numbers at 12 x 768 x 12."""
    nn, functional = torch.nn, torch.nn.functional

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x: Any) -> Any:
            batch, steps, _ = x.shape
            qkv = self.qkv(self.norm1(x)).view(batch, steps, 3, heads, width // heads)
            q, k, v = qkv.permute(2, 0, 3, 1, 4)
            seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(seen.transpose(1, 2).reshape(batch, steps, width))
            return x + self.down(functional.gelu(self.up(self.norm2(x)), approximate="tanh"))

    class GPT(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.places = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
            self.blocks, self.norm = nn.Sequential(*[Block() for _ in range(layers)]), nn.LayerNorm(width)

        def forward(self, ids: Any) -> Any:
            places = torch.arange(ids.shape[1], device=ids.device)
            x = self.norm(self.blocks(self.tokens(ids) + self.places(places)))
            return functional.linear(x, self.tokens.weight)

    return GPT()
