"""Images through affine maps: for every new pixel, where it was."""

import numpy as np

Pair = tuple[np.ndarray, ...]

# Numbers handled at once, so that they stay in a core's cache: several times as fast as a whole batch.
_BLOCK = 1 << 16


def inverse_affine(angles: np.ndarray, shifts: Pair, scales: np.ndarray, shears: Pair) -> np.ndarray:
    """Matrices (N, 2, 3) from new coordinates (x, y, 1), counted from the centre, to old ones.

    The map itself shears, rotates clockwise, scales and shifts; angles are in degrees, shifts (x, y) in pixels. As in
    torchvision: ``shift · rotation · scale · shear``.
    """
    turn, shear_x, shear_y = (np.deg2rad(each) for each in (angles, *shears))
    a = np.cos(turn - shear_y) / np.cos(shear_y)
    b = -a * np.tan(shear_x) - np.sin(turn)
    c = np.sin(turn - shear_y) / np.cos(shear_y)
    d = -c * np.tan(shear_x) + np.cos(turn)
    linear = np.stack([d, -b, -c, a], axis=-1).reshape(-1, 2, 2) / scales[:, None, None]
    # A quarter turn is to be exact, and pi / 2 is not.
    linear = np.round(linear, 12)
    moved = -(linear @ np.stack(shifts, axis=-1)[..., None])
    return np.concatenate([linear, moved], axis=-1)


def warp(images: np.ndarray, matrices: np.ndarray, interpolation: str, fill: np.ndarray) -> np.ndarray:
    """Images of which each pixel is the old one at the place that the matrix of its image says, or `fill` outside."""
    result = np.empty_like(images, order="C")
    step = max(1, _BLOCK // max(1, images[:1].size))
    sample = _nearest if interpolation == "nearest" else _bilinear
    for start in range(0, len(images), step):
        block = images[start : start + step]
        count, height, width, channels = block.shape
        x, y = _places(matrices[start : start + step], height, width)
        # With a frame of one pixel, every place outside has a pixel of its own: the nearest of the frame.
        framed = np.empty((count, height + 2, width + 2, channels), dtype=images.dtype)
        framed[...] = fill
        framed[:, 1:-1, 1:-1] = block
        result[start : start + step] = sample(framed, x, y)
    return result


def _places(matrices: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Old x and y of all new pixels, each (N, H, W), in coordinates of the framed image, at most on its frame."""
    center_x, center_y = (width - 1) / 2, (height - 1) / 2
    x = (np.arange(width) - center_x).reshape(1, 1, -1)
    y = (np.arange(height) - center_y).reshape(1, -1, 1)
    entries = matrices.reshape(-1, 6, 1, 1)
    old_x = entries[:, 0] * x + (entries[:, 1] * y + (entries[:, 2] + center_x + 1))
    old_y = entries[:, 3] * x + (entries[:, 4] * y + (entries[:, 5] + center_y + 1))
    return np.clip(old_x, 0, width + 1, out=old_x), np.clip(old_y, 0, height + 1, out=old_y)


def _nearest(framed: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return framed.reshape(-1, framed.shape[-1]).take(_numbers(framed, np.rint(x), np.rint(y)), axis=0)


def _bilinear(framed: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    _, height, width, channels = framed.shape
    # The upper left one of four pixels; at the last row and column, one to the left with all the weight on its right.
    left, top = (np.minimum(np.floor(at), size - 2) for at, size in ((x, width), (y, height)))
    first = _numbers(framed, left, top)
    pixels = framed.reshape(-1, channels)
    dtype = np.result_type(framed.dtype, np.float32)
    corners = (pixels.take(first + step, axis=0).astype(dtype, copy=False) for step in (0, 1, width, width + 1))
    upper, upper_right, lower, lower_right = corners
    # A weight for each channel, too: over three of them, NumPy's innermost loop would be three numbers long.
    parts = (np.repeat((at - low).astype(dtype)[..., None], channels, axis=-1) for at, low in ((x, left), (y, top)))
    to_right, down = parts
    for line, right in ((upper, upper_right), (lower, lower_right)):
        right -= line
        right *= to_right
        line += right
    lower -= upper
    lower *= down
    upper += lower
    return np.rint(upper, out=upper) if framed.dtype == np.uint8 else upper


def _numbers(framed: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The numbers of pixels, counted through all images."""
    count, height, width, _ = framed.shape
    start = np.arange(count).reshape(-1, 1, 1) * (height * width)
    return (start + y * width + x).astype(np.intp)
