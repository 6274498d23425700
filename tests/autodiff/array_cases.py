"""The cases of reductions, of functions that move elements, and of indexing."""

from __future__ import annotations

import numpy as np

from .op_cases import Fixed, Table, at, cplx, real

REDUCTIONS = Table()

_NONE = {"axis": ()}
_AXES = [{"axis": axis} for axis in (None, 0, -1, (0, 2))]
_AXES += [{"axis": axis, "keepdims": True} for axis in ((-1, 0), 1, None)] + [_NONE]

for _name in ["sum", "mean", "max", "min", "prod", "var", "std"]:
    for _options in _AXES:
        if _options == _NONE and _name in ("max", "min", "var", "std", "mean"):
            continue
        _torch = not (_name == "prod" and isinstance(_options["axis"], tuple)) and _options != _NONE
        REDUCTIONS(_name, lambda xp, x, n=_name, o=_options: getattr(xp, n)(x, **o), real(2, 3, 4), torch=_torch)
    REDUCTIONS(_name, lambda xp, x, n=_name: getattr(xp, n)(x), real(5))
    if _name not in ("var", "std"):
        REDUCTIONS(_name, lambda xp, x, n=_name: getattr(xp, n)(x), real())
        REDUCTIONS(_name, lambda xp, x, n=_name: getattr(xp, n)(x, axis=1), real(0, 3))
for _name in ("sum", "prod"):
    for _options in _AXES[:6]:
        REDUCTIONS(
            _name,
            lambda xp, x, n=_name, o=_options: getattr(xp, n)(x, **o),
            cplx(2, 3, 2),
            torch=not (_name == "prod" and isinstance(_options["axis"], tuple)),
        )
    REDUCTIONS(_name, lambda xp, x, n=_name: getattr(xp, n)(x, axis=0), real(0, 3))
    REDUCTIONS(_name, lambda xp, x, n=_name: getattr(xp, n)(x), real(0))
    REDUCTIONS(_name, lambda xp, x, n=_name: getattr(xp, n)(x, dtype=xp.float32), real(3), smooth=False, torch=False)
    REDUCTIONS(_name, lambda xp, x, n=_name: getattr(xp, n)(x, dtype=xp.complex128), real(3), torch=False)
REDUCTIONS.both("mean", lambda xp, x: xp.mean(x, axis=0), real(3, 2))
REDUCTIONS("var", lambda xp, x: xp.var(x, axis=0, correction=1), real(3, 2))
REDUCTIONS("std", lambda xp, x: xp.std(x, axis=1, correction=1.0, keepdims=True), real(3, 4))

for _values in ([0.0, 2.0, 3.0], [0.0, 2.0, 0.0], [0.0, 0.0, 0.0], [2.0, 3.0, 0.0]):
    _x = np.asarray([_values, [1.0, 2.0, 3.0]])
    REDUCTIONS.both("prod", lambda xp, x: xp.prod(x, axis=1), _x)
    REDUCTIONS("prod", lambda xp, x: xp.prod(x, axis=1), _x + 0j)
    REDUCTIONS("prod", lambda xp, x: xp.prod(x), _x)
    REDUCTIONS.both("cumulative_prod", lambda xp, x: xp.cumulative_prod(x, axis=1), _x)
    REDUCTIONS("cumulative_prod", lambda xp, x: xp.cumulative_prod(x, axis=0), _x + 0j)
REDUCTIONS("prod", lambda xp, x: xp.prod(x), at(1e-200, 1e200, 1e-200, 1e200), smooth=False)

for _name in ("cumulative_sum", "cumulative_prod"):
    for _axis in (0, 1, -1):
        REDUCTIONS.both(_name, lambda xp, x, n=_name, a=_axis: getattr(xp, n)(x, axis=a), real(3, 5))
        REDUCTIONS.both(
            _name, lambda xp, x, n=_name, a=_axis: getattr(xp, n)(x, axis=a, include_initial=True), real(3, 5)
        )
    REDUCTIONS.both(_name, lambda xp, x, n=_name: getattr(xp, n)(x), real(7))
    REDUCTIONS(_name, lambda xp, x, n=_name: getattr(xp, n)(x), real(1))
    REDUCTIONS(_name, lambda xp, x, n=_name: getattr(xp, n)(x, axis=0), real(0, 2))
    REDUCTIONS(_name, lambda xp, x, n=_name: getattr(xp, n)(x, axis=0, include_initial=True), real(0, 2))

REDUCTIONS.both("diff", lambda xp, x: xp.diff(x), real(3, 4))
REDUCTIONS("diff", lambda xp, x: xp.diff(x, axis=0, n=2), real(4, 2))
REDUCTIONS("diff", lambda xp, x: xp.diff(x, n=0), real(4))
REDUCTIONS("diff", lambda xp, x, a, b: xp.diff(x, axis=0, prepend=a, append=b), real(3, 2), real(1, 2), real(2, 2))
REDUCTIONS("diff", lambda xp, a, x: xp.diff(x, prepend=a), real(1), Fixed(real(3)))
REDUCTIONS("sort", lambda xp, x: xp.sort(x), real(3, 4))
REDUCTIONS("sort", lambda xp, x: xp.sort(x, axis=0, descending=True), real(3, 4))
REDUCTIONS("sort", lambda xp, x: xp.sort(x), real(0))
REDUCTIONS("unique_all", lambda xp, x: xp.unique_all(x).values, real(5), torch=False)
REDUCTIONS("unique_all", lambda xp, x: xp.unique_all(x).values, at(2.0, 1.0, 2.0), smooth=False, torch=False)
REDUCTIONS("unique_counts", lambda xp, x: xp.unique_counts(x).values, real(2, 3), torch=False)
REDUCTIONS("unique_inverse", lambda xp, x: xp.unique_inverse(x).values, real(5), torch=False)
REDUCTIONS("unique_values", lambda xp, x: xp.unique_values(x), real(5), torch=False)

_TIES = np.asarray([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])
for _name in ("max", "min"):
    REDUCTIONS.kink(_name, lambda xp, x, n=_name: getattr(xp, n)(x), _TIES)
    REDUCTIONS.kink(_name, lambda xp, x, n=_name: getattr(xp, n)(x, axis=1), _TIES)
    REDUCTIONS.kink(_name, lambda xp, x, n=_name: getattr(xp, n)(x, axis=(0, 1), keepdims=True), _TIES)
REDUCTIONS.kink("std", lambda xp, x: xp.std(x, axis=1), _TIES)
REDUCTIONS.kink("var", lambda xp, x: xp.var(x, axis=1), _TIES)
REDUCTIONS.kink("sort", lambda xp, x: xp.sort(x, axis=-1), _TIES, torch=False)

# ------------------------------------------------------------------ moving elements

SHAPES = Table()
SHAPES.both("reshape", lambda xp, x: xp.reshape(x, (2, 6)), real(3, 4))
SHAPES("reshape", lambda xp, x: xp.reshape(x, (-1,)), real(3, 4))
SHAPES("reshape", lambda xp, x: xp.reshape(x, ()), real(1))
SHAPES("reshape", lambda xp, x: xp.reshape(x, (3, 0)), real(0, 2))
SHAPES("reshape", lambda xp, x: xp.reshape(x, (4,), copy=True), real(2, 2))
SHAPES.both("permute_dims", lambda xp, x: xp.permute_dims(x, (2, 0, 1)), real(2, 3, 4))
SHAPES("permute_dims", lambda xp, x: xp.permute_dims(x, (-1, 0, -2)), real(2, 3, 4))
SHAPES("permute_dims", lambda xp, x: x.T, real(2, 3))
SHAPES.both("matrix_transpose", lambda xp, x: xp.matrix_transpose(x), real(2, 3, 4))
SHAPES("matrix_transpose", lambda xp, x: x.mT, real(2, 3))
SHAPES.both("moveaxis", lambda xp, x: xp.moveaxis(x, 0, -1), real(2, 3, 4))
SHAPES("moveaxis", lambda xp, x: xp.moveaxis(x, (0, -1), (1, 0)), real(2, 3, 4))
SHAPES.both("expand_dims", lambda xp, x: xp.expand_dims(x, axis=1), real(2, 3))
SHAPES("expand_dims", lambda xp, x: xp.expand_dims(x, axis=-1), real())
SHAPES("expand_dims", lambda xp, x: xp.expand_dims(x, axis=(0, -1)), real(2), torch=False)
SHAPES.both("squeeze", lambda xp, x: xp.squeeze(x, axis=1), real(2, 1, 3))
SHAPES("squeeze", lambda xp, x: xp.squeeze(x, axis=(0, -1)), real(1, 2, 1))
SHAPES.both("broadcast_to", lambda xp, x: xp.broadcast_to(x, (2, 3, 4)), real(3, 1))
SHAPES("broadcast_to", lambda xp, x: xp.broadcast_to(x, (2, 3)), real())
SHAPES("broadcast_to", lambda xp, x: xp.broadcast_to(x, (0, 3)), real(3))
SHAPES.both("flip", lambda xp, x: xp.flip(x, axis=1), real(2, 3))
SHAPES("flip", lambda xp, x: xp.flip(x), real(2, 3))
SHAPES("flip", lambda xp, x: xp.flip(x, axis=(0, -1)), real(2, 3, 2))
SHAPES.both("roll", lambda xp, x: xp.roll(x, 2, axis=1), real(2, 3))
SHAPES("roll", lambda xp, x: xp.roll(x, -1), real(2, 3))
SHAPES("roll", lambda xp, x: xp.roll(x, (1, -2), axis=(0, 1)), real(2, 3))
SHAPES.both("tril", lambda xp, x: xp.tril(x), real(2, 3, 3))
SHAPES("tril", lambda xp, x: xp.tril(x, k=-1), real(3, 4))
SHAPES.both("triu", lambda xp, x: xp.triu(x, k=1), real(3, 4))
SHAPES("astype", lambda xp, x: xp.astype(x, xp.complex128), real(3))
SHAPES("astype", lambda xp, x: xp.astype(xp.astype(x, xp.float32), xp.float64), real(3), smooth=False)
SHAPES("astype", lambda xp, x: xp.astype(x, xp.float64, copy=False), real(3))

SHAPES.both("concat", lambda xp, x, y: xp.concat([x, y, x], axis=1), real(2, 3), real(2, 2))
SHAPES("concat", lambda xp, x, y: xp.concat((x, y), axis=-1), real(2, 3), Fixed(real(2, 2)))
SHAPES("concat", lambda xp, x, y: xp.concat([x, y]), real(2, 3), real(0, 3))
SHAPES("concat", lambda xp, x, y: xp.concat([x, y], axis=None), real(2, 3), real(4))
SHAPES("concat", lambda xp, x, y: xp.concat([x, y]), real(2), cplx(3))
SHAPES.both("stack", lambda xp, x, y: xp.stack([x, y, y], axis=1), real(2, 3), real(2, 3))
SHAPES("stack", lambda xp, x, y: xp.stack((x, y), axis=-1), real(2, 3), Fixed(real(2, 3)))
SHAPES("stack", lambda xp, x, y: xp.stack([x, y]), real(), real())
SHAPES.both("unstack", lambda xp, x: (lambda a: a[0] * a[2])(xp.unstack(x, axis=-1)), real(2, 3))
SHAPES("unstack", lambda xp, x: xp.unstack(x)[1], real(2, 3))
SHAPES.both("broadcast_arrays", lambda xp, x, y: xp.broadcast_arrays(x, y)[0] * y, real(3, 1), real(4))
SHAPES("broadcast_arrays", lambda xp, x, y: xp.broadcast_arrays(x, y)[1] + 0, real(2), real())
SHAPES.both("meshgrid", lambda xp, x, y: (lambda g: g[0] * g[1] ** 2)(xp.meshgrid(x, y)), real(2), real(3))
SHAPES("meshgrid", lambda xp, x, y: xp.meshgrid(x, y, indexing="ij")[1] ** 2, real(2), real(3))
SHAPES("meshgrid", lambda xp, x, y, z: (lambda g: g[0] * g[1] * g[2])(xp.meshgrid(x, y, z)), real(2), real(3), real(2))
SHAPES("meshgrid", lambda xp, x: xp.meshgrid(x)[0] ** 2, real(3))
SHAPES.both("tile", lambda xp, x: xp.tile(x, (2, 1, 2)), real(2, 3))
SHAPES("tile", lambda xp, x: xp.tile(x, (2,)), real(2, 3))
SHAPES("tile", lambda xp, x: xp.tile(x, (0,)), real(3))
SHAPES.both("repeat", lambda xp, x: xp.repeat(x, 3), real(2, 2))
SHAPES("repeat", lambda xp, x: xp.repeat(x, 2, axis=-1), real(2, 3))
SHAPES("repeat", lambda xp, x, n: xp.repeat(x, n, axis=0), real(3, 2), np.asarray([0, 2, 3]))

_PRODUCTS = [
    ((3, 4), (4, 2)),
    ((4,), (4,)),
    ((3, 4), (4,)),
    ((4,), (4, 2)),
    ((2, 3, 4), (4, 2)),
    ((2, 3, 4), (2, 4, 2)),
]
_PRODUCTS += [((3, 4), (2, 4, 2)), ((2, 1, 3, 4), (5, 4, 2)), ((4,), (2, 4, 3)), ((2, 3, 4), (4,)), ((0, 3), (3, 2))]
_PRODUCTS += [((2, 0), (0, 3)), ((0, 3, 4), (4, 2))]
for _left, _right in _PRODUCTS:
    SHAPES.both("matmul", lambda xp, x, y: x @ y, real(*_left), real(*_right))
SHAPES("matmul", lambda xp, x, y: xp.matmul(x, y), real(2, 3), cplx(3, 2), torch=False)
SHAPES("matmul", lambda xp, x, y: xp.matmul(y, x), real(3, 2), Fixed(real(4, 3)))
SHAPES("matmul", lambda xp, x, y: y @ x, real(3), Fixed(real(4, 3)), raw_left=True)
SHAPES("matmul", lambda xp, x: x @ x @ x, real(3, 3))
SHAPES.both("tensordot", lambda xp, x, y: xp.tensordot(x, y, axes=1), real(2, 3), real(3, 2))
SHAPES("tensordot", lambda xp, x, y: xp.tensordot(x, y), real(2, 3, 2), real(3, 2, 2))
SHAPES("tensordot", lambda xp, x, y: xp.tensordot(x, y, axes=((0, -1), (1, 0))), real(2, 3, 4), real(4, 2))
SHAPES("tensordot", lambda xp, x, y: xp.tensordot(x, y, axes=0), real(2), real(3))
SHAPES.both("vecdot", lambda xp, x, y: xp.vecdot(x, y), real(2, 3), real(3))
SHAPES.both("vecdot", lambda xp, x, y: xp.vecdot(x, y, axis=-2), real(2, 3, 4), real(3, 4), torch=False)

# ------------------------------------------------------------------ indexing

INDEXING = Table()
INDEXING("indexing.alias", lambda xp, x: xp.indexing.alias(x) ** 2, real(3), torch=False)
for _key in (
    1,
    -1,
    slice(None),
    slice(1, None, 2),
    slice(None, None, -1),
    slice(3, 0, -2),
    slice(0, 0),
    ...,
    (..., 1),
    (1, ...),
):
    INDEXING.both("indexing.getitem", lambda xp, x, k=_key: x[k] ** 2, real(4), torch=not isinstance(_key, slice))
for _key in (
    (0, 1),
    (slice(None), -1),
    (1, slice(0, 2)),
    (..., None),
    (None, 1, ...),
    (slice(1, 3), None, slice(None, None, 2)),
    (None, slice(0, 1), 2),
):
    INDEXING("indexing.getitem", lambda xp, x, k=_key: x[k] ** 2, real(3, 4))
INDEXING("indexing.getitem", lambda xp, x: x[()] ** 2, real())
INDEXING("indexing.getitem", lambda xp, x: x[None] ** 2, real())
INDEXING("indexing.getitem", lambda xp, x, m: x[m] ** 2, real(3, 4), real(3, 4) > 0)
INDEXING("indexing.getitem", lambda xp, x, m: x[m] ** 2, real(3, 4), np.asarray([True, False, True]))
INDEXING("indexing.getitem", lambda xp, x, m: x[m] ** 2, real(3), np.asarray([False, False, False]))
INDEXING(
    "indexing.getitem", lambda xp, x, i, j: x[i, j] ** 2, real(3, 4), np.asarray([0, 2, 2]), np.asarray([1, -1, -1])
)
INDEXING("indexing.getitem", lambda xp, x, i: x[i, 1] ** 2, real(3, 4), np.asarray([0, 2, 2]))
INDEXING(
    "indexing.getitem_transpose",
    lambda xp, x: xp.indexing.getitem_transpose(x, (slice(0, 2), -1), (3, 4)) ** 2,
    real(2),
    torch=False,
)


def _assigned(key):
    def f(xp, x, *values):
        y = x + 0.0
        y[key] = values[0] if values else 2.5
        return y * y

    return f


for _key, _shape in (
    (1, ()),
    (slice(0, 2), (2,)),
    (slice(0, 2), ()),
    (slice(0, 2), (1,)),
    (slice(None, None, -1), (3,)),
):
    INDEXING.both("indexing.setitem", _assigned(_key), real(3), real(*_shape), torch=False)
INDEXING("indexing.setitem", _assigned((..., 1)), real(3, 2), real(3), torch=False)
INDEXING("indexing.setitem", _assigned((0, slice(None))), real(3, 2), Fixed(real(2)), torch=False)
INDEXING("indexing.setitem", _assigned(0), real(3), torch=False)
INDEXING("indexing.setitem", lambda xp, x, v: xp.indexing.setitem(x, 0, v) ** 2, real(3), real(), torch=False)
INDEXING("indexing.setitem", lambda xp, v, x: xp.indexing.setitem(x, 0, v) ** 2, real(), Fixed(real(3)), torch=False)


def _masked(xp, x, mask):
    y = x * 1.0
    y[mask] = 3.0
    return y * y


INDEXING("indexing.setitem", _masked, real(2, 3), real(2, 3) > 0, torch=False)

_index = np.asarray([2, 0, 2, 2, 1])
INDEXING.both("take", lambda xp, x, i: xp.take(x, i, axis=0) ** 2, real(3, 4), _index)
INDEXING("take", lambda xp, x, i: xp.take(x, i, axis=-1) ** 2, real(2, 3), _index)
INDEXING("take", lambda xp, x, i: xp.take(x, i, axis=1) ** 2, real(2, 3, 2), _index)
INDEXING("take", lambda xp, x, i: xp.take(x, i) ** 2, real(3), _index)
INDEXING("take", lambda xp, x, i: xp.take(x, i, axis=0) ** 2, real(3, 2), np.asarray([], dtype=np.int64))
INDEXING("take", lambda xp, x, i: xp.take(x, i, axis=0) ** 2, real(3, 2), np.asarray([-1, 0, -1]), torch=False)
INDEXING(
    "take", lambda xp, x, i: xp.take(x, i, axis=0) ** 2, real(3, 70), _index
)  # with slices long enough to loop over
INDEXING("take", lambda xp, x, i: xp.take(x, i, axis=1) ** 2, real(2, 3, 40), np.asarray([-1, 0, -1]), torch=False)
INDEXING(
    "indexing.take_transpose",
    lambda xp, x, i: xp.indexing.take_transpose(x, i, 1, (2, 3)) ** 2,
    real(2, 5),
    _index,
    torch=False,
)
_along = np.asarray([[0, 1, 1], [2, 2, 0]])
INDEXING.both("take_along_axis", lambda xp, x, i: xp.take_along_axis(x, i) ** 2, real(2, 3), _along)
INDEXING("take_along_axis", lambda xp, x, i: xp.take_along_axis(x, i, axis=0) ** 2, real(3, 3), _along)
INDEXING("take_along_axis", lambda xp, x, i: xp.take_along_axis(x, i, axis=1) ** 2, real(1, 3), _along)
INDEXING("take_along_axis", lambda xp, x, i: xp.take_along_axis(x, i, axis=1) ** 2, real(2, 3), _along[:1])
INDEXING("take_along_axis", lambda xp, x, i: xp.take_along_axis(x, i, axis=-1) ** 2, real(2, 3), -_along, torch=False)
INDEXING(
    "indexing.take_along_axis_transpose",
    lambda xp, x, i: xp.indexing.take_along_axis_transpose(x, i, 1, (2, 4)) ** 2,
    real(2, 3),
    _along,
    torch=False,
)
INDEXING("indexing.getitem", lambda xp, x: x[xp.argmax(x)] ** 2, real(4))
INDEXING("indexing.getitem", lambda xp, x: x[x > 0] ** 2, real(3, 3))

# ------------------------------------------------------------------ indexing beyond the standard

NUMPY_ONLY = Table()
for _key in (
    [0, 0, 1],
    [True, False, True],
    (slice(None), [0, 0, 1]),
    (None, [2, 2]),
    ([0, 0], [1, 1]),
    ([1, 1], slice(0, 2)),
):
    NUMPY_ONLY("indexing.getitem", lambda xp, x, k=_key: x[k] ** 2, real(3, 4))
for _key in (
    (slice(None), np.asarray([0, 0, 1])),
    (None, np.asarray([2, 2])),
    np.asarray([[0, 0], [1, 0]]),
    np.int64(1),
):
    NUMPY_ONLY("indexing.getitem", lambda xp, x, k=_key: x[k] ** 2, real(3, 4))
NUMPY_ONLY("indexing.setitem", _assigned([0, 2]), real(3), real(2))
NUMPY_ONLY("indexing.setitem", _assigned(np.asarray([0, 2])), real(3), real(2))
