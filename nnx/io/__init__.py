"""Files: weights as safetensors."""

from .checkpoint import load_weights as load_weights
from .checkpoint import save_weights as save_weights
