"""The wheel: boards, templates and kernels are inside it, and it works from any folder."""

from __future__ import annotations

import configparser
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCES = ("mcu_hybrid", "boards", "firmware_templates")
FILES = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def installed(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, unpacked into a folder of its own."""
    work = tmp_path_factory.mktemp("wheel")
    copy = work / "checkout"  # setuptools writes build/ and *.egg-info beside what it builds
    copy.mkdir()
    for name in SOURCES:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(root / name, copy / name, ignore=ignore)
    for name in FILES:
        shutil.copy(root / name, copy / name)
    target = work / "site"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation"),
            *(
                "--no-index",
                "--disable-pip-version-check",
                "-q",
                "--target",
                str(target),
                str(copy),
            ),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if "setuptools" in done.stderr and done.returncode:
        pytest.skip(f"the wheel cannot be built here: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stderr
    return target


def call(installed: Path, cwd: Path, *args: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(installed), "XDG_STATE_HOME": str(cwd / "state")}
    return subprocess.run(
        [sys.executable, *args],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_package_is_listed(root: Path) -> None:
    setup = configparser.ConfigParser()
    setup.read(root / "setup.cfg")
    listed = set(setup["options"]["packages"].split())
    found = {
        ".".join(path.parent.relative_to(root).parts)
        for path in (root / "mcu_hybrid").rglob("*.py")
    }
    assert found <= listed


def test_all_data_files_are_inside(root: Path, installed: Path) -> None:
    package = installed / "mcu_hybrid"
    for source, target in (
        (root / "boards", package / "_data" / "boards"),
        (root / "firmware_templates", package / "_data" / "firmware_templates"),
        (root / "mcu_hybrid" / "kernels", package / "kernels"),
        (root / "mcu_hybrid" / "report", package / "report"),
    ):
        wanted = {
            path.relative_to(source)
            for path in source.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        assert wanted, source
        missing = {name for name in wanted if not (target / name).is_file()}
        assert not missing


def test_boards_from_another_folder(root: Path, installed: Path, tmp_path: Path) -> None:
    where = call(installed, tmp_path, "-c", "import mcu_hybrid; print(mcu_hybrid.__file__)")
    assert where.stdout.startswith(str(installed))
    done = call(installed, tmp_path, "-m", "mcu_hybrid", "boards", "--json")
    assert done.returncode == 0, done.stderr
    names = [board["name"] for board in json.loads(done.stdout)]
    assert names == sorted(
        path.stem for path in (root / "boards").glob("*.toml") if path.stem != "cores"
    )


def test_firmware_is_built_from_the_wheel(shared: Path, installed: Path, tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("no host compiler")
    model = shared / "models" / "hello_world_int8.tflite"
    args = ("build", str(model), "--board", "native", "--out", "firmware", "--json")
    done = call(installed, tmp_path, "-m", "mcu_hybrid", *args)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["board"] == "native"
    assert (tmp_path / "firmware" / "firmware.elf").is_file()


def test_the_script_is_declared(installed: Path) -> None:
    points = next(installed.glob("mcu_hybrid-*.dist-info")) / "entry_points.txt"
    assert "mcu-hybrid = mcu_hybrid.cli:main" in points.read_text()
