"""Metrics: how good predictions are, streaming over batches (classes) or at once (functions)."""

from .base import BatchMetric as BatchMetric
from .base import DeviceLog as DeviceLog
from .base import FunctionMetric as FunctionMetric
from .base import Metric as Metric
from .classification import Accuracy as Accuracy
from .classification import BinaryAccuracy as BinaryAccuracy
from .classification import TopKAccuracy as TopKAccuracy
from .classification import accuracy as accuracy
from .classification import binary_accuracy as binary_accuracy
from .classification import top_k_accuracy as top_k_accuracy
from .confusion import confusion_matrix as confusion_matrix
from .registry import get_metric as get_metric
from .regression import MAE as MAE
from .regression import MSE as MSE
from .regression import R2 as R2
from .regression import RMSE as RMSE
from .regression import mae as mae
from .regression import mse as mse
from .regression import r2 as r2
from .regression import rmse as rmse
