"""Weights computed from other parameters at every reading: weight and spectral normalisation."""

from __future__ import annotations

from typing import Any

from .. import init
from ..autodiff import Buffer, Parameter, stop_gradient
from ..autodiff.namespace import namespace
from ..autodiff.parameter import fitted
from ..backend import device, get_backend, to_numpy
from ..checks import positive_integer
from ..functional.arguments import axis_of
from ..functional.norm_checks import check_eps
from ..functional.norm_vector import normalize
from .container import ModuleDict
from .module import Module


class Parametrization(Module):
    """What stands for one parameter of a layer. Reading the parameter calls `forward`, writing it calls `assign`."""

    def assign(self, value: Any) -> None:
        """Let an array be the weight that this starts from."""
        raise NotImplementedError(f"{type(self).__name__} does not define assign(self, value).")

    def _checked(self, value: Any, old: Parameter) -> Any:
        if isinstance(value, (Parameter, Buffer, Module)):
            raise TypeError(
                f"{type(self).__name__}: expected an array for a weight that is computed, got a "
                f"{type(value).__name__}; call nnx.remove_parametrizations(layer) first."
            )
        return fitted(f"{type(self).__name__}, weight", stop_gradient(value), old.value)


class WeightNorm(Parametrization):
    """``original0 * original1 / norm(original1)``; see `weight_norm`."""

    def __init__(self, weight: Any, axis: int | None) -> None:
        self.axis = axis
        self.original0 = Parameter(self._norm(weight))
        self.original1 = Parameter(weight)

    def forward(self) -> Any:
        length, direction = self.original0, self.original1
        xp = namespace(length, direction)  # one of them may be frozen
        return xp.multiply(direction, xp.divide(length, self._norm(direction)))

    def assign(self, value: Any) -> None:
        value = self._checked(value, self.parameter("original1"))
        self.original0, self.original1 = self._norm(value), value

    def _norm(self, weight: Any) -> Any:
        xp = namespace(weight)
        if self.axis is None:
            return xp.linalg.vector_norm(weight)
        others = tuple(axis for axis in range(len(weight.shape)) if axis != self.axis)
        return xp.linalg.vector_norm(weight, axis=others, keepdims=True) if others else xp.abs(weight)

    def extra_repr(self) -> str:
        return f"axis={self.axis}"


class _SingularVectors(Module):
    """Estimates of the first singular vectors of a matrix, left and right."""

    def __init__(self, u: Any, v: Any) -> None:
        self._u = Buffer(u)
        self._v = Buffer(v)


class SpectralNorm(Parametrization):
    """``original / sigma(original)``; see `spectral_norm`."""

    def __init__(self, parameter: Parameter, n_power_iterations: int, eps: float, axis: int) -> None:
        self.original = parameter  # itself, so that it stays tied to others, and known to optimizers
        self.n_power_iterations = n_power_iterations
        self.eps = eps
        self.axis = axis
        if len(parameter.shape) > 1:
            matrix = self._matrix(parameter.value)
            setattr(self, "0", _SingularVectors(*(self._drawn(matrix, length) for length in matrix.shape)))
            self._iterate(matrix, 15)

    def forward(self) -> Any:
        weight = self.original
        if len(weight.shape) == 1:
            return normalize(weight, axis=0, eps=self.eps)
        matrix = self._matrix(weight)
        if self.training:
            self._iterate(stop_gradient(matrix), self.n_power_iterations)
        vectors = self._modules["0"]
        xp = namespace(matrix)
        return weight / xp.matmul(vectors._u, xp.matmul(matrix, vectors._v))

    def assign(self, value: Any) -> None:
        self.original = self._checked(value, self.parameter("original"))

    def _matrix(self, weight: Any) -> Any:
        xp = namespace(weight)
        rows = xp.moveaxis(weight, self.axis, 0)
        return xp.reshape(rows, (rows.shape[0], -1))

    def _drawn(self, like: Any, length: int) -> Any:
        drawn = to_numpy(init.normal((length,)))
        return normalize(get_backend(like).asarray(drawn, dtype=like.dtype, device=device(like)), eps=self.eps)

    def _iterate(self, matrix: Any, times: int) -> None:
        xp, vectors = namespace(matrix), self._modules["0"]
        for _ in range(times):
            vectors._u = normalize(xp.matmul(matrix, vectors._v), eps=self.eps)
            vectors._v = normalize(xp.matmul(vectors._u, matrix), eps=self.eps)

    def extra_repr(self) -> str:
        return f"axis={self.axis}, n_power_iterations={self.n_power_iterations}, eps={self.eps:g}"


def weight_norm(module: Module, name: str = "weight", axis: int | None = 0) -> Module:
    """Learn the length and the direction of a parameter's vectors apart [1]_; return the module.

    The parameter ``w`` is replaced by ``g`` and ``v``, and computed from them whenever it is read:
    ``w = g * v / norm(v)``. At first it is what it was. Assigning an array to it sets both.

    Parameters
    ----------
    module
        The layer.
    name
        The parameter of this layer.
    axis
        The axis that counts the vectors, each of which has a length of its own; None for one vector. 0 are the outputs
        in all layers of nnx, also in transposed convolutions, where PyTorch's default are the inputs (here -1). PyTorch
        calls it `dim`.

    Returns
    -------
    Module
        The same layer. In its state dict the weight is now ``parametrizations.weight.original0`` (g; of length 1 along
        all other axes) and ``parametrizations.weight.original1`` (v), as in PyTorch.

    Raises
    ------
    TypeError, ValueError
        If `module` is no Module, has no such parameter, or computes it already.
    ShapeError
        If the parameter has no such axis.

    Notes
    -----
    Call it before making an optimizer, and before `Module.regularize` and `Module.constrain`, which find parameters by
    name.

    References
    ----------
    .. [1] Salimans and Kingma, "Weight normalization", arXiv:1602.07868; names as in
       torch.nn.utils.parametrizations.

    Examples
    --------
    >>> import nnx
    >>> layer = nnx.weight_norm(nnx.Linear(20, 40))
    >>> layer.parametrizations["weight"].original0.shape
    (40, 1)
    >>> layer.weight.shape
    (40, 20)
    """
    parameter = _parameter("weight_norm", module, name)
    axis = axis if axis is None else axis_of("weight_norm", axis, parameter)
    return _register(module, name, WeightNorm(parameter.value, axis), parameter.trainable)


def spectral_norm(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, axis: int = 0
) -> Module:
    """Divide a parameter by its largest singular value whenever it is read [1]_; return the module.

    A layer with such a weight stretches no input, which steadies the critics of generative adversarial networks. The
    singular value comes from a power iteration, which goes on at every reading in training mode and rests in evaluation
    mode. A vector is divided by its norm.

    Parameters
    ----------
    module
        The layer.
    name
        The parameter of this layer. One with more than two axes counts as the matrix of `axis` and all others.
    n_power_iterations
        How many steps of the iteration each reading makes; there are 15 at once.
    eps
        The smallest divisor of the vectors in the iteration, above 0.
    axis
        The axis of the outputs: 0 in all layers of nnx. PyTorch calls it `dim`.

    Returns
    -------
    Module
        The same layer. In its state dict the weight is now ``parametrizations.weight.original``, and the vectors of the
        iteration are the buffers ``parametrizations.weight.0._u`` and ``parametrizations.weight.0._v``, as in PyTorch.

    Raises
    ------
    TypeError, ValueError
        If `module` is no Module, has no such parameter, computes it already, or an argument is out of range.
    ShapeError
        If the parameter has no such axis.

    Notes
    -----
    As in PyTorch, whatever reads the weight in training mode moves the vectors on, also the second computation of
    `nnx.checkpoint`, whose gradient is then that of the newer vectors. Regularisers and constraints find the parameter
    under its new name.

    References
    ----------
    .. [1] Miyato et al., "Spectral normalization for generative adversarial networks", arXiv:1802.05957; names as in
       torch.nn.utils.parametrizations.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> layer = nnx.spectral_norm(nnx.Linear(20, 40), n_power_iterations=50)
    >>> round(float(np.linalg.norm(layer.weight, 2)), 1)
    1.0
    """
    parameter = _parameter("spectral_norm", module, name)
    steps = positive_integer("spectral_norm", "n_power_iterations", n_power_iterations)
    eps = check_eps("spectral_norm", eps)
    rule = SpectralNorm(parameter, steps, eps, axis_of("spectral_norm", axis, parameter))
    return _register(module, name, rule, parameter.trainable)


def remove_parametrizations(module: Module, name: str = "weight") -> Module:
    """Undo `weight_norm` or `spectral_norm`: the parameter becomes an ordinary one, of its present value.

    Parameters
    ----------
    module
        The layer.
    name
        The parameter.

    Raises
    ------
    TypeError, ValueError
        If `module` is no Module, or does not compute such a parameter.

    Examples
    --------
    >>> import nnx
    >>> layer = nnx.remove_parametrizations(nnx.weight_norm(nnx.Linear(2, 3)))
    >>> sorted(layer.state_dict())
    ['bias', 'weight']
    """
    _require_module("remove_parametrizations", module)
    rules: Any = module._modules.get("parametrizations", {})
    if name not in rules:
        known = ", ".join(rules) or "none"
        raise ValueError(
            f"remove_parametrizations: {type(module).__name__} does not compute {name!r}; what it computes: {known}."
        )
    rule = rules[name]
    trainable = any(parameter.trainable for parameter in rule.parameters())
    value = stop_gradient(rule.eval().forward())
    del rules[name]
    if not rules:
        del module.parametrizations
    setattr(module, name, Parameter(value, trainable))
    return module


def _require_module(function: str, module: Any) -> None:
    if not isinstance(module, Module):
        raise TypeError(
            f"{function}: expected a Module, got {type(module).__name__}; write {function}(nnx.Linear(...))."
        )


def _parameter(function: str, module: Any, name: str) -> Parameter:
    """Return a parameter that belongs to the module itself, or raise."""
    _require_module(function, module)
    label = type(module).__name__
    if name in module._modules.get("parametrizations", ()):
        raise ValueError(
            f"{function}: {label} computes {name!r} already; call nnx.remove_parametrizations(module, {name!r}) first."
        )
    if name not in module._parameters:
        known = ", ".join(module._parameters) or "none; choose a layer inside of it"
        raise ValueError(f"{function}: {label} has no parameter {name!r} of its own; it has {known}.")
    return module._parameters[name]


def _register(module: Module, name: str, rule: Parametrization, trainable: bool) -> Module:
    for parameter in rule.parameters():
        parameter.trainable = trainable
    rule.train(module.training)
    delattr(module, name)
    if "parametrizations" not in module._modules:
        module.parametrizations = ModuleDict().train(module.training)
    module.parametrizations[name] = rule
    return module
