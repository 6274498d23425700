"""Gradients of code that knows nothing of nnx: plain NumPy, and SciPy functions that speak the Array API.

Run: ``python examples/numpy_and_scipy.py`` (SciPy is in the extra ``examples``).
"""

import os

os.environ["SCIPY_ARRAY_API"] = "1"  # SciPy looks at it when it is imported

import numpy as np
from scipy import special, stats
from scipy.optimize import elementwise, minimize

import nnx

# ---- plain NumPy: the period of a pendulum that is measured with noise

times = np.linspace(0.0, 10.0, 200)
truth = 0.3 * np.exp(-0.1 * times) * np.cos(2.2 * times + 0.5)
measured = truth + 0.02 * np.random.default_rng(0).standard_normal(200)


def misfit(parameters):
    """Written for NumPy: np.exp, np.cos and np.mean are recorded when they meet a tracked array."""
    amplitude, damping, frequency, phase = parameters
    model = amplitude * np.exp(-damping * times) * np.cos(frequency * times + phase)
    return np.mean((model - measured) ** 2)


def value_and_grad(parameters):
    value, gradient = nnx.value_and_grad(misfit)(parameters)
    return float(value), gradient


found = minimize(value_and_grad, np.asarray([0.2, 0.2, 2.0, 0.0]), jac=True, method="BFGS")
print(f"pendulum: {found.nfev} evaluations, frequency {found.x[2]:.3f} (true: 2.2), damping {found.x[1]:.3f} (0.1)")
assert abs(found.x[2] - 2.2) < 0.02

# ---- SciPy: a Newton iteration with the exact Hessian of a likelihood that uses special functions

samples = np.random.default_rng(1).gamma(shape=3.0, scale=2.0, size=5000)


def negative_log_likelihood(parameters):
    """Of the gamma distribution, in log(shape) and log(scale)."""
    xp = nnx.namespace(parameters)
    shape, scale = xp.exp(parameters[0]), xp.exp(parameters[1])
    log_density = (shape - 1) * np.log(samples) - samples / scale - special.gammaln(shape) - shape * xp.log(scale)
    return -xp.mean(log_density)


mean, variance = samples.mean(), samples.var()
theta = np.log([mean**2 / variance, variance / mean])  # where the moments are right
for _ in range(5):
    gradient = nnx.grad(negative_log_likelihood)(theta)
    theta = theta - np.linalg.solve(nnx.hessian(negative_log_likelihood)(theta), gradient)
shape, scale = np.exp(theta)
print(f"gamma distribution: shape {shape:.3f} (true: 3), scale {scale:.3f} (2), gradient {np.abs(gradient).max():.1e}")
assert np.abs(nnx.grad(negative_log_likelihood)(theta)).max() < 1e-9

# ---- SciPy: the sensitivity of a statistic to each sample, and of a root to its equation

data = np.asarray([2.1, 3.4, 1.9, 7.7, 4.2])
print("d skew / d sample:", nnx.grad(lambda x: stats.skew(x))(data).round(4))
nnx.check_grads(lambda x: stats.skew(x), (data,), order=1)


def cube_root(a):
    """By bracketing, in SciPy."""
    xp = nnx.namespace(a)
    bracket = (xp.zeros_like(a), xp.ones_like(a) * 10.0)
    return elementwise.find_root(lambda x, a: x**3 - a, bracket, args=(a,)).x


print("d a^(1/3) / da at 8:", float(nnx.grad(cube_root)(np.asarray(8.0))), "(1/12 =", 1 / 12, ")")
