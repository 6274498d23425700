"""Libraries that know nothing of nnx and speak the Array API: SciPy, scikit-learn, einops, array-api-extra."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

_HEAD = """
import warnings
warnings.filterwarnings("ignore")
import numpy as np, array_api_compat, nnx
rng = np.random.default_rng(0)
xp = array_api_compat.array_namespace
def draw(*shape):
    return rng.uniform(0.2, 0.9, shape)
def check(name, f, *args):
    tracked = f(*[nnx.variable(a) for a in args])
    assert isinstance(tracked, nnx.Array) and tracked.tracked, f"{name}: not tracked"
    np.testing.assert_allclose(np.asarray(nnx.stop_gradient(tracked)), np.asarray(f(*args)), rtol=1e-10, err_msg=name)
    def g(*args):
        out = f(*args)
        return out if hasattr(out, "dtype") else np.asarray(out)
    try:
        nnx.check_grads(g, args, order=1, rtol=1e-5, atol=1e-7)
    except AssertionError as error:
        raise AssertionError(f"{name}: {error}") from None
"""

_SCIPY = """
import scipy.special as special, scipy.stats as stats, scipy.integrate as integrate
import scipy.optimize as optimize
for name in "entr expit log_softmax softmax logsumexp".split():
    if hasattr(special, name):
        check(name, getattr(special, name), draw(3, 4))
check("logsumexp axis", lambda x: special.logsumexp(x, axis=1), draw(3, 4))
for name in "gmean hmean skew kurtosis zscore sem variation".split():
    check(name, lambda x, f=getattr(stats, name): f(x, axis=0), draw(6, 3))
check("trapezoid", lambda x: integrate.trapezoid(x, axis=0), draw(6, 3))
check("rosen", optimize.rosen, draw(5))
try:
    stats.pearsonr(nnx.variable(draw(8)), nnx.variable(draw(8)))  # its p-value leaves the namespace for NumPy
except BufferError as error:
    assert "would lose its gradient" in str(error)
else:
    raise AssertionError("a detour through NumPy went unnoticed")
"""

_SKLEARN = """
from sklearn import config_context
from sklearn.metrics import mean_squared_error
from sklearn.metrics.pairwise import cosine_similarity, euclidean_distances, rbf_kernel
def dispatched(f):
    def g(*args):
        with config_context(array_api_dispatch=True):
            return f(*args)
    return g
error = dispatched(lambda a, b: mean_squared_error(a, b, multioutput="raw_values"))
check("mean_squared_error", error, draw(6, 2), draw(6, 2))
check("cosine_similarity", dispatched(cosine_similarity), draw(4, 3), draw(5, 3))
check("euclidean_distances", dispatched(euclidean_distances), draw(4, 3), draw(5, 3))
check("rbf_kernel", dispatched(rbf_kernel), draw(4, 3), draw(5, 3))
"""

_EINOPS = """
import einops.array_api as einops
check("rearrange", lambda x: einops.rearrange(x, "a (b c) -> b a c", b=2) ** 2, draw(3, 4))
check("reduce", lambda x: einops.reduce(x, "a (b c) -> b", "mean", b=2) ** 2, draw(3, 4))
check("repeat", lambda x: einops.repeat(x, "a b -> (a 2) b") ** 2, draw(3, 4))
"""

_EXTRA = """
import array_api_extra as xpx
check("at set", lambda x: xpx.at(x)[0].set(3.0, copy=True) * x, draw(4))
check("at multiply", lambda x: xpx.at(x)[1:].multiply(2.0, copy=True) * x, draw(4))
check("pad", lambda x: xpx.pad(x, 1) ** 2, draw(3, 3))
check("kron", xpx.kron, draw(2, 2), draw(2, 2))
check("cov", xpx.cov, draw(3, 5))
check("sinc", xpx.sinc, draw(3))
"""

_SCRIPTS = {"scipy": _SCIPY, "sklearn": _SKLEARN, "einops": _EINOPS, "array_api_extra": _EXTRA}


@pytest.mark.parametrize("library", _SCRIPTS)
def test_gradients_through(library):
    pytest.importorskip(library)
    # SciPy reads the variable when it is imported, hence a process of its own.
    environment = {**os.environ, "SCIPY_ARRAY_API": "1"}
    done = subprocess.run(
        [sys.executable, "-c", _HEAD + _SCRIPTS[library]], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr[-2000:]
