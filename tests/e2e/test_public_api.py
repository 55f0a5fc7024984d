"""The public API: what it names is there, it costs nothing to import, and its example runs."""

from __future__ import annotations

import importlib.util
import pkgutil
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mcu_hybrid
from mcu_hybrid import api

HEAVY = {"torch", "tensorflow", "fastapi", "uvicorn", "onnx", "onnxruntime", "ortools", "numpy"}


def test_the_package_offers_what_api_has() -> None:
    assert set(mcu_hybrid.__all__) == {*api.__all__, "__version__"}
    for name in api.__all__:
        assert getattr(mcu_hybrid, name) is getattr(api, name)
        assert getattr(api, name).__doc__, name
    assert set(mcu_hybrid.__all__) <= set(dir(mcu_hybrid))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = mcu_hybrid.nothing


def test_no_public_name_is_a_room() -> None:
    """Importing a room would put the module in the name's place: hence measure, export_model."""
    rooms = {module.name for module in pkgutil.iter_modules(mcu_hybrid.__path__)}
    assert not rooms & set(api.__all__)


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import mcu_hybrid", HEAVY),
        ("import mcu_hybrid as mh; mh.predict, mh.train, mh.serving", HEAVY - {"numpy"}),
    ],
)
def test_importing_it_takes_no_heavy_package(code: str, absent: set[str]) -> None:
    line = f"{code}\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
    assert not absent & set(done.stdout.split())


def test_it_says_that_it_is_typed() -> None:
    assert (Path(mcu_hybrid.__file__).parent / "py.typed").is_file()


def test_the_example_from_photos_to_routed_answers(root: Path, tmp_path: Path) -> None:
    """On scans of three digits and the host's board: the file that the page shows."""
    for package in ("torch", "sklearn", "onnx2tf", "onnxruntime", "fastapi", "tflite_micro"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    wanted = _photos(tmp_path)
    example = root / "docs" / "examples" / "photos_to_answers.py"
    code = [line for line in example.read_text("utf-8").splitlines() if line.strip()]
    assert len(code) <= 20
    done = subprocess.run(
        [sys.executable, str(example), "photos", "new", "native"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "XDG_STATE_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = dict(line.split(": ", 1) for line in done.stdout.splitlines()[1:])
    assert set(said) == set(wanted)
    right = sum(said[name].startswith(f"{digit},") for name, digit in wanted.items())
    assert right >= 0.8 * len(wanted)
    assert {text.rpartition(" ")[2] for text in said.values()} <= {"device", "cloud"}


def _photos(folder: Path) -> dict[str, str]:
    """photos/DIGIT/N.png to learn from, and new/N.png; returns the digit of each of the latter."""
    from PIL import Image
    from sklearn.datasets import load_digits

    data = load_digits()
    x = np.round(data.images * (255 / 16)).astype(np.uint8)
    (folder / "new").mkdir()
    wanted = {}
    for digit in range(3):
        (folder / "photos" / str(digit)).mkdir(parents=True)
        for n, image in enumerate(x[data.target == digit][:60]):
            name = f"{digit}_{n}.png"
            place = folder / "new" if n >= 50 else folder / "photos" / str(digit)
            Image.fromarray(image).save(place / name)
            if n >= 50:
                wanted[name] = str(digit)
    return wanted
