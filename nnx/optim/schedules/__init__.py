"""Learning-rate schedules: functions from the number of steps taken so far to the learning rate of the next step.

An optimizer takes one as its ``lr``, for all its parameters or for a group: ``nnx.optim.Adam(net, lr=schedule)``. A
schedule has no state: the step decides, so that a run that goes on from a file needs nothing but the number of steps,
which the optimizer's `state_dict` holds. Any function from step to number will do; those here also print, pickle and
check their arguments. They count steps of the optimizer, not epochs; `per_epoch` turns one into the other.

`ReduceLROnPlateau` alone keeps a state, because it depends on a metric: its value changes when it is told one.

The names end in ``_decay`` (down), ``_warmup`` (up), or say the shape. PyTorch's schedulers are here as

=================================== ==========================
``torch.optim.lr_scheduler``        here
=================================== ==========================
``LambdaLR``                        `lambda_factor`
``MultiplicativeLR``                `multiplicative`
``StepLR``                          `step_decay`
``MultiStepLR``                     `multi_step_decay`
``ConstantLR``                      `constant_warmup`
``LinearLR``                        `linear`
``ExponentialLR``                   `exponential_decay`
``PolynomialLR``                    `polynomial_decay`
``CosineAnnealingLR``               `cosine_annealing`
``CosineAnnealingWarmRestarts``     `cosine_warm_restarts`
``CyclicLR``                        `cyclic`
``OneCycleLR``                      `one_cycle`
``SequentialLR``                    `sequence`
``ChainedScheduler``                `chained`
``ReduceLROnPlateau``               `ReduceLROnPlateau`
=================================== ==========================

with the same arguments and defaults; the first one is the learning rate, which PyTorch reads from the optimizer.
"""

from .composition import chained as chained
from .composition import lambda_factor as lambda_factor
from .composition import multiplicative as multiplicative
from .composition import per_epoch as per_epoch
from .composition import sequence as sequence
from .cycles import cosine_annealing as cosine_annealing
from .cycles import cosine_warm_restarts as cosine_warm_restarts
from .cycles import cyclic as cyclic
from .cycles import one_cycle as one_cycle
from .decay import constant_warmup as constant_warmup
from .decay import exponential_decay as exponential_decay
from .decay import inverse_time_decay as inverse_time_decay
from .decay import linear as linear
from .decay import linear_warmup as linear_warmup
from .decay import multi_step_decay as multi_step_decay
from .decay import noam as noam
from .decay import polynomial_decay as polynomial_decay
from .decay import step_decay as step_decay
from .plateau import ReduceLROnPlateau as ReduceLROnPlateau
from .schedule import Schedule as Schedule
