"""What holds for every transform: shapes, dtypes, seeds, inputs left alone, and what is refused."""

import array_api_strict
import numpy as np
import pytest

import nnx
from nnx.data import transforms
from nnx.errors import DTypeError, ShapeError

RNG = np.random.default_rng(0)
BYTES = RNG.integers(256, size=(24, 9, 12, 3), dtype=np.uint8)
FLOATS = (BYTES / 255).astype(np.float32)
LABELS = RNG.integers(5, size=24)

MAKE = {
    "crop": lambda **o: transforms.RandomCrop((9, 12), padding=2, **o),
    "horizontal": lambda **o: transforms.RandomHorizontalFlip(**o),
    "vertical": lambda **o: transforms.RandomVerticalFlip(**o),
    "rotation": lambda **o: transforms.RandomRotation(30, **o),
    "bilinear": lambda **o: transforms.RandomRotation(30, "bilinear", **o),
    "affine": lambda **o: transforms.RandomAffine(20, (0.2, 0.2), (0.8, 1.2), (-5, 5, -3, 3), **o),
    "jitter": lambda **o: transforms.ColorJitter(0.3, 0.3, 0.3, 0.2, **o),
    "cutout": lambda **o: transforms.Cutout(4, holes=2, **o),
    "erasing": lambda **o: transforms.RandomErasing(**o),
    "noise": lambda **o: transforms.RandomErasing(value="random", **o),
}
MIXES = {
    "mixup": lambda **o: transforms.MixUp(num_classes=5, **o),
    "cutmix": lambda **o: transforms.CutMix(num_classes=5, **o),
}
PLAIN = {"to_float": transforms.ToFloat, "normalize": lambda: transforms.Normalize(0.5, 0.25)}
each = pytest.mark.parametrize("name", MAKE)
each_with_mixes = pytest.mark.parametrize("name", [*MAKE, *MIXES])


def call(name, images, **options):
    if name in MIXES:
        return MIXES[name](**options)(images, LABELS[: len(images)])[0]
    return (PLAIN | MAKE)[name](**options)(images)


@each
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_the_shape_and_dtype_stay_and_the_input_too(name, dtype):
    images = BYTES if dtype == "uint8" else FLOATS.astype(dtype)
    before = images.copy()
    images.flags.writeable = False
    result = call(name, images)
    images.flags.writeable = True
    assert (result.shape, result.dtype) == (images.shape, images.dtype)
    assert type(result) is np.ndarray
    assert not np.shares_memory(result, images)
    np.testing.assert_array_equal(images, before)
    assert not np.array_equal(result, images)


@pytest.mark.parametrize("name", [*MIXES, *PLAIN])
def test_the_others_leave_their_input_alone(name):
    images = FLOATS.copy()
    images.flags.writeable = False
    result = call(name, images)
    assert (result.shape, result.dtype) == (FLOATS.shape, np.float32)
    assert not np.shares_memory(result, images)


@each_with_mixes
def test_the_same_seed_draws_the_same(name):
    first = call(name, FLOATS, seed=3)
    np.testing.assert_array_equal(call(name, FLOATS, seed=3), first)
    np.testing.assert_array_equal(call(name, FLOATS, seed=np.random.default_rng(3)), first)
    assert not np.array_equal(call(name, FLOATS, seed=4), first)


@each_with_mixes
def test_without_a_seed_the_global_one_counts(name):
    def run(seed):
        nnx.seed(seed)
        return call(name, FLOATS), call(name, FLOATS)

    first, second = run(1)
    np.testing.assert_array_equal(run(1), (first, second))
    assert not np.array_equal(first, second)
    assert not np.array_equal(run(2)[0], first)


@each
def test_a_transform_with_a_seed_goes_on_drawing(name):
    transform = MAKE[name](seed=0)
    assert not np.array_equal(transform(FLOATS), transform(FLOATS))


@each
def test_images_are_drawn_for_one_by_one(name):
    same = np.repeat(FLOATS[:1], 24, axis=0)
    result = call(name, same, seed=0)
    assert len(np.unique(result.reshape(24, -1), axis=0)) >= 2


@pytest.mark.parametrize("name", [*MAKE, *MIXES, *PLAIN])
def test_an_empty_batch(name):
    assert call(name, FLOATS[:0]).shape == (0, 9, 12, 3)


@pytest.mark.parametrize("name", [*MAKE, *MIXES, *PLAIN])
def test_grey_images(name):
    assert call(name, FLOATS[..., :1]).shape == (24, 9, 12, 1)


@pytest.mark.parametrize("name", [*MAKE, *MIXES, *PLAIN])
@pytest.mark.parametrize("change", [lambda x: x[:, ::-1], lambda x: x[::2], lambda x: np.asfortranarray(x)])
def test_arrays_laid_out_otherwise(name, change):
    images = change(FLOATS)
    options = {} if name in PLAIN else {"seed": 1}
    np.testing.assert_allclose(call(name, images, **options), call(name, images.copy("C"), **options), atol=1e-6)


@pytest.mark.parametrize("name", [*MAKE, *PLAIN])
def test_the_rest_of_a_batch_comes_through(name):
    extra = object()
    result = (MAKE | PLAIN)[name]()(FLOATS, LABELS, extra)
    assert isinstance(result, tuple)
    assert result[0].shape == FLOATS.shape
    assert result[1] is LABELS
    assert result[2] is extra


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (FLOATS.tolist(), TypeError, "expected images as a NumPy array, got list. Pass an array of images first"),
        ({"image": FLOATS}, TypeError, "expected images as a NumPy array, got dict"),
        (array_api_strict.asarray(FLOATS), TypeError, "got Array. Augment on the host, before batches go to a device"),
        (FLOATS[0], ShapeError, r"expected images of shape \(N, H, W, C\), got \(9, 12, 3\).* pass images\[None\]"),
        (FLOATS[0, 0], ShapeError, r"expected images of shape \(N, H, W, C\), got \(12, 3\)\.$"),
        (FLOATS.transpose(0, 3, 1, 2), ShapeError, r"got \(24, 3, 9, 12\). This looks like channels-first; use np\.tr"),
        (FLOATS.astype(np.float16), DTypeError, "got float16. Cast them, e.g. images.astype"),
        (BYTES.astype(np.int64), DTypeError, "got int64. Cast them"),
    ],
)
@pytest.mark.parametrize("name", [*MAKE, *MIXES, *PLAIN])
def test_images_that_are_refused(name, images, error, message):
    transform = (MAKE | MIXES | PLAIN)[name]()
    if error is DTypeError and name in ("normalize", "mixup"):
        message = "expected images of"
    with pytest.raises(error, match=f"^{type(transform).__name__}: .*{message}"):
        transform(images, LABELS)


@each_with_mixes
@pytest.mark.parametrize("seed", [-1, "a", 1.5])
def test_bad_seeds(name, seed):
    with pytest.raises((TypeError, ValueError), match=": expected seed to be a non-negative integer, got"):
        (MAKE | MIXES)[name](seed=seed)


def test_they_say_what_they_do():
    assert repr(transforms.RandomCrop(4, seed=0)) == (
        "RandomCrop(size=(4, 4), padding=(0, 0, 0, 0), fill=0, padding_mode='constant')"
    )
    assert repr(transforms.RandomHorizontalFlip()) == "RandomHorizontalFlip(p=0.5)"
    assert repr(transforms.Compose([transforms.ToFloat()])) == "Compose([ToFloat(dtype='float32')])"
    assert repr(transforms.MixUp(num_classes=3)) == "MixUp(alpha=1.0, num_classes=3)"
