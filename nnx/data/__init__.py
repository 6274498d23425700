"""Data: data sets, batches and the bundled or downloadable collections (`nnx.data.datasets`)."""

from nnx.data import datasets
from nnx.data.dataset import ArrayDataset, Dataset, Subset
from nnx.data.loader import DataLoader

__all__ = ["ArrayDataset", "DataLoader", "Dataset", "Subset", "datasets"]
