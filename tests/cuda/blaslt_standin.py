"""A stand-in for cuBLASLt on machines without a GPU: the same C functions, on host memory.

It is called as the library is, through C function pointers with raw addresses, knows the numbers and sizes of NVIDIA's
header by itself, refuses what the documentation says that the library refuses, and multiplies what the descriptors say
that lies in memory: a wrong leading dimension gives a wrong result, or leaves the array, which is an error.
"""

from __future__ import annotations

import ctypes
import struct
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ml_dtypes
import numpy as np

from nnx.backend import load_backend
from tests.cuda.own_kernels import module

LIBRARY = module("cupy.blaslt_library")
BLAS = module("cupy.blaslt")
INVALID, NOT_SUPPORTED = 7, 15
# attribute -> bytes of its value
SIZES = {
    "MatmulDesc": {3: 4, 4: 4, 7: 4, 8: 8, 10: 8, 11: 8, 12: 8, 13: 8},
    "MatrixLayout": {1: 4, 5: 4, 6: 8},
    "MatmulPreference": {1: 8, 3: 4, 5: 4, 6: 4, 7: 4, 8: 4},
}
TYPES: dict[int, Any] = {0: np.float32, 1: np.float64, 2: np.float16, 14: ml_dtypes.bfloat16}
# compute type -> the type of alpha and beta, and of factors and results
COMPUTES = {
    68: (0, {(0, 0), (2, 2), (2, 0), (14, 14), (14, 0)}),
    77: (0, {(0, 0)}),
    70: (1, {(1, 1)}),
}
DEFAULT, RELU, BIAS, DRELU, GELU, DGELU, BGRAD, AUX, BGRADA, BGRADB = 1, 2, 4, 136, 32, 192, 16, 128, 256, 512
EPILOGUES = {1, 2, 130, 4, 6, 134, 136, 152, 32, 160, 36, 164, 192, 208, 256, 512}
WORKSPACE_OF_AN_ALGORITHM = 1 << 12


class Refused(Exception):
    def __init__(self, text: str, status: int = INVALID) -> None:
        super().__init__(text)
        self.status = status


class StandIn:
    """The library. `calls` are the products so far, `refusals` what was refused and why.

    A test may set `refuses`: it gets the description of a product, and when ("choice" or "run"), and returns whether
    it is not supported then.
    """

    def __init__(self, place: HostPlace) -> None:
        self.place = place
        self.calls: list[dict[str, Any]] = []
        self.choices: list[dict[str, Any]] = []
        self.refusals: list[str] = []
        self.failures: list[BaseException] = []
        self.refuses: Callable[[dict[str, Any], str], bool] = lambda product, when: False
        self.live: dict[int, tuple[str, dict[Any, Any]]] = {}
        self.algorithms: dict[bytes, dict[str, Any]] = {}
        self._next = 0x7000
        for name, (result, arguments) in LIBRARY.PROTOTYPES.items():
            own = getattr(self, "_" + name.removeprefix("cublasLt"), None) or self._for_kind(name)
            setattr(self, name, ctypes.CFUNCTYPE(result, *arguments)(self._guarded(own)))

    def _guarded(self, function: Callable) -> Callable:
        def call(*arguments: Any) -> int:
            try:
                return function(*arguments) or 0
            except Refused as refusal:
                self.refusals.append(str(refusal))
                return refusal.status
            except BaseException as error:  # it would be lost on its way through C
                self.failures.append(error)
                return 14

        return call

    # -------------------------------------------------------------- descriptors

    def _GetVersion(self) -> int:
        return 130002

    def _Create(self, where: int) -> None:
        self._make(where, "handle", {"device": self.place.devices[-1]})

    def _make(self, where: int, kind: str, values: dict[Any, Any]) -> None:
        self._next += 64
        self.live[self._next] = (kind, values)
        ctypes.c_void_p.from_address(where).value = self._next

    def _MatmulDescCreate(self, where: int, compute: int, scale: int) -> None:
        values = {"compute": compute, "scale": scale, 3: 0, 4: 0, 7: DEFAULT, 8: 0, 10: 0, 11: 0, 12: 0, 13: 0}
        self._make(where, "MatmulDesc", values)

    def _MatrixLayoutCreate(self, where: int, type_: int, rows: int, columns: int, leading: int) -> None:
        values = {"type": type_, "rows": rows, "columns": columns, "leading": leading, 1: 0, 5: 1, 6: 0}
        self._make(where, "MatrixLayout", values)

    def _MatmulPreferenceCreate(self, where: int) -> None:
        self._make(where, "MatmulPreference", {1: 0, 3: 7, 5: 256, 6: 256, 7: 256, 8: 256})

    def _for_kind(self, name: str) -> Callable:
        kind = name.removeprefix("cublasLt").removesuffix("SetAttribute").removesuffix("Destroy")
        return self._setter(kind) if name.endswith("SetAttribute") else self._destroyer(kind)

    def _setter(self, kind: str) -> Callable:
        def set_attribute(descriptor: int, attribute: int, value: int, size: int) -> None:
            if SIZES[kind].get(attribute) != size:
                raise Refused(f"{kind}: attribute {attribute} of {size} bytes")
            raw = ctypes.string_at(value, size)
            signed = (kind, attribute) in {("MatmulDesc", 12), ("MatmulDesc", 13), ("MatrixLayout", 6)}
            self._of(kind, descriptor)[attribute] = int.from_bytes(raw, "little", signed=signed)

        return set_attribute

    def _destroyer(self, kind: str) -> Callable:
        def destroy(descriptor: int) -> None:
            self._of(kind, descriptor)
            del self.live[descriptor]

        return destroy

    def _of(self, kind: str, descriptor: int | None) -> dict[Any, Any]:
        found = self.live.get(descriptor or 0)
        if found is None or found[0] != kind:
            raise Refused(f"expected a live {kind}, got {found}")
        return found[1]

    # -------------------------------------------------------------- what is asked for

    def _product(self, operation: int, a: int, b: int, c: int, d: int) -> dict[str, Any]:
        """What the descriptors say, if they fit together."""
        op = self._of("MatmulDesc", operation)
        layouts = {name: dict(self._of("MatrixLayout", x)) for name, x in zip("abcd", (a, b, c, d), strict=True)}
        types = {name: x["type"] for name, x in layouts.items()}
        scale, allowed = COMPUTES.get(op["compute"], (None, set()))
        fits = op["scale"] == scale and types["a"] == types["b"] and types["c"] == types["d"]
        if not fits or (types["a"], types["d"]) not in allowed:
            raise Refused(f"types {op['compute']}, {op['scale']}, {types}", NOT_SUPPORTED)
        for name, x in layouts.items():
            sizes = (x["rows"], x["columns"], x[5])
            if not all(0 < size < 2**31 for size in sizes):
                raise Refused(f"{name}: sizes {sizes}")
            if x["leading"] < (x["columns"] if x[1] else x["rows"]):
                raise Refused(f"{name}: leading dimension {x['leading']} of {x['rows']} x {x['columns']}")
            if x[6] < 0 or (x[5] > 65535):
                raise Refused(f"{name}: batch of {x[5]} with stride {x[6]}", NOT_SUPPORTED)
            if name == "d" and x[5] > 1 and x[6] < 1:
                raise Refused("d: results on top of each other")
        if len({x[5] for x in layouts.values()}) > 1:
            raise Refused("batch counts differ")
        turned = op[3] == 1, op[4] == 1
        if not {op[3], op[4]} <= {0, 1}:
            raise Refused(f"transposes {op[3]}, {op[4]}")
        m, k = (layouts["a"][x] for x in (("columns", "rows") if turned[0] else ("rows", "columns")))
        k2, n = (layouts["b"][x] for x in (("columns", "rows") if turned[1] else ("rows", "columns")))
        shapes = {(layouts[x]["rows"], layouts[x]["columns"]) for x in "cd"}
        if k != k2 or shapes != {(m, n)}:
            raise Refused(f"A is {m} x {k}, B {k2} x {n}, C and D {shapes}")
        product = {"m": m, "n": n, "k": k, "batch": layouts["d"][5], "turned": turned, "layouts": layouts}
        product |= {"compute": op["compute"], "epilogue": op[7], "types": types, "aux": op[12]}
        product["aux_stride"], product["bias_pointer"], product["aux_pointer"] = op[13], op[8], op[11]
        self._check_epilogue(product)
        return product

    def _check_epilogue(self, product: dict[str, Any]) -> None:
        epilogue, m, layouts = product["epilogue"], product["m"], product["layouts"]
        if epilogue not in EPILOGUES:
            raise Refused(f"epilogue {epilogue}")
        if epilogue != DEFAULT and (product["compute"] == 70 or any(x[1] for x in layouts.values())):
            raise Refused(f"epilogue {epilogue} of float64 or of rows", NOT_SUPPORTED)
        is_vector = epilogue in (BGRADA, BGRADB) or epilogue & (BIAS | BGRAD)
        if is_vector and (not product["bias_pointer"] or product["bias_pointer"] % 16):
            raise Refused(f"bias at {product['bias_pointer']:#x}")
        if epilogue & AUX and epilogue < BGRADA:
            bits = epilogue & RELU or epilogue & DRELU == DRELU
            multiple = 128 if bits else 8
            if not product["aux_pointer"] or product["aux_pointer"] % 16:
                raise Refused(f"aux at {product['aux_pointer']:#x}")
            if product["aux"] % multiple or product["aux"] < m:
                raise Refused(f"aux with leading dimension {product['aux']}")
            if product["batch"] > 1 and (product["aux_stride"] % multiple or not product["aux_stride"]):
                raise Refused(f"aux with batch stride {product['aux_stride']}")
        wrong_order = (epilogue == BGRADA and product["turned"][0]) or (epilogue == BGRADB and not product["turned"][1])
        if wrong_order or (product["k"] == 1 and (epilogue in (BGRADA, BGRADB) or epilogue & (8 | 64))):
            raise Refused(f"epilogue {epilogue} with {product['turned']} over {product['k']}", NOT_SUPPORTED)
        if epilogue & BGRAD and product["batch"] > 1:
            raise Refused("sums of many results")

    def _MatmulAlgoGetHeuristic(
        self, handle: int, operation: int, a: int, b: int, c: int, d: int, preference: int, most: int, to: int, n: int
    ) -> None:
        self._of("handle", handle)
        product = self._product(operation, a, b, c, d)
        wanted = self._of("MatmulPreference", preference)
        if product["types"]["d"] in (2, 14) and wanted[3] & ~2:
            raise Refused("parts of sums would be rounded to 16 bits")
        product["aligned"] = tuple(wanted[i] for i in (5, 6, 7, 8))
        self.choices.append(product)
        if most < 1:
            raise Refused("no algorithms asked for")
        count = 0 if self.refuses(product, "choice") else min(most, 2)
        for i in range(count):
            code = struct.pack("<8Q", *[len(self.algorithms)] * 8)
            workspace = min(WORKSPACE_OF_AN_ALGORITHM, wanted[1])
            described = {key: value for key, value in product.items() if "pointer" not in key}
            self.algorithms[code] = described | {"workspace": workspace, "number": i}
            entry = code + struct.pack("<Qif4i", workspace, 0, 0.5, 0, 0, 0, 0)
            ctypes.memmove(to + 96 * i, entry, 96)
        ctypes.c_int.from_address(n).value = count

    # -------------------------------------------------------------- products

    def _Matmul(self, *given: Any) -> None:
        handle, operation, alpha, a, a_layout, b, b_layout, beta, c, c_layout, d, d_layout, algorithm = given[:13]
        workspace, size, stream = given[13:]
        if self._of("handle", handle)["device"] != self.place.devices[-1]:
            raise Refused("the handle is of another device")
        product = self._product(operation, a_layout, b_layout, c_layout, d_layout)
        chosen = self.algorithms.get(ctypes.string_at(algorithm, 64))
        if chosen is None or any(chosen[key] != product[key] for key in product if "pointer" not in key):
            raise Refused("an algorithm for something else")
        if size < chosen["workspace"] or not workspace or workspace % 256:
            raise Refused(f"workspace of {size} bytes at {workspace or 0:#x}")
        for pointer, alignment in zip((a, b, c, d), chosen["aligned"], strict=True):
            if not pointer or pointer % alignment:
                raise Refused(f"{pointer or 0:#x} is not aligned to {alignment} bytes")
        if c != d:
            raise Refused("C is not D")
        number = ctypes.c_double if product["compute"] == 70 else ctypes.c_float
        weights = tuple(number.from_address(x).value for x in (alpha, beta))
        record = product | {"stream": stream or 0, "workspace": (workspace, size), "weights": weights}
        record |= {"algorithm": chosen["number"], "addresses": (a, b, d)}
        if self.refuses(record, "run"):
            raise Refused("not supported", NOT_SUPPORTED)
        self.calls.append(record)
        self._compute(product, weights, a, b, d)

    def _view(self, address: int, dtype: Any, shape: tuple, strides: tuple, written: bool = False) -> np.ndarray:
        """Memory that has to be that of an array which nnx asked the address of."""
        itemsize = np.dtype(dtype).itemsize
        size = (sum((n - 1) * s for n, s in zip(shape, strides, strict=True)) + 1) * itemsize
        self.place.check(address, size, written)
        flat = np.frombuffer((ctypes.c_char * size).from_address(address), dtype)
        return np.lib.stride_tricks.as_strided(flat, shape, tuple(s * itemsize for s in strides))

    def _compute(self, product: dict[str, Any], weights: tuple[float, float], a: int, b: int, d: int) -> None:
        m, batch, epilogue = (product[key] for key in ("m", "batch", "epilogue"))
        exact = np.float64
        matrices = []
        for name, address in zip("abd", (a, b, d), strict=True):
            x = product["layouts"][name]
            shape, step = (batch, x["rows"], x["columns"]), (1, x["leading"])
            strides = (x[6], *(step[::-1] if x[1] else step))
            matrices.append(self._view(address, TYPES[x["type"]], shape, strides, name == "d"))
        first, second, result = matrices
        first, second = (tf32(x) if product["compute"] == 77 else x.astype(exact) for x in (first, second))
        first = first.swapaxes(1, 2) if product["turned"][0] else first
        second = second.swapaxes(1, 2) if product["turned"][1] else second
        values = weights[0] * np.matmul(first, second)
        if weights[1]:
            values = values + weights[1] * result.astype(exact)
        kind = result.dtype
        if epilogue in (BGRADA, BGRADB):
            sums = first.sum(2)[0] if epilogue == BGRADA else second.sum(1)[0]
            self._view(product["bias_pointer"], kind, sums.shape, (1,), True)[...] = sums.astype(kind)
        elif epilogue & BIAS:
            values = values + self._view(product["bias_pointer"], kind, (m,), (1,)).astype(exact)[:, None]
        if epilogue & AUX and epilogue < BGRADA:
            values = self._aux(product, values, kind)
        if epilogue & BGRAD and epilogue < BGRADA:
            self._view(product["bias_pointer"], kind, (m,), (1,), True)[...] = values[0].sum(1).astype(kind)
        if epilogue & RELU and epilogue < BGRADA:
            values = np.maximum(values, 0)
        if epilogue & GELU and epilogue < BGRADA and epilogue & DGELU != DGELU:
            values = gelu(values)
        result[...] = values.astype(kind)

    def _aux(self, product: dict[str, Any], values: np.ndarray, kind: Any) -> np.ndarray:
        """Write what the gradient needs, or apply the gradient."""
        m, n, batch, epilogue = (product[key] for key in ("m", "n", "batch", "epilogue"))
        leading, stride = product["aux"], product["aux_stride"]
        gradient = epilogue & DRELU == DRELU or epilogue & DGELU == DGELU
        if epilogue & RELU or epilogue & DRELU == DRELU:
            strides = (stride // 8, 1, leading // 8)
            bits = self._view(product["aux_pointer"], np.uint8, (batch, leading // 8, n), strides, not gradient)
            if gradient:
                return values * np.unpackbits(bits, axis=1, bitorder="little")[:, :m]
            padded = np.zeros((batch, leading, n), bool)
            padded[:, :m] = values > 0
            bits[...] = np.packbits(padded, axis=1, bitorder="little")
            return values
        kept = self._view(product["aux_pointer"], kind, (batch, m, n), (stride, 1, leading), not gradient)
        if gradient:
            return values * gelu_slope(kept.astype(np.float64))
        kept[...] = values.astype(kind)
        return values


def tf32(x: np.ndarray) -> np.ndarray:
    """Round to 10 bits of mantissa, ties to even."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    rounded = (bits + 0xFFF + ((bits >> 13) & 1)) & np.uint32(0xFFFFE000)
    return rounded.view(np.float32).astype(np.float64)


def gelu(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def gelu_slope(x: np.ndarray) -> np.ndarray:
    t = np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * x * x)


def aligned(values: Any) -> Any:
    """An array of the simulator whose memory is aligned as that of a device."""
    given = np.asarray(values)
    memory = np.empty(given.nbytes + 256, np.uint8)
    start = -memory.ctypes.data % 256
    view = memory[start : start + given.nbytes].view(given.dtype).reshape(given.shape)
    view[...] = given
    return load_backend("simt").asarray(view)


class HostPlace:
    """Host memory in the place of devices; it remembers what it was asked for."""

    def __init__(self, machine: Any) -> None:
        self._machine = machine
        self.devices = [-1]  # none is current
        self.number_of_stream = 0
        self.size = 1 << 16
        self.workspaces: dict[tuple[int, int], np.ndarray] = {}
        self.made = 0  # arrays
        self._roots: deque[np.ndarray] = deque(maxlen=256)

    def address(self, array: Any) -> int:
        root = array
        while isinstance(root.base, np.ndarray):
            root = root.base
        if not any(root is known for known in tuple(self._roots)):
            self._roots.append(root)
        return self._machine.address(array)

    def check(self, address: int, size: int, written: bool) -> None:
        for root in tuple(self._roots):
            start = root.ctypes.data
            if start <= address and address + size <= start + root.nbytes:
                assert root.flags.writeable or not written, "a read-only array is written to"
                return
        raise AssertionError(f"{size} bytes at {address:#x} are not those of an array")

    def empty(self, shape: tuple[int, ...], dtype: str, like: Any) -> Any:
        self.made += 1
        found = aligned(np.empty(shape, dtype))
        found.reshape(-1).view(np.uint8)[...] = 0xFF  # no plausible value
        return found

    def device(self, array: Any) -> int:
        return 0

    @contextmanager
    def current(self, device: int) -> Iterator[None]:
        self.devices.append(device)
        try:
            yield
        finally:
            self.devices.pop()

    def stream(self, device: int) -> int:
        assert device == self.devices[-1]
        return self.number_of_stream

    def workspace(self, device: int, stream: int) -> tuple[int, int]:
        memory = self.workspaces.setdefault((device, stream), np.empty(self.size + 256, np.uint8))
        return memory.ctypes.data + -memory.ctypes.data % 256, self.size


@contextmanager
def blas_on(machine: Any) -> Iterator[StandIn | None]:
    """Let a machine multiply within a ``with`` block: the simulator by a stand-in, a device by itself (gives None)."""
    if machine.blas is not None:
        yield None
        return
    place = HostPlace(machine)
    standin = StandIn(place)
    machine.blas = BLAS.Blas(LIBRARY.Library(standin, "a stand-in"), place)
    try:
        yield standin
    finally:
        machine.blas = None
    if standin.failures:
        raise standin.failures[0]
