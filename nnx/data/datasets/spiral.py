"""Points on spiral arms: a small problem that no linear model solves."""

import numpy as np

from nnx.checks import check_range, non_negative_integer, positive_integer


def spiral(
    samples_per_class: int = 100, classes: int = 3, *, noise: float = 0.2, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Points of the plane on intertwined spiral arms, one arm per class.

    Point i of n on arm c has the radius ``r = i / (n - 1)`` and the angle ``2.5 * (4 * c + 4 * r + noise * N(0, 1))``
    in radians, counted clockwise from the vertical axis [1]_ [2]_. Another seed draws other points from the same
    distribution: a test set.

    Parameters
    ----------
    samples_per_class : int
    classes : int
        Number of arms. Beyond three they lie close together.
    noise : float
        Standard deviation of the angle before it is multiplied by 2.5. With 0.2 the arms touch: no classifier is
        perfect.
    seed : int
        The same seed gives the same points, whatever else was drawn before.

    Returns
    -------
    points : numpy.ndarray, shape (classes * samples_per_class, 2), float32
        Within the unit circle; class by class, from the centre outwards, so shuffle before splitting.
    labels : numpy.ndarray, shape (classes * samples_per_class,), int64
        0 to ``classes - 1``: the arm.

    Raises
    ------
    TypeError, ValueError
        If a count is not a positive integer, the seed not an integer of at least 0, or the noise negative.

    References
    ----------
    .. [1] A. Karpathy, "CS231n: Minimal neural network case study", Stanford (2015).
    .. [2] H. Kinsley, D. Kukieła, "Neural Networks from Scratch in Python" (2020), chapter 3.

    Examples
    --------
    >>> from nnx.data.datasets import spiral
    >>> points, labels = spiral(100, classes=3, seed=1)
    >>> points.shape, points.dtype.name, labels[[0, 100, 200]]
    ((300, 2), 'float32', array([0, 1, 2]))
    """
    samples_per_class = positive_integer("spiral", "samples_per_class", samples_per_class)
    classes = positive_integer("spiral", "classes", classes)
    check_range("spiral", "noise", noise, 0.0)
    rng = np.random.default_rng(non_negative_integer("spiral", "seed", seed))
    radius = np.tile(np.linspace(0.0, 1.0, samples_per_class), classes)
    labels = np.repeat(np.arange(classes), samples_per_class)
    angle = 2.5 * (4.0 * labels + 4.0 * radius + noise * rng.standard_normal(radius.shape))
    points = np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=-1)
    return points.astype(np.float32), labels.astype(np.int64)
