"""Data sets and networks of the user's own that cannot be used: named, and nothing is trained."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.support.bad_rig import Refused, Steps, npz

pytest.importorskip("torch")
Image = pytest.importorskip("PIL.Image")


def images(folder: Path, counts: dict[str, int], side: int = 6) -> Path:
    for label, count in counts.items():
        (folder / label).mkdir(parents=True)
        for n in range(count):
            Image.new("L", (side, side), n).save(folder / label / f"{n}.png")
    return folder


def test_an_empty_folder(work: Path, refused: Refused) -> None:
    (work / "photos").mkdir()
    told = refused("train", "--data", "photos", "--out", "t")
    assert told.kind == "DataError"
    assert "photos: holds no images in class folders" in told.message
    assert "CLASS/image.png" in told.hint


def test_one_class(work: Path, refused: Refused) -> None:
    images(work / "photos", {"cat": 9})
    told = refused("train", "--data", "photos", "--out", "t")
    assert "has only one class, 'cat'" in told.message


def test_too_few_images_of_a_class(work: Path, refused: Refused) -> None:
    images(work / "photos", {"cat": 9, "dog": 3})
    told = refused("train", "--data", "photos", "--out", "t")
    assert "class 'dog' has 3 images" in told.message


def test_an_unreadable_image(work: Path, refused: Refused) -> None:
    images(work / "photos", {"cat": 9, "dog": 9})
    whole = (work / "photos" / "dog" / "4.png").read_bytes()
    (work / "photos" / "dog" / "4.png").write_bytes(whole[:40])
    told = refused("train", "--data", "photos", "--out", "t")
    assert "image 'dog/4.png' cannot be read" in told.message


def test_images_of_several_sizes(work: Path, refused: Refused) -> None:
    images(work / "photos", {"cat": 9, "dog": 9})
    Image.new("L", (9, 7)).save(work / "photos" / "dog" / "4.png")
    told = refused("train", "--data", "photos", "--out", "t")
    assert "'dog/4.png' is 9 x 7 pixels" in told.message
    assert "--size" in told.hint


def test_a_damaged_zip(work: Path, refused: Refused) -> None:
    with zipfile.ZipFile(work / "good.zip", "w") as archive:
        for path in images(work / "photos", {"cat": 9, "dog": 9}).rglob("*.png"):
            archive.write(path, path.relative_to(work))
    data = (work / "good.zip").read_bytes()
    (work / "cut.zip").write_bytes(data[: len(data) // 2])
    assert "cut.zip: is not a zip file, or is damaged" in refused("train", "--data", "cut.zip")
    spoilt = bytearray(data)
    spoilt[60:80] = bytes(20)  # inside the first image
    (work / "bits.zip").write_bytes(spoilt)
    assert "bits.zip" in refused("train", "--data", "bits.zip").message
    assert "gone.zip: does not exist" in refused("train", "--data", "gone.zip")


@pytest.mark.parametrize(
    ("arrays", "fact"),
    [
        ({"x": np.zeros((40, 4, 4), np.uint8)}, "has no array 'y'"),
        ({"x": np.zeros((40, 4, 4), np.uint8), "y": np.zeros(40, int)}, "has only one class"),
        ({"x": np.zeros((40, 4, 4), np.uint8), "y": np.arange(39) % 2}, "y has shape (39,)"),
        ({"x": np.zeros((40, 4)), "y": np.arange(40) % 2}, "images have shape (40, 4)"),
        ({"x": np.full((40, 4, 4), 7.5), "y": np.arange(40) % 2}, "images are float64 from 7.5"),
        ({"x": np.zeros((40, 4, 4), np.uint8), "y": np.arange(40) % 2 * 2}, "2 of 3 classes"),
        ({"x": np.zeros((0, 4, 4), np.uint8), "y": np.zeros(0, int)}, "images have shape"),
    ],
)
def test_arrays_that_do_not_fit(
    arrays: dict[str, np.ndarray], fact: str, work: Path, refused: Refused
) -> None:
    np.savez(work / "d.npz", **arrays)
    told = refused("train", "--data", "d.npz", "--out", "t")
    assert "d.npz" in told.message and fact in told.message


def test_an_npz_that_is_none(work: Path, refused: Refused) -> None:
    (work / "d.npz").write_text("no arrays")
    assert "cannot be read as .npz" in refused("train", "--data", "d.npz")
    assert "does not exist" in refused("train", "--data", "gone.npz")


SOURCE = """\
import numpy as np
def good():
    return np.zeros((40, 4, 4), np.uint8), np.arange(40) % 2
def fails():
    return 1 / 0
def nothing():
    return None
thing = 3
"""


@pytest.mark.parametrize(
    ("spec", "fact"),
    [
        ("own_data:fails", "ZeroDivisionError: division by zero"),
        ("own_data:nothing", "returned NoneType"),
        ("own_data:missing", "module 'own_data' has no 'missing'"),
        ("own_data:thing", "is not callable"),
        ("no_module_here:good", "No module named 'no_module_here'"),
        ("own_syntax:good", "SyntaxError"),
        ("own_raises:good", "RuntimeError: not today"),
        ("nothing-there", "is neither a folder"),
    ],
)
def test_functions_that_do_not_work(spec: str, fact: str, work: Path, refused: Refused) -> None:
    (work / "own_data.py").write_text(SOURCE)
    (work / "own_syntax.py").write_text("def good(:\n")
    (work / "own_raises.py").write_text("raise RuntimeError('not today')\n")
    told = refused("train", "--data", spec, "--out", "t")
    assert fact in told.message


NETS = """\
import torch
from torch import nn
def not_a_net():
    return 3
def wrong_shape():
    return nn.Sequential(nn.Flatten(), nn.Linear(99, 3))
def fails():
    raise ValueError("no such thing")
def good():
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
"""


@pytest.mark.parametrize(
    ("spec", "fact"),
    [
        ("own_nets:not_a_net", "own_nets:not_a_net"),
        ("own_nets:wrong_shape", "own_nets:wrong_shape"),
        ("own_nets:fails", "no such thing"),
        ("own_nets:missing", "has no 'missing'"),
        ("reverence", "module:function"),
    ],
)
@pytest.mark.parametrize("option", ["--base", "--global"])
def test_networks_that_do_not_work(
    option: str, spec: str, fact: str, work: Path, refused: Refused
) -> None:
    (work / "own_nets.py").write_text(NETS)
    args = ("train", "--data", npz(work / "d.npz"), "--base-epochs", "1", "--global-epochs", "1")
    told = refused(*args, option, spec, "--out", "t")
    assert fact in told.message


def test_weights_of_another_network(work: Path, refused: Refused) -> None:
    import torch

    (work / "own_nets.py").write_text(NETS)
    torch.save({"x": torch.zeros(3)}, work / "w.pt")
    (work / "text.pt").write_text("no weights")
    args = ("train", "--data", npz(work / "d.npz"), "--base", "own_nets:good", "--out", "t")
    for file in ("w.pt", "text.pt"):
        told = refused(*args, "--base-weights", file)
        assert f"{file}: is not a state dict of this network" in told.message
    assert "gone.pt: does not exist" in refused(*args, "--base-weights", "gone.pt")


@pytest.mark.parametrize(
    ("option", "value", "names"),
    [
        ("--seed", -1, "config.seed"),
        ("--seed", 1 << 40, "config.seed"),
        ("--coverage", 0, "config.coverage"),
        ("--coverage", "nan", "config.coverage"),
        ("--threads", -1, "config.threads"),
        ("--base-width", -4, "config.base_width"),
        ("--base-epochs", -1, "config.base_epochs"),
        ("--router-hidden", 0, "config.router_hidden"),
    ],
)
def test_values_out_of_their_range(
    option: str, value: object, names: str, refused: Refused
) -> None:
    told = refused("train", option, value, "--out", "t")
    assert names in told.message


def test_run_with_other_data(steps: Steps, work: Path, refused: Refused) -> None:
    told = refused("run", steps.build, "--data", npz(work / "five.npz", side=5))
    assert "images are 5x5x1, the model takes 4x4x1" in told.message
    images(work / "photos", {"cat": 9, "dog": 9})
    told = refused("run", steps.build, "--data", "photos")
    assert "has the classes cat, dog; the model was trained on 0, 1, 2" in told.message


def test_export_with_other_data(steps: Steps, work: Path, refused: Refused) -> None:
    data = npz(work / "five.npz", side=5)
    told = refused("export", steps.root / "net.tflite", "--data", data, "--out", "e")
    assert "5" in told.message and "4" in told.message
    told = refused("export", steps.root / "net.tflite", "--data", "gone.npz", "--out", "e")
    assert "gone.npz: does not exist" in told.message
    args = ("export", steps.root / "net.tflite", "--data", steps.root / "data.npz", "--out", "e")
    assert "coverage" in refused(*args, "--coverage", "1.5").message
