"""Looking inside a network: what its layers give, and which parts of the input a class score depends on.

The functions compute arrays; `nnx.plots` draws them.
"""

from .gradients import grad_cam as grad_cam
from .gradients import saliency as saliency
from .gradients import smooth_grad as smooth_grad
from .layers import activations as activations
from .occlusion import occlusion as occlusion
