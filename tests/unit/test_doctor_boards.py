"""The doctor on boards: probe, port and board together, and which tool can flash what."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from mcu_hybrid.cli.doctor import command
from mcu_hybrid.doctor import checks, flash, ports
from mcu_hybrid.doctor.checks import Check
from tests.support.fake_tools import FakeTools


def device(sysfs: Path, place: str, **facts: str) -> None:
    (sysfs / place).mkdir(parents=True)
    for name, text in facts.items():
        (sysfs / place / name).write_text(text + "\n")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ST-LINK with a port, a J-Link without, an STM32 of the user's own, a mouse."""
    from serial.tools import list_ports

    node = {"busnum": "250", "devnum": "251"}
    device(tmp_path, "1-1", idVendor="0483", idProduct="374b", serial="066F", **node)
    device(tmp_path, "1-2", idVendor="1366", idProduct="0101", serial="000683", **node)
    device(tmp_path, "1-3", idVendor="0483", idProduct="5740", serial="1234", **node)
    device(tmp_path, "1-4", idVendor="046d", idProduct="c077", **node)
    listed = [
        SimpleNamespace(
            device="/dev/ttyACM0", vid=0x483, pid=0x374B, serial_number="066F", description="STLink"
        ),
        SimpleNamespace(
            device="/dev/ttyACM1", vid=0x483, pid=0x5740, serial_number="1234", description="mine"
        ),
        SimpleNamespace(
            device="/dev/ttyS0", vid=None, pid=None, serial_number=None, description="n/a"
        ),
    ]
    monkeypatch.setattr(list_ports, "comports", lambda: listed)
    monkeypatch.setattr(ports.os, "access", lambda *_: True)
    return tmp_path


def test_probe_port_and_board_are_told_together(bench: Path) -> None:
    found = {check.name: check for check in ports.check_probes(bench)}
    assert found.keys() == {"ST-LINK probe 066F", "J-Link probe 000683"}
    told = found["ST-LINK probe 066F"].found
    assert "/dev/ttyACM0, board stm32f4 or stm32f7" in told
    assert "may be opened" in told
    assert "no serial port" in found["J-Link probe 000683"].found


def test_ports_name_their_probe_and_are_usb_ports(bench: Path) -> None:
    found = {check.name: check for check in ports.check_ports()}
    assert found.keys() == {"port /dev/ttyACM0", "port /dev/ttyACM1"}
    assert "ST-LINK 066F, board stm32f4 or stm32f7" in found["port /dev/ttyACM0"].found
    assert found["port /dev/ttyACM1"].found == "mine: free"


BUILTIN = {"targets": [{"name": n, "source": "builtin"} for n in ("nrf52840", "stm32h743xx")]}
PACK = {"targets": [*BUILTIN["targets"], {"name": "STM32F446RETx", "source": "pack"}]}


def rows(tools: FakeTools) -> dict[str, Check]:
    return {check.name: check for check in flash.check_boards(tools)}


def test_pyocds_packs_are_told_from_its_own_chips() -> None:
    answers = {"pyocd json --targets": "a warning\n" + json.dumps(BUILTIN)}
    found = rows(FakeTools("pyocd", answers=answers))
    assert found["flash stm32h7"].found == "pyocd"
    assert found["flash nrf52840dk"].found == "pyocd (with SEGGER's J-Link software)"
    for name, target in (("stm32f4", "stm32f446retx"), ("stm32f7", "stm32f746zgtx")):
        check = found[f"flash {name}"]
        assert not check.ok and f"lacks the pack of {target}" in check.found
        assert check.fix.startswith(f"pyocd pack install {target}")
    answers["pyocd json --targets"] = json.dumps(PACK)
    assert rows(FakeTools("pyocd", answers=answers))["flash stm32f4"].ok


def test_every_board_has_its_tools() -> None:
    found = rows(FakeTools("openocd", "st-flash"))
    assert found["flash stm32f4"].found == "openocd, st-flash"
    assert found["flash nrf52840dk"].found == "openocd"
    check = rows(FakeTools("st-flash"))["flash nrf52840dk"]
    assert not check.ok and "install openocd" in check.fix
    assert rows(FakeTools()) == {}


def test_a_pyocd_that_does_not_tell_is_believed() -> None:
    found = rows(FakeTools("pyocd", answers={"pyocd json": "Traceback ..."}))
    assert found["flash stm32f4"].ok


def test_every_extra_has_a_row() -> None:
    names = {check.name for check in checks.check_packages()}
    extras = ("train", "export", "bench", "cloud", "report", "search", "ray", "flash")
    assert {f"packages [{extra}]" for extra in extras} <= names
    assert not {"packages [all]", "packages [dev]"} & names


def test_strict_fails_where_something_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for ok in (True, False):
        monkeypatch.setattr(checks, "examine", lambda ok=ok: [Check("thing", ok, "found", "mend")])
        assert CliRunner().invoke(command, []).exit_code == 0
        for flags in (["--strict"], ["--strict", "--json"]):
            assert CliRunner().invoke(command, flags).exit_code == int(not ok)
