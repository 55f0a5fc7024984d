"""The doctor: each missing thing comes with the command that mends it."""

from __future__ import annotations

import os
import pty
import sys
from pathlib import Path

import pytest

from mcu_hybrid import extras
from mcu_hybrid.board.load import list_boards
from mcu_hybrid.doctor import checks, ports
from tests.support.fake_tools import FakeTools

GCC_ANSWERS = {
    "arm-none-eabi-gcc -print-file-name": "/usr/lib/arm-none-eabi/nano.specs\n",
    "arm-none-eabi-gcc --version": "arm-none-eabi-gcc (15:12.2.rel1-1) 12.2.1 20221205\n",
}
MACHINES = {board.qemu.machine for board in list_boards() if board.qemu}
QEMU_HELP = "Supported machines are:\n" + "".join(f"{name:<20} ARM\n" for name in MACHINES)


def test_a_missing_compiler_names_its_package() -> None:
    found = {check.name: check for check in checks.check_compilers(FakeTools("gcc"))}
    arm = found["arm-none-eabi-gcc"]
    assert not arm.ok
    assert arm.fix.startswith("sudo apt-get install gcc-arm-none-eabi")
    # Installed, but it tells no version: it does not run.
    assert not found["gcc"].ok


def test_a_compiler_is_found_with_its_version() -> None:
    tools = FakeTools("arm-none-eabi-gcc", answers=GCC_ANSWERS)
    arm = next(checks.check_compilers(tools))
    assert arm.ok
    assert arm.found.startswith("12.2")
    assert arm.fix == ""


def test_newlib_is_told_apart_from_the_compiler() -> None:
    tools = FakeTools("arm-none-eabi-gcc", answers=GCC_ANSWERS)
    assert checks.check_newlib(tools).ok
    # gcc answers with the bare name where the file is missing.
    tools = FakeTools("arm-none-eabi-gcc", answers={"arm-none-eabi-gcc -p": "nano.specs\n"})
    check = checks.check_newlib(tools)
    assert not check.ok
    assert check.fix == "sudo apt-get install libnewlib-arm-none-eabi"


def check_qemu(tools: FakeTools) -> checks.Check:
    (check,) = checks.check_machines(tools)
    return check


def test_an_emulator_without_our_machines_is_not_enough() -> None:
    version = "QEMU emulator version 7.2.22\n"
    answers = {"qemu-system-arm --version": version, "qemu-system-arm -M help": QEMU_HELP}
    assert check_qemu(FakeTools("qemu-system-arm", answers=answers)).ok
    for name in MACHINES:  # whichever board's it is
        answers["qemu-system-arm -M help"] = QEMU_HELP.replace(name, "another")
        check = check_qemu(FakeTools("qemu-system-arm", answers=answers))
        assert not check.ok
        assert f"lacks {name}" in check.found
    assert not check_qemu(FakeTools()).ok


def test_one_flashing_tool_is_enough() -> None:
    assert checks.check_flash_tools(FakeTools("st-flash")).ok
    check = checks.check_flash_tools(FakeTools())
    assert not check.ok
    for line in ("install openocd", "pip install pyocd", "install stlink-tools"):
        assert line in check.fix


def test_missing_packages_are_asked_for_with_their_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    requires = [
        "numpy>=1.24",
        'torch>=2.4; extra == "train"',
        "pytest (>=8) ; extra == 'train'",
        'mcu-hybrid-nothing<2,>=1; extra == "train"',
        'plotly>=5.20; extra == "report"',
    ]
    monkeypatch.setattr(extras.importlib.metadata, "requires", lambda _: requires)
    found = {check.name: check for check in checks.check_packages()}
    train = found["packages [train]"]
    assert not train.ok
    assert '"mcu-hybrid-nothing<2,>=1"' in train.fix
    assert train.fix.startswith(f"{sys.executable} -m pip install ")
    assert "pytest" not in train.fix, "that one is installed"


@pytest.fixture
def terminal(tmp_path: Path) -> str:
    """The name of a terminal that this process itself holds open."""
    master, slave = pty.openpty()
    yield os.ttyname(slave)
    os.close(master)
    os.close(slave)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_a_busy_port_names_its_owner(terminal: str) -> None:
    check = ports.check_port(terminal, "test line")
    assert not check.ok
    assert f"(pid {os.getpid()})" in check.found
    assert f"kill {os.getpid()}" in check.fix


def test_a_free_port_is_ok(tmp_path: Path) -> None:
    device = tmp_path / "ttyACM0"
    device.touch()
    assert ports.check_port(str(device), "test line").ok


def test_a_port_without_permission_names_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports.os, "access", lambda *_: False)
    check = ports.check_port("/dev/ttyACM77", "test line")
    assert not check.ok
    assert check.fix.startswith("sudo usermod -a -G dialout ")


def test_a_probe_without_permission_gets_a_udev_rule(tmp_path: Path) -> None:
    device = tmp_path / "1-1"
    device.mkdir()
    facts = {"idVendor": "0483", "idProduct": "374b", "busnum": "250", "devnum": "251"}
    for name, text in facts.items():
        (device / name).write_text(text + "\n")
    (check,) = ports.check_probes(tmp_path)
    assert check.name == "ST-LINK probe"
    assert "/dev/bus/usb/250/251" in check.found
    assert not check.ok
    assert 'ATTR{idVendor}=="0483"' in check.fix
    assert "udevadm control --reload" in check.fix


def test_the_whole_examination_runs_here() -> None:
    found = checks.examine()
    names = [check.name for check in found]
    assert len(names) == len(set(names))
    assert all(check.ok or check.fix for check in found)
