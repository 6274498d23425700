"""Fixtures for every test that touches arrays: it runs over each backend that this machine has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import nnx
from nnx.backend import Backend, load_backend
from nnx.errors import BackendError


@dataclass(frozen=True)
class BackendUnderTest:
    """A backend, its two namespaces, and how a test gets arrays of it."""

    label: str
    backend: Backend

    @property
    def xp(self) -> Any:
        """The raw namespace."""
        return self.ns.raw

    @property
    def ns(self) -> Any:
        """The differentiable namespace."""
        return nnx.differentiable(self.backend.xp)

    def array(self, obj: Any, dtype: str | None = None) -> Any:
        """Return a raw array with the values of `obj`, in its dtype or another; not writeable under numpy-readonly."""
        values = np.array(obj, dtype=dtype)
        if self.label == "numpy-readonly":
            values.flags.writeable = False
        return self.backend.asarray(values)

    def parameter(self, obj: Any, dtype: str | None = None) -> nnx.Parameter:
        """Return a parameter with the values of `obj`. Its array is writeable: parameters own theirs."""
        return nnx.Parameter(self.backend.asarray(np.array(obj, dtype=dtype)))


@pytest.fixture(autouse=True)
def _seed() -> None:
    """Weights are the same in every run: what fails, fails again."""
    nnx.seed(0)


def _labels() -> list[Any]:
    labels: list[Any] = ["numpy", "numpy-readonly", "strict"]
    if find_spec("cupy") is not None:
        labels.append(pytest.param("cupy", marks=pytest.mark.gpu))
    return labels


@pytest.fixture(params=_labels())
def xp_backend(request: pytest.FixtureRequest) -> Iterator[BackendUnderTest]:
    """Each backend in turn; new arrays are born there. The arrays of `numpy-readonly` must not be written to."""
    name = request.param.partition("-")[0]
    try:
        load_backend(name)
    except BackendError as error:
        pytest.skip(str(error))
    with nnx.use_backend(name) as backend:
        yield BackendUnderTest(request.param, backend)


@pytest.fixture
def xp(xp_backend: BackendUnderTest) -> Any:
    """The raw namespace of `xp_backend`."""
    return xp_backend.xp
