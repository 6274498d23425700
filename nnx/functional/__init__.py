"""The primitives of neural networks as pure functions in Array API code: the definition of every kernel.

Names, argument names and defaults are PyTorch's; the features are last, so the class axis is the last one.
"""

from .activation import gelu as gelu
from .activation import log_softmax as log_softmax
from .activation import relu as relu
from .activation import softmax as softmax
from .dropout import dropout as dropout
from .linear import linear as linear
from .loss import cross_entropy as cross_entropy
from .loss import mse_loss as mse_loss
