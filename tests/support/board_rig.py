"""Builds firmware for a board and starts it, for tests that talk to a device (not a test)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from mcu_hybrid.board.load import Board
from mcu_hybrid.device.client import Device
from mcu_hybrid.errors import MissingTool
from mcu_hybrid.firmware.build import build
from mcu_hybrid.firmware.render import render_project
from mcu_hybrid.image.firmware import FirmwareImage
from mcu_hybrid.machines import machine_of
from mcu_hybrid.process import Tools

HERE = Path(__file__).parent / "board_rig_files"


def firmware(
    folder: Path, board: Board, files: Mapping[str, str], kernels: Sequence[str] = ()
) -> FirmwareImage:
    """Render and compile; skips where the board's compiler is not installed."""
    try:
        return build(render_project(folder, board, files, kernels=kernels), board, Tools())
    except MissingTool as error:
        pytest.skip(error.message)


@contextmanager
def running(board: Board, image: FirmwareImage) -> Iterator[Device]:
    """A device on a virtual board of its own; skips where the emulator is not installed."""
    try:
        with (
            machine_of(board).private(board, image.elf, Tools(), image.build_id) as found,
            Device.open(found.url, build_id=image.build_id) as device,
        ):
            yield device
    except MissingTool as error:
        pytest.skip(error.message)
