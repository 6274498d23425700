"""Layers: Module and every layer class, one file per family."""

from .activation import GELU as GELU
from .activation import ReLU as ReLU
from .container import ModuleDict as ModuleDict
from .container import ModuleList as ModuleList
from .container import Sequential as Sequential
from .dropout import Dropout as Dropout
from .linear import Linear as Linear
from .module import Module as Module
from .shape import Flatten as Flatten
