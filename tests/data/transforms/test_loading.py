"""Transforms in a DataLoader: on whole batches, the same whatever is prefetched, from one seed."""

import array_api_strict
import numpy as np
import pytest

import nnx
from nnx.data import ArrayDataset, DataLoader, transforms
from nnx.data.prefetch import Prefetcher

X = np.random.default_rng(0).integers(256, size=(20, 6, 6, 3), dtype=np.uint8)
Y = np.arange(20)
AUGMENT = transforms.Compose(
    [transforms.RandomCrop(6, padding=2), transforms.RandomHorizontalFlip(), transforms.ToFloat()]
)
depths = pytest.mark.parametrize("prefetch", [None, 0, 1, 2, 7])


def loader(transform=AUGMENT, dataset=None, **options):
    options = {"batch_size": 6, "shuffle": True, "transform": transform} | options
    return DataLoader(ArrayDataset(X, Y) if dataset is None else dataset, **options)


def epoch(loader):
    return [np.concatenate(member) for member in zip(*loader, strict=True)]


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@depths
def test_every_batch_is_transformed(prefetch):
    calls = []

    def scale(x, y):
        calls.append(len(x))
        return x / np.float32(2), -y

    x, y = epoch(loader(scale, shuffle=False, prefetch=prefetch))
    np.testing.assert_array_equal(x, X / np.float32(2))
    np.testing.assert_array_equal(y, -Y)
    assert calls == [6, 6, 6, 2]


@depths
def test_one_seed_fixes_order_and_augmentation(prefetch):
    expected = [epoch(one) for one in [loader(seed=4, prefetch=0)] for _ in range(2)]
    one = loader(seed=4, prefetch=prefetch)
    assert all(same(epoch(one), each) for each in expected)
    assert not same(*expected)
    assert not same(epoch(loader(seed=5)), expected[0])


@depths
def test_the_global_seed_does_as_well(prefetch):
    def run(prefetch):
        nnx.seed(3)
        one = loader(prefetch=prefetch)
        return epoch(one), epoch(one), nnx.random.get_state()

    first, second, state = run(prefetch)
    assert not same(first, second)
    again = run(0)
    assert same(first, again[0])
    assert same(second, again[1])
    assert state == again[2]


@depths
def test_an_epoch_left_early_does_not_change_the_next(prefetch):
    expected = loader(seed=2)
    epoch(expected)
    one = loader(seed=2, prefetch=prefetch)
    for _ in one:
        break
    assert same(epoch(one), epoch(expected))


def test_batches_draw_independently():
    same_image = np.repeat(X[:1], 2000, axis=0)
    flip = transforms.RandomHorizontalFlip()
    batches = [x for (x,) in loader(flip, ArrayDataset(same_image), batch_size=100, seed=0)]
    patterns = [tuple((batch == X[0]).all(axis=(1, 2, 3))) for batch in batches]
    assert len(set(patterns)) == 20
    assert 850 < np.sum(patterns) < 1150


def test_epochs_and_seeds_draw_independently():
    def run(seed):
        one = loader(shuffle=False, seed=seed)
        return epoch(one), epoch(one)

    first, second = run(0)
    assert not same(first, second)
    assert not same(run(1)[0], first)
    assert same(run(0)[1], second)


def test_transforms_with_a_seed_draw_from_their_own():
    own = transforms.RandomCrop(6, padding=2, seed=9)
    got = epoch(loader(own, shuffle=False, batch_size=20))[0]
    np.testing.assert_array_equal(got, transforms.RandomCrop(6, padding=2, seed=9)(X))


def test_the_generator_outside_a_loader_is_the_global_one():
    assert transforms.current_generator() is nnx.random.data_generator()
    seen = []
    list(loader(lambda x, y: seen.append(transforms.current_generator()) or (x, y), prefetch=0))
    assert len(set(map(id, seen))) == 4
    assert nnx.random.data_generator() not in seen
    assert transforms.current_generator() is nnx.random.data_generator()


def test_an_error_in_a_transform_gives_the_generator_back():
    def fail(x, y):
        raise KeyError("bad")

    for prefetch in (0, 2):
        with pytest.raises(KeyError, match="bad"):
            list(loader(fail, prefetch=prefetch))
        assert transforms.current_generator() is nnx.random.data_generator()


def test_kinds_of_batches():
    (batch,) = loader(transforms.ToFloat(), ArrayDataset(X), batch_size=20, shuffle=False)
    assert isinstance(batch, tuple)
    np.testing.assert_array_equal(batch[0], X / np.float32(255))
    (batch,) = loader(transforms.ToFloat(), X, batch_size=20, shuffle=False)
    np.testing.assert_array_equal(batch, X / np.float32(255))
    items = [{"x": np.float32(number)} for number in range(4)]
    (batch,) = loader(lambda batch: {"x": batch["x"] + 1}, items, shuffle=False)
    assert batch["x"].tolist() == [1, 2, 3, 4]
    (batch,) = loader(lambda x, y: x, batch_size=20, shuffle=False)
    assert len(batch) == 1
    (batch,) = loader(len, batch_size=20, shuffle=False, collate_fn=lambda items: items)
    assert batch == 20


def test_mixing_in_a_loader_and_in_training():
    mix = transforms.Compose([transforms.ToFloat(), transforms.MixUp(num_classes=20)])
    x, y = next(iter(loader(mix, seed=0)))
    assert (x.dtype, y.dtype, y.shape) == (np.float32, np.float32, (6, 20))
    nnx.seed(0)
    model = nnx.Model(nnx.Sequential(nnx.Flatten(), nnx.Linear(108, 20)), optimizer="adam")
    history = model.fit(loader(mix, seed=0), epochs=10, verbose=0)
    assert history["loss"][-1] < history["loss"][0]


@pytest.mark.parametrize(("transform", "threaded"), [(None, False), (AUGMENT, True)])
def test_a_thread_prepares_transformed_batches(transform, threaded):
    assert isinstance(iter(loader(transform)), Prefetcher) is threaded
    assert not isinstance(iter(loader(transform, prefetch=0)), Prefetcher)


def test_arrays_on_a_device_are_transformed_without_a_thread():
    dataset = ArrayDataset(array_api_strict.asarray(X))
    batches = iter(loader(lambda x: -x, dataset, prefetch=2))
    assert not isinstance(batches, Prefetcher)
    assert len(list(batches)) == 4


def test_what_is_no_function_is_refused():
    with pytest.raises(TypeError, match=r"^DataLoader: expected transform to be a function .*got \[\]\. Put several"):
        loader([])
