"""ImageFolder: classes and files in order, sizes, modes, and what is said of damaged files."""

import importlib.util
import sys

import numpy as np
import pytest

import nnx
from nnx.data import DataLoader, ImageFolder, transforms
from nnx.errors import DataFileError, ShapeError

needs_pillow = pytest.mark.skipif(importlib.util.find_spec("PIL") is None, reason="needs Pillow")
RNG = np.random.default_rng(0)


def save(path, pixels, **options):
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


@pytest.fixture
def folder(tmp_path):
    """Two classes of 4 x 6 pixels; the directory, and the images by their paths within it."""
    names = ["dog/b.png", "dog/a.png", "cat/z.PNG", "cat/more/y.bmp"]
    images = {name: RNG.integers(256, size=(4, 6, 3), dtype=np.uint8) for name in names}
    for name, pixels in images.items():
        save(tmp_path / name, pixels)
    (tmp_path / "dog" / "notes.txt").write_text("not an image")
    (tmp_path / "dog" / ".hidden.png").write_text("not looked at")
    (tmp_path / ".cache").mkdir()
    (tmp_path / "readme.png").write_text("in no class")
    return tmp_path, images


@needs_pillow
def test_classes_and_files_are_sorted(folder):
    root, images = folder
    dataset = ImageFolder(root)
    assert dataset.classes == ("cat", "dog")
    expected = ["cat/more/y.bmp", "cat/z.PNG", "dog/a.png", "dog/b.png"]
    assert [path.relative_to(root).as_posix() for path in dataset.paths] == expected
    assert (dataset.labels.tolist(), dataset.labels.dtype) == ([0, 0, 1, 1], np.int64)
    assert len(dataset) == 4
    for (image, label), name in zip((dataset[i] for i in range(4)), expected, strict=True):
        np.testing.assert_array_equal(image, images[name])
        assert image.flags.writeable
        assert (image.dtype, label) == (np.uint8, int(name.startswith("dog")))
    assert repr(dataset) == f"ImageFolder({str(root)!r}, size=None, mode='RGB')"


@needs_pillow
def test_a_loader_reads_batches(folder):
    root, images = folder
    ((x, y),) = DataLoader(ImageFolder(root), batch_size=4, transform=transforms.ToFloat())
    assert (x.shape, x.dtype, y.tolist(), y.dtype) == ((4, 4, 6, 3), np.float32, [0, 0, 1, 1], np.int64)
    np.testing.assert_array_equal(x[3], images["dog/b.png"] / np.float32(255))


@needs_pillow
def test_sizes(folder):
    root, images = folder
    for size, shape in ((4, (4, 4, 3)), ((4, 6), (4, 6, 3)), ((8, 12), (8, 12, 3)), (3, (3, 3, 3))):
        assert ImageFolder(root, size)[0][0].shape == shape
    # Wider than the square: what is left over is cut off on both sides.
    np.testing.assert_array_equal(ImageFolder(root, 4)[2][0], images["dog/a.png"][:, 1:5])
    np.testing.assert_array_equal(ImageFolder(root, (4, 6))[2][0], images["dog/a.png"])
    save(root / "cat" / "a.png", np.repeat(np.asarray([[0, 0, 200, 200]] * 4, dtype=np.uint8)[..., None], 3, axis=-1))
    (left, right), below = ImageFolder(root, 2)[0][0][..., 0]  # smoothed: not every second pixel
    assert 0 < left < 60
    assert 140 < right < 200
    assert left + right == 200
    assert below.tolist() == [left, right]


@needs_pillow
def test_modes(tmp_path):
    grey = RNG.integers(256, size=(4, 6), dtype=np.uint8)
    save(tmp_path / "a" / "1.png", grey)
    save(tmp_path / "a" / "2.png", np.stack([grey, grey, grey, grey], axis=-1))  # with transparency
    for index in range(2):
        np.testing.assert_array_equal(ImageFolder(tmp_path, mode="L")[index][0], grey[..., None])
        np.testing.assert_array_equal(ImageFolder(tmp_path)[index][0], np.repeat(grey[..., None], 3, axis=-1))


@needs_pillow
def test_images_are_turned_as_the_camera_noted(tmp_path):
    from PIL import Image

    pixels = RNG.integers(256, size=(4, 6, 3), dtype=np.uint8)
    notes = Image.Exif()
    notes[0x0112] = 6  # the camera was held upright: turn clockwise
    save(tmp_path / "a" / "1.png", pixels, exif=notes)
    np.testing.assert_array_equal(ImageFolder(tmp_path)[0][0], np.rot90(pixels, -1))


@needs_pillow
@pytest.mark.parametrize(
    "damage", [lambda b: b[:-40], lambda b: b"not an image", lambda b: b"", lambda b: b[:100] + b"???"]
)
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_damaged_file_is_named(tmp_path, damage, suffix):
    path = tmp_path / "a" / f"1{suffix}"
    save(path, RNG.integers(256, size=(30, 30, 3), dtype=np.uint8))
    path.write_bytes(damage(path.read_bytes()))
    dataset = ImageFolder(tmp_path)
    with pytest.raises(
        DataFileError, match=r"^ImageFolder: .*1\.(png|jpg) is no intact image .* Repair or delete it"
    ) as caught:
        dataset[0]
    assert str(path) in str(caught.value)
    with pytest.raises(DataFileError, match="no intact image"):
        list(DataLoader(dataset))


@needs_pillow
def test_images_of_different_sizes(folder):
    root, _ = folder
    save(root / "cat" / "a.png", np.zeros((5, 5, 3), dtype=np.uint8))
    with pytest.raises(ShapeError, match="need equal shapes"):
        list(DataLoader(ImageFolder(root), batch_size=5))
    assert len(list(DataLoader(ImageFolder(root, size=4), batch_size=5))) == 1


@needs_pillow
def test_bad_arguments(folder, tmp_path):
    root, _ = folder
    for options, error, message in (
        ({"size": 0}, ValueError, "^ImageFolder: expected size to be a positive integer, got 0"),
        (
            {"size": (1, 2, 3)},
            TypeError,
            r"^ImageFolder: expected size as an integer or \(height, width\), got \(1, 2, 3\)",
        ),
        ({"mode": "CMYK"}, ValueError, r"^ImageFolder: expected mode='RGB' \(colour\) or 'L' \(grey\), got 'CMYK'"),
    ):
        with pytest.raises(error, match=message):
            ImageFolder(root, **options)
    with pytest.raises(DataFileError, match=r"ImageFolder: .*nowhere is not a directory"):
        ImageFolder(root / "nowhere")
    with pytest.raises(DataFileError, match=r"expected a folder for each class in .*more, got none"):
        ImageFolder(root / "cat" / "more")
    (root / "empty").mkdir()
    with pytest.raises(DataFileError, match=r"ImageFolder: .*empty has no image \(\.jpg, .*\)\. Remove the folder"):
        ImageFolder(root)


def test_without_pillow(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(
        ModuleNotFoundError, match=r'^ImageFolder needs Pillow; run `pip install "nnx-array\[images\]"`'
    ):
        nnx.data.ImageFolder(tmp_path)
