"""Optimizers: they take gradients and change parameters."""

from . import schedules as schedules
from .adam import Adam as Adam
from .adam import AdamW as AdamW
from .optimizer import Optimizer as Optimizer
from .sgd import SGD as SGD
