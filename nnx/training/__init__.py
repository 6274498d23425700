"""Training: `Model` with fit, evaluate and predict, and the history of a run."""

from .history import History as History
from .model import Model as Model
