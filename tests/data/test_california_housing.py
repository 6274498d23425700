"""California housing: a tiny stand-in through the whole path, and the real file where present."""

import gzip
import hashlib
import importlib
import os
from pathlib import Path

import numpy as np
import pytest

from nnx.data.datasets import CALIFORNIA_HOUSING_FEATURES, california_housing
from nnx.errors import DataFileError

# The attribute of that name is the function.
module = importlib.import_module("nnx.data.datasets.california_housing")

CONTENT = b"""longitude,latitude,housing_median_age,total_rooms,total_bedrooms,population,households,median_income,\
median_house_value,ocean_proximity
-122.23,37.88,41.0,880.0,129.0,322.0,126.0,8.3252,452600.0,NEAR BAY
-122.16,37.77,47.0,1256.0,,570.0,218.0,4.375,161900.0,<1H OCEAN
"""


@pytest.fixture
def tiny(web, tmp_path, monkeypatch):
    """Two districts, on the local server; an empty cache; no NNX_DATA."""
    monkeypatch.setattr(module, "_SIZE", len(CONTENT))
    monkeypatch.setattr(module, "_SHA256", hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setattr(module, "_URLS", (web.url("/dead/housing.csv"), web.url("/live/housing.csv")))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("NNX_DATA", raising=False)
    web.files["/live/housing.csv"] = CONTENT
    return tmp_path


def put(directory, name, content):
    directory.mkdir(parents=True)
    (directory / name).write_bytes(content)
    return directory / name


def check(features, values):
    assert (features.dtype, values.dtype) == (np.float32, np.float32)
    expected = [
        [-122.23, 37.88, 41.0, 880.0, 129.0, 322.0, 126.0, 8.3252, 0, 0, 0, 1, 0],
        [-122.16, 37.77, 47.0, 1256.0, np.nan, 570.0, 218.0, 4.375, 1, 0, 0, 0, 0],
    ]
    np.testing.assert_array_equal(features, np.asarray(expected, dtype=np.float32))
    assert values.tolist() == [452600.0, 161900.0]


def test_download_from_the_second_mirror_into_the_cache(tiny, web):
    for _ in range(2):
        check(*california_housing())
    assert web.requests == ["/dead/housing.csv", "/live/housing.csv"]
    assert (tiny / "cache" / "nnx" / "california_housing" / "housing.csv").read_bytes() == CONTENT


@pytest.mark.parametrize("level", [1, 9])
def test_a_compressed_file_under_nnx_data_is_used_whoever_compressed_it(tiny, web, monkeypatch, level):
    put(tiny / "shared" / "california_housing", "housing.csv.gz", gzip.compress(CONTENT, level))
    monkeypatch.setenv("NNX_DATA", str(tiny / "shared"))
    check(*california_housing(download=False))
    assert web.requests == []


def test_root_is_the_only_place(tiny, web, monkeypatch):
    put(tiny / "shared" / "california_housing", "housing.csv", b"not looked at")
    monkeypatch.setenv("NNX_DATA", str(tiny / "shared"))
    with pytest.raises(DataFileError, match="is missing and download=False"):
        california_housing(root=tiny / "mine", download=False)
    check(*california_housing(root=tiny / "mine"))
    assert (tiny / "mine" / "california_housing" / "housing.csv").exists()


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("housing.csv", CONTENT[:-1], f"expected {len(CONTENT)} bytes, got {len(CONTENT) - 1}"),
        ("housing.csv", b"?" + CONTENT[1:], "expected SHA-256"),
        ("housing.csv.gz", gzip.compress(b"?" + CONTENT[1:]), "expected SHA-256 [0-9a-f]{64} of its content"),
        ("housing.csv.gz", gzip.compress(CONTENT)[:-9], "end-of-stream"),
        ("housing.csv.gz", CONTENT, "[Nn]ot a gzipped file"),
    ],
)
def test_a_damaged_file_is_refused_and_left_alone(tiny, web, monkeypatch, name, content, problem):
    path = put(tiny / "shared" / "california_housing", name, content)
    monkeypatch.setenv("NNX_DATA", str(tiny / "shared"))
    with pytest.raises(DataFileError, match=rf"(?s){problem}.*Delete it and run again with download=True") as caught:
        california_housing()
    assert str(path) in str(caught.value)
    assert path.read_bytes() == content
    assert web.requests == []


def test_the_real_file():
    root = os.environ.get("NNX_DATA")
    if not root or not (Path(root) / "california_housing").is_dir():
        pytest.skip("no california_housing under NNX_DATA")
    features, values = california_housing(root=root, download=False)
    assert features.shape == (20640, len(CALIFORNIA_HOUSING_FEATURES)) == (20640, 13)
    assert np.isnan(features).sum(axis=0).tolist() == [0] * 4 + [207] + [0] * 8
    places = dict(zip(CALIFORNIA_HOUSING_FEATURES[8:], features[:, 8:].sum(axis=0).tolist(), strict=True))
    assert places["ocean_proximity: INLAND"] == 6551
    assert list(places.values()) == [9136, 6551, 5, 2290, 2658]
    assert round(values.mean(dtype=np.float64), 2) == 206855.82
    assert (values.max(), int((values == 500001).sum())) == (500001, 965)
