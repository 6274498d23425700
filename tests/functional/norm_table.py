"""Every call of a normalisation that is compared with PyTorch and with finite differences."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nnx import functional


@dataclass(frozen=True)
class Call:
    """A function with its arrays (the input first) and options, and how PyTorch calls it, channels second."""

    name: str
    shapes: tuple[tuple[int, ...], ...]
    ours: Callable
    theirs: Callable  # theirs(torch.nn.functional, *tensors)
    options: dict[str, Any] = field(default_factory=dict)
    channels_first: bool = True

    def __str__(self) -> str:
        return f"{self.name} {self.shapes} {self.options}"

    def arrays(self) -> list[np.ndarray]:
        rng = np.random.default_rng(len(str(self)))
        return [rng.standard_normal(shape) * 2 + 1 for shape in self.shapes]

    def turned(self, array: np.ndarray) -> np.ndarray:
        """An input or output as PyTorch has it."""
        return np.moveaxis(array, -1, 1) if self.channels_first and array.ndim > 1 else array

    def turned_back(self, array: np.ndarray) -> np.ndarray:
        return np.moveaxis(array, 1, -1) if self.channels_first and array.ndim > 1 else array


def _affine(shape: tuple[int, ...]) -> list[tuple[str, ...]]:
    """Which of weight and bias there are."""
    return [(), ("weight",), ("bias",), ("weight", "bias")]


def _named(given: tuple[str, ...], arrays: tuple) -> dict[str, Any]:
    return dict(zip(given, arrays, strict=True))


def _trailing() -> list[Call]:
    calls = []
    for shape, axes in [((5,), 1), ((4, 6), 1), ((4, 1), 1), ((2, 3, 4), 1), ((2, 3, 4), 2), ((2, 3, 2, 3), 3)]:
        lengths = shape[-axes:]
        for given, eps in itertools.product(_affine(lengths), ({}, {"eps": 0.3})):
            calls.append(
                Call(
                    "layer_norm",
                    (shape, *[lengths] * len(given)),
                    lambda x, *a, n=lengths, g=given, **o: functional.layer_norm(x, n, **_named(g, a), **o),
                    lambda f, x, *a, n=lengths, g=given, **o: f.layer_norm(x, n, **_named(g, a), **o),
                    eps,
                    channels_first=False,
                )
            )
        for given, eps in itertools.product([(), ("weight",)], ({}, {"eps": 0.3}, {"eps": None})):
            calls.append(
                Call(
                    "rms_norm",
                    (shape, *[lengths] * len(given)),
                    lambda x, *a, n=lengths, g=given, **o: functional.rms_norm(x, n, **_named(g, a), **o),
                    lambda f, x, *a, n=lengths, g=given, **o: f.rms_norm(x, n, **_named(g, a), **o),
                    eps,
                    channels_first=False,
                )
            )
    return calls


def _channels() -> list[Call]:
    calls = []
    for shape in [(4, 6), (3, 5, 6), (2, 3, 4, 6), (2, 2, 3, 2, 6)]:
        for given, eps in itertools.product(_affine(shape[-1:]), ({}, {"eps": 0.3})):
            shapes = (shape, *[shape[-1:]] * len(given))
            calls.append(
                Call(
                    "batch_norm",
                    shapes,
                    lambda x, *a, g=given, **o: functional.batch_norm(
                        x, None, None, **_named(g, a), training=True, **o
                    ),
                    lambda f, x, *a, g=given, **o: f.batch_norm(x, None, None, **_named(g, a), training=True, **o),
                    eps,
                )
            )
            calls.append(
                Call(
                    "batch_norm in evaluation",
                    shapes,
                    lambda x, *a, g=given, **o: functional.batch_norm(x, *running(x), **_named(g, a), **o),
                    lambda f, x, *a, g=given, **o: f.batch_norm(x, *_torch_running(x), **_named(g, a), **o),
                    eps,
                )
            )
            for groups in (1, 2, 6) if len(shape) > 2 else (1, 3):
                calls.append(
                    Call(
                        "group_norm",
                        shapes,
                        lambda x, *a, g=given, n=groups, **o: functional.group_norm(x, n, **_named(g, a), **o),
                        lambda f, x, *a, g=given, n=groups, **o: f.group_norm(
                            # its backward pass fails with a bias and no weight
                            x,
                            n,
                            **({"weight": x.new_ones(6)} | _named(g, a) if g else {}),
                            **o,
                        ),
                        eps,
                    )
                )
            if len(shape) == 2:
                continue
            calls.append(
                Call(
                    "instance_norm",
                    shapes,
                    lambda x, *a, g=given, **o: functional.instance_norm(x, **_named(g, a), **o),
                    lambda f, x, *a, g=given, **o: f.instance_norm(x, **_named(g, a), **o),
                    eps,
                )
            )
            calls.append(
                Call(
                    "instance_norm by running statistics",
                    shapes,
                    lambda x, *a, g=given, **o: functional.instance_norm(
                        x, *running(x), **_named(g, a), use_input_stats=False, **o
                    ),
                    lambda f, x, *a, g=given, **o: f.instance_norm(
                        x, *_torch_running(x), **_named(g, a), use_input_stats=False, **o
                    ),
                    eps,
                )
            )
    return calls


def _vectors() -> list[Call]:
    calls = []
    options = [
        {},
        {"size": 1},
        {"size": 2},
        {"size": 3, "alpha": 0.5},
        {"size": 4, "beta": 1.5},
        {"size": 30, "k": 2.0},
    ]
    for shape, chosen in itertools.product([(3, 5, 6), (2, 3, 2, 4), (2, 2, 3, 2, 1)], options):
        calls.append(
            Call(
                "local_response_norm",
                (shape,),
                functional.local_response_norm,
                lambda f, x, **o: f.local_response_norm(x, **o),
                {"size": 5, **chosen},
            )
        )
    exponents = (1, 1.5, 2.0, 3, float("inf"))
    for shape, p, eps in itertools.product([(4, 6), (2, 3, 4)], exponents, ({}, {"eps": 3.0})):
        calls.append(
            Call("normalize", (shape,), functional.normalize, lambda f, x, **o: f.normalize(x, **o), {"p": p, **eps})
        )
    return calls


def running(x: Any) -> list[Any]:
    """Running statistics of six channels, of the backend, dtype and device of an array."""
    import nnx

    raw = nnx.stop_gradient(x)
    kind = {"dtype": raw.dtype, "device": nnx.backend.device(raw)}
    return [nnx.get_backend(raw).asarray(np.asarray(values), **kind) for values in _RUNNING]


def _torch_running(x: Any) -> list[Any]:
    return [x.new_tensor(values) for values in _RUNNING]


_RUNNING = ([0.3, -0.2, 1.0, 0.0, 2.5, 7.0], [0.5, 1.5, 1.0, 1e-3, 4.0, 9.0])
CALLS = [*_trailing(), *_channels(), *_vectors()]
