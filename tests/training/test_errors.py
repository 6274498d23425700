"""What Model refuses, and what it says."""

import numpy as np
import pytest

import nnx
from nnx.errors import ShapeError

X, Y = np.ones((10, 3), "float32"), np.zeros(10, "int64")


def make(**options):
    return nnx.Model(nnx.Linear(3, 2), **options)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"loss": "crossentropy"}, "^Model: unknown loss 'crossentropy': expected one of 'cross_entropy', 'mse'"),
        (
            {"optimizer": "gradient"},
            "^Model: unknown optimizer 'gradient': expected one of 'sgd', 'adam', 'adamw', ",
        ),
        ({"metrics": ["acc"]}, "^unknown metric 'acc': expected one of 'accuracy', 'top_5_accuracy'"),
        ({"metrics": ["mse", "mse"]}, r"^Model: expected metrics of different names, .* got \['mse', 'mse'\]"),
        ({"metrics": [nnx.metrics.FunctionMetric(len, name="loss")]}, "none of them 'loss'"),
    ],
)
def test_unknown_names(options, text):
    with pytest.raises(ValueError, match=text):
        make(**options)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"loss": 3}, r"^Model: expected loss as a name or a function of \(outputs, targets\), got int"),
        ({"optimizer": 0.1}, "^Model: expected optimizer as a name, an optimizer, or a function .*, got float"),
        ({"optimizer": lambda net: None}, "^Model: expected the function for optimizer to return one, got NoneType"),
        ({"metrics": "accuracy"}, r"^Model: expected metrics as a list, got 'accuracy'; write metrics=\[\.\.\.\]"),
        ({"metrics": [3]}, "^expected a metric as a name, .* got int"),
    ],
)
def test_things_of_a_wrong_kind(options, text):
    with pytest.raises(TypeError, match=text):
        make(**options)


def test_the_network_is_a_module():
    with pytest.raises(TypeError, match=r"^Model: expected a Module as the network, got function"):
        nnx.Model(lambda x: x)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"epochs": 0}, r"^Model\.fit: expected epochs to be a positive integer, got 0\.$"),
        ({"batch_size": 0}, "expected batch_size to be a positive integer, got 0"),
        ({"validation_split": 1.0}, "expected validation_split to be at least 0 and less than 1, got 1.0"),
        ({"validation_split": -0.1}, "expected validation_split to be at least 0 and less than 1, got -0.1"),
        ({"validation_split": float("nan")}, "expected validation_split to be at least 0 and less than 1, got nan"),
        ({"validation_split": "0.1"}, "expected validation_split to be at least 0 and less than 1, got '0.1'"),
        (
            {"validation_split": 0.01},
            "validation_split=0.01 of 10 samples leaves 10 for training and 0 for validation; expected at least one",
        ),
        ({"validation_split": 0.99}, "leaves 0 for training and 10 for validation"),
        (
            {"validation_split": 0.1, "validation_data": (X, Y)},
            "expected validation_split or validation_data, got both",
        ),
        ({"validation_data": (X[:0], Y[:0])}, "^Model.fit, validation data: expected at least one sample, got none"),
        ({"validation_data": (X, Y[:9])}, "^Model.fit, validation data: expected as many targets as inputs"),
    ],
)
def test_options_of_fit(options, text):
    with pytest.raises(ValueError, match=text):
        make().fit(X, Y, **{"verbose": 0, **options})


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"epochs": 2.5}, r"^Model\.fit: expected epochs to be a positive integer, got 2\.5\.$"),
        ({"epochs": True}, "expected epochs to be a positive integer, got True"),
        ({"batch_size": None}, "expected batch_size to be a positive integer, got None"),
        ({"shuffle": "no"}, r"^Model\.fit: expected shuffle to be True or False, got 'no'\.$"),
    ],
)
def test_options_of_fit_of_a_wrong_type(options, text):
    with pytest.raises(TypeError, match=text):
        make().fit(X, Y, **{"verbose": 0, **options})


def test_validation_data_needs_targets():
    with pytest.raises(TypeError, match=r"^Model\.fit, validation data: expected targets y beside the array x"):
        make().fit(X, Y, validation_data=X, verbose=0)


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_empty_data(method):
    args = (X[:0],) if method == "predict" else (X[:0], Y[:0])
    with pytest.raises(ValueError, match=rf"^Model\.{method}: expected at least one sample, got none\.$"):
        getattr(make(), method)(*args)


@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_x_and_y_that_do_not_fit(method):
    run = getattr(make(), method)
    text = (
        rf"^Model\.{method}: expected as many targets as inputs, got x \(10, 3\) with 10 samples and y \(9,\) with 9\.$"
    )
    with pytest.raises(ShapeError, match=text):
        run(X, Y[:9])
    with pytest.raises(ShapeError, match=r"expected x and y of shape \(N, \.\.\.\), got \(10, 3\) and \(\)"):
        run(X, np.asarray(1))
    with pytest.raises(TypeError, match=rf"^Model\.{method}: expected targets y beside the array x\.$"):
        run(X)
    with pytest.raises(TypeError, match=r"expected an array of targets, got list; use nnx\.asarray"):
        run(X, [0] * 10)
    with pytest.raises(TypeError, match="expected x as an array, a Dataset or a DataLoader, got list"):
        run([[1.0, 2.0, 3.0]], [0])
    with pytest.raises(TypeError, match="expected x as an array, a Dataset or a DataLoader, got tuple"):
        run((X, Y))
    dataset = nnx.data.ArrayDataset(X, Y)
    with pytest.raises(TypeError, match=r"x \(ArrayDataset\) brings its own targets; leave y out"):
        run(dataset, Y)
    with pytest.raises(TypeError, match=r"x \(DataLoader\) brings its own targets; leave y out"):
        run(nnx.data.DataLoader(dataset), Y)


def test_batches_are_pairs():
    with pytest.raises(TypeError, match=r"^Model\.fit: expected batches \(inputs, targets\), got a tuple of 3\.$"):
        make().fit(nnx.data.ArrayDataset(X, Y, Y), verbose=0)
    with pytest.raises(TypeError, match=r"^Model\.fit: expected batches \(inputs, targets\), got a ndarray of 10\.$"):
        make().fit(list(X), verbose=0)
    with pytest.raises(TypeError, match=r"^Model\.predict: expected batches of inputs, .* got a tuple of 3\.$"):
        make().predict(nnx.data.ArrayDataset(X, Y, Y))


def test_a_loader_cannot_be_split():
    loader = nnx.data.DataLoader(nnx.data.ArrayDataset(X, Y))
    with pytest.raises(TypeError, match="a DataLoader cannot be split; pass validation_data instead"):
        make().fit(loader, validation_split=0.5, verbose=0)


def test_wrong_shapes_and_labels_are_told_by_the_layer_and_the_loss():
    with pytest.raises(ShapeError, match=r"^Linear\(3, 2\): expected \(\.\.\., 3\), got \(10, 4\)"):
        make().fit(np.ones((10, 4), "float32"), Y, verbose=0)
    with pytest.raises(ShapeError, match=r"^Linear\(3, 2\): expected \(\.\.\., 3\), got \(10, 4\)"):
        make().predict(np.ones((10, 4)))
    with pytest.raises(IndexError, match="expected class indices from 0 to 1 for 2 classes, got some from 0 to 2"):
        make().fit(X, np.arange(10) % 3, verbose=0)


def test_a_frozen_network_has_nothing_to_learn():
    net = nnx.Linear(3, 2).freeze()
    with pytest.raises(ValueError, match=r"the network has no trainable parameters; call net\.unfreeze\(\)"):
        nnx.Model(net).fit(X, Y, verbose=0)


def test_the_loss_is_one_number_that_depends_on_the_parameters():
    loss = nnx.CrossEntropyLoss(reduction="none")
    text = r"expected the loss to be a single number, got shape \(10,\)\. Reduce it, e\.g\. with reduction='mean'"
    with pytest.raises(ShapeError, match=text):
        make(loss=loss).fit(X, Y, verbose=0)
    for wrong in (lambda outputs, y: 1.0, lambda outputs, y: np.float32(1.0)):
        with pytest.raises(TypeError, match="expected a loss that depends on the trainable parameters, got an"):
            make(loss=wrong).fit(X, Y, verbose=0)


def test_an_error_leaves_the_mode_and_no_gradients():
    model = make()
    model.net.eval()
    with pytest.raises(ShapeError):
        model.fit(np.ones((10, 4), "float32"), Y, verbose=0)
    assert not model.net.training
    assert all(parameter.grad is None for parameter in model.net.parameters())
    model.net.train()
    with pytest.raises(ShapeError):
        model.evaluate(np.ones((10, 4), "float32"), Y)
    assert model.net.training


# ------------------------------------------------------------------ an optimizer of other parameters


def test_an_optimizer_of_another_network_is_refused():
    net, other = nnx.Linear(3, 2), nnx.Linear(3, 2)
    model = nnx.Model(net, optimizer=nnx.optim.SGD(other))
    text = (
        r"^Model\.fit: the optimizer has none of the trainable parameters of the network, as if .* another one\. "
        r"To train this one, make the optimizer anew: model\.optimizer = nnx\.optim\.SGD\(model\.net, \.\.\.\)\.$"
    )
    with pytest.raises(ValueError, match=text):
        model.fit(X, Y, verbose=0)
    model.optimizer = nnx.optim.SGD(net, lr=0.1)
    before = net.weight.copy()
    model.fit(X, Y, verbose=0)
    assert (net.weight != before).any()


def test_a_layer_that_the_optimizer_does_not_know_is_named():
    net = nnx.Sequential(nnx.Linear(3, 4))
    model = nnx.Model(net)
    model.fit(X, Y, verbose=0)  # makes the optimizer
    net.append(nnx.Linear(4, 2))
    text = (
        r"^Model\.fit: the optimizer lacks 2 of 4 trainable parameters of the network: 1\.weight, 1\.bias\. "
        r"If they are new, make the optimizer anew: model\.optimizer = nnx\.optim\.Adam\(model\.net, \.\.\.\)\. If "
        r"they shall stay as they are, freeze them, e\.g\. model\.net\.parameter\('1\.weight'\)\.trainable = False\.$"
    )
    with pytest.raises(ValueError, match=text):
        model.fit(X, Y, verbose=0)
    net.module("1").freeze()
    model.fit(X, Y, verbose=0)
    net.module("1").unfreeze()
    model.optimizer = nnx.optim.Adam(model.net)
    model.fit(X, Y, verbose=0)


def test_an_optimizer_may_have_more_than_the_network():
    net, other = nnx.Linear(3, 2), nnx.Linear(3, 2)
    optimizer = nnx.optim.SGD([*net.parameters(), *other.parameters()])
    nnx.Model(net, optimizer=optimizer).fit(X, Y, verbose=0)


# ------------------------------------------------------------------ inputs of predict


def test_one_sample_is_not_a_batch():
    text = (
        r"^Model\.predict: expected outputs of shape \(3, \.\.\.\), one per sample, got \(2,\) for inputs \(3,\)\. "
        r"If that is one sample, write x\[None, \.\.\.\]; if not, return from forward only what belongs to the samples"
    )
    model = make()
    with pytest.raises(ShapeError, match=text):
        model.predict(X[0])
    assert model.predict(X[0][None, ...]).shape == (1, 2)


def test_one_sample_is_not_a_batch_even_if_the_sizes_agree():
    model = nnx.Model(nnx.Linear(3, 3))
    model.fit(X, Y, verbose=0)
    text = (
        r"^Model\.predict: expected batches with 2 axes \(N, \.\.\.\), as in fit, got shape \(3,\)\. For one sample "
        r"write x\[None, \.\.\.\]\.$"
    )
    with pytest.raises(ShapeError, match=text):
        model.predict(X[0])


def test_lists_of_numbers_are_no_data():
    text = "expected x as an array, got a list of lists of numbers; use nnx.asarray"
    with pytest.raises(TypeError, match=rf"^Model\.predict: {text}"):
        make().predict([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    with pytest.raises(TypeError, match=rf"^Model\.fit: {text}"):
        make().fit([[1.0, 2.0, 3.0]], verbose=0)


def test_outputs_of_a_loader_are_its_own_affair():
    class Pooled(nnx.Module):
        def forward(self, x):
            return x[::5, ...]

    loader = nnx.data.DataLoader(list(X), collate_fn=np.stack)
    assert nnx.Model(Pooled()).predict(loader).shape == (2, 3)
    with pytest.raises(ShapeError, match=r"expected outputs of shape \(10, \.\.\.\), one per sample, got \(2, 3\)"):
        nnx.Model(Pooled()).predict(X)
