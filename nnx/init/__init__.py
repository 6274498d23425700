"""Initial values of parameters: drawn on the host, so that they are the same bits on every backend.

Each function takes a shape and returns an array of the default backend; those that draw use
`nnx.random.init_generator`, which `nnx.seed` restarts. To give a parameter other values:
``parameter.value = nnx.init.xavier_uniform(parameter.shape)``.

They have the names (without the underscore at the end), arguments and defaults of ``torch.nn.init``, and count what
goes into and out of a unit (`fans`) by nnx's layouts: (out, in) for Linear, (out, *kernel, in / groups) for
convolutions.
"""

from .arrays import floating_dtype as floating_dtype
from .plain import constant as constant
from .plain import normal as normal
from .plain import ones as ones
from .plain import sparse as sparse
from .plain import trunc_normal as trunc_normal
from .plain import uniform as uniform
from .plain import zeros as zeros
from .residual import delta_orthogonal as delta_orthogonal
from .residual import fixup as fixup
from .scaled import calculate_gain as calculate_gain
from .scaled import fans as fans
from .scaled import kaiming_normal as kaiming_normal
from .scaled import kaiming_uniform as kaiming_uniform
from .scaled import lecun_normal as lecun_normal
from .scaled import lecun_uniform as lecun_uniform
from .scaled import variance_scaling as variance_scaling
from .scaled import xavier_normal as xavier_normal
from .scaled import xavier_uniform as xavier_uniform
from .structured import dirac as dirac
from .structured import eye as eye
from .structured import orthogonal as orthogonal
