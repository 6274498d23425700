"""Transforms one after the other."""

from collections.abc import Callable, Sequence
from typing import Any


class Compose:
    """Transforms called one after the other, each on what the one before returned.

    Parameters
    ----------
    transforms : sequence of callables
        Functions of the members of a batch. One that returns a tuple gives all members anew; anything else is the
        first, which has no others then.

    Raises
    ------
    TypeError
        If one of them cannot be called.

    Examples
    --------
    >>> import numpy as np, nnx
    >>> from nnx.data import transforms
    >>> nnx.seed(0)
    >>> augment = transforms.Compose(
    ...     [
    ...         transforms.RandomCrop(32, padding=4),
    ...         transforms.RandomHorizontalFlip(),
    ...         transforms.ToFloat(),
    ...         transforms.Normalize(mean=(0.491, 0.482, 0.447), std=(0.247, 0.244, 0.262)),
    ...     ]
    ... )
    >>> images, labels = np.zeros((8, 32, 32, 3), dtype=np.uint8), np.arange(8)
    >>> loader = nnx.data.DataLoader(nnx.data.ArrayDataset(images, labels), batch_size=4, transform=augment)
    >>> x, y = next(iter(loader))
    >>> x.shape, x.dtype, y
    ((4, 32, 32, 3), dtype('float32'), array([0, 1, 2, 3]))
    """

    def __init__(self, transforms: Sequence[Callable[..., Any]]) -> None:
        if not isinstance(transforms, Sequence):
            raise TypeError(f"Compose: expected a list of transforms, got {transforms!r}; pass Compose([a, b]).")
        for position, transform in enumerate(transforms):
            if not callable(transform):
                raise TypeError(f"Compose: expected transforms that can be called, got {transform!r} as {position}.")
        self.transforms = list(transforms)

    def __call__(self, *batch: Any) -> Any:
        for transform in self.transforms:
            result = transform(*batch)
            batch = result if isinstance(result, tuple) else (result,)
        return batch if len(batch) > 1 else batch[0]

    def __repr__(self) -> str:
        return f"Compose({self.transforms!r})"
