"""Losses: modules over the functions of `nnx.functional`."""

from .classification import CrossEntropyLoss as CrossEntropyLoss
from .regression import MSELoss as MSELoss
