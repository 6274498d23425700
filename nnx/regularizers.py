"""Regularisers: penalties on the size of parameters, to add to a loss."""

from __future__ import annotations

import math
from typing import Any

from .autodiff.namespace import namespace
from .backend import device
from .checks import number
from .dtypes import is_complex
from .errors import ShapeError

__all__ = ["L1", "L1L2", "L2", "Orthogonal", "Regularizer"]


class Regularizer:
    """A function from the array of a parameter to a number, to subclass; any other will do. See `Module.regularize`.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> class Spread(nnx.regularizers.Regularizer):
    ...     def __call__(self, parameter):
    ...         xp = nnx.namespace(parameter)
    ...         return 0.5 * (xp.max(parameter) - xp.min(parameter))
    >>> net = nnx.Linear(2, 2).regularize(Spread(), "weight")
    >>> float(Spread()(np.asarray([1.0, -3.0])))
    2.0
    """

    def __call__(self, parameter: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define __call__(self, parameter).")


class L1(Regularizer):
    """`strength` times the sum of absolute values: it drives parameters to zero.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> float(nnx.regularizers.L1(0.5)(np.asarray([1.0, -3.0])))
    2.0
    """

    def __init__(self, strength: float = 0.01) -> None:
        self.strength = number("L1", "strength", strength, 0.0)

    def __call__(self, parameter: Any) -> Any:
        xp = namespace(parameter)
        return self.strength * xp.sum(xp.abs(parameter))

    def __repr__(self) -> str:
        return f"L1({self.strength})"


class L2(Regularizer):
    """`strength` times the sum of squares: it keeps parameters small.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> float(nnx.regularizers.L2(0.5)(np.asarray([1.0, -3.0])))
    5.0
    """

    def __init__(self, strength: float = 0.01) -> None:
        self.strength = number("L2", "strength", strength, 0.0)

    def __call__(self, parameter: Any) -> Any:
        return self.strength * _sum_of_squares(parameter)

    def __repr__(self) -> str:
        return f"L2({self.strength})"


class L1L2(Regularizer):
    """`l1` times the sum of absolute values plus `l2` times the sum of squares: the elastic net [1]_.

    The names and defaults are those of Keras.

    References
    ----------
    .. [1] Zou, Hastie, "Regularization and variable selection via the elastic net", J. R. Stat. Soc. B 67, 2005.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> float(nnx.regularizers.L1L2(l1=0.5, l2=0.1)(np.asarray([1.0, -3.0])))
    3.0
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1 = number("L1L2", "l1", l1, 0.0)
        self.l2 = number("L1L2", "l2", l2, 0.0)

    def __call__(self, parameter: Any) -> Any:
        xp = namespace(parameter)
        return self.l1 * xp.sum(xp.abs(parameter)) + self.l2 * _sum_of_squares(parameter)

    def __repr__(self) -> str:
        return f"L1L2(l1={self.l1}, l2={self.l2})"


class Orthogonal(Regularizer):
    """`strength` times ||W Wᵀ - I||², the squared Frobenius norm: it keeps a weight near an orthogonal one.

    A weight of any rank, (out, ..., in), counts as a matrix W (out, rest). Where it has more rows than columns they
    cannot all be orthogonal, and ||Wᵀ W - I||² is taken, which differs by the constant out - rest: the gradient is the
    same, and the penalty is 0 exactly for what `nnx.init.orthogonal` draws. This is the orthogonal regularisation of
    BigGAN [1]_ (its equation 3). `OrthogonalRegularizer` of Keras is another: the mean absolute cosine between rows,
    which leaves their lengths free.

    Parameters
    ----------
    strength
        The factor, at least 0.

    Raises
    ------
    ShapeError
        When called with an array of fewer than two axes, such as a bias.

    References
    ----------
    .. [1] Brock, Donahue, Simonyan, "Large scale GAN training for high fidelity natural image synthesis", ICLR 2019.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> penalty = nnx.regularizers.Orthogonal(0.5)
    >>> float(penalty(np.asarray([[0.0, 1.0], [-1.0, 0.0]]))), float(penalty(np.asarray([[2.0, 0.0], [0.0, 1.0]])))
    (0.0, 4.5)
    """

    def __init__(self, strength: float = 0.01) -> None:
        self.strength = number("Orthogonal", "strength", strength, 0.0)

    def __call__(self, parameter: Any) -> Any:
        shape = tuple(parameter.shape)
        if len(shape) < 2:
            raise ShapeError(
                f"Orthogonal: expected a weight of two or more axes, (out, ..., in), got shape {shape}. Choose the "
                "weights by a pattern: net.regularize(Orthogonal(), '*.weight')."
            )
        xp = namespace(parameter)
        rows, columns = shape[0], math.prod(shape[1:])
        matrix = xp.reshape(parameter, (rows, columns))
        turned = xp.matrix_transpose(xp.conj(matrix) if is_complex(parameter.dtype) else matrix)
        gram = xp.matmul(matrix, turned) if rows <= columns else xp.matmul(turned, matrix)
        return self.strength * _sum_of_squares(
            gram - xp.eye(min(rows, columns), dtype=parameter.dtype, device=device(parameter))
        )

    def __repr__(self) -> str:
        return f"Orthogonal({self.strength})"


def _sum_of_squares(x: Any) -> Any:
    """The sum of squared absolute values: a real number, also for complex arrays."""
    xp = namespace(x)
    return xp.sum(xp.real(xp.conj(x) * x) if is_complex(x.dtype) else x * x)
