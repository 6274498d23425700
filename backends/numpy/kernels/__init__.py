"""The CPU kernels: overrides of primitives, in plain NumPy."""

from __future__ import annotations

from typing import Any

from .activation import ReLU
from .convolution import Convolution, ConvolutionTranspose
from .dropout import MaskedScale
from .linear import Linear
from .loss import CrossEntropy
from .norm import LayerNorm, RMSNorm
from .norm_batch import BatchNorm, BatchNormInference, BatchNormReLU
from .pooling import AvgPool, MaxPool, MaxPoolPlaces, PutAtPlaces

KERNELS: dict[str, Any] = {
    "avg_pool": AvgPool(),
    "batch_norm": BatchNorm(),
    "batch_norm_inference": BatchNormInference(),
    "batch_norm_relu": BatchNormReLU(),
    "convolution": Convolution(),
    "convolution_transpose": ConvolutionTranspose(),
    "cross_entropy": CrossEntropy(),
    "layer_norm": LayerNorm(),
    "linear": Linear(),
    "masked_scale": MaskedScale(),
    "max_pool": MaxPool(),
    "max_pool_places": MaxPoolPlaces(),
    "put_at_places": PutAtPlaces(),
    "relu": ReLU(),
    "rms_norm": RMSNorm(),
}
