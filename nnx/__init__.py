"""nnx: neural networks on the Array API standard."""

from typing import TYPE_CHECKING, Any

from . import functional as functional
from . import init as init
from . import random as random
from .autodiff import Array as Array
from .autodiff import Buffer as Buffer
from .autodiff import Parameter as Parameter
from .autodiff import check_grads as check_grads
from .autodiff import checkpoint as checkpoint
from .autodiff import custom_vjp as custom_vjp
from .autodiff import differentiable as differentiable
from .autodiff import grad as grad
from .autodiff import hessian as hessian
from .autodiff import hvp as hvp
from .autodiff import jacobian as jacobian
from .autodiff import jvp as jvp
from .autodiff import record as record
from .autodiff import stop_gradient as stop_gradient
from .autodiff import value_and_grad as value_and_grad
from .autodiff import variable as variable
from .autodiff import vjp as vjp
from .autodiff.namespace import namespace as namespace
from .backend import asarray as asarray
from .backend import available_backends as available_backends
from .backend import get_backend as get_backend
from .backend import get_num_threads as get_num_threads
from .backend import set_backend as set_backend
from .backend import set_num_threads as set_num_threads
from .backend import to_numpy as to_numpy
from .backend import use_backend as use_backend
from .kernels import explain as explain
from .kernels import use_kernels as use_kernels
from .layers import CELU as CELU
from .layers import ELU as ELU
from .layers import GELU as GELU
from .layers import GLU as GLU
from .layers import SELU as SELU
from .layers import AdaptiveAvgPool1d as AdaptiveAvgPool1d
from .layers import AdaptiveAvgPool2d as AdaptiveAvgPool2d
from .layers import AdaptiveAvgPool3d as AdaptiveAvgPool3d
from .layers import AdaptiveMaxPool1d as AdaptiveMaxPool1d
from .layers import AdaptiveMaxPool2d as AdaptiveMaxPool2d
from .layers import AdaptiveMaxPool3d as AdaptiveMaxPool3d
from .layers import AlphaDropout as AlphaDropout
from .layers import AvgPool1d as AvgPool1d
from .layers import AvgPool2d as AvgPool2d
from .layers import AvgPool3d as AvgPool3d
from .layers import BatchNorm as BatchNorm
from .layers import Bilinear as Bilinear
from .layers import ChannelShuffle as ChannelShuffle
from .layers import CircularPad1d as CircularPad1d
from .layers import CircularPad2d as CircularPad2d
from .layers import CircularPad3d as CircularPad3d
from .layers import ConstantPad1d as ConstantPad1d
from .layers import ConstantPad2d as ConstantPad2d
from .layers import ConstantPad3d as ConstantPad3d
from .layers import Conv1d as Conv1d
from .layers import Conv2d as Conv2d
from .layers import Conv3d as Conv3d
from .layers import ConvTranspose1d as ConvTranspose1d
from .layers import ConvTranspose2d as ConvTranspose2d
from .layers import ConvTranspose3d as ConvTranspose3d
from .layers import Dropout as Dropout
from .layers import Dropout1d as Dropout1d
from .layers import Dropout2d as Dropout2d
from .layers import Dropout3d as Dropout3d
from .layers import FeatureAlphaDropout as FeatureAlphaDropout
from .layers import Flatten as Flatten
from .layers import Fold as Fold
from .layers import FractionalMaxPool2d as FractionalMaxPool2d
from .layers import FractionalMaxPool3d as FractionalMaxPool3d
from .layers import GaussianDropout as GaussianDropout
from .layers import GaussianNoise as GaussianNoise
from .layers import GlobalAvgPool as GlobalAvgPool
from .layers import GlobalMaxPool as GlobalMaxPool
from .layers import GroupNorm as GroupNorm
from .layers import Hardshrink as Hardshrink
from .layers import Hardsigmoid as Hardsigmoid
from .layers import Hardswish as Hardswish
from .layers import Hardtanh as Hardtanh
from .layers import Identity as Identity
from .layers import InstanceNorm as InstanceNorm
from .layers import Lambda as Lambda
from .layers import LayerNorm as LayerNorm
from .layers import LeakyReLU as LeakyReLU
from .layers import Linear as Linear
from .layers import LocalResponseNorm as LocalResponseNorm
from .layers import LogSigmoid as LogSigmoid
from .layers import LogSoftmax as LogSoftmax
from .layers import LPPool1d as LPPool1d
from .layers import LPPool2d as LPPool2d
from .layers import LPPool3d as LPPool3d
from .layers import Maxout as Maxout
from .layers import MaxPool1d as MaxPool1d
from .layers import MaxPool2d as MaxPool2d
from .layers import MaxPool3d as MaxPool3d
from .layers import MaxUnpool1d as MaxUnpool1d
from .layers import MaxUnpool2d as MaxUnpool2d
from .layers import MaxUnpool3d as MaxUnpool3d
from .layers import Mish as Mish
from .layers import Module as Module
from .layers import ModuleDict as ModuleDict
from .layers import ModuleList as ModuleList
from .layers import PixelShuffle as PixelShuffle
from .layers import PixelUnshuffle as PixelUnshuffle
from .layers import PReLU as PReLU
from .layers import ReflectionPad1d as ReflectionPad1d
from .layers import ReflectionPad2d as ReflectionPad2d
from .layers import ReflectionPad3d as ReflectionPad3d
from .layers import ReLU as ReLU
from .layers import ReLU6 as ReLU6
from .layers import ReplicationPad1d as ReplicationPad1d
from .layers import ReplicationPad2d as ReplicationPad2d
from .layers import ReplicationPad3d as ReplicationPad3d
from .layers import Residual as Residual
from .layers import RMSNorm as RMSNorm
from .layers import RReLU as RReLU
from .layers import SeparableConv1d as SeparableConv1d
from .layers import SeparableConv2d as SeparableConv2d
from .layers import Sequential as Sequential
from .layers import Sigmoid as Sigmoid
from .layers import SiLU as SiLU
from .layers import Softmax as Softmax
from .layers import Softmax2d as Softmax2d
from .layers import Softmin as Softmin
from .layers import Softplus as Softplus
from .layers import Softshrink as Softshrink
from .layers import Softsign as Softsign
from .layers import Sparsemax as Sparsemax
from .layers import Swish as Swish
from .layers import Tanh as Tanh
from .layers import Tanhshrink as Tanhshrink
from .layers import Threshold as Threshold
from .layers import Unflatten as Unflatten
from .layers import Unfold as Unfold
from .layers import Upsample as Upsample
from .layers import ZeroPad1d as ZeroPad1d
from .layers import ZeroPad2d as ZeroPad2d
from .layers import ZeroPad3d as ZeroPad3d
from .layers import remove_parametrizations as remove_parametrizations
from .layers import spectral_norm as spectral_norm
from .layers import weight_norm as weight_norm
from .losses import BCELoss as BCELoss
from .losses import BCEWithLogitsLoss as BCEWithLogitsLoss
from .losses import CosineEmbeddingLoss as CosineEmbeddingLoss
from .losses import CrossEntropyLoss as CrossEntropyLoss
from .losses import DiceLoss as DiceLoss
from .losses import FocalLoss as FocalLoss
from .losses import GaussianNLLLoss as GaussianNLLLoss
from .losses import HingeEmbeddingLoss as HingeEmbeddingLoss
from .losses import HingeLoss as HingeLoss
from .losses import HuberLoss as HuberLoss
from .losses import KLDivLoss as KLDivLoss
from .losses import L1Loss as L1Loss
from .losses import LogCoshLoss as LogCoshLoss
from .losses import MarginRankingLoss as MarginRankingLoss
from .losses import MSELoss as MSELoss
from .losses import MultiLabelMarginLoss as MultiLabelMarginLoss
from .losses import MultiLabelSoftMarginLoss as MultiLabelSoftMarginLoss
from .losses import MultiMarginLoss as MultiMarginLoss
from .losses import NLLLoss as NLLLoss
from .losses import PoissonNLLLoss as PoissonNLLLoss
from .losses import QuantileLoss as QuantileLoss
from .losses import SmoothL1Loss as SmoothL1Loss
from .losses import SoftMarginLoss as SoftMarginLoss
from .losses import SquaredHingeLoss as SquaredHingeLoss
from .losses import TripletMarginLoss as TripletMarginLoss
from .losses import TripletMarginWithDistanceLoss as TripletMarginWithDistanceLoss
from .losses import TverskyLoss as TverskyLoss
from .precision import float32_precision as float32_precision
from .precision import use_float32_precision as use_float32_precision
from .random import seed as seed

if TYPE_CHECKING:
    from . import constraints as constraints
    from . import data as data
    from . import interpret as interpret
    from . import io as io
    from . import metrics as metrics
    from . import models as models
    from . import optim as optim
    from . import plots as plots
    from . import regularizers as regularizers
    from .io import load_weights as load_weights
    from .io import save_weights as save_weights
    from .training import History as History
    from .training import Model as Model

__version__ = "0.1.0"

# Imported at the first use: whoever wants gradients alone does not wait for what training needs.
_MODULES = frozenset(("constraints", "data", "interpret", "io", "metrics", "models", "optim", "plots", "regularizers"))
_NAMES = {"History": "training", "Model": "training", "load_weights": "io", "save_weights": "io"}


def __getattr__(name: str) -> Any:
    import importlib

    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _NAMES:
        rank_free = name[:-2] if name[-2:] in ("1d", "2d", "3d") and name[:-2] in globals() else ""
        hint = f"; nnx.{rank_free} is for images of any number of dimensions" if rank_free else ""
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")
    value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{_NAMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES, *_NAMES})
