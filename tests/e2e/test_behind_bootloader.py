"""Firmware that does not start the chip itself: its vectors lie elsewhere, and interrupts work."""

from __future__ import annotations

import shutil
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from mcu_hybrid.board.load import Qemu
from mcu_hybrid.device.client import Device
from mcu_hybrid.firmware.build import build
from mcu_hybrid.firmware.render import render_project
from mcu_hybrid.machines import machine_of
from mcu_hybrid.process import Tools
from tests.support.own_boards import own_board

STUB = (Path(__file__).parent / "platform_rig" / "stub_model.c").read_text()


def test_interrupts_come_through_the_firmwares_own_vectors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for program in ("arm-none-eabi-gcc", "qemu-system-arm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    offset = {"start = 0x0000_0000, size = 0x40_0000": "start = 0x1_0000, size = 0x3F_0000"}
    board = own_board(tmp_path / "boards", "mps2-an500", {}, offset)
    project = render_project(tmp_path / "build", board, {"model.c": STUB})
    image = build(project, board, Tools())
    stack, start = struct.unpack_from("<II", image.elf.with_suffix(".bin").read_bytes())
    assert image.entry & ~1 == start & ~1 > 0x1_0000
    # The bootloader: stack and start at 0, and no interrupt's vector behind them.
    boot = tmp_path / "boot.bin"
    boot.write_bytes(struct.pack("<II", stack, start))
    args = ("-device", f"loader,addr=0,file={boot},force-raw=on")
    board = replace(board, qemu=Qemu("mps2-an500", args))
    with (
        machine_of(board).private(board, image.elf, Tools(), project.build_id) as running,
        Device.open(running.url, build_id=project.build_id) as device,
    ):
        assert device.hello().board == "mps2-an500"
