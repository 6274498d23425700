"""Model: learning, evaluating, predicting; what it leaves behind."""

import gc
import tracemalloc

import numpy as np
import pytest

import nnx
from nnx.dtypes import dtype_name
from nnx.errors import WeightsError
from tests.tolerances import assert_close

RNG = np.random.default_rng(0)
X = RNG.normal(size=(70, 3)).astype("float32")
Y = (X[:, 0] > 0).astype("int64")


def small_net(dropout=0.0):
    layers = [nnx.Linear(3, 8), nnx.ReLU(), nnx.Linear(8, 2)]
    return nnx.Sequential(*layers[:2], nnx.Dropout(dropout), layers[2])


def small_model(**options):
    nnx.seed(0)
    return nnx.Model(small_net(), metrics=["accuracy"], **options)


def test_it_learns_the_digits():
    nnx.seed(0)
    x, y = nnx.data.datasets.digits()
    x_test, y_test = nnx.data.datasets.digits("test")
    net = nnx.Sequential(nnx.Flatten(), nnx.Linear(64, 64), nnx.ReLU(), nnx.Linear(64, 10))
    model = nnx.Model(net, optimizer=lambda net: nnx.optim.AdamW(net, lr=3e-3), metrics=["accuracy"])
    history = model.fit(x, y, epochs=15, validation_split=0.1, verbose=0)
    results = model.evaluate(x_test, y_test)
    assert results["accuracy"] >= 0.955
    assert results["accuracy"] == np.mean(model.predict(x_test).argmax(axis=-1) == y_test)
    assert history["loss"][-1] < 0.1 < history["loss"][0]


def test_it_learns_on_every_backend(xp_backend):
    model = small_model(optimizer="sgd")
    x, y = xp_backend.array(X), xp_backend.array(Y)
    before = model.evaluate(x, y)
    history = model.fit(x, y, epochs=3, validation_data=(x, y), verbose=0)
    after = model.evaluate(x, y)
    assert after["loss"] < before["loss"]
    assert history["val_loss"][-1] == after["loss"]
    assert list(history) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert isinstance(model.predict(x), xp_backend.backend.array_types)


def test_every_backend_learns_the_same():
    weights = []
    for backend in ("numpy", "strict"):
        with nnx.use_backend(backend):
            model = small_model()
            model.fit(X, Y, epochs=2, verbose=0)
            weights.append(nnx.to_numpy(model.net.module("0").weight))
    assert_close(weights[0], weights[1])


def test_fit_is_the_loop_that_one_would_write():
    model, by_hand = small_model(optimizer="adam"), small_model(optimizer="adam")
    history = model.fit(X, Y, epochs=2, shuffle=False, verbose=0)
    for _ in range(2):
        total = right = 0.0
        for i in range(0, 70, 32):
            x, y = X[i : i + 32], Y[i : i + 32]
            with nnx.record():
                outputs = by_hand.net(x)
                loss = nnx.functional.cross_entropy(outputs, y)
            loss.backward()
            by_hand.optimizer.step()
            by_hand.optimizer.zero_grad()
            total += float(loss) * len(x)
            right += np.sum(nnx.stop_gradient(outputs).argmax(axis=-1) == y)
    for name, value in model.net.state_dict().items():
        np.testing.assert_array_equal(value, by_hand.net.state_dict()[name])
    assert history["loss"][1] == pytest.approx(total / 70, rel=1e-12)
    assert history["accuracy"][1] == right / 70


@pytest.mark.parametrize("as_data", ["arrays", "dataset", "items", "loader"])
def test_two_runs_from_one_seed_are_equal_to_the_bit(as_data):
    def run():
        nnx.seed(0)
        model = nnx.Model(small_net(dropout=0.3), optimizer="adamw", metrics=["accuracy"])
        dataset = nnx.data.ArrayDataset(X, Y)
        data = {
            "arrays": (X, Y),
            "dataset": (dataset, None),
            "items": ([dataset[i] for i in range(70)], None),
            "loader": (nnx.data.DataLoader(dataset, 16, shuffle=True), None),
        }[as_data]
        history = model.fit(*data, epochs=3, verbose=0)
        return model.net.state_dict(), history.to_dict()

    (weights, history), (weights_again, history_again) = run(), run()
    assert history == history_again
    for name in weights:
        np.testing.assert_array_equal(weights[name], weights_again[name])


def test_shuffling_depends_on_the_seed_alone():
    first = small_model().fit(X, Y, epochs=2, verbose=0)
    in_order = small_model().fit(X, Y, epochs=2, shuffle=False, verbose=0)
    assert first != in_order
    assert first == small_model().fit(X, Y, epochs=2, verbose=0)


def test_losses_are_means_over_samples():
    model = small_model()
    whole = model.evaluate(X, Y, batch_size=70)
    for batch_size in (1, 32, 69, 1000):
        assert model.evaluate(X, Y, batch_size=batch_size) == pytest.approx(whole, rel=1e-6)


def test_validation_is_the_last_part_whatever_the_order():
    model = small_model(optimizer=lambda net: nnx.optim.SGD(net, lr=0.0))
    seen = []
    model.net.module("0").register_forward_hook(lambda module, args, output: seen.append((module.training, args[0])))
    history = model.fit(X, Y, validation_split=0.3, batch_size=16, verbose=0)
    trained = np.concatenate([x for training, x in seen if training])
    validated = np.concatenate([x for training, x in seen if not training])
    np.testing.assert_array_equal(validated, X[49:])
    assert not np.array_equal(trained, X[:49])
    np.testing.assert_array_equal(np.sort(trained, axis=0), np.sort(X[:49], axis=0))
    expected = model.evaluate(X[49:], Y[49:])
    assert history["val_loss"] == [pytest.approx(expected["loss"], rel=1e-6)]
    assert history["val_accuracy"] == [expected["accuracy"]]


def test_a_dataset_can_be_split_too():
    items = [(X[i], Y[i]) for i in range(70)]
    history = small_model().fit(items, validation_split=0.3, shuffle=False, verbose=0)
    same = small_model().fit(X, Y, validation_split=0.3, shuffle=False, verbose=0)
    assert history == same


def test_float64_data_is_cast_and_labels_are_kept(xp_backend):
    model = nnx.Model(nnx.Linear(3, 2), loss="mse")
    seen = []
    model.net.register_forward_hook(lambda module, args, output: seen.append(dtype_name(args[0].dtype)))
    model.fit(xp_backend.array(X, "float64"), xp_backend.array(X[:, :2], "float64"), verbose=0)
    outputs = model.predict(xp_backend.array(X, "float64"))
    assert set(seen) == {dtype_name(outputs.dtype)} == {"float32"}
    labels = []

    def loss(outputs, y):
        labels.append(dtype_name(y.dtype))
        return nnx.functional.cross_entropy(outputs, y)

    nnx.Model(nnx.Linear(3, 2), loss).fit(xp_backend.array(X, "float64"), xp_backend.array(Y, "int32"), verbose=0)
    assert labels == ["int32"] * 3


def test_predict_returns_what_it_was_given():
    with nnx.use_backend("strict"):
        model = small_model()
    outputs = model.predict(X)
    assert type(outputs) is np.ndarray
    strict = model.predict(nnx.asarray(X, backend="strict"))
    assert type(strict) is not np.ndarray
    np.testing.assert_array_equal(outputs, nnx.to_numpy(strict))
    host = small_model()
    back = host.predict(nnx.asarray(X, backend="strict"))
    assert type(back) is type(strict)
    assert_close(nnx.to_numpy(back), outputs)


def test_predict_takes_inputs_from_anything():
    model = small_model()
    expected = model.predict(X, batch_size=70)
    for data in (
        X,
        nnx.data.ArrayDataset(X),
        nnx.data.ArrayDataset(X, Y),
        list(X),
        nnx.data.DataLoader(nnx.data.ArrayDataset(X, Y), 9),
    ):
        np.testing.assert_allclose(model.predict(data, batch_size=9), expected, rtol=1e-5, atol=1e-6)


def test_predict_joins_nested_outputs():
    class Two(nnx.Module):
        def __init__(self):
            self.linear = nnx.Linear(3, 2)

        def forward(self, x):
            return {"twice": 2 * self.linear(x), "pair": (self.linear(x), x)}

    outputs = nnx.Model(Two()).predict(X, batch_size=32)
    assert outputs["twice"].shape == (70, 2)
    np.testing.assert_array_equal(outputs["pair"][1], X)


def test_predict_inside_record_is_untracked():
    model = small_model()
    with nnx.record():
        assert type(model.predict(X)) is np.ndarray


def test_modes_are_restored():
    model = nnx.Model(small_net(dropout=0.5))
    seen = []
    model.net.module("2").register_forward_hook(lambda module, args, output: seen.append(module.training))

    def flags():
        return [module.training for module in model.net.modules()]

    model.evaluate(X, Y)
    model.predict(X)
    assert not any(seen)
    assert all(flags())
    seen.clear()
    model.net.eval()
    model.fit(X, Y, verbose=0)
    assert all(seen)
    assert not any(flags())
    model.net.train()
    model.net.module("2").eval()  # a part that shall not train
    seen.clear()
    model.fit(X, Y, verbose=0)
    model.evaluate(X, Y)
    assert not any(seen)
    assert flags() == [True, True, True, False, True]


def test_a_penalty_is_part_of_the_loss():
    linear = nnx.Linear(3, 2)
    net = nnx.Sequential(linear).regularize(nnx.regularizers.L2(0.5), "*.weight")
    model = nnx.Model(net, optimizer=lambda net: nnx.optim.SGD(net, lr=0.0))
    plain = nnx.Model(linear)
    penalty = 0.5 * np.sum(linear.weight**2)
    expected = plain.evaluate(X, Y)["loss"] + penalty
    assert model.evaluate(X, Y)["loss"] == pytest.approx(expected, rel=1e-6)
    history = model.fit(X, Y, verbose=0)
    assert history["loss"] == [pytest.approx(expected, rel=1e-6)]


def test_weights_round_trip(tmp_path):
    model, other = small_model(), nnx.Model(small_net())
    model.fit(X, Y, verbose=0)
    model.save_weights(tmp_path / "net.safetensors")
    other.load_weights(tmp_path / "net.safetensors")
    np.testing.assert_array_equal(model.predict(X), other.predict(X))
    with pytest.raises(WeightsError, match=r"0\.weight: expected shape \(8, 2\), got \(8, 3\)"):
        nnx.Model(nnx.Sequential(nnx.Linear(2, 8))).load_weights(tmp_path / "net.safetensors")


def test_training_goes_on_where_it_stopped():
    model, whole = small_model(), small_model()
    whole.fit(X, Y, epochs=3, shuffle=False, verbose=0)
    model.fit(X, Y, epochs=1, shuffle=False, verbose=0)
    history = model.fit(X, Y, epochs=2, shuffle=False, verbose=0)
    assert history.epoch == [1, 2]
    assert model.history is history
    np.testing.assert_array_equal(model.predict(X), whole.predict(X))


def test_gradients_from_before_do_not_count():
    model, clean = small_model(optimizer="sgd"), small_model(optimizer="sgd")
    with nnx.record():
        loss = nnx.functional.cross_entropy(model.net(X), Y)
    loss.backward()
    model.fit(X, Y, shuffle=False, verbose=0)
    clean.fit(X, Y, shuffle=False, verbose=0)
    np.testing.assert_array_equal(model.predict(X), clean.predict(X))


@pytest.mark.parametrize("during", ["forward", "step"])
def test_an_interruption_leaves_whole_epochs_and_a_model_that_works(monkeypatch, during):
    model = small_model(optimizer="adam")
    calls = []

    def interrupt(*args):
        calls.append(during)
        if len(calls) == 8:  # in the third epoch of three steps
            raise KeyboardInterrupt

    step = model.optimizer.step
    if during == "forward":
        remove = model.net.register_forward_hook(interrupt)
    else:
        monkeypatch.setattr(model.optimizer, "step", lambda: (interrupt(), step()))
    model.net.eval()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, epochs=5, verbose=0)
    assert model.history.epoch == [1, 2]
    first = model.history["loss"]
    assert len(first) == 2
    assert not model.net.training
    assert all(parameter.grad is None for parameter in model.net.parameters())
    assert type(model.net(X)) is np.ndarray  # nothing is being recorded any more
    if during == "forward":
        remove()
    else:
        monkeypatch.undo()
    assert model.fit(X, Y, verbose=0)["loss"][0] < first[0]


def test_nothing_grows_while_it_trains():
    model = small_model(optimizer="adam")
    x, y = np.tile(X, (29, 1))[:2000], np.tile(Y, 29)[:2000]
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        # 2200 steps: CPython keeps up to 2000 freed tuples of a length for itself, which looks like growth before.
        model.fit(x, y, epochs=11, batch_size=10, verbose=0)
        memory, objects = tracemalloc.get_traced_memory()[0], len(gc.get_objects())
        model.fit(x, y, batch_size=10, verbose=0)  # 200 steps
        assert len(gc.get_objects()) - objects < 10
        assert tracemalloc.get_traced_memory()[0] - memory < 2000  # ten bytes per step; the smallest array takes 100
    finally:
        tracemalloc.stop()
        gc.enable()


def test_losses_metrics_and_optimizers_in_all_spellings():
    net = small_net()
    optimizer = nnx.optim.SGD(net, lr=0.1)
    for loss in ("cross_entropy", nnx.CrossEntropyLoss, nnx.CrossEntropyLoss(), nnx.functional.cross_entropy):
        for given in (optimizer, "sgd", nnx.optim.SGD, lambda net: nnx.optim.SGD(net)):
            model = nnx.Model(net, loss, given, metrics=["accuracy", nnx.metrics.TopKAccuracy(2)])
            assert isinstance(model.optimizer, nnx.optim.SGD)
            assert model.evaluate(X, Y).keys() == {"loss", "accuracy", "top_2_accuracy"}
    assert nnx.Model(net, optimizer=optimizer).optimizer is optimizer


def test_the_default_optimizer_is_made_when_training_begins():
    model = small_model()
    model.net.to("float64")
    assert model.optimizer is None
    model.fit(X, Y, verbose=0)
    assert isinstance(model.optimizer, nnx.optim.Adam)
    assert model.predict(X).dtype == np.float64


def test_repr_and_summary():
    model = small_model(optimizer="sgd")
    assert repr(model) == "Model(Sequential, loss=cross_entropy, optimizer=SGD, metrics=[Accuracy()])"
    assert model.summary() == model.net.summary()
