"""A library for a higher core or FPU is refused with the make line that builds a right one."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from mcu_hybrid.board.load import load_board
from mcu_hybrid.board.types import Core
from mcu_hybrid.firmware.arm_attributes import excess, make_arguments, members

GCC, AR = shutil.which("arm-none-eabi-gcc"), shutil.which("arm-none-eabi-ar")
pytestmark = pytest.mark.skipif(
    GCC is None or AR is None, reason="arm-none-eabi-gcc is not installed"
)
BUILT = {
    "m0plus": "-mcpu=cortex-m0plus -mfloat-abi=soft",
    "m3": "-mcpu=cortex-m3 -mfloat-abi=soft",
    "m4": "-mcpu=cortex-m4 -mfpu=auto -mfloat-abi=hard",
    "m4-softfp": "-mcpu=cortex-m4 -mfpu=auto -mfloat-abi=softfp",
    "m7": "-mcpu=cortex-m7 -mfpu=auto -mfloat-abi=hard",
    "m7-sp": "-mcpu=cortex-m7 -mfpu=fpv5-sp-d16 -mfloat-abi=hard",
    "m33": "-mcpu=cortex-m33 -mfpu=auto -mfloat-abi=hard",
    "m55": "-mcpu=cortex-m55 -mfloat-abi=hard",
    "m55-nomve": "-mcpu=cortex-m55+nomve -mfloat-abi=hard",
    "a9": "-mcpu=cortex-a9 -mfpu=auto -mfloat-abi=hard",
}
M3, M4, M7, M55 = (
    load_board(name).core for name in ("mps2-an385", "nrf52840dk", "stm32h7", "mps3-an547")
)
M7_SP = load_board("stm32f7").core
NO_FPU = Core("cortex-m0plus", "M0+", ("-mcpu=cortex-m0plus",), "arm-none-eabi-", (), None, None)


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("objects")
    source = folder / "a.c"
    source.write_text("double twice(double x) { return 2 * x; }\nfloat half(float x) {return x/2;}")
    for name, flags in BUILT.items():
        target = folder / f"a_long_name_of_{name}.o"
        argv = [str(GCC), *flags.split(), "-mthumb", "-c", str(source), "-o", str(target)]
        subprocess.run(argv, check=True)
    return folder


def _library(objects: Path, path: Path, *names: str, thin: bool = False) -> Path:
    argv = [str(AR), "crsT" if thin else "crs", str(path)]
    subprocess.run([*argv, *(str(objects / f"a_long_name_of_{n}.o") for n in names)], check=True)
    return path


@pytest.mark.parametrize(
    ("built", "core", "words"),
    [
        ("m7", M7, None),
        ("m7-sp", M7, None),
        ("m7", M7_SP, "a double-precision FPU"),
        ("m7-sp", M7_SP, None),
        ("m7", M4, "uses an FPv5 FPU"),
        ("m7-sp", M4, "uses an FPv5 FPU"),
        ("m4", M4, None),
        ("m4", M7, None),
        ("m4-softfp", M4, "in no registers"),
        ("m55", M7, "is for ARMv8.1-M"),
        ("m55-nomve", M7, "is for ARMv8.1-M"),
        ("m33", M7, "is for ARMv8-M"),
        ("m33", M55, None),
        ("m55", M55, None),
        ("m4", M3, "is for ARMv7E-M"),
        ("m3", M3, None),
        ("m3", NO_FPU, "is for ARMv7"),
        ("m0plus", NO_FPU, None),
        ("m3", M4, "in no registers"),
        ("a9", M7, "profile A"),
    ],
)
def test_a_library_for_more_than_the_core_is_refused(
    objects: Path, tmp_path: Path, built: str, core: Core, words: str | None
) -> None:
    path = _library(objects, tmp_path / "lib.a", built)
    found = excess(path.read_bytes(), path, core)
    if words is None:
        assert found is None
    else:
        assert found is not None and words in found


@pytest.mark.parametrize("thin", [False, True])
def test_every_member_is_looked_at(objects: Path, tmp_path: Path, thin: bool) -> None:
    """CMSIS-NN's objects may be built apart: the first member says nothing of the last."""
    path = _library(objects, tmp_path / "lib.a", "m4", "m3", "m7", thin=thin)
    names = [name for name, _ in members(path.read_bytes(), path)]
    assert names == [f"a_long_name_of_{n}.o" for n in ("m4", "m3", "m7")]
    path = _library(objects, tmp_path / "other.a", "m4", "m7", thin=thin)
    found = excess(path.read_bytes(), path, M4)
    assert found is not None and found.endswith("(member a_long_name_of_m7.o)")


@pytest.mark.parametrize(
    ("core", "line"),
    [
        (M4, "TARGET_ARCH=cortex-m4+fp"),
        (M7, "TARGET_ARCH=cortex-m7+fp"),
        (M7_SP, "TARGET_ARCH=cortex-m7+fp FPU=fpv5-sp-d16"),
        (M3, "TARGET_ARCH=cortex-m3"),
        (M55, "TARGET_ARCH=cortex-m55"),
    ],
)
def test_the_hint_is_the_cores_own(core: Core, line: str) -> None:
    assert make_arguments(core) == line


def test_damaged_archives_have_no_members(objects: Path, tmp_path: Path) -> None:
    path = _library(objects, tmp_path / "lib.a", "m4", "m7")
    data = path.read_bytes()
    for cut in range(0, len(data), 97):
        list(members(data[:cut], path))
    text = re.sub(rb"`\n", b"xx", data)
    list(members(text, path))
    assert excess(b"!<arch>\n", path, M4) is None
