"""Folders, zips and arrays as data sets: nothing is trained on that is not what it seems."""

from __future__ import annotations

import io
import os
import re
import struct
import warnings
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcu_hybrid.errors import DataError
from mcu_hybrid.training.data import describe, load_data, make_dataset, split

Image = pytest.importorskip("PIL.Image")
SHARES = (0.4, 0.2, 0.15, 0.25)
X = np.random.default_rng(0).integers(0, 256, (40, 4, 6)).astype(np.uint8)
Y = np.arange(40) % 2


def png(value: int, size: tuple[int, int] = (6, 4)) -> bytes:
    out = io.BytesIO()
    Image.new("L", size, value).save(out, "PNG")
    return out.getvalue()


def zipped(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as out:
        for name, data in files.items():
            out.writestr(name, data)
    return path


def photos(count: int = 10) -> dict[str, bytes]:
    return {f"{c}/{n}.png": png(60 * k + n) for k, c in enumerate("ab") for n in range(count)}


# --- folders


def test_links_are_followed_and_broken_ones_counted(tmp_path: Path) -> None:
    for name, data in photos().items():
        (tmp_path / "real" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "real" / name).write_bytes(data)
    (tmp_path / "d").mkdir()
    for label in "ab":
        (tmp_path / "d" / label).symlink_to(tmp_path / "real" / label)
    (tmp_path / "d" / "a" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "d" / "a" / "loop").symlink_to(tmp_path / "d")
    data = load_data(str(tmp_path / "d"))
    assert data.labels == ("a", "b") and len(data.y) == 20
    assert data.left_out["broken links"] == 1


def test_own_splits_are_kept_as_they_are(tmp_path: Path) -> None:
    counts = {"train": 20, "val": 9, "Test": 7}
    files = {
        f"{s}/{c}/{n}.png": png(100 * k + 30 * j + n)
        for j, (s, count) in enumerate(counts.items())
        for k, c in enumerate("ab")
        for n in range(count)
    }
    data = load_data(str(zipped(tmp_path / "d.zip", files)))
    parts = split(data, SHARES, 0)
    assert {name: len(indices) for name, indices in parts.items()} == {
        "fit": 26,
        "router": 14,
        "calibration": 18,
        "test": 14,
    }
    order = sorted(files, key=lambda name: name.split("/"))
    for name, folder in (("calibration", "val"), ("test", "Test")):
        assert {order[i].split("/")[0] for i in parts[name]} == {folder}
    together = np.concatenate(list(parts.values()))
    assert len(together) == len(np.unique(together)) == len(files)
    told = describe(data, parts)
    assert told.own_test_split and told.own_calibration_split
    assert load_data(str(tmp_path / "d.zip"), size=(4, 6)).digest == data.digest
    alone = {name: value for name, value in files.items() if not name.startswith("Test")}
    data = load_data(str(zipped(tmp_path / "e.zip", alone)))
    assert data.fixed_calibration_mask is None and data.fixed_test_mask is not None
    assert data.fixed_test_mask.sum() == 18


def test_what_was_changed_is_in_the_facts(tmp_path: Path) -> None:
    for label, mode in (("a", "RGB"), ("b", "L")):
        (tmp_path / label).mkdir()
        for n in range(10):
            Image.new(mode, (9, 6)).save(tmp_path / label / f"{n}.png")
    (tmp_path / "a" / "notes.txt").write_text("x")
    data = load_data(str(tmp_path), size=(4, 4))
    told = describe(data, split(data, SHARES, 0))
    assert told.classes == {"a": 10, "b": 10} and told.left_out == {"not read as images (.txt)": 1}
    assert sum(told.images.values()) == 20 and abs(sum(told.shares.values()) - 1) < 1e-3
    assert "20 images with another aspect ratio than --size: stretched" in told.notes
    assert "10 grey images among 10 in colour: made colour" in told.notes
    assert any("test images are also among the others" in note for note in told.notes)
    assert "1 pictures lie in more than one class (the same to the pixel)" in told.notes


def test_more_than_the_memory_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcu_hybrid.training.archives.memory_bytes", lambda: 500)
    with pytest.raises(DataError, match="20 images of 6 x 4 pixels need") as told:
        load_data(str(zipped(tmp_path / "d.zip", photos())))
    assert "--size" in told.value.hint


@pytest.mark.parametrize("source", ["d.zip", "d.npz"])
def test_a_size_beyond_the_memory_is_refused_at_once(source: str, tmp_path: Path) -> None:
    zipped(tmp_path / "d.zip", photos())
    np.savez(tmp_path / "d.npz", x=X, y=Y)
    with pytest.raises(DataError, match="images of 10000000 x 10000000 pixels need"):
        load_data(str(tmp_path / source), size=(10**7, 10**7))


# --- zips


def test_zips_as_windows_and_macos_make_them(tmp_path: Path) -> None:
    files = {f"set\\{name}".replace("/", "\\"): data for name, data in photos().items()}
    files |= {f"__MACOSX/set/{name}": b"x" for name in photos()}
    data = load_data(str(zipped(tmp_path / "d.ZIP", files)))
    assert data.labels == ("a", "b") and len(data.y) == 20
    assert data.left_out == {"in the hidden folder __MACOSX": 20}


def test_a_name_twice_in_a_zip_counts_once(tmp_path: Path) -> None:
    path = zipped(tmp_path / "d.zip", photos())
    with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as out:
        warnings.simplefilter("ignore")
        out.writestr("a/0.png", png(200))
    data = load_data(str(path))
    assert len(data.y) == 20 and data.x[0, 0, 0, 0] == 200
    assert data.left_out == {"twice in the zip under one name": 1}


def encrypted(path: Path) -> Path:
    """Mark every entry of a zip as encrypted, in both headers."""
    data = bytearray(path.read_bytes())
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(magic)
        while at >= 0:
            data[at + offset] |= 1
            at = data.find(magic, at + 4)
    path.write_bytes(data)
    return path


def overwritten(path: Path, magic: bytes, offset: int, value: bytes) -> Path:
    """Change a field of the first header of a kind."""
    data = bytearray(path.read_bytes())
    at = data.index(magic) + offset
    data[at : at + len(value)] = value
    path.write_bytes(data)
    return path


def refused(path: Path) -> str:
    with pytest.raises(DataError) as told:
        load_data(str(path))
    assert told.value.hint and str(path) in told.value.message
    return told.value.message


def test_encrypted_archives(tmp_path: Path) -> None:
    assert "'a/0.png' is encrypted" in refused(encrypted(zipped(tmp_path / "d.zip", photos())))
    np.savez(tmp_path / "d.npz", x=X, y=Y)
    assert "is encrypted" in refused(encrypted(tmp_path / "d.npz"))


def test_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcu_hybrid.training.archives._BOMB_BYTES", 1 << 20)
    bomb = zipped(tmp_path / "d.zip", photos() | {"a/big.png": bytes(3 << 20)})
    assert "as a zip bomb" in refused(bomb)
    # The size that it claims is small, what comes out is not.
    for magic, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        path = zipped(tmp_path / "lies.zip", {"a/0.png": bytes(3 << 20), "b/0.png": png(1)})
        told = refused(overwritten(path, magic, offset, struct.pack("<I", 100)))
        assert "'a/0.png'" in told or "zip bomb" in told


@pytest.mark.parametrize(
    ("magic", "offset", "value"),
    [
        (b"PK\x01\x02", 10, b"\x63\x00"),  # an unknown compression
        (b"PK\x01\x02", 16, b"\0\0\0\0"),  # another checksum
        (b"PK\x01\x02", 42, b"\xff\xff\xff\x00"),  # the entry lies outside
        (b"PK\x03\x04", 34, b"\xff" * 20),  # damaged data
        (b"PK\x05\x06", 16, b"\xff\xff\xff\x7f"),  # no directory there
        (b"PK\x05\x06", 12, b"\xff\xff\xff\x7f"),
    ],
)
def test_damaged_archives(tmp_path: Path, magic: bytes, offset: int, value: bytes) -> None:
    refused(overwritten(zipped(tmp_path / "d.zip", photos()), magic, offset, value))
    np.savez_compressed(tmp_path / "d.npz", x=X, y=Y)
    refused(overwritten(tmp_path / "d.npz", magic, offset, value))


def test_random_damage_is_one_error_or_none(tmp_path: Path) -> None:
    """Bytes flipped anywhere in both kinds of archive: a DataError, or the data set."""
    rng = np.random.default_rng(5)
    np.savez_compressed(tmp_path / "good.npz", x=X, y=Y)
    zipped(tmp_path / "good.zip", photos(8))
    for kind in ("npz", "zip"):
        good = (tmp_path / f"good.{kind}").read_bytes()
        for number in range(150):
            data = bytearray(good)
            for _ in range(rng.integers(1, 6)):
                data[rng.integers(len(data))] = rng.integers(256)
            path = tmp_path / f"d.{kind}"
            path.write_bytes(
                bytes(data[: rng.integers(20, len(data))] if number % 5 == 0 else data)
            )
            try:
                load_data(str(path))
            except DataError as told:
                assert told.hint and str(path) in told.message


# --- .npz headers


def npy(header: str, body: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    text = header.encode().ljust(118) + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text + body


@pytest.mark.parametrize(
    ("x", "words"),
    [
        ("{'descr': '|u1', 'fortran_order': False, 'shape': (9999999999, 4, 6), }", "header says"),
        ("{'descr': '|u1', 'fortran_order': False, 'shape': (40, 4, 5), }", "header says 800"),
        ("{'descr': '|u1', 'fortran_order': False, 'shape': (-40, -4, 6), }", ""),
        ("{'descr': '|u1', 'fortran_order': False, 'shape': (%s), }" % ("9" * 60), ""),
        ("{'descr': '|O', 'fortran_order': False, 'shape': (40,), }", "Python objects"),
        ("{'descr': '|u1', 'fortran_order': False}", "'x' in it cannot be read"),
        ("__import__('os').system('true')", "'x' in it cannot be read"),
        ("((((((", "'x' in it cannot be read"),
        ("", "'x' in it cannot be read"),
    ],
)
def test_headers_that_lie(tmp_path: Path, x: str, words: str) -> None:
    y = io.BytesIO()
    np.save(y, Y)
    path = zipped(tmp_path / "d.npz", {"x.npy": npy(x, X.tobytes()), "y.npy": y.getvalue()})
    assert words in refused(path)


def test_an_npy_called_npz(tmp_path: Path) -> None:
    with (tmp_path / "d.npz").open("wb") as stream:
        np.save(stream, X)
    assert "cannot be read as .npz" in refused(tmp_path / "d.npz")


def test_arrays_of_every_order_are_read_as_numpy_does(tmp_path: Path) -> None:
    for x in (np.asfortranarray(X), X[::-1], X.astype(">f4") / 255, X.astype(np.float16) / 255):
        np.savez(tmp_path / "d.npz", x=x, y=Y, labels=np.array([b"no", b"yes"]))
        data = load_data(str(tmp_path / "d.npz"))
        wanted = x if x.dtype == np.uint8 else np.round(np.asarray(x) * 255)
        assert (data.x[..., 0] == wanted).all() and data.labels == ("no", "yes")


# --- arrays


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": X.astype(np.float32)}, "'uint8'"),
        ({"x": X.astype(np.int64)}, "'uint8'"),
        ({"x": X.astype(np.uint16) * 257}, "65535"),
        ({"x": X / 127.5 - 1}, "mean"),
        ({"x": np.where(X > 250, np.nan, X / 255)}, "NaN"),
        ({"x": X > 100}, "255"),
        ({"x": X.astype(str)}, "images are <U"),
        ({"x": X.astype(complex)}, "images are complex128"),
        ({"x": np.zeros((40, 3, 5, 5), np.uint8)}, "transpose"),
        ({"x": [[1, 2], [3]]}, "is no array"),
        ({"y": np.eye(2)[Y]}, "argmax"),
        ({"y": Y[:, None]}, "ravel"),
        ({"y": Y.astype(float)}, "they are float64"),
        ({"y": Y - 1}, "the least is -1"),
        ({"y": Y * 2}, "2 of 3 classes"),
        ({"y": Y[:-1]}, r"y has shape \(39,\)"),
        ({"labels": ("a", "a")}, "two classes alike"),
        ({"labels": ("a", "b", "c")}, "2 of 3 classes"),
        ({"y": np.array(["a", "b"])[Y], "labels": ("x", "y")}, "y names a, b; labels are x, y"),
        ({"test": np.arange(40)}, "must mark some"),
        ({"test": np.zeros(40)}, "must mark some"),
        ({"test": np.array(["no", "yes"])[Y]}, "must mark some"),
    ],
)
def test_arrays_without_one_meaning(arrays: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError) as told:
        make_dataset("mine", **({"x": X, "y": Y} | arrays))
    text = f"{told.value.message} {told.value.hint}"
    assert re.search(words, text), text


def test_labels_order_the_names_in_y() -> None:
    data = make_dataset("mine", X, np.array(["a", "b"])[Y], ("b", "a"))
    assert data.labels == ("b", "a") and data.y.tolist() == (1 - Y).tolist()


def test_dark_images_and_unread_arrays_are_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=X // 200, y=Y, x_test=X)
    notes = load_data(str(tmp_path / "d.npz")).notes
    assert any("the brightest pixel is 1 of 255" in note for note in notes)
    assert any("not read: x_test" in note for note in notes)


def test_size_resizes_arrays_and_functions_as_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "d").mkdir()
    for label in range(2):
        (tmp_path / "d" / str(label)).mkdir()
    for number, (image, label) in enumerate(zip(X, Y, strict=True)):
        Image.fromarray(image).save(tmp_path / "d" / str(label) / f"{number:02}.png")
    order = np.argsort(Y, kind="stable")
    test = np.arange(40) < 10
    np.savez(tmp_path / "d.npz", x=X[order], y=Y[order], test=test)
    (tmp_path / "sized.py").write_text(
        "import numpy as np\ndef made():\n    d = np.load('d.npz')\n    return d['x'], d['y']\n"
    )
    monkeypatch.chdir(tmp_path)
    files = load_data("d", size=(8, 9))
    for spec in ("d.npz", "sized:made"):
        data = load_data(spec, size=(8, 9))
        assert (data.x == files.x).all() and (data.y == files.y).all()
        assert "resized from 4x6 to 8x9" in data.notes
        assert load_data(spec, size=(4, 6)).digest == load_data(spec).digest != data.digest
    assert load_data("d.npz", size=(8, 9)).fixed_test_mask.tolist() == test.tolist()
    assert load_data("digits", size=(6, 6)).shape == (6, 6, 1)


def test_what_search_tells_train_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A searched network wants smaller images than the arrays hold: --size makes them so."""
    pytest.importorskip("torch")
    from mcu_hybrid.nets.genome import Genome, Stage
    from mcu_hybrid.steps.train import train_step
    from mcu_hybrid.training.config import HybridConfig

    monkeypatch.chdir(tmp_path)
    np.savez("d.npz", x=np.repeat(X, 2, axis=1), y=Y)
    wanted = Genome((4, 5), 4, 1, (Stage(1, 4, 3, 1, 2),), head=0)
    config = HybridConfig(base=wanted.spec, base_epochs=1, global_epochs=1, global_width=4)
    config = replace(config, router_steps=5, router_views=1, threads=1, qat="no")
    facts = train_step("d.npz", config, Path("t"), size=wanted.size)
    assert facts.data.shape == (4, 5, 1) and facts.data.size == (4, 5)


def test_a_folder_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def walk(path: Path, onerror: Any, **_: object) -> list[Any]:
        onerror(PermissionError(13, "Permission denied", f"{path}/a"))
        return []

    (tmp_path / "a").mkdir()
    monkeypatch.setattr(os, "walk", walk)
    with pytest.raises(DataError, match="a' cannot be read: Permission denied"):
        load_data(str(tmp_path))
