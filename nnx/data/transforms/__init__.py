"""Augmentation of images: batches (N, H, W, C) on the host, a draw for each image, under torchvision's names.

Each is a function of the images, or of the members of a batch: ``crop(images)``, ``crop(images, labels)``. Given to a
`DataLoader` as `transform`, they run on each batch, in its background thread. Nothing writes into what it is given.
"""

from nnx.data.seeds import current_generator
from nnx.data.transforms.color import ColorJitter
from nnx.data.transforms.compose import Compose
from nnx.data.transforms.erasing import Cutout, RandomErasing
from nnx.data.transforms.geometry import RandomCrop, RandomHorizontalFlip, RandomVerticalFlip
from nnx.data.transforms.mixing import CutMix, MixUp
from nnx.data.transforms.normalize import Normalize, ToFloat
from nnx.data.transforms.rotation import RandomAffine, RandomRotation

__all__ = ["Compose", "Normalize", "ToFloat", "current_generator"]
__all__ += ["RandomAffine", "RandomCrop", "RandomHorizontalFlip", "RandomRotation", "RandomVerticalFlip"]
__all__ += ["ColorJitter", "CutMix", "Cutout", "MixUp", "RandomErasing"]
