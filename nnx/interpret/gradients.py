"""Explanations from gradients: saliency, its mean under noise, and Grad-CAM."""

from __future__ import annotations

from typing import Any

from ..autodiff import grad, stop_gradient
from ..autodiff.namespace import namespace
from ..backend import device, get_backend
from ..checks import check_range, positive_integer
from ..dtypes import dtype_name, is_floating
from ..errors import DTypeError, ShapeError
from ..functional import relu
from ..layers import Module
from ..random import data_generator
from ..training.modes import evaluation_mode
from .layers import hooked, require_module, run
from .scores import class_scores


def saliency(net: Module, x: Any, target: Any = None) -> Any:
    """Return the gradient of a class score by the input [1]_, in evaluation mode.

    For a picture, take its largest absolute value over the channels: ``xp.max(xp.abs(gradient), axis=-1)``.

    Parameters
    ----------
    net
        A network from a batch (N, ...) to scores (N, C): better logits than probabilities, whose gradients vanish where
        the network is sure.
    x
        The batch, raw and of floating-point numbers.
    target
        A class, one class per sample, or None for the class that the network predicts.

    Returns
    -------
    array
        Of the shape of `x`.

    Raises
    ------
    TypeError, ValueError, ShapeError, DTypeError
        If `net` is no Module or does not return scores (N, C), there is no such class, or `x` holds integers.

    References
    ----------
    .. [1] Simonyan, Vedaldi and Zisserman, "Deep inside convolutional networks", arXiv:1312.6034

    Examples
    --------
    >>> import numpy as np, nnx
    >>> net = nnx.Linear(2, 3)
    >>> x = np.ones((1, 2), dtype="float32")
    >>> bool(np.all(nnx.interpret.saliency(net, x, target=1)[0] == net.weight[1]))
    True
    """
    return _saliency("saliency", net, _checked_input("saliency", net, x), target)


def _saliency(label: str, net: Module, x: Any, target: Any) -> Any:
    def score(x: Any) -> Any:
        scores = class_scores(label, net(x), target)
        return namespace(scores).sum(scores)  # no sample's score depends on another sample

    with evaluation_mode(net):
        return stop_gradient(grad(score)(x))


def smooth_grad(net: Module, x: Any, target: Any = None, noise: float = 0.15, samples: int = 25) -> Any:
    """Return the mean saliency of noisy copies of the input [1]_: a clearer picture than `saliency`.

    Parameters
    ----------
    net, x, target
        As for `saliency`. Without a target, it is the class predicted for the input without noise.
    noise
        The standard deviation of the Gaussian noise, as a share of the range of each sample's values.
    samples
        How many copies there are of each sample.

    Returns
    -------
    array
        Of the shape of `x`. The noise is drawn from `nnx.random.data_generator`.

    Raises
    ------
    TypeError, ValueError, ShapeError, DTypeError
        As for `saliency`, or if `noise` is negative or `samples` not positive.

    References
    ----------
    .. [1] Smilkov et al., "SmoothGrad: removing noise by adding noise", arXiv:1706.03825

    Examples
    --------
    >>> import numpy as np, nnx
    >>> net = nnx.Sequential(nnx.Linear(2, 8), nnx.Tanh(), nnx.Linear(8, 3))
    >>> nnx.interpret.smooth_grad(net, np.ones((4, 2), dtype="float32"), target=1).shape
    (4, 2)
    """
    label = "smooth_grad"
    x = _checked_input(label, net, x)
    check_range(label, "noise", noise, 0.0)
    samples = positive_integer(label, "samples", samples)
    xp, backend = namespace(x), get_backend(x)
    if target is None:
        with evaluation_mode(net):
            scores = stop_gradient(net(x))
        class_scores(label, scores, None)
        target = xp.argmax(scores, axis=-1)
    axes = tuple(range(1, len(x.shape)))
    width = (xp.max(x, axis=axes, keepdims=True) - xp.min(x, axis=axes, keepdims=True)) * float(noise)
    total = xp.zeros_like(x)
    for _ in range(samples):
        drawn = data_generator().standard_normal(tuple(x.shape))
        drawn = backend.asarray(drawn, dtype=x.dtype, device=device(x))
        total = total + _saliency(label, net, x + width * drawn, target)
    return total / samples


def grad_cam(net: Module, x: Any, target: Any = None, *, layer: str) -> Any:
    """Return where a convolutional network sees a class: Grad-CAM [1]_, in evaluation mode.

    The feature maps of a layer, weighted each by the mean gradient of the class score over it, summed, and cut at 0.

    Parameters
    ----------
    net
        A network from images (N, *spatial, channels) to scores (N, C).
    x
        The images, raw.
    target
        A class, one class per image, or None for the class that the network predicts.
    layer
        The dotted name of the layer, as in `Module.named_modules`: usually the last convolution, or the activation
        after it. Its output has shape (N, *spatial, features).

    Returns
    -------
    array
        Of shape (N, *spatial), at least 0, with the spatial axes of that layer. `nnx.plots.heat_map` stretches it over
        the image; `nnx.functional.interpolate` gives numbers at the size of the image.

    Raises
    ------
    TypeError, ValueError, ShapeError
        If `net` is no Module or does not return scores (N, C), there is no such class or layer (the text lists the
        layers), the network does not call that layer exactly once, or its output has no spatial axes.

    References
    ----------
    .. [1] Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based localization",
       arXiv:1610.02391

    Examples
    --------
    >>> import numpy as np, nnx
    >>> net = nnx.Sequential(nnx.Conv2d(3, 8, 3), nnx.ReLU(), nnx.GlobalAvgPool(), nnx.Linear(8, 2))
    >>> images = np.ones((5, 6, 6, 3), dtype="float32")
    >>> nnx.interpret.grad_cam(net, images, target=1, layer="1").shape
    (5, 4, 4)
    """
    label = "grad_cam"
    features = run(label, net, x, [layer])[layer]
    shape = tuple(getattr(features, "shape", ()))
    if len(shape) < 3:
        got = shape if hasattr(features, "shape") else type(features).__name__
        raise ShapeError(
            f"{label}: expected layer {layer!r} to give feature maps (N, *spatial, features), got {got}. Name one "
            "before they are pooled or flattened."
        )

    def score(features: Any) -> Any:
        with hooked(label, net, {layer: lambda module, args, output: features}):
            scores = class_scores(label, net(stop_gradient(x)), target)
        return namespace(scores).sum(scores)

    with evaluation_mode(net):
        slopes = stop_gradient(grad(score)(features))
    xp = namespace(features)
    weights = xp.mean(slopes, axis=tuple(range(1, len(shape) - 1)), keepdims=True)
    return relu(xp.sum(weights * features, axis=-1))


def _checked_input(label: str, net: Any, x: Any) -> Any:
    """Return a raw batch that can be differentiated by, or raise."""
    require_module(label, net)
    x = stop_gradient(x)
    if not hasattr(x, "dtype"):
        raise TypeError(f"{label}: expected x to be an array, got {type(x).__name__}; use nnx.asarray(x).")
    if not is_floating(x.dtype):
        raise DTypeError(
            f"{label}: expected x of floating-point numbers, got dtype {dtype_name(x.dtype)}, by which there is no "
            "gradient."
        )
    return x
