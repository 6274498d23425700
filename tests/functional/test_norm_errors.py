"""What the normalisations refuse, and what they say."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nnx
from nnx import functional
from nnx.errors import DTypeError, MixedBackendsError, ShapeError

X, SEQUENCE, IMAGE = np.ones((4, 6)), np.ones((2, 3, 6)), np.ones((2, 6, 5, 5))
ONES, BUFFERS = np.ones(6), (nnx.Buffer(np.zeros(6)), nnx.Buffer(np.ones(6)))
EPS = "expected eps to be a number above 0, got {}; it keeps a division by 0 away."
FIRST = "This looks like channels-first; use xp.permute_dims(x, (0, 2, 3, 1))."
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "layer_norm": lambda x=X, n=6, **o: functional.layer_norm(x, n, **o),
    "rms_norm": lambda x=X, n=6, **o: functional.rms_norm(x, n, **o),
    "batch_norm": lambda x=X, m=None, v=None, training=True, **o: functional.batch_norm(
        x, m, v, training=training, **o
    ),
    "instance_norm": lambda x=SEQUENCE, **o: functional.instance_norm(x, **o),
    "group_norm": lambda x=X, n=2, **o: functional.group_norm(x, n, **o),
    "local_response_norm": lambda x=X, size=3, **o: functional.local_response_norm(x, size, **o),
    "normalize": lambda x=X, **o: functional.normalize(x, **o),
}

CALLS: list[tuple[str, dict, type[Exception], str]] = [
    *(
        (name, {"eps": eps}, error, text)
        for name in FUNCTIONS
        if name != "local_response_norm"
        for eps, error, text in (
            (0.0, ValueError, EPS.format("0.0")),
            (-1e-5, ValueError, EPS.format("-1e-05")),
            (float("inf"), ValueError, "expected eps to be a finite number above 0, got inf; it keeps"),
            (float("nan"), ValueError, "expected eps to be a number above 0, got nan; it keeps"),
            ("a", TypeError, "expected eps to be a number above 0, got 'a'; it keeps"),
        )
    ),
    *(
        (name, {"x": np.ones((2, 3, 6), "int64")}, DTypeError, "expected a floating-point array, got dtype int64; cast")
        for name in FUNCTIONS
    ),
    *(
        (name, {"weight": np.ones(6, "f4")}, DTypeError, "expected input of dtype float32, that of the weight, got fl")
        for name in ("layer_norm", "rms_norm", "batch_norm", "instance_norm", "group_norm")
    ),
    *(
        (name, {"weight": ONES, "bias": np.ones(6, "f4")}, DTypeError, "expected bias of dtype float64, that of the we")
        for name in ("layer_norm", "batch_norm", "instance_norm", "group_norm")
    ),
    *(
        (name, {"weight": [1.0] * 6}, TypeError, "expected weight to be an array, got list; use nnx.asarray(weight).")
        for name in ("layer_norm", "rms_norm", "batch_norm", "instance_norm", "group_norm")
    ),
    ("layer_norm", {"n": ()}, ValueError, "expected normalized_shape to have a length, got (); pass such as (64,)."),
    ("layer_norm", {"n": 0}, ValueError, "expected normalized_shape to be a positive integer, got 0."),
    ("rms_norm", {"n": (4, 1.5)}, TypeError, "expected every length in normalized_shape to be a positive integer, got"),
    ("layer_norm", {"n": 5}, ShapeError, "expected (..., 5), got (4, 6)."),
    ("rms_norm", {"n": (3, 6)}, ShapeError, "expected (..., 3, 6), got (4, 6)."),
    ("layer_norm", {"x": IMAGE}, ShapeError, f"expected (..., 6), got (2, 6, 5, 5). {FIRST}"),
    ("layer_norm", {"weight": np.ones(5)}, ShapeError, "expected weight of shape (6,), normalized_shape, got (5,)."),
    ("batch_norm", {"bias": np.ones(5)}, ShapeError, "expected (N, ..., 5), got (4, 6)."),
    (
        "batch_norm",
        {"weight": ONES, "bias": np.ones(5)},
        ShapeError,
        "expected bias of shape (6,), one for each channel, got (5,).",
    ),
    ("batch_norm", {"x": IMAGE, "weight": ONES}, ShapeError, f"expected (N, ..., 6), got (2, 6, 5, 5). {FIRST}"),
    ("batch_norm", {"x": ONES}, ShapeError, "expected (N, ..., C), got (6,); the batch is the first axis."),
    ("group_norm", {"x": ONES}, ShapeError, "expected (N, ..., C), got (6,); the batch is the first axis."),
    ("instance_norm", {"x": X}, ShapeError, "expected (N, ..., ..., C), got (4, 6); the batch is the first axis."),
    (
        "batch_norm",
        {"x": X[:1]},
        ShapeError,
        "expected more than one value per channel while training, got an input of shape (1, 6), whose variance is 0. "
        "Use a larger batch (DataLoader's drop_last=True drops a last one that is too small), or eval() for the "
        "running statistics.",
    ),
    (
        "instance_norm",
        {"x": X[:, None]},
        ShapeError,
        "expected more than one value per channel and sample, got an input of shape (4, 1, 6), whose variance is 0. "
        "Use larger inputs, or BatchNorm or LayerNorm.",
    ),
    (
        "batch_norm",
        {"momentum": 1.5},
        ValueError,
        "expected momentum to be a number from 0 to 1, got 1.5; pass one",
    ),
    (
        "batch_norm",
        {"momentum": None},
        TypeError,
        "expected momentum to be a number from 0 to 1, got None; pass one",
    ),
    (
        "instance_norm",
        {"momentum": -0.1},
        ValueError,
        "expected momentum to be a number from 0 to 1, got -0.1; pass one",
    ),
    (
        "batch_norm",
        {"training": False},
        ValueError,
        "expected running_mean and running_var with training=False, or both or none of them, got running_mean=None.",
    ),
    (
        "batch_norm",
        {"m": BUFFERS[0]},
        ValueError,
        "expected running_mean and running_var with training=False, or both or none of them, got running_var=None.",
    ),
    (
        "instance_norm",
        {"use_input_stats": False},
        ValueError,
        "expected running_mean and running_var with use_input_stats=False, or both or none of them, got running_mean=N",
    ),
    (
        "batch_norm",
        {"m": np.zeros(6), "v": np.ones(6)},
        TypeError,
        "expected running_mean to be a Buffer or None, since it is updated, got ndarray; wrap it: "
        "nnx.Buffer(running_mean).",
    ),
    (
        "group_norm",
        {"n": 4},
        ValueError,
        "expected num_groups to divide the 6 channels, got 4; use one of 1, 2, 3, 6.",
    ),
    ("group_norm", {"n": 0}, ValueError, "expected num_groups to be a positive integer, got 0."),
    ("local_response_norm", {"size": 0}, ValueError, "expected size to be a positive integer, got 0."),
    ("local_response_norm", {"size": 2.0}, TypeError, "expected size to be a positive integer, got 2.0."),
    ("local_response_norm", {"k": None}, TypeError, "expected k to be a finite number, got None; pass a float."),
    ("local_response_norm", {"x": np.asarray(1.0)}, ShapeError, "expected (..., channels), got (); add an axis for th"),
    ("normalize", {"axis": 2}, ShapeError, "expected an axis from -2 to 1, got axis=2 and an input of shape (4, 6)."),
    ("normalize", {"p": "2"}, TypeError, "expected p to be a number, got '2'; pass a float."),
]


@pytest.mark.parametrize(("name", "options", "error", "text"), CALLS)
def test_functions(name: str, options: dict, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(f'{name}: {text}')}"):
        FUNCTIONS[name](**options)


@pytest.mark.parametrize("name", ["layer_norm", "rms_norm", "batch_norm", "instance_norm", "group_norm"])
def test_two_backends(name: str) -> None:
    with pytest.raises(MixedBackendsError, match=f"^{name}: expected arrays of one backend, got"):
        FUNCTIONS[name](weight=nnx.asarray(ONES, backend="strict"))


def f4(*shape: int) -> np.ndarray:
    return np.ones(shape, "float32")


LAYERS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: nnx.BatchNorm(0), ValueError, "BatchNorm: expected num_features to be a positive integer, got 0."),
    (lambda: nnx.BatchNorm(3, eps=0), ValueError, "BatchNorm: expected eps to be a number above 0, got 0"),
    (
        lambda: nnx.BatchNorm(3, momentum=2),
        ValueError,
        "BatchNorm: expected momentum to be a number from 0 to 1",
    ),
    (lambda: nnx.BatchNorm(3, affine="no"), TypeError, "BatchNorm: expected affine to be True or False, got 'no'."),
    (
        lambda: nnx.InstanceNorm(3, track_running_stats=1),
        TypeError,
        "InstanceNorm: expected track_running_stats to be True or False, got 1.",
    ),
    (lambda: nnx.BatchNorm(3, dtype="int32"), DTypeError, "BatchNorm: expected a floating-point dtype, such as"),
    (lambda: nnx.LayerNorm(0), ValueError, "LayerNorm: expected normalized_shape to be a positive integer, got 0."),
    (lambda: nnx.LayerNorm(3, eps=-1), ValueError, "LayerNorm: expected eps to be a number above 0, got -1"),
    (lambda: nnx.RMSNorm("3"), TypeError, "RMSNorm: expected normalized_shape to be a positive integer, got '3'."),
    (lambda: nnx.RMSNorm(3, eps=0), ValueError, "RMSNorm: expected eps to be a number above 0, got 0"),
    (
        lambda: nnx.GroupNorm(3, 8),
        ValueError,
        "GroupNorm: expected num_groups to divide the 8 channels, got 3; use one of 1, 2, 4, 8.",
    ),
    (lambda: nnx.GroupNorm(1, 0), ValueError, "GroupNorm: expected num_channels to be a positive integer, got 0."),
    (lambda: nnx.LocalResponseNorm(0), ValueError, "LocalResponseNorm: expected size to be a positive integer, got 0."),
    (
        lambda: nnx.LocalResponseNorm(3, beta="a"),
        TypeError,
        "LocalResponseNorm: expected beta to be a finite number",
    ),
    # calls
    (
        lambda: nnx.BatchNorm(6)(f4(2, 6, 5, 5)),
        ShapeError,
        f"BatchNorm(6): expected (N, ..., 6), got (2, 6, 5, 5). {FIRST}",
    ),
    (lambda: nnx.BatchNorm(6)(f4(6)), ShapeError, "BatchNorm(6): expected (N, ..., 6), got (6,); the batch is the fi"),
    (
        lambda: nnx.BatchNorm(6, affine=False, track_running_stats=False)(f4(2, 5)),
        ShapeError,
        "BatchNorm(6): expected (N, ..., 6), got (2, 5).",
    ),
    (
        lambda: nnx.BatchNorm(6)(f4(1, 6)),
        ShapeError,
        "BatchNorm(6): expected more than one value per channel while training, got an input of shape (1, 6), whose",
    ),
    (
        lambda: nnx.BatchNorm(6)(X),
        DTypeError,
        "BatchNorm(6): expected input of dtype float32, that of the weight, got float64. Cast it, e.g. "
        "xp.astype(input, xp.float32).",
    ),
    (
        lambda: nnx.BatchNorm(6, affine=False)(X),
        DTypeError,
        "BatchNorm(6): expected input of dtype float32, that of the running_mean, got float64.",
    ),
    (lambda: nnx.BatchNorm(6)([1.0]), TypeError, "BatchNorm(6): expected input to be an array, got list; use nnx.asar"),
    (
        lambda: nnx.InstanceNorm(6)(f4(4, 6)),
        ShapeError,
        "InstanceNorm(6): expected (N, ..., ..., 6), got (4, 6); the batch is the first axis.",
    ),
    (
        lambda: nnx.InstanceNorm(6)(f4(4, 1, 6)),
        ShapeError,
        "InstanceNorm(6): expected more than one value per channel and sample, got an input of shape (4, 1, 6)",
    ),
    (lambda: nnx.LayerNorm(6)(f4(4, 5)), ShapeError, "LayerNorm(6): expected (..., 6), got (4, 5)."),
    (lambda: nnx.LayerNorm((5, 6))(f4(6)), ShapeError, "LayerNorm((5, 6)): expected (..., 5, 6), got (6,)."),
    (lambda: nnx.LayerNorm(6)(X), DTypeError, "LayerNorm(6): expected input of dtype float32, that of the weight"),
    (lambda: nnx.RMSNorm(6)(f4(4, 5)), ShapeError, "RMSNorm(6): expected (..., 6), got (4, 5)."),
    (lambda: nnx.RMSNorm(6)(X), DTypeError, "RMSNorm(6): expected input of dtype float32, that of the weight"),
    (
        lambda: nnx.GroupNorm(2, 6)(f4(2, 6, 5, 5)),
        ShapeError,
        f"GroupNorm(2, 6): expected (N, ..., 6), got (2, 6, 5, 5). {FIRST}",
    ),
    (lambda: nnx.GroupNorm(2, 6)(X), DTypeError, "GroupNorm(2, 6): expected input of dtype float32, that of the wei"),
    (lambda: nnx.GroupNorm(2, 6)(3.0), TypeError, "GroupNorm(2, 6): expected input to be an array, got float; use nn"),
    (
        lambda: nnx.BatchNorm(6)(nnx.asarray(f4(4, 6), backend="strict")),
        MixedBackendsError,
        "BatchNorm(6): expected arrays of one backend, got",
    ),
]


@pytest.mark.parametrize(("make", "error", "text"), LAYERS, ids=[text for _, _, text in LAYERS])
def test_layers(make: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(text)}"):
        make()


@pytest.mark.parametrize("recording", [False, True])
def test_errors_are_the_same_while_recording(recording: bool) -> None:
    def call(layer: Any, x: Any) -> None:
        if recording:
            with nnx.record():
                layer(x)
        else:
            layer(x)

    with pytest.raises(ShapeError, match=r"^LayerNorm\(6\): expected"):
        call(nnx.LayerNorm(6), f4(2, 5))
    with pytest.raises(ShapeError, match=r"^BatchNorm\(6\): expected"):
        call(nnx.BatchNorm(6), f4(2, 5))
