"""Pairs of images and of their labels mixed."""

from typing import Any

import numpy as np

from nnx.checks import positive_integer
from nnx.data.seeds import Seed
from nnx.data.transforms.arguments import is_finite_number
from nnx.data.transforms.boxes import inside
from nnx.data.transforms.transform import RandomTransform, check_images
from nnx.dtypes import is_floating
from nnx.errors import DTypeError, ShapeError


class _Mix(RandomTransform):
    def __init__(self, *, alpha: float = 1.0, num_classes: int | None = None, seed: Seed = None) -> None:
        super().__init__(seed)
        where = type(self).__name__
        if not is_finite_number(alpha):
            raise TypeError(f"{where}: expected alpha to be a number above 0, got {alpha!r}.")
        if alpha <= 0:
            raise ValueError(
                f"{where}: expected alpha to be a number above 0, got {alpha!r}. Leave {where} out for none."
            )
        self.alpha = float(alpha)
        self.num_classes = None if num_classes is None else positive_integer(where, "num_classes", num_classes)

    def __call__(self, images: Any, *labels: Any) -> Any:
        """Mix images of shape (N, H, W, C) and their labels.

        Parameters
        ----------
        images
            Images of shape (N, H, W, C).
        labels
            Their classes of shape (N,), or probabilities of shape (N, classes).

        Returns
        -------
        tuple
            The new images, and the probabilities of the classes, of shape (N, classes) and in the dtype of the images
            (float32 for images of uint8).
        """
        where = type(self).__name__
        if len(labels) != 1:
            raise TypeError(f"{where}: expected images and labels, got {1 + len(labels)} arguments. It mixes both.")
        images = self._checked(check_images(where, images))
        dtype = images.dtype if is_floating(images.dtype) else np.dtype("float32")
        probabilities = self._probabilities(where, labels[0], len(images)).astype(dtype)
        generator = self._generator()
        share = generator.beta(self.alpha, self.alpha, size=len(images))
        partner = generator.permutation(len(images))
        mixed, share = self._mix(generator, images, partner, share.astype(dtype))
        share = share[:, None]
        return mixed, share * probabilities + (1 - share) * probabilities[partner]

    def _checked(self, images: np.ndarray) -> np.ndarray:
        return images

    def _mix(
        self, generator: np.random.Generator, images: np.ndarray, partner: np.ndarray, share: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """New images, and how much of each is the old one. `share` (N,) is how much that should be."""
        raise NotImplementedError

    def _probabilities(self, where: str, labels: Any, count: int) -> np.ndarray:
        if not isinstance(labels, np.ndarray):
            raise TypeError(f"{where}: expected labels as a NumPy array, got {type(labels).__name__}.")
        if is_floating(labels.dtype):
            if labels.ndim != 2 or len(labels) != count:
                raise ShapeError(f"{where}: expected probabilities of shape ({count}, classes), got {labels.shape}.")
            return labels
        if labels.dtype.kind not in "iu":
            raise DTypeError(f"{where}: expected classes as integers, or probabilities, got dtype {labels.dtype}.")
        if labels.shape != (count,):
            raise ShapeError(f"{where}: expected classes of shape ({count},), got {labels.shape}.")
        if self.num_classes is None:
            raise ValueError(
                f"{where}: classes given as integers need num_classes; pass {where}(num_classes=10) or such."
            )
        if count and not 0 <= int(labels.min()) <= int(labels.max()) < self.num_classes:
            raise ValueError(
                f"{where}: expected classes from 0 to {self.num_classes - 1}, got some from {labels.min()} to "
                f"{labels.max()}. Pass a larger num_classes."
            )
        return np.eye(self.num_classes, dtype=np.float32)[labels]


class MixUp(_Mix):
    """Blend each image with another one of the batch, and their labels alike [1]_.

    A share is drawn for each image from Beta(alpha, alpha), and partners are drawn as a permutation of the batch.

    Parameters
    ----------
    alpha : float
        Small ones leave most images nearly as they are; 1 draws shares uniformly. The paper has 0.2 for ImageNet.
    num_classes : int, optional
        The number of classes, where labels are integers.
    seed : int or numpy.random.Generator, optional
        Default: `nnx.data.transforms.current_generator`.

    Notes
    -----
    Labels become probabilities, which `nnx.functional.cross_entropy` takes. Images have to be floating-point numbers.

    References
    ----------
    .. [1] H. Zhang, M. Cisse, Y. N. Dauphin, D. Lopez-Paz, "mixup: beyond empirical risk minimization", ICLR 2018,
       arXiv:1710.09412.

    Examples
    --------
    >>> import numpy as np
    >>> from nnx.data.transforms import MixUp
    >>> images, labels = np.zeros((2, 8, 8, 3), dtype=np.float32), np.asarray([0, 2])
    >>> mixed, probabilities = MixUp(alpha=0.2, num_classes=3, seed=0)(images, labels)
    >>> probabilities.shape, probabilities.dtype, probabilities.sum(axis=1)
    ((2, 3), dtype('float32'), array([1., 1.], dtype=float32))
    """

    def _checked(self, images: np.ndarray) -> np.ndarray:
        return check_images("MixUp", images, floating=True)

    def _mix(
        self, generator: np.random.Generator, images: np.ndarray, partner: np.ndarray, share: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        others = images[partner]
        others += (images - others) * share[:, None, None, None]
        return others, share


class CutMix(_Mix):
    """Replace a rectangle in each image by that of another one of the batch, and mix their labels by area [1]_.

    A share of the area is drawn for each image from Beta(alpha, alpha), and the centre of the rectangle uniformly; what
    of it lies outside is cut off, and does not count. Partners are drawn as a permutation of the batch.

    Parameters
    ----------
    alpha : float
        1, that of the paper, draws the area uniformly.
    num_classes : int, optional
        The number of classes, where labels are integers.
    seed : int or numpy.random.Generator, optional
        Default: `nnx.data.transforms.current_generator`.

    Notes
    -----
    Labels become probabilities, which `nnx.functional.cross_entropy` takes.

    References
    ----------
    .. [1] S. Yun, D. Han, S. J. Oh, S. Chun, J. Choe, Y. Yoo, "CutMix: regularization strategy to train strong
       classifiers with localizable features", ICCV 2019, arXiv:1905.04899.

    Examples
    --------
    >>> import numpy as np
    >>> from nnx.data.transforms import CutMix
    >>> images, labels = np.zeros((2, 8, 8, 3), dtype=np.uint8), np.asarray([0, 2])
    >>> mixed, probabilities = CutMix(num_classes=3, seed=0)(images, labels)
    >>> mixed.dtype, probabilities.shape, probabilities.dtype
    (dtype('uint8'), (2, 3), dtype('float32'))
    """

    def _mix(
        self, generator: np.random.Generator, images: np.ndarray, partner: np.ndarray, share: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        count, height, width, channels = images.shape
        half = 0.5 * np.sqrt(1 - share)
        half_rows, half_columns = (half * height).astype(int), (half * width).astype(int)
        top = generator.integers(height, size=count) - half_rows
        left = generator.integers(width, size=count) - half_columns
        mask = inside(top, left, 2 * half_rows, 2 * half_columns, images.shape)
        # A mask of all channels is several times as fast as one that NumPy repeats.
        mixed = np.where(np.repeat(mask[..., None], channels, axis=-1), images[partner], images)
        return mixed, 1 - mask.mean(axis=(1, 2), dtype=share.dtype)
