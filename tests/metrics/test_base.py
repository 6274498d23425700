"""What all metrics share: the log on the device, functions as metrics, names."""

import numpy as np
import pytest

import nnx
from nnx.errors import MixedBackendsError, ShapeError


def test_a_log_returns_everything_in_order(xp_backend):
    log = nnx.metrics.DeviceLog()
    for i in range(600):  # more than two blocks
        log.add(xp_backend.array(float(i)))
    assert len(log) == 600
    assert log.read() == [float(i) for i in range(600)]
    assert log.read() == [float(i) for i in range(600)]
    log.clear()
    assert (len(log), log.read()) == (0, [])


def test_a_log_of_vectors(xp_backend):
    log = nnx.metrics.DeviceLog()
    log.add(xp_backend.array([1, 2]))
    log.add(xp_backend.array([3, 4]))
    assert log.read() == [[1, 2], [3, 4]]


def test_update_does_not_read_the_device(monkeypatch):
    x = nnx.asarray(np.ones((3, 2), "float32"), backend="strict")
    labels = nnx.asarray(np.zeros(3, "int64"), backend="strict")
    read = []
    for name in ("__float__", "__int__", "__bool__", "__index__", "__array__"):
        monkeypatch.setattr(type(x), name, lambda *args, name=name, **options: read.append(name))
    for name in ("mse", "mae", "rmse", "r2"):
        nnx.metrics.get_metric(name).update(x, x)
    nnx.metrics.Accuracy().update(x, labels)
    nnx.metrics.TopKAccuracy(1).update(x, labels)
    assert read == []


def test_a_function_is_averaged_over_samples(xp_backend):
    def worst(predictions, targets):
        xp = nnx.namespace(predictions)
        return xp.max(xp.abs(predictions - targets))

    metric = nnx.metrics.get_metric(worst)
    assert metric.name == "worst"
    metric.update(xp_backend.array([1.0, 2.0, 3.0]), xp_backend.array([1.0, 2.0, 1.0]))
    metric.update(xp_backend.array([1.0]), xp_backend.array([7.0]))
    assert metric.result() == (3 * 2.0 + 1 * 6.0) / 4


def test_a_function_may_return_a_python_number():
    metric = nnx.metrics.FunctionMetric(lambda predictions, targets: 0.25, name="quarter")
    metric.update(np.zeros(2), np.zeros(2))
    assert metric.result() == 0.25


def test_a_function_must_return_one_number():
    metric = nnx.metrics.FunctionMetric(lambda predictions, targets: predictions, name="all")
    with pytest.raises(ShapeError, match=r"all: expected the function to return a single number, got shape \(2,\)"):
        metric.update(np.zeros(2), np.zeros(2))


def test_metrics_by_name():
    assert [type(nnx.metrics.get_metric(n)).__name__ for n in ("accuracy", "top_5_accuracy", "r2")] == [
        "Accuracy",
        "TopKAccuracy",
        "R2",
    ]
    assert nnx.metrics.get_metric("top_5_accuracy").name == "top_5_accuracy"
    assert nnx.metrics.get_metric("mse") is not nnx.metrics.get_metric("mse")
    own = nnx.metrics.MAE()
    assert nnx.metrics.get_metric(own) is own
    assert isinstance(nnx.metrics.get_metric(nnx.metrics.MAE), nnx.metrics.MAE)


def test_an_unknown_name_lists_the_known_ones():
    text = (
        "^unknown metric 'acc': expected one of 'accuracy', 'top_5_accuracy', 'mse', 'mae', 'rmse', 'r2', or an "
        r"nnx.metrics.Metric\.$"
    )
    with pytest.raises(ValueError, match=text):
        nnx.metrics.get_metric("acc")
    with pytest.raises(TypeError, match=r"expected a metric as a name, .* got int"):
        nnx.metrics.get_metric(3)


def test_arrays_of_two_backends_are_refused():
    strict = nnx.asarray(np.zeros(3), backend="strict")
    with pytest.raises(MixedBackendsError, match="expected arrays of one backend"):
        nnx.metrics.mse(np.zeros(3), strict)
