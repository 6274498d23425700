"""Pictures. Needs matplotlib: ``pip install "nnx-array[plots]"``."""

from .boundary import decision_boundary as decision_boundary
from .curves import learning_curves as learning_curves
