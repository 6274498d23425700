"""The exceptions nnx raises. Each subclasses the builtin that plain code would expect."""


class ShapeError(ValueError):
    """An array has the wrong shape for the layer or operation that received it."""


class DTypeError(TypeError):
    """An array has the wrong dtype for the layer or operation that received it."""


class BackendError(RuntimeError):
    """A backend is unknown, unavailable or broken."""


class MixedBackendsError(TypeError):
    """Arrays of two backends met in one call."""


class StaleParameterError(RuntimeError):
    """A parameter changed between the forward pass that read it and the backward pass."""


class DataFileError(ValueError):
    """A data file is missing, truncated, corrupt or of a wrong checksum."""


class WeightsError(ValueError):
    """A weights file or state dict does not fit the module it is loaded into."""


class NonFiniteLossError(ArithmeticError):
    """The training loss became NaN or infinite."""
