"""Model.fit: gradient accumulation and clipping."""

from typing import Any

import numpy as np
import pytest

import nnx

RNG = np.random.default_rng(0)
X = RNG.normal(size=(70, 3))
Y = (X[:, 0] > 0).astype("int64")


def fitted(backend: str = "numpy", penalty: bool = False, lr: float = 0.5, **options: Any) -> dict[str, np.ndarray]:
    """The weights after training, in float64."""
    nnx.seed(0)
    net = nnx.Sequential(nnx.Linear(3, 8), nnx.Tanh(), nnx.Linear(8, 2)).to("float64").to(backend)
    if penalty:
        net.regularize(nnx.regularizers.L2(0.1), "*.weight")
    model = nnx.Model(net, optimizer=lambda net: nnx.optim.SGD(net, lr=lr, momentum=0.9))
    model.fit(X, Y, shuffle=False, verbose=0, **options)
    return {name: nnx.to_numpy(value) for name, value in net.state_dict().items()}


def assert_equal(found: dict, wanted: dict, rtol: float = 1e-9) -> None:
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=rtol, atol=1e-12)


@pytest.mark.parametrize("backend", ["numpy", "strict"])
@pytest.mark.parametrize(("small", "accumulate"), [(9, 4), (16, 2), (5, 7), (33, 2), (10, 3)])
@pytest.mark.parametrize("penalty", [False, True])
def test_small_batches_make_the_step_of_a_large_one(backend: str, small: int, accumulate: int, penalty: bool) -> None:
    """Also at the end of an epoch, where fewer batches are left and the last one is smaller."""
    wanted = fitted(backend, penalty, batch_size=small * accumulate, epochs=3)
    assert_equal(fitted(backend, penalty, batch_size=small, accumulate=accumulate, epochs=3), wanted)
    one_by_one = fitted(backend, penalty, batch_size=small, epochs=3)
    assert not np.allclose(one_by_one["0.weight"], wanted["0.weight"])


@pytest.mark.parametrize("backend", ["numpy", "strict"])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_clipping_is_that_of_the_whole_step(backend: str, accumulate: int) -> None:
    nnx.seed(0)
    net = nnx.Sequential(nnx.Linear(3, 8), nnx.Tanh(), nnx.Linear(8, 2)).to("float64").to(backend)
    optimizer = nnx.optim.SGD(net, lr=0.5, momentum=0.9)
    for _ in range(2):
        for i in range(0, 70, 10 * accumulate):
            x, y = (nnx.asarray(a[i : i + 10 * accumulate], backend=backend) for a in (X, Y))
            with nnx.record():
                loss = nnx.functional.cross_entropy(net(x), y)
            loss.backward()
            nnx.optim.clip_grad_norm_(net, 0.01)
            optimizer.step()
            optimizer.zero_grad()
    wanted = {name: nnx.to_numpy(value) for name, value in net.state_dict().items()}
    assert_equal(fitted(backend, batch_size=10, accumulate=accumulate, clip_norm=0.01, epochs=2), wanted)
    assert not np.allclose(
        fitted(backend, batch_size=10, accumulate=accumulate, epochs=2)["0.weight"], wanted["0.weight"]
    )


def test_a_bound_that_is_not_reached_changes_nothing() -> None:
    assert_equal(fitted(clip_norm=1e6, epochs=2), fitted(epochs=2), rtol=1e-15)


def test_constraints_hold_after_every_step() -> None:
    nnx.seed(0)
    net = nnx.Linear(3, 2).constrain(nnx.constraints.NonNeg(), "weight")
    nnx.Model(net, optimizer="sgd").fit(X, Y, accumulate=2, verbose=0)
    assert (net.weight >= 0).all()
    assert net.weight.any()


def test_an_interruption_leaves_no_gradients_for_the_next_step() -> None:
    nnx.seed(0)
    net = nnx.Linear(3, 2, dtype="float64")
    calls = iter(range(100))

    def loss(outputs: Any, y: Any) -> Any:
        if next(calls) == 2:
            raise KeyboardInterrupt
        return nnx.functional.cross_entropy(outputs, y)

    before = net.weight.copy()
    with pytest.raises(KeyboardInterrupt):
        nnx.Model(net, loss=loss, optimizer="sgd").fit(X, Y, batch_size=10, accumulate=4, verbose=0)
    np.testing.assert_array_equal(net.weight, before)
    assert all(p.grad is None for p in net.parameters())


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"accumulate": 0}, ValueError, "Model.fit: expected accumulate to be a positive integer, got 0."),
        ({"accumulate": 1.5}, TypeError, "Model.fit: expected accumulate to be a positive integer, got 1.5."),
        (
            {"clip_norm": 0},
            ValueError,
            "Model.fit: expected clip_norm to be a number above 0, got 0; pass None for no bound.",
        ),
        (
            {"clip_norm": -1.0},
            ValueError,
            "Model.fit: expected clip_norm to be a number above 0, got -1.0; pass None for no bound.",
        ),
        (
            {"clip_norm": "x"},
            TypeError,
            "Model.fit: expected clip_norm to be a number above 0, got 'x'; pass None for no bound.",
        ),
    ],
)
def test_arguments_are_checked(options: dict, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        fitted(**options)
    assert str(caught.value) == text


def test_an_optimizer_that_needs_a_closure_says_so() -> None:
    model = nnx.Model(nnx.Linear(3, 2), optimizer=nnx.optim.LBFGS)
    with pytest.raises(TypeError, match=r"a step evaluates it many times\. Model\.fit has none: write the loop by"):
        model.fit(X, Y, verbose=0)


@pytest.mark.parametrize("name", ["Adafactor", "LAMB", "LARS"])
def test_optimizers_over_whole_tensors_fit(name: str) -> None:
    nnx.seed(0)
    model = nnx.Model(
        nnx.Linear(3, 2), optimizer=lambda net: nnx.optim.Lookahead(getattr(nnx.optim, name)(net, lr=0.3))
    )
    losses = model.fit(X, Y, epochs=5, verbose=0)["loss"]
    assert losses[-1] < losses[0]


# ------------------------------------------------------------------ averages


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("kind", ["EMA", "SWA"])
def test_an_average_is_updated_after_each_step(kind: str, accumulate: int) -> None:
    def make() -> tuple[nnx.Linear, nnx.optim.SGD, Any]:
        nnx.seed(0)
        net = nnx.Linear(3, 2, dtype="float64").constrain(nnx.constraints.NonNeg(), "weight")
        return net, nnx.optim.SGD(net, lr=0.5), nnx.optim.EMA(net, 0.9) if kind == "EMA" else nnx.optim.SWA(net, 2)

    net, optimizer, average = make()
    nnx.Model(net, optimizer=optimizer).fit(
        X, Y, epochs=2, batch_size=10, shuffle=False, accumulate=accumulate, averaging=average, verbose=0
    )
    assert average.updates == optimizer.steps == 2 * -(-7 // accumulate)
    other, by_hand, wanted = make()
    for _ in range(2):
        for i in range(0, 70, 10 * accumulate):
            with nnx.record():
                loss = nnx.functional.cross_entropy(other(X[i : i + 10 * accumulate]), Y[i : i + 10 * accumulate])
            loss.backward()
            by_hand.step()
            other.apply_constraints()
            by_hand.zero_grad()
            wanted.update()
    with average.applied(), wanted.applied():
        np.testing.assert_allclose(net.weight, other.weight, rtol=1e-9, atol=1e-12)
    assert_equal(dict(net.state_dict()), dict(other.state_dict()))


def test_averaging_is_an_average_of_the_network() -> None:
    model = nnx.Model(nnx.Linear(3, 2), optimizer="sgd")
    with pytest.raises(TypeError, match=r"^Model\.fit: expected averaging to be an nnx\.optim\.EMA or .*, got float; "):
        model.fit(X, Y, averaging=0.9, verbose=0)  # type: ignore[arg-type]
    other = nnx.optim.EMA(nnx.Linear(3, 2))
    with pytest.raises(
        ValueError, match=r"^Model\.fit: averaging has no parameter of the network, .*EMA\(model\.net\)"
    ):
        model.fit(X, Y, averaging=other, verbose=0)


def test_a_plateau_is_told_the_loss_between_epochs() -> None:
    """What the docs of ReduceLROnPlateau show: calls of fit go on where the last one ended."""
    plateau = nnx.optim.schedules.ReduceLROnPlateau(0.5, factor=0.5, patience=0, threshold=0.9)
    nnx.seed(0)
    net = nnx.Linear(3, 2)
    model = nnx.Model(net, optimizer=nnx.optim.SGD(net, lr=plateau))
    rates = []
    for _ in range(3):
        rates.append(model.optimizer.lr)
        plateau.step(model.fit(X, Y, verbose=0)["loss"][-1])
    assert rates == [0.5, 0.5, 0.25]
    assert model.optimizer.steps == 9


def test_accumulation_with_class_weights_is_a_mean_over_batches() -> None:
    """As the docs say: not the step of a large batch, since the loss divides by the weight of its own batch."""
    loss = nnx.CrossEntropyLoss(weight=np.asarray([1.0, 9.0]))
    found = []
    for batch_size, accumulate in ((70, 1), (7, 10)):
        nnx.seed(0)
        net = nnx.Linear(3, 2, dtype="float64")
        start = net.weight.copy()
        model = nnx.Model(net, loss=loss, optimizer=nnx.optim.SGD(net, lr=1.0))
        model.fit(X, Y, batch_size=batch_size, accumulate=accumulate, shuffle=False, verbose=0)
        found.append(start - net.weight)
    nnx.seed(0)
    net = nnx.Linear(3, 2, dtype="float64")
    gradients = []
    for i in range(0, 70, 7):
        with nnx.record():
            value = loss(net(X[i : i + 7]), Y[i : i + 7])
        value.backward()
        gradients.append(net.parameter("weight").grad.copy())
        net.parameter("weight").grad = net.parameter("bias").grad = None
    np.testing.assert_allclose(found[1], np.mean(gradients, axis=0), rtol=1e-9)
    assert not np.allclose(found[0], found[1], rtol=1e-3)
