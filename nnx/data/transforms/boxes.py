"""Rectangles in images, one for each."""

import numpy as np


def inside(top: np.ndarray, left: np.ndarray, height: np.ndarray, width: np.ndarray, shape: tuple) -> np.ndarray:
    """Which pixels of images (N, H, W, C) lie in rectangles, each (N,): a mask (N, H, W).

    What of a rectangle lies outside the image is cut off.
    """
    y, x = np.arange(shape[1]), np.arange(shape[2])
    top, left, height, width = (each[:, None] for each in (top, left, height, width))
    rows = (y >= top) & (y < top + height)
    columns = (x >= left) & (x < left + width)
    return rows[:, :, None] & columns[:, None, :]
