"""A loss that is not finite stops training, and the message says where it comes from."""

import numpy as np
import pytest

import nnx
from nnx.errors import NonFiniteLossError
from nnx.training.inputs import Placement

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, for the overflows made on purpose

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3)).astype("float32")
Y = RNG.normal(size=(40, 2)).astype("float32")


class Log(nnx.Module):
    def forward(self, x):
        return nnx.namespace(x).log(x)


def mse_model(*layers, lr=0.01):
    nnx.seed(0)
    net = nnx.Sequential(*layers) if layers else nnx.Sequential(nnx.Linear(3, 4), nnx.ReLU(), nnx.Linear(4, 2))
    return nnx.Model(net, loss="mse", optimizer=lambda net: nnx.optim.SGD(net, lr=lr))


@pytest.fixture(params=["host", "device"])
def where(request, monkeypatch):
    """On a device, nothing is looked at before the end of an epoch."""
    if request.param == "device":
        monkeypatch.setattr(Placement, "on_host", property(lambda self: False))
    return request.param


def failure(model, *args, **options):
    with pytest.raises(NonFiniteLossError) as caught:
        model.fit(*args, verbose=0, **{"batch_size": 8, **options})
    return str(caught.value)


def test_bad_input(where):
    x = X.copy()
    x[29, 1] = np.nan
    assert failure(mse_model(), x, Y, shuffle=False) == (
        "Model.fit: the loss became nan in epoch 1, step 4. The input x contains NaN at sample 29. Remove or replace "
        "such samples."
    )


def test_bad_input_in_a_dataset():
    items = [(X[i], Y[i]) for i in range(40)]
    items[29] = (np.full(3, np.inf, "float32"), Y[29])
    text = failure(mse_model(), items, shuffle=False)
    assert "The input x contains infinity in float32 at sample 5 of the batch." in text


def test_input_that_overflows_when_it_is_cast():
    x = X.astype("float64")
    x[9] = 1e300
    text = failure(mse_model(), x, Y, shuffle=False)
    assert "step 2. The input x contains infinity in float32 at sample 1 of the batch." in text


def test_bad_target():
    y = Y.copy()
    y[3] = np.inf
    text = failure(mse_model(), X, y)
    assert "The target y contains infinity at sample 3. Remove or replace such samples." in text


def test_bad_parameter():
    model = mse_model()
    model.net.module("2").bias = np.asarray([np.nan, 0.0], "float32")
    text = failure(model, X, Y)
    assert "epoch 1, step 1. The parameter '2.bias' contains NaN already. Lower the learning rate, clip" in text


def test_the_first_bad_layer_is_named(xp_backend):
    model = mse_model(nnx.Linear(3, 3), Log(), nnx.Linear(3, 2))
    text = failure(model, xp_backend.array(X), xp_backend.array(Y), shuffle=False)
    assert text == (
        "Model.fit: the loss became nan in epoch 1, step 1. The first output that is not finite is that of layer '1' "
        "(Log): it contains NaN. Lower the learning rate, clip the gradients, or check the scale of the inputs."
    )


def test_what_happens_between_layers():
    class Between(nnx.Module):
        def __init__(self):
            self.first, self.second = nnx.Linear(3, 3), nnx.Linear(3, 2)

        def forward(self, x):
            x = self.first(x)
            return self.second(nnx.namespace(x).sqrt(x))

    text = failure(mse_model(Between()), X, Y)
    assert "The input of layer '0.second' (Linear) contains NaN: it was computed between two layers." in text


def test_a_learning_rate_that_is_too_large(where):
    model = mse_model(lr=1e6)
    text = failure(model, X, Y, epochs=50)
    assert "Lower the learning rate" in text
    if where == "host":  # the step that would have spoilt the parameters was not made
        assert "epoch 1, step" in text
        assert model.history.epoch == []


def test_on_the_host_the_parameters_stay_those_before_the_step():
    x = X.copy()
    x[8] = np.nan
    model, one_step = mse_model(), mse_model()
    failure(model, x, Y, shuffle=False)
    one_step.fit(X[:8], Y[:8], shuffle=False, batch_size=8, verbose=0)
    for name, value in model.net.state_dict().items():
        np.testing.assert_array_equal(value, one_step.net.state_dict()[name])
    assert model.net.training
    assert all(parameter.grad is None for parameter in model.net.parameters())
    assert not any(module._hooks for module in model.net.modules())


def test_finished_epochs_stay_in_the_history():
    class Fuse(nnx.Module):
        def __init__(self):
            self.left = 12

        def forward(self, x):
            self.left -= self.training
            return x if self.left >= 0 else x * float("nan")

    model = mse_model(nnx.Linear(3, 2), Fuse())
    text = failure(model, X, Y, epochs=5)  # five steps per epoch
    assert "epoch 3, step 3. The first output that is not finite is that of layer '1' (Fuse)" in text
    assert model.history.epoch == [1, 2]


def test_a_loss_that_fails_by_itself():
    model = nnx.Model(nnx.Linear(3, 2), loss=lambda outputs, y: nnx.namespace(outputs).mean(outputs) * float("inf"))
    text = failure(model, X, np.arange(40) % 3)
    assert "In evaluation mode all layers give finite outputs for this batch, from " in text
    assert " in shape (8, 2): look at the loss and at the targets, from 0 to 2." in text


def test_validation_may_be_infinite():
    y = Y.copy()
    y[39] = np.inf
    history = mse_model().fit(X, y, validation_split=0.1, verbose=0)
    assert history["val_loss"] == [np.inf]


@pytest.mark.parametrize("target", [-100, 1])
def test_targets_that_the_loss_leaves_out_are_named(target: int) -> None:
    net = nnx.Linear(3, 2)
    loss = nnx.CrossEntropyLoss(ignore_index=target)
    x, y = np.ones((8, 3), "float32"), np.asarray([0, 1, 0, 1, target, target, target, target])
    with pytest.raises(NonFiniteLossError) as caught:
        nnx.Model(net, loss=loss, optimizer="sgd").fit(x, y, batch_size=4, shuffle=False, verbose=0)
    text = (
        f"All targets of the batch are {target}: if the loss leaves these out (ignore_index, or a weight of 0), its "
        "mean is of nothing, which is NaN; drop such samples or enlarge the batches."
    )
    assert text in str(caught.value)
