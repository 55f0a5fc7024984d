"""Data sets as they are found in the wild: read as a person reads them, or refused by name."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from mcu_hybrid.errors import DataError
from mcu_hybrid.training.data import load_data, make_dataset
from mcu_hybrid.training.image_decode import decode
from mcu_hybrid.training.image_tree import read_tree

image = pytest.importorskip("PIL.Image")

# Rotations and mirrors that EXIF's orientations 1..8 ask for.
TURNS = (
    lambda a: a,
    lambda a: a[:, ::-1],
    lambda a: a[::-1, ::-1],
    lambda a: a[::-1],
    lambda a: a.transpose(1, 0, 2),
    lambda a: np.rot90(a, -1),
    lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    lambda a: np.rot90(a, 1),
)


def names(*tops: str) -> list[str]:
    return [f"{top}/{name}/{i}.png" for top in tops for name in ("cat", "dog") for i in range(3)]


@pytest.mark.parametrize(
    "tops",
    [
        ("session1", "session2"),
        ("user_1", "user_2"),
        ("images", "masks"),
        ("original", "augmented"),
    ],
    ids=" ".join,
)
def test_what_is_no_class_at_the_top_is_refused(tops: tuple[str, ...]) -> None:
    with pytest.raises(DataError) as told:
        read_tree(Path("data"), names(*tops))
    assert all(top in told.value.message for top in tops)
    assert "class folders" in (told.value.hint or "")


def test_classes_below_which_the_same_words_stand_stay_classes() -> None:
    files = [f"{c}/{s}/{i}.png" for c in ("raw", "ripe") for s in ("session1", "x") for i in "ab"]
    assert {file.label for file in read_tree(Path("data"), files).files} == {"raw", "ripe"}


def test_numbers_in_names_are_sorted_as_text_and_that_is_said(tmp_path: Path) -> None:
    for number in range(11):
        folder = tmp_path / "data" / str(number)
        folder.mkdir(parents=True)
        image.fromarray(np.full((2, 2), 20 * number, np.uint8)).save(folder / "a.png")
    data = load_data(str(tmp_path / "data"))
    assert data.labels[:4] == ("0", "1", "10", "2") and data.y[2] == 2
    assert any("order of their names as text" in n and "1, 10, 2" in n for n in data.notes)
    x, y = np.full((22, 2, 2), 200, np.uint8), np.arange(22) % 11
    assert not make_dataset("x", x, y).notes  # numbered by itself: 10 is behind 9
    assert not make_dataset("x", x, y, tuple(f"{i:02}" for i in range(11))).notes
    assert make_dataset("x", x, y.astype(str)).notes


def test_dark_pictures_in_files_are_noticed_as_those_in_arrays(tmp_path: Path) -> None:
    """16-bit files that hold 0..255 are black."""
    for at, name in enumerate(("a", "b")):
        (tmp_path / "data" / name).mkdir(parents=True)
        deep = np.arange(4, dtype=np.uint16).reshape(2, 2) * 80 + at
        image.fromarray(deep).save(tmp_path / "data" / name / "x.png")
    told = " ".join(load_data(str(tmp_path / "data")).notes)
    assert "the brightest pixel is 1 of 255" in told and "scaled to 8" in told


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_all_orientations(kind: str) -> None:
    ramp = np.arange(72, dtype=np.uint8).reshape(4, 6, 3) * 3
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}
    for number, turn in enumerate(TURNS, 1):
        exif = image.Exif()
        exif[0x0112] = number
        out = io.BytesIO()
        image.fromarray(ramp).save(out, kind, exif=exif, **options.get(kind, {}))
        seen = Counter[str]()
        got, want = decode(out.getvalue(), None, seen), turn(ramp)
        assert got.shape == want.shape, number
        assert np.abs(got.astype(int) - want).max() <= 14, number
        assert bool(+seen) == (number > 1)


def deep_grey_with_alpha(alpha: int) -> bytes:
    """A PNG of colour type 4 with 16 bits, which Pillow cannot write."""

    def chunk(name: bytes, data: bytes) -> bytes:
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    rows = np.full((2, 2, 2), alpha, ">u2")
    rows[..., 0] = [[0, 65535], [257 * 100, 257 * 200]]
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    head = struct.pack(">IIBBBBB", 2, 2, 16, 4, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def test_deep_grey_with_alpha_is_grey() -> None:
    seen = Counter[str]()
    got = decode(deep_grey_with_alpha(65535), None, seen)
    assert got.ravel().tolist() == [0, 255, 100, 200] and got.shape == (2, 2, 1)
    half = decode(deep_grey_with_alpha(32768), None, seen)
    assert half.shape == (2, 2, 1) and half.min() > 100


def test_labels_of_pandas_and_of_torch() -> None:
    x = np.full((6, 2, 2), 200, np.uint8)
    assert make_dataset("x", x, np.array(["b", "a"] * 3, object)).labels == ("a", "b")
    with pytest.raises(DataError) as told:
        make_dataset("x", x, np.array([0.0, 1.0] * 3))
    assert "y.astype('int64')" in (told.value.hint or "")
    with pytest.raises(DataError) as told:
        make_dataset("x", x, np.array([0.5, 1.0] * 3))
    assert "astype" not in (told.value.hint or "")


def test_a_function_that_exits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "exiting.py").write_text("def f():\n    raise SystemExit(3)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DataError, match="failed with SystemExit"):
        load_data("exiting:f")


def test_a_zip_of_a_method_that_python_lacks(tmp_path: Path) -> None:
    """Windows zips large folders with Deflate64."""
    picture = io.BytesIO()
    image.fromarray(np.zeros((2, 2), np.uint8)).save(picture, "PNG")
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as made:
        for name in ("a/1.png", "b/1.png"):
            made.writestr(name, picture.getvalue())
    data = bytearray((tmp_path / "d.zip").read_bytes())
    for mark, at in ((b"PK\x01\x02", 10), (b"PK\x03\x04", 8)):
        start = data.find(mark)
        while start >= 0:
            data[start + at] = 9
            start = data.find(mark, start + 4)
    (tmp_path / "d.zip").write_bytes(data)
    with pytest.raises(DataError, match="cannot be read") as told:
        load_data(str(tmp_path / "d.zip"))
    assert "unpack it with the program that made it" in (told.value.hint or "")


def test_a_path_that_is_not_there_is_said_to_be() -> None:
    with pytest.raises(DataError, match="does not exist"):
        load_data("no/such/folder")
