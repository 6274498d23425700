"""Files: weights as safetensors, of nnx and of PyTorch, and states of optimizers."""

from .checkpoint import load_weights as load_weights
from .checkpoint import save_weights as save_weights
from .state import load_state as load_state
from .state import save_state as save_state
from .torch import load_torch_weights as load_torch_weights
from .torch import save_torch_weights as save_torch_weights
