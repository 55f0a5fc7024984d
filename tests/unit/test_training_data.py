"""Data sources, their errors, and the splits."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mcu_hybrid.errors import DataError, InputError
from mcu_hybrid.training.data import SPLITS, load_data, make_dataset, split

Image = pytest.importorskip("PIL.Image")
SHARES = (0.4, 0.2, 0.15, 0.25)


def png(value: int, mode: str = "L", size: tuple[int, int] = (6, 5)) -> bytes:
    out = io.BytesIO()
    Image.new(mode, size, value if mode == "L" else (value, 0, 9)).save(out, "PNG")
    return out.getvalue()


def write_tree(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def test_digits_are_stretched_to_the_full_range():
    data = load_data("digits")
    assert data.x.shape == (1797, 8, 8, 1) and data.x.dtype == np.uint8
    assert data.x.min() == 0 and data.x.max() == 255
    assert data.labels == tuple("0123456789") and data.fixed_test_mask is None
    assert data.digest == load_data("digits").digest


def test_folder_and_zip_of_it_are_the_same(tmp_path):
    files = {f"{c}/{i}.png": png(10 * i + ord(c)) for c in "ba" for i in range(3)}
    folder = write_tree(tmp_path / "set", {**files, "a/notes.txt": b"not an image"})
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w") as out:
        for name, data in files.items():
            out.writestr(f"set/{name}", data)
    one, two = load_data(str(folder)), load_data(str(archive))
    assert one.labels == ("a", "b") and one.y.tolist() == [0, 0, 0, 1, 1, 1]
    assert one.x.shape == (6, 5, 6, 1) and one.x[1, 0, 0, 0] == 10 + ord("a")
    assert one.digest == two.digest


def test_train_and_test_folders_fix_the_test_split(tmp_path):
    files = {f"{s}/{c}/{i}.png": png(i) for s in ("train", "test") for c in "ab" for i in range(20)}
    data = load_data(str(write_tree(tmp_path, files)))
    assert data.fixed_test_mask is not None and data.fixed_test_mask.sum() == 40
    parts = split(data, SHARES, 0)
    assert set(parts["test"]) == set(np.flatnonzero(data.fixed_test_mask))
    assert sum(map(len, parts.values())) == 80
    assert len(parts["fit"]) == 22  # 0.4 of 0.75, of 20 per class, rounded per class


def test_grey_and_colour_mix_becomes_colour_and_size_resizes(tmp_path):
    files = {f"a/{i}.png": png(200, "RGB") for i in range(3)}
    files |= {f"b/{i}.png": png(100, size=(8, 8)) for i in range(3)}
    write_tree(tmp_path, files)
    with pytest.raises(DataError, match=r"'b/0.png' is 8 x 8 pixels, 'a/0.png' is 6 x 5"):
        load_data(str(tmp_path))
    data = load_data(str(tmp_path), size=(4, 4))
    assert data.shape == (4, 4, 3) and (data.x[3] == 100).all()


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"readme.txt": b"x"}, "holds no images in class folders"),
        ({"top.png": png(1)}, "holds no images in class folders"),
        ({"a/1.png": png(1), "a/2.png": png(2)}, "only one class, 'a'"),
        ({"a/1.png": png(1), "b/broken.png": b"\x89PNG no"}, "image 'b/broken.png' cannot be read"),
        ({"a/1.png": png(1)[:40], "b/2.png": png(2)}, "image 'a/1.png' cannot be read"),
    ],
)
def test_bad_folders_and_zips(tmp_path, files, words):
    folder = write_tree(tmp_path / "d", files)
    with pytest.raises(DataError, match=words):
        load_data(str(folder))
    archive = tmp_path / "d.zip"
    with zipfile.ZipFile(archive, "w") as out:
        for name, data in files.items():
            out.writestr(name, data)
    with pytest.raises(DataError, match=words):
        load_data(str(archive))


def test_missing_empty_and_cut_sources(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "cut.zip").write_bytes(b"PK\x03\x04 cut")
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04 cut")
    for name, words in (
        ("empty", "holds no images"),
        ("none.zip", "does not exist"),
        ("none.npz", "does not exist"),
        ("cut.zip", "not a zip file"),
        ("cut.npz", "cannot be read as .npz"),
        ("nothing", "neither a folder"),
    ):
        with pytest.raises(DataError, match=words):
            load_data(str(tmp_path / name))


X = np.zeros((6, 4, 4), np.uint8)
Y = np.array([0, 0, 0, 1, 1, 1])


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": X}, "has no array 'y'"),
        ({"x": X, "y": Y[:5]}, r"y has shape \(5,\), x has 6 images"),
        ({"x": X, "y": Y * 0}, "only one class"),
        ({"x": X, "y": Y * 2}, "2 of 3 classes have images"),
        ({"x": X, "y": Y - 1}, "labels must be integers"),
        ({"x": X[0], "y": Y}, r"images have shape \(4, 4\)"),
        ({"x": np.zeros((6, 4, 4, 2), np.uint8), "y": Y}, "1 or 3 channels"),
        ({"x": X.astype(np.int32) + 7, "y": Y}, "images are int32 from 7 to 7"),
        ({"x": X, "y": Y, "test": np.ones(6, bool)}, "must mark some of the images"),
    ],
)
def test_bad_npz(tmp_path, arrays, words):
    np.savez(tmp_path / "d.npz", **arrays)
    with pytest.raises(DataError, match=words):
        load_data(str(tmp_path / "d.npz"))


def test_npz_takes_floats_names_and_a_test_mask(tmp_path):
    names = np.array(["dog", "dog", "cat", "cat", "cat", "dog"])
    mask = np.array([0, 0, 0, 0, 1, 1], bool)
    np.savez(tmp_path / "d.npz", x=np.full((6, 4, 4), 0.5), y=names, test=mask)
    data = load_data(str(tmp_path / "d.npz"))
    assert data.labels == ("cat", "dog") and data.y.tolist() == [1, 1, 0, 0, 0, 1]
    assert (data.x == 128).all() and data.fixed_test_mask.tolist() == mask.tolist()


def test_module_function(tmp_path, monkeypatch):
    (tmp_path / "my_source.py").write_text(
        "import numpy as np\n"
        "def good(): return np.zeros((4, 3, 3), np.uint8), [0, 1, 0, 1], ['no', 'yes']\n"
        "def bad(): return 1 / 0\n"
        "def odd(): return 7\n"
    )
    monkeypatch.chdir(tmp_path)
    assert load_data("my_source:good").labels == ("no", "yes")
    with pytest.raises(DataError, match="failed with ZeroDivisionError"):
        load_data("my_source:bad")
    with pytest.raises(DataError, match="returned int"):
        load_data("my_source:odd")
    with pytest.raises(InputError, match="has no 'none'"):
        load_data("my_source:none")
    with pytest.raises(InputError, match="cannot be imported"):
        load_data("no_such_module_here:f")


def test_splits_are_disjoint_stratified_and_seeded():
    data = load_data("digits")
    one, again, other = split(data, SHARES, 1), split(data, SHARES, 1), split(data, SHARES, 2)
    assert tuple(one) == SPLITS
    joined = np.concatenate(list(one.values()))
    assert len(joined) == len(np.unique(joined)) == 1797
    assert all((one[k] == again[k]).all() for k in one)
    assert (one["test"] != other["test"]).any()
    for name, share in zip(SPLITS, SHARES, strict=True):
        for label in range(10):
            wanted = share * (data.y == label).sum()
            assert abs((data.y[one[name]] == label).sum() - wanted) <= 1


def test_too_few_images_of_a_class_are_named():
    y = np.array([0] * 20 + [1] * 5)
    data = make_dataset("mine", np.zeros((25, 4, 4), np.uint8), y, ("many", "few"))
    with pytest.raises(DataError, match="class 'few' has 5 images"):
        split(data, SHARES, 0)


def test_the_digest_in_the_calibration_recipe_is_that_of_the_digits(root):
    recipe = (root / "calibration" / "digits" / "README.md").read_text()
    assert load_data("digits").digest in recipe
