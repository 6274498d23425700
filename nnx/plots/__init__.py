"""Pictures. Needs matplotlib: ``pip install "nnx-array[plots]"``."""

from .boundary import decision_boundary as decision_boundary
from .confusion import confusion_matrix as confusion_matrix
from .curves import learning_curves as learning_curves
from .heat import heat_map as heat_map
from .tiles import feature_maps as feature_maps
from .tiles import filters as filters
