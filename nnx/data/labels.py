"""Labels: what every function that takes the classes of samples asks of them, and the weights of rare classes."""

from typing import Any

import numpy as np

from nnx.autodiff import stop_gradient
from nnx.backend import asarray, device, get_backend, to_numpy
from nnx.checks import positive_integer
from nnx.errors import DTypeError, ShapeError
from nnx.functional.checks import namespace_of


def class_weights(labels: Any, class_weight: str = "balanced", num_classes: int | None = None) -> Any:
    """Return a weight for every class, for losses such as ``nnx.CrossEntropyLoss(weight=...)``.

    Balanced weights are inverse to how often a class occurs, N / (classes * count), so that rare classes count as much
    as frequent ones and the mean weight of a sample is 1. They are those of scikit-learn's `compute_class_weight`.

    Parameters
    ----------
    labels
        Class indices, integers from 0; an array of any backend and shape. Values are read on the host.
    class_weight
        ``"balanced"``.
    num_classes
        The number of classes; by default the largest index plus one.

    Returns
    -------
    array
        Of float32 and shape (num_classes,), where `labels` are.

    Raises
    ------
    ValueError
        If a class has no samples, an index is negative or not below `num_classes`, or there are no labels.
    TypeError, DTypeError
        If `labels` are no array, or hold no integers.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> nnx.data.class_weights(np.asarray([0, 0, 0, 1]))
    array([0.6666667, 2.       ], dtype=float32)
    """
    where = "class_weights"
    if class_weight != "balanced":
        raise ValueError(f"{where}: expected class_weight='balanced', got {class_weight!r}; there is no other rule.")
    namespace_of(where, labels=labels)
    labels = stop_gradient(labels)
    values = to_numpy(labels)
    if values.dtype.kind not in "iu":
        raise DTypeError(
            f"{where}: expected integer class indices, got dtype {values.dtype}. Cast labels, or number the classes "
            "from 0 with numpy.unique(labels, return_inverse=True)."
        )
    if values.size == 0:
        raise ValueError(f"{where}: expected at least one label, got none.")
    lowest, highest = int(values.min()), int(values.max())
    classes = highest + 1 if num_classes is None else positive_integer(where, "num_classes", num_classes)
    if lowest < 0 or highest >= classes:
        raise ValueError(
            f"{where}: expected labels from 0 to {max(classes - 1, 0)}, got some from {lowest} to {highest}. Leave out "
            "those to ignore, e.g. labels[labels >= 0], or pass a larger num_classes."
        )
    counts = np.bincount(values.reshape(-1), minlength=classes)
    if not counts.all():
        raise ValueError(
            f"{where}: expected samples of all {classes} classes, got none of {_listed(np.flatnonzero(counts == 0))}. "
            "Number the classes without gaps, or pass a smaller num_classes."
        )
    weights = values.size / (classes * counts)
    return asarray(weights, dtype="float32", backend=get_backend(labels).name, device=device(labels))


def class_codes(where: str, name: str, labels: Any, length: int) -> np.ndarray:
    """Return labels of any kind, numbers or strings, as indices of classes in the order of their first appearance.

    Raises
    ------
    TypeError
        If there are none, or they cannot be compared.
    ShapeError
        If they are not one for each sample.
    ValueError
        If they look like measurements.
    """
    if labels is None:
        raise TypeError(f"{where}: expected {name}, the class of each sample, to keep the classes in proportion.")
    if hasattr(labels, "__nnx_untracked__"):
        labels = stop_gradient(labels)
    values = to_numpy(labels) if hasattr(labels, "dtype") else np.asarray(labels)
    if values.ndim != 1:
        raise ShapeError(
            f"{where}: expected {name} of shape (N,), one class for each sample, got {values.shape}. Take the class of "
            "one-hot vectors with xp.argmax(y, axis=-1), and drop an axis of length 1."
        )
    if len(values) != length:
        raise ShapeError(f"{where}: expected {name} for {length} samples, got {len(values)} labels.")
    if values.dtype.kind in "fc" and not np.all(values == np.floor(values.real)):
        raise ValueError(
            f"{where}: expected {name} to be classes, got numbers that are not whole, such as in regression. Use "
            "a split without classes, or numpy.digitize to make some."
        )
    try:
        _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    except TypeError as error:
        raise TypeError(f"{where}: expected {name} of one kind, all numbers or all strings; {error}.") from None
    return np.argsort(np.argsort(first))[inverse]


def _listed(indices: np.ndarray, most: int = 5) -> str:
    return ", ".join(map(str, indices[:most].tolist())) + (", ..." if len(indices) > most else "")
