"""Data: data sets, batches and the bundled or downloadable collections (`nnx.data.datasets`)."""

from nnx.data import datasets, transforms
from nnx.data.dataset import ArrayDataset, Dataset, Subset
from nnx.data.folds import KFold, StratifiedKFold, TimeSeriesSplit
from nnx.data.image_folder import ImageFolder
from nnx.data.labels import class_weights
from nnx.data.loader import DataLoader
from nnx.data.scaling import MinMaxScaler, StandardScaler
from nnx.data.splits import random_split

__all__ = ["ArrayDataset", "DataLoader", "Dataset", "Subset", "datasets"]
__all__ += ["ImageFolder", "transforms"]
__all__ += ["KFold", "StratifiedKFold", "TimeSeriesSplit", "random_split"]
__all__ += ["MinMaxScaler", "StandardScaler", "class_weights"]
