"""A stand-in for CuPy on machines without a GPU: NumPy underneath, CuPy's names, types, devices and refusals on top.

It shows that the plug-in asks CuPy for the right things in the right order. What CuPy computes, only a GPU shows.
"""

from __future__ import annotations

import ctypes
from types import ModuleType, SimpleNamespace, TracebackType
from typing import Any

import numpy as np

# Not in CuPy 14: array_api_compat fills them in.
_MISSING = {"vecdot", "unstack", "matvec", "vecmat"}
_array, _asarray = np.array, np.asarray  # a rehearsal lets NumPy's own refuse arrays of the stand-in


class Device:
    """`cupy.cuda.Device`: two of them, so that a test can tell whether the wanted one was used."""

    stack: list[int] = [0]
    synchronized: list[int] = []
    compute_capability = "75"  # too old for the kernels of nnx, which the stand-in cannot run
    attributes = {"MultiProcessorCount": 3}

    def __init__(self, device: int | Device | None = None) -> None:
        self.id = Device.stack[-1] if device is None else device.id if isinstance(device, Device) else device
        if self.id not in (0, 1):
            raise RuntimeError(f"cudaErrorInvalidDevice: invalid device ordinal {self.id}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"

    def __enter__(self) -> Device:
        Device.stack.append(self.id)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        Device.stack.pop()

    def synchronize(self) -> None:
        Device.synchronized.append(self.id)


class ndarray(np.ndarray):
    """`cupy.ndarray`: never a scalar, on the device that was current when it was made, no `__array_namespace__`."""

    __module__ = "cupy"
    _device: int

    def __array_finalize__(self, parent: Any) -> None:
        self._device = getattr(parent, "_device", Device.stack[-1])

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        return wrap(array)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        outs = options.pop("out", ())
        for value in (*inputs, *outs):
            if type(value) is np.ndarray:
                raise TypeError(f"Unsupported type {type(value)}")
        if outs:
            options["out"] = tuple([_plain(out) for out in outs])
        found = getattr(ufunc, method)(*[_plain(value) for value in inputs], **options)
        return outs[0] if len(outs) == 1 else wrap(found)

    def __getitem__(self, key: Any) -> Any:
        return wrap(super().__getitem__(key))

    def __getattribute__(self, name: str) -> Any:
        if name in ("__array_namespace__", "to_device"):
            raise AttributeError(name)
        return super().__getattribute__(name)

    @property
    def device(self) -> Device:  # type: ignore[override]
        return Device(self._device)

    @property
    def data(self) -> Any:  # type: ignore[override]
        return SimpleNamespace(ptr=self.ctypes.data)

    def copy(self, order: Any = "C") -> ndarray:
        return wrap(_array(self, order=order))

    def clip(self, min: Any = None, max: Any = None, out: Any = None) -> Any:  # type: ignore[override]
        if self.dtype.kind == "V":
            raise TypeError(f"cupy_clip has no loop for {self.dtype}")
        return super().clip(min, max, out)

    def get(self) -> np.ndarray:
        return _array(self)


class Stream:
    """`cupy.cuda.Stream`: what is asked of it is done at once."""

    null: Any = None
    stack: list[Stream] = []
    made = 0

    def __init__(self, null: bool = False, non_blocking: bool = False) -> None:
        Stream.made += not null
        self.ptr = 0 if null else 0x1000 + Stream.made

    def __enter__(self) -> Stream:
        Stream.stack.append(self)
        return self

    def __exit__(self, *details: object) -> None:
        Stream.stack.pop()

    def synchronize(self) -> None:
        return None


Stream.null = Stream(null=True)


def get_current_stream() -> Stream:
    return Stream.stack[-1] if Stream.stack else Stream.null


class LoadedFunction:
    """A kernel on a device: it remembers its launches and computes nothing."""

    launches: list[tuple] = []
    ptr = 7

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, grid: tuple, block: tuple, arguments: tuple, shared: int) -> None:
        LoadedFunction.launches.append((self.name, Device.stack[-1], grid, block, arguments, shared))


class LoadedModule:
    """`cupy.cuda.function.Module`: it takes the GPU code and gives its kernels."""

    def load(self, code: bytes) -> None:
        if code[:4] != b"\x7fELF":
            raise RuntimeError("CUDA_ERROR_INVALID_IMAGE")

    def get_function(self, name: str) -> LoadedFunction:
        return LoadedFunction(name)


class FunctionAttributes:
    """`cupy_backends.cuda.api.driver`: what was asked for."""

    asked: list[tuple[int, int, int]] = []

    @staticmethod
    def funcSetAttribute(pointer: int, attribute: int, value: int) -> None:
        FunctionAttributes.asked.append((pointer, attribute, value))


def _plain(value: Any) -> Any:
    return value.view(np.ndarray) if isinstance(value, ndarray) else value


def wrap(value: Any) -> Any:
    """Turn what NumPy returned into what CuPy would: new memory is on the current device."""
    if isinstance(value, (np.ndarray, np.generic)):
        array = value if isinstance(value, ndarray) else _asarray(value).view(ndarray)
        if not isinstance(value, ndarray) or value.base is None:
            array._device = Device.stack[-1]
        return array
    if isinstance(value, tuple):
        items = [wrap(item) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return [wrap(item) for item in value] if isinstance(value, list) else value


class Function:
    """A function of NumPy that takes and returns the arrays of the stand-in and, like CuPy, refuses NumPy's."""

    def __init__(self, function: Any, name: str) -> None:
        self.function = function
        self.__name__ = name

    def __call__(self, *args: Any, **options: Any) -> Any:
        for value in (*args, *options.values()):
            if type(value) is np.ndarray:
                raise TypeError(f"{self.__name__}: Unsupported type {type(value)}")
        return wrap(self.function(*args, **options))

    def at(self, array: Any, *args: Any) -> None:
        raise AssertionError("cupy.add.at is not deterministic; gradients must not use it")


def _module(name: str, library: Any) -> ModuleType:
    module = ModuleType(name)
    for key in dir(library):
        value = getattr(library, key)
        if key.startswith("_") or key in _MISSING or isinstance(value, ModuleType):
            continue
        is_function = callable(value) and not isinstance(value, type)
        setattr(module, key, Function(value, key) if is_function else value)
    return module


def asarray(obj: Any, dtype: Any = None) -> ndarray:
    if isinstance(obj, ndarray) and dtype in (None, obj.dtype):
        return obj
    return wrap(_array(obj, dtype=dtype))


def array(obj: Any, dtype: Any = None, copy: bool = True) -> ndarray:
    return wrap(_array(obj, dtype=dtype)) if copy else asarray(obj, dtype)


def asnumpy(array: Any) -> np.ndarray:
    return _array(array)


def modules() -> dict[str, ModuleType]:
    """Everything to put into ``sys.modules``."""
    import scipy.special

    cupy = _module("cupy", np)
    cupy.__dict__.update(ndarray=ndarray, asarray=asarray, array=array, asnumpy=asnumpy, __version__="14.2.0")
    cuda, device = ModuleType("cupy.cuda"), ModuleType("cupy.cuda.device")
    device.__dict__.update(Device=Device)
    runtime = SimpleNamespace(getDeviceCount=lambda: 2)
    cuda.__dict__.update(Device=Device, Stream=Stream, device=device, runtime=runtime)
    cuda.__dict__.update(get_current_stream=get_current_stream)
    special = _module("cupyx.scipy.special", scipy.special)
    cupyx, cupyx_scipy = ModuleType("cupyx"), ModuleType("cupyx.scipy")
    linalg, fft = _module("cupy.linalg", np.linalg), _module("cupy.fft", np.fft)
    cupy.__dict__.update(cuda=cuda, linalg=linalg, fft=fft)
    cupyx.__dict__.update(scipy=cupyx_scipy)
    cupyx_scipy.__dict__.update(special=special)
    function, api = ModuleType("cupy.cuda.function"), ModuleType("cupy_backends.cuda.api")
    function.__dict__.update(Module=LoadedModule)
    api.__dict__.update(driver=FunctionAttributes)
    cuda.__dict__.update(function=function)
    roots = [ModuleType(name) for name in ("cupy_backends", "cupy_backends.cuda")]
    found = [cupy, cuda, device, function, linalg, fft, cupyx, cupyx_scipy, special, *roots, api]
    for module in found:
        module.__path__ = []  # packages: their submodules can be imported
    return {module.__name__: module for module in found}


class Driver:
    """NVIDIA's driver library as ctypes shows it: a version and some devices, or a code that every call fails with."""

    def __init__(self, version: int = 13000, devices: tuple[str, ...] = ("NVIDIA H200",), error: int = 0) -> None:
        self.version, self.devices, self.error = version, devices, error

    def cuDriverGetVersion(self, version: Any) -> int:
        version._obj.value = self.version
        return 0

    def cuInit(self, flags: int) -> int:
        return self.error

    def cuDeviceGetCount(self, count: Any) -> int:
        count._obj.value = len(self.devices)
        return 0

    def cuDeviceGet(self, handle: Any, ordinal: int) -> int:
        handle._obj.value = ordinal
        return 0

    def cuDeviceGetName(self, name: Any, size: int, handle: ctypes.c_int) -> int:
        name.value = self.devices[handle.value].encode()[: size - 1]
        return 0

    def cuDeviceTotalMem_v2(self, memory: Any, handle: ctypes.c_int) -> int:
        memory._obj.value = 141 * 2**30
        return 0

    def cuDeviceGetAttribute(self, value: Any, attribute: int, handle: ctypes.c_int) -> int:
        value._obj.value = {75: 9, 76: 0}[attribute]
        return 0
