"""Machines: which one runs which board, and what a user's file that is none is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mcu_hybrid import machines, plugins
from mcu_hybrid.board.load import board_names, list_boards, load_board
from mcu_hybrid.errors import BoardError, InputError
from mcu_hybrid.machines.base import Machine
from tests.support.fake_tools import FakeTools

NAMES = machines.names()


def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> Path:
    """One file in a folder that the environment names."""
    folder = tmp_path / "plugins" / "machines"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.py"
    path.write_text(text)
    monkeypatch.setenv(plugins.VARIABLE, str(folder.parent))
    return path


@pytest.mark.parametrize("name", NAMES)
def test_each_keeps_the_protocol(name: str) -> None:
    machine = machines.named(name)
    assert isinstance(machine, Machine) and machine.name == name and machine.title
    for board in list_boards():
        reason = machine.can_run(board)
        if reason is not None:
            assert reason
            continue
        command = machine.command(board, Path("fw.elf"), 4711)
        assert "fw.elf" in command.line and "4711" in " ".join(command.line)
        # Who says that instructions are counted runs boards whose ticks are instructions.
        assert machine.capabilities.count == (board.chip.tick.instructions > 0)


@pytest.mark.parametrize("name", board_names())
def test_a_virtual_board_has_the_machine_that_its_file_names(name: str) -> None:
    board = load_board(name)
    if board.is_virtual:
        assert (machines.machine_of(board).name,) == board.flashers
        traces = machines.tracer_of(board) is not None
        assert traces == machines.machine_of(board).capabilities.trace == (not board.is_host)
    else:
        assert list(machines.all_for(board)) == []


def test_a_board_without_a_machine_names_those_that_have_one() -> None:
    with pytest.raises(BoardError, match="no machine runs stm32h7 ") as caught:
        machines.machine_of(load_board("stm32h7"))
    for name in NAMES:
        assert f"{name}: " in caught.value.message
    virtual = [board.name for board in list_boards() if board.is_virtual]
    assert f"boards with a machine: {', '.join(virtual)};" in caught.value.hint


def test_the_machine_that_is_named_must_run_the_board() -> None:
    with pytest.raises(BoardError, match="native does not run mps2-an500: its firmware is no"):
        machines.machine_of(load_board("mps2-an500"), name="native")
    with pytest.raises(BoardError, match=r"machine 'bochs' is unknown\n.*one of: qemu, native"):
        machines.machine_of(load_board("mps2-an500"), name="bochs")


SECOND = """
from mcu_hybrid.machines.qemu import QemuMachine

class Second(QemuMachine):
    name, tool = "second", "other-qemu"

MACHINE = Second()
"""


def test_one_that_is_installed_is_preferred(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin(tmp_path, monkeypatch, "second", SECOND)
    board = load_board("mps2-an500")
    assert machines.names() == (*NAMES, "second")
    assert machines.machine_of(board, FakeTools("other-qemu")).name == "second"
    assert machines.machine_of(board, FakeTools("other-qemu", "qemu-system-arm")).name == "qemu"
    assert machines.machine_of(board, FakeTools()).name == "qemu"


def test_the_same_folder_named_twice_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = plugin(tmp_path, monkeypatch, "second", SECOND)
    monkeypatch.setattr(plugins, "_ADDED", [])
    plugins.add_folder(path.parent.parent)
    assert machines.names() == (*NAMES, "second")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("broken", "import no_such_package", "broken.py: cannot be loaded: ModuleNotFoundError"),
        ("broken", "def f(:", "broken.py: cannot be loaded: SyntaxError"),
        ("broken", "MACHINES = 1", "broken.py: cannot be loaded: AttributeError"),
        ("broken", "MACHINE = 1", "MACHINE of broken.py is no machine called 'broken'"),
        ("broken", SECOND, "MACHINE of broken.py is no machine called 'broken'"),
        ("qemu", SECOND, "qemu.py: 'qemu' is the name of one of our own already"),
    ],
)
def test_a_file_that_is_no_machine_is_told(
    name: str, text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin(tmp_path, monkeypatch, name, text)
    with pytest.raises(InputError) as caught:
        machines.named(name)
    assert said in caught.value.message and caught.value.hint


def test_two_files_of_one_name_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = plugin(tmp_path / "a", monkeypatch, "second", SECOND).parent.parent
    second = plugin(tmp_path / "b", monkeypatch, "second", SECOND).parent.parent
    monkeypatch.setenv(plugins.VARIABLE, os.pathsep.join((str(first), str(second))))
    with pytest.raises(InputError, match=r"'second' is the name of .*second\.py"):
        machines.names()


def test_a_folder_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(plugins.VARIABLE, "/no/such/folder")
    with pytest.raises(InputError, match="/no/such/folder: the folder does not exist"):
        machines.names()
