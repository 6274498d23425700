"""Pictures. Needs matplotlib: ``pip install "nnx-array[plots]"``."""

from .curves import learning_curves as learning_curves
