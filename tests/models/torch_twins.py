"""Networks in PyTorch with the usual names of their parameters, to compare with."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
nn = torch.nn


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> Any:
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, inputs: int, channels: int, stride: int, downsample: Any) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv(inputs, channels, 3, stride), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = _conv(channels, channels, 3), nn.BatchNorm2d(channels)
        self.downsample = downsample

    def forward(self, x: Any) -> Any:
        out = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(out + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, inputs: int, channels: int, stride: int, downsample: Any) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv(inputs, channels, 1), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = _conv(channels, channels, 3, stride), nn.BatchNorm2d(channels)
        self.conv3, self.bn3 = _conv(channels, 4 * channels, 1), nn.BatchNorm2d(4 * channels)
        self.downsample = downsample

    def forward(self, x: Any) -> Any:
        out = torch.relu(self.bn1(self.conv1(x)))
        out = self.bn3(self.conv3(torch.relu(self.bn2(self.conv2(out)))))
        return torch.relu(out + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self, block: Any, layers: tuple[int, ...], num_classes: int, width: int = 64, stem: str = "imagenet"):
        super().__init__()
        large = stem == "imagenet"
        self.conv1 = _conv(3, width, 7, 2) if large else _conv(3, width, 3)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, 2, 1) if large else nn.Identity()
        channels = width
        for k, count in enumerate(layers):
            stage = []
            for i in range(count):
                stride, inner = 2 if k and not i else 1, width * 2**k
                outputs = inner * block.expansion
                shortcut = None
                if stride > 1 or channels != outputs:
                    shortcut = nn.Sequential(_conv(channels, outputs, 1, stride), nn.BatchNorm2d(outputs))
                stage.append(block(channels, inner, stride, shortcut))
                channels = outputs
            setattr(self, f"layer{k + 1}", nn.Sequential(*stage))
        self.stages = len(layers)
        self.fc = nn.Linear(channels, num_classes)

    def forward(self, x: Any) -> Any:
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        for k in range(self.stages):
            x = getattr(self, f"layer{k + 1}")(x)
        return self.fc(x.mean(dim=(2, 3)))


def _conv_norm(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> Any:
    return nn.Sequential(_conv(inputs, outputs, kernel, stride, groups), nn.BatchNorm2d(outputs), nn.ReLU6())


class InvertedResidual(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        parts = [] if expansion == 1 else [_conv_norm(inputs, hidden, 1)]
        parts += [_conv_norm(hidden, hidden, 3, stride, hidden), _conv(hidden, outputs, 1), nn.BatchNorm2d(outputs)]
        self.conv = nn.Sequential(*parts)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Any) -> Any:
        return x + self.conv(x) if self.adds else self.conv(x)


class MobileNetV2(nn.Module):
    STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        features, channels = [_conv_norm(3, 32, 3, 2)], 32
        for expansion, outputs, count, stride in self.STAGES:
            for i in range(count):
                features.append(InvertedResidual(channels, outputs, 1 if i else stride, expansion))
                channels = outputs
        self.features = nn.Sequential(*features, _conv_norm(channels, 1280, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, num_classes))

    def forward(self, x: Any) -> Any:
        return self.classifier(self.features(x).mean(dim=(2, 3)))


class VGG(nn.Module):
    def __init__(self, layers: tuple, num_classes: int, batch_norm: bool, pooled: int, hidden: int) -> None:
        super().__init__()
        features: list[Any] = []
        channels = 3
        for filters in layers:
            if filters == "M":
                features.append(nn.MaxPool2d(2))
                continue
            norm = [nn.BatchNorm2d(filters)] if batch_norm else []
            features += [nn.Conv2d(channels, filters, 3, padding=1), *norm, nn.ReLU()]
            channels = filters
        self.features = nn.Sequential(*features)
        self.avgpool = nn.AdaptiveAvgPool2d(pooled)
        self.classifier = nn.Sequential(
            *(nn.Linear(channels * pooled**2, hidden), nn.ReLU(), nn.Dropout()),
            *(nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(), nn.Linear(hidden, num_classes)),
        )

    def forward(self, x: Any) -> Any:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


class LeNet5(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)),
        )
        self.classifier = nn.Sequential(
            nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)
        )

    def forward(self, x: Any) -> Any:
        return self.classifier(self.features(x).flatten(1))


class DoubleConv(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.double_conv = nn.Sequential(
            *(_conv(inputs, outputs, 3), nn.BatchNorm2d(outputs), nn.ReLU()),
            *(_conv(outputs, outputs, 3), nn.BatchNorm2d(outputs), nn.ReLU()),
        )

    def forward(self, x: Any) -> Any:
        return self.double_conv(x)


class Down(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), DoubleConv(inputs, outputs))

    def forward(self, x: Any) -> Any:
        return self.maxpool_conv(x)


class Up(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(inputs, inputs // 2, 2, stride=2)
        self.conv = DoubleConv(inputs, outputs)

    def forward(self, x: Any, skip: Any) -> Any:
        return self.conv(torch.cat([skip, self.up(x)], dim=1))


class Out(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1)


class UNet(nn.Module):
    def __init__(self, inputs: int, num_classes: int, width: int, depth: int) -> None:
        super().__init__()
        self.depth = depth
        self.inc = DoubleConv(inputs, width)
        for k in range(depth):
            setattr(self, f"down{k + 1}", Down(width * 2**k, width * 2 ** (k + 1)))
        for k in range(depth):
            setattr(self, f"up{k + 1}", Up(width * 2 ** (depth - k), width * 2 ** (depth - k - 1)))
        self.outc = Out(width, num_classes)

    def forward(self, x: Any) -> Any:
        skips = [self.inc(x)]
        for k in range(self.depth):
            skips.append(getattr(self, f"down{k + 1}")(skips[-1]))
        out = skips.pop()
        for k in range(self.depth):
            out = getattr(self, f"up{k + 1}")(out, skips.pop())
        return self.outc.conv(out)
