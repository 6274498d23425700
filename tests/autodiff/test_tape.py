"""The tape: accumulation, freeing, recorded backward passes, in-place syntax."""

from __future__ import annotations

import copy
import math
import pickle
import threading

import numpy as np
import pytest

import nnx
from tests.tolerances import assert_close


def test_backward_adds_to_the_gradient(xp_backend):
    x = nnx.variable(xp_backend.array([1.0, 2.0]))
    xp = xp_backend.ns
    xp.sum(x * x).backward()
    assert_close(x.grad, np.asarray([2.0, 4.0]))
    xp.sum(3.0 * x).backward()
    assert_close(x.grad, np.asarray([5.0, 7.0]))
    assert not isinstance(x.grad, nnx.Array)


def test_the_gradient_is_not_an_alias_of_the_cotangent(xp_backend):
    x, y = (nnx.variable(xp_backend.array([1.0, 2.0])) for _ in range(2))
    seed = xp_backend.array([1.0, 1.0])
    z = x + y
    z.backward(seed, retain_graph=True)
    z.backward(seed)
    assert_close(x.grad, np.asarray([2.0, 2.0]))
    assert_close(y.grad, np.asarray([2.0, 2.0]))
    assert_close(seed, np.asarray([1.0, 1.0]))


def test_a_parameter_keeps_its_gradient_until_it_is_dropped(xp_backend):
    p = xp_backend.parameter([1.0, 2.0])
    for _ in range(2):
        with nnx.record():
            loss = xp_backend.ns.sum(p.read() ** 2)
        loss.backward()
    assert_close(p.grad, np.asarray([4.0, 8.0]))
    p.grad = None
    assert p.grad is None


def test_shared_and_diamond_shaped_graphs(xp_backend):
    x = nnx.variable(xp_backend.array(1.5))
    a = x * x
    b = a + a * x
    (b * a).backward()
    assert_close(x.grad, np.asarray(4 * 1.5**3 + 5 * 1.5**4))


def test_backward_with_a_cotangent(xp_backend):
    x = nnx.variable(xp_backend.array([1.0, 2.0]))
    (x * x).backward(xp_backend.array([1.0, 0.5]))
    assert_close(x.grad, np.asarray([2.0, 2.0]))


def test_backward_of_one_element_needs_no_cotangent(xp_backend):
    x = nnx.variable(xp_backend.array([[3.0]]))
    (x * x).backward()
    assert_close(x.grad, np.asarray([[6.0]]))


def test_backward_of_a_leaf_itself(xp_backend):
    x = nnx.variable(xp_backend.array(3.0))
    x.backward()
    assert_close(x.grad, np.asarray(1.0))


def test_what_backward_refuses(xp_backend):
    x = nnx.variable(xp_backend.array([1.0, 2.0]))
    with pytest.raises(ValueError, match=r"expected a single number, got an array of shape \(2,\).*xp.mean"):
        (x * x).backward()
    with pytest.raises(ValueError, match=r"expected a cotangent of shape \(2,\), got \(3,\)"):
        (x * x).backward(xp_backend.array([1.0, 2.0, 3.0]))
    with pytest.raises(RuntimeError, match=r"not tracked.*nnx.variable.*nnx.record"):
        xp_backend.ns.asarray(xp_backend.array(1.0)).backward()
    z = nnx.variable(xp_backend.array(1.0 + 2.0j))
    with pytest.raises(TypeError, match=r"gradient of a complex number \(.*complex128\) is not defined.*xp.real"):
        (z * z).backward()


def test_a_graph_runs_backwards_once(xp_backend):
    x = nnx.variable(xp_backend.array(2.0))
    y = x * x
    y.backward()
    with pytest.raises(RuntimeError, match=r"multiply: this graph has already been differentiated.*retain_graph=True"):
        y.backward()


def test_retain_graph(xp_backend):
    x = nnx.variable(xp_backend.array(2.0))
    y = x * x * x
    y.backward(retain_graph=True)
    y.backward()
    assert_close(x.grad, np.asarray(24.0))
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        y.backward()


def test_create_graph(xp_backend):
    x = nnx.variable(xp_backend.array(2.0))
    (x**3).backward(create_graph=True)
    first = x.grad
    assert isinstance(first, nnx.Array)
    assert first.tracked
    assert_close(first._data, np.asarray(12.0))
    y = nnx.variable(xp_backend.array(2.0))
    (y**3).backward(create_graph=True)
    slope = y.grad
    y.grad = None
    slope.backward()
    assert_close(y.grad, np.asarray(12.0))


def test_only_a_variable_has_a_gradient_to_drop(xp_backend):
    x = nnx.variable(xp_backend.array(2.0))
    (x * x).backward()
    with pytest.raises(TypeError, match="grad: expected None, to drop the gradient of a variable"):
        x.grad = xp_backend.array(1.0)
    x.grad = None
    assert x.grad is None
    with pytest.raises(TypeError, match="expected None"):
        (x * x).grad = None


def test_create_graph_after_an_optimizer_has_stepped(xp_backend):
    """The gradient keeps its graph, and the optimizer finds its values in the flat storage."""
    xp = xp_backend.ns
    kept, plain = (xp_backend.parameter([1.0, 2.0]) for _ in range(2))
    optimizers = [nnx.optim.SGD([p], lr=0.1) for p in (kept, plain)]
    for step in range(3):  # the optimizer lays out its storage at the first step, after the first backward pass
        for p, optimizer in zip((kept, plain), optimizers, strict=True):
            for turn in range(2):
                with nnx.record():
                    loss = xp.sum(p.read() ** 3)
                if p is kept and (step, turn) != (2, 1):
                    loss.backward(create_graph=True)
                    assert p.grad.tracked
                else:  # recorded and not recorded ones add up
                    loss.backward()
            assert_close(nnx.stop_gradient(p.grad), nnx.to_numpy(p.value) ** 2 * 6.0)
            if xp_backend.backend.writable:
                assert not isinstance(p._slot.raw_grad, nnx.Array)
                optimizer.step()
            else:
                p.value = p.value - 0.1 * nnx.stop_gradient(p.grad)
            optimizer.zero_grad()
    assert_close(kept.value, nnx.to_numpy(plain.value))


def test_stale_parameters_are_noticed(xp_backend):
    p = xp_backend.parameter([1.0, 2.0])
    p.name = "encoder.weight"
    with nnx.record():
        loss = xp_backend.ns.sum(p.read() ** 2)
    p.value = xp_backend.array([3.0, 4.0])
    with pytest.raises(
        nnx.errors.StaleParameterError, match=r"parameter encoder.weight was changed between .* before step\(\)"
    ):
        loss.backward()
    assert p.grad is None
    with nnx.record():
        loss = xp_backend.ns.sum(p.read() ** 2)
    loss.backward()
    assert_close(p.grad, np.asarray([6.0, 8.0]))


def test_reading_a_parameter_twice_gives_one_leaf(xp_backend):
    p = xp_backend.parameter(3.0)
    with nnx.record():
        assert p.read() is p.read()
    assert p.read() is p.value
    p.trainable = False
    with nnx.record():
        assert p.read() is p.value


# ------------------------------------------------------------------ in-place syntax


def test_item_assignment_rebinds(xp_backend):
    x = nnx.variable(xp_backend.array([1.0, 2.0, 3.0]))
    v = nnx.variable(xp_backend.array(5.0))
    y = x * 2.0
    before = y
    kept = y * y  # saves the old value
    y[1] = v
    assert y is before
    xp_backend.ns.sum(kept + y * y).backward()
    assert_close(x.grad, np.asarray([16.0, 16.0, 48.0]))
    assert_close(v.grad, np.asarray(10.0))
    assert_close(x._data, np.asarray([1.0, 2.0, 3.0]))


def test_in_place_arithmetic_rebinds(xp_backend):
    x = nnx.variable(xp_backend.array([1.0, 2.0]))
    y = x * x
    z = y
    y += x
    y -= 1.0
    y *= x
    y /= 2.0
    y **= 2
    assert z is y
    xp_backend.ns.sum(y).backward()
    values = np.asarray([1.0, 2.0])
    inner = (values**2 + values - 1) * values / 2
    assert_close(x.grad, 2 * inner * (3 * values**2 + 2 * values - 1) / 2)


def test_assignment_starts_tracking(xp_backend):
    y = xp_backend.ns.zeros(3, dtype=xp_backend.xp.float64, device=xp_backend.array(0.0).device)
    v = nnx.variable(xp_backend.array(2.0))
    y[0] = v
    y[2] = v * v
    xp_backend.ns.sum(y).backward()
    assert_close(v.grad, np.asarray(5.0))


def test_a_leaf_cannot_be_changed_in_place(xp_backend):
    x = nnx.variable(xp_backend.array([1.0, 2.0]))
    with pytest.raises(RuntimeError, match=r"item assignment on a leaf.*y = x \+ 0"):
        x[0] = 3.0
    with pytest.raises(RuntimeError, match="in-place add on a leaf"):
        x += 1.0
    assert_close(x._data, np.asarray([1.0, 2.0]))


def test_in_place_keeps_shape_and_dtype(xp_backend):
    y = xp_backend.ns.asarray(xp_backend.array([1.0, 2.0], "float32"))
    with pytest.raises(ValueError, match=r"in-place add: the result has shape \(3, 2\), the array \(2,\)"):
        y += xp_backend.array(np.ones((3, 2)), "float32")
    with pytest.raises(TypeError, match=r"in-place mul: the result has dtype .*complex64, the array .*float32"):
        y *= xp_backend.array([1j, 2j], "complex64")
    y += nnx.variable(xp_backend.array([1.0, 1.0], "float64"))
    assert_close(nnx.stop_gradient(y), np.asarray([2.0, 3.0]), "float32")


# ------------------------------------------------------------------ what is not tracked


def test_untracked_stays_untracked(xp_backend):
    xp = xp_backend.ns
    x = xp.asarray(xp_backend.array([1.0, 2.0]))
    y = xp.sum(xp.exp(x) * 2.0 + x @ x)
    assert isinstance(y, nnx.Array)
    assert not y.tracked
    assert y.grad is None


def test_nothing_flows_through_stop_gradient(xp_backend):
    x = nnx.variable(xp_backend.array([1.0, 2.0]))
    stopped = nnx.stop_gradient(x * x)
    assert not isinstance(stopped, nnx.Array)
    xp_backend.ns.sum(x * stopped).backward()
    assert_close(x.grad, np.asarray([1.0, 4.0]))
    tree = nnx.stop_gradient({"a": [x, 1.0], "b": None})
    assert tree["a"][0] is x._data
    assert tree["b"] is None


def test_integers_cannot_be_variables(xp_backend):
    with pytest.raises(
        nnx.errors.DTypeError, match=r"variable: expected floating-point numbers, got dtype int64. Cast it"
    ):
        nnx.variable(xp_backend.array([1, 2]))
    x = nnx.variable(xp_backend.array([1.5, 2.5]))
    assert not xp_backend.ns.astype(x, xp_backend.xp.int64).tracked


# ------------------------------------------------------------------ several outputs


def test_outputs_used_in_part_and_together(xp_backend):
    linalg = xp_backend.ns.linalg
    a = np.asarray([[2.0, 0.5], [-1.0, 3.0]])
    x = nnx.variable(xp_backend.array(a))
    sign, logabsdet = linalg.slogdet(x)
    (sign * 2.0 + logabsdet * logabsdet).backward()
    assert_close(x.grad, 2 * math.log(6.5) * np.linalg.inv(a).T)

    def f(x):
        xp = nnx.namespace(x)
        q, r = xp.linalg.qr(x)
        return xp.sum(q[0, :] ** 3) + xp.sum(xp.triu(r) ** 2)

    nnx.check_grads(f, (xp_backend.array(a),))
    nnx.check_grads(lambda x: nnx.namespace(x).linalg.qr(x)[1] ** 2, (xp_backend.array(a),))


# ------------------------------------------------------------------ threads


def test_two_threads_do_not_disturb_each_other():
    """Both build graphs of their own backend, record, and read their own default backend, in lockstep."""
    barrier = threading.Barrier(2, timeout=20)
    errors = []

    def work(name):
        try:
            with nnx.use_backend(name) as backend:
                p = nnx.Parameter(nnx.asarray(np.asarray([1.0, 2.0])))
                for step in range(20):
                    barrier.wait()
                    assert nnx.get_backend() is backend
                    if name == "numpy":
                        with nnx.record():
                            barrier.wait()
                            loss = nnx.namespace(p.read()).sum(p.read() ** 2)
                            barrier.wait()
                        loss.backward()
                        np.testing.assert_allclose(p.grad, [2.0 * (step + 1), 4.0 * (step + 1)])
                    else:
                        barrier.wait()
                        assert p.read() is p.value  # not recording here
                        barrier.wait()
                        g = nnx.grad(lambda x: nnx.namespace(x).sum(x * x))(p.value)
                        assert nnx.get_backend(g) is backend
        except BaseException as error:
            errors.append(error)
            barrier.abort()

    threads = [threading.Thread(target=work, args=(name,)) for name in ("numpy", "strict")]
    for t in threads:
        t.start()
    for t in threads:
        t.join(30)
    assert errors == []


# ------------------------------------------------------------------ copies


def test_copies_of_arrays(xp_backend):
    v = nnx.variable(xp_backend.array([1.0, 2.0]))
    for tracked in (v, v * 2.0):
        for act in (copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match=r"tracked array cannot be copied .*nnx\.stop_gradient.*nnx\.to_numpy"):
                act(tracked)
    twin = copy.copy(v)
    twin[0] = 5.0
    xp_backend.ns.sum(twin * v).backward()
    assert_close(v.grad, np.asarray([5.0, 4.0]))
    plain = xp_backend.ns.asarray(xp_backend.array([1.0, 2.0]))
    for copied in (copy.deepcopy(plain), copy.copy(plain), pickle.loads(pickle.dumps(plain))):
        assert type(copied) is type(plain)
        assert not copied.tracked
        assert_close(nnx.stop_gradient(copied), np.asarray([1.0, 2.0]))
    assert copy.deepcopy(plain)._data is not plain._data
