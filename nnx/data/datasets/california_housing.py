"""California housing: what a house costs in 20,640 districts, from one CSV file."""

import csv
import gzip
import hashlib
import io
import os
import zlib
from pathlib import Path

import numpy as np

from nnx.data.datasets.download import directories, fetch
from nnx.errors import DataFileError

_NUMBERS = (
    "longitude",
    "latitude",
    "housing_median_age",
    "total_rooms",
    "total_bedrooms",
    "population",
    "households",
    "median_income",
)
_PLACES = ("<1H OCEAN", "INLAND", "ISLAND", "NEAR BAY", "NEAR OCEAN")
_TARGET, _PLACE = "median_house_value", "ocean_proximity"

CALIFORNIA_HOUSING_FEATURES = (*_NUMBERS, *(f"{_PLACE}: {place}" for place in _PLACES))

_URLS = tuple(
    f"https://raw.githubusercontent.com/ageron/handson-ml2/{version}/datasets/housing/housing.csv"
    for version in ("1e2115277b50f6c584cd668fa30e3af309a5b136", "master")
)
_NAME, _SIZE, _SHA256 = "housing.csv", 1423529, "8a3727f4cf54ac1a327f69b1d5b4db54c5834ea81c6e4efc0d163300022a685e"


def california_housing(
    *, root: str | os.PathLike[str] | None = None, download: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """California housing: census districts of 1990, and the median value of their houses.

    The file is looked for under ``$NNX_DATA/california_housing`` (never written to), then under
    ``$XDG_CACHE_HOME/nnx/california_housing`` (``~/.cache/nnx/california_housing``), and otherwise downloaded
    there (1.4 MB). With `root`, ``<root>/california_housing`` is the only place. It may be compressed
    (``housing.csv.gz``) or not (``housing.csv``). The SHA-256 of its content is checked every time.

    Parameters
    ----------
    root : path, optional
        The only directory to look in and download to: its subdirectory ``california_housing``.
    download : bool
        False: never use the network.

    Returns
    -------
    features : numpy.ndarray, shape (20640, 13), float32
        In the order of `CALIFORNIA_HOUSING_FEATURES`: degrees of longitude and latitude; median age of the houses in
        years; numbers of rooms, bedrooms, inhabitants and households in the district; median income in 10,000 US
        dollars; five columns of 0 and 1 for the place. 207 numbers of bedrooms are missing, and NaN.
    values : numpy.ndarray, shape (20640,), float32
        Median value of the houses in US dollars; 965 districts are capped at 500,001.

    Raises
    ------
    DataFileError
        If the file is corrupt (it is left alone), or is missing and cannot be downloaded.

    Notes
    -----
    Neighbours stand side by side in the file, so shuffle before splitting.

    Source: R. K. Pace and R. Barry, "Sparse spatial autoregressions", Statistics and Probability Letters 33
    (1997), in the variant of A. Géron, https://github.com/ageron/handson-ml2 (Apache 2.0): with missing values, and
    with the place.

    Examples
    --------
    >>> from nnx.data.datasets import CALIFORNIA_HOUSING_FEATURES, california_housing
    >>> features, values = california_housing()  # doctest: +SKIP
    >>> CALIFORNIA_HOUSING_FEATURES[7], features[0, 7], values[0]  # doctest: +SKIP
    ('median_income', 8.3252, 452600.0)
    """
    rows = list(csv.DictReader(io.StringIO(_content(root, download).decode("ascii"))))
    numbers = [[float(row[name] or "nan") for name in _NUMBERS] for row in rows]
    places = [[float(row[_PLACE] == place) for place in _PLACES] for row in rows]
    features = np.concatenate([numbers, places], axis=1).astype(np.float32)
    return features, np.asarray([float(row[_TARGET]) for row in rows], dtype=np.float32)


def _content(root: str | os.PathLike[str] | None, download: bool) -> bytes:
    """The file, wherever it lies, compressed or not, after its check; downloaded first if it is nowhere."""
    places = directories("california_housing", root)
    for directory in places:
        packed = directory / f"{_NAME}.gz"
        if packed.exists():
            return _unpacked(packed)
        if (directory / _NAME).exists():
            return fetch(_NAME, _URLS, _SHA256, _SIZE, directory, download).read_bytes()
    return fetch(_NAME, _URLS, _SHA256, _SIZE, places[-1], download).read_bytes()


def _unpacked(path: Path) -> bytes:
    """What is in a gzip file. Its own checksum says little: every compressor makes another file of the same text."""
    problem = f"expected SHA-256 {_SHA256} of its content, got another"
    try:
        content = gzip.decompress(path.read_bytes())
        if hashlib.sha256(content).hexdigest() == _SHA256:
            return content
    except (OSError, EOFError, zlib.error) as error:
        problem = str(error)
    raise DataFileError(
        f"{path} is truncated, corrupt or another file: {problem}. Delete it and run again with download=True to get "
        f"a fresh copy."
    )
