"""``--virtual`` and ``--machine`` from the command line: a user's machine, a real board's image."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from mcu_hybrid import plugins
from mcu_hybrid.cli import cli
from mcu_hybrid.machines import state
from tests.support.cli_rig import call, fail, own_state, text  # noqa: F401
from tests.support.own_boards import own_board

# All of a machine that a user adds: his own program in front of the firmware.
TOY = """
from mcu_hybrid.machines.base import Command
from mcu_hybrid.machines.program import ProgramMachine

class Toy(ProgramMachine):
    name = "toy"
    title = "a shell"
    tool = "sh"

    def can_run(self, board):
        return None if board.is_host else "a shell runs programs of this machine only"

    def command(self, board, elf, port):
        started = f'echo toy runs "$0" >&2; MH_PORT={port} exec "$0"'
        return Command(("sh", "-c", started, str(elf)))

MACHINE = Toy()
"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "plugins" / "machines"
    folder.mkdir(parents=True)
    (folder / "toy.py").write_text(TOY)
    monkeypatch.setenv(plugins.VARIABLE, str(folder.parent))


@pytest.fixture(scope="module")
def model(shared: Path) -> Path:
    return shared / "models" / "hello_world_int8.tflite"


def needs(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


def test_a_users_machine_runs_a_board(toy: None, model: Path, tmp_path: Path) -> None:
    needs("gcc", "sh")
    build = tmp_path / "build"
    call("build", model, "--board", "native", "--out", build)
    planned = call("flash", build, "--machine", "toy", "--dry-run")
    assert planned["commands"][0][:2] == ["sh", "-c"] and not planned["verified"]
    done = call("flash", build, "--virtual", "--machine", "toy")
    try:
        assert done["flasher"] == "toy" and done["verified"]
        running = state.running("native")
        assert running is not None and "toy runs" in Path(running.log).read_text()
        assert call("bench", build, "--runs", 2)["exact"] is True
        assert state.running("native") == running, "bench took the one that runs"
        (row,) = (b for b in call("boards") if b["name"] == "native")
        assert row["running"]["url"] == done["url"]
    finally:
        assert call("flash", build, "--stop")["stopped"]
    told = fail("flash", build, "--machine", "qemu")
    assert "qemu does not run native: its file has no [qemu] table" in told["message"]


def test_a_board_file_may_name_a_users_machine(toy: None, model: Path, tmp_path: Path) -> None:
    needs("gcc", "sh")
    boards, build = tmp_path / "boards", tmp_path / "build"
    own_board(boards, "native", {'["native"]': '["toy"]'})
    call("build", model, "--board", "native", "--boards", boards, "--out", build)
    done = call("flash", build, "--boards", boards)
    assert call("flash", build, "--boards", boards, "--stop")["stopped"]
    assert done["flasher"] == "toy"


@pytest.fixture(scope="module")
def real(model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, str]:
    """A build for a real board that QEMU knows too: its folder and --boards."""
    needs("arm-none-eabi-gcc", "qemu-system-arm")
    boards, build = tmp_path_factory.mktemp("boards"), tmp_path_factory.mktemp("made") / "build"
    usb = "usb = [{ vid = 0xFFFE, pid = 0xFFFD }]"
    own_board(
        boards,
        "mps2-an386",
        {
            "virtual = true\n": "",
            '["qemu"]': '["openocd"]',
            'kind = "socket"': f'kind = "uart", {usb}',
        },
    )
    call("build", model, "--board", "mps2-an386", "--boards", boards, "--out", build)
    return str(build), "--boards", str(boards)


def test_a_real_boards_image_runs_on_a_machine(real: tuple[str, str, str]) -> None:
    done = call("flash", *real, "--virtual")
    try:
        assert done["flasher"] == "qemu" and done["verified"]
        benched = call("bench", *real, "--virtual", "--runs", 2)
        assert benched["exact"] is True
        assert benched["latency_kind"] != "measured", "no machine's time is the board's"
        assert call("bench", *real, "--port", done["url"], "--runs", 2)["exact"] is True
    finally:
        assert call("flash", *real, "--stop")["stopped"]
    assert call("bench", *real, "--virtual", "--runs", 2)["exact"] is True, "one of its own"
    assert "is a real board: only virtual ones" in fail("flash", *real, "--stop")["message"]


@pytest.mark.parametrize("option", ["--port", "--probe", "--flasher"])
def test_what_only_a_real_board_has_is_refused(real: tuple[str, str, str], option: str) -> None:
    value = "openocd" if option == "--flasher" else "/dev/ttyACM9"
    told = fail("flash", *real, "--virtual", option, value)
    assert f"mps2-an386 on a machine has no {option[2:]}" in told["message"]
    assert option in told["hint"]


def test_a_board_that_no_machine_runs(model: Path, tmp_path: Path) -> None:
    needs("arm-none-eabi-gcc")
    build = tmp_path / "build"
    call("build", model, "--board", "stm32h7", "--out", build)
    for verb in ("flash", "bench"):
        told = fail(verb, build, "--virtual")
        assert told["error"] == "BoardError" and "no machine runs stm32h7" in told["message"]
        assert "mps2-an500" in told["hint"]


def test_the_shell_completes_a_users_machine(toy: None) -> None:
    done = ShellComplete(cli, {}, "mcu-hybrid", "_X").get_completions(["flash", "--machine"], "t")
    assert [item.value for item in done] == ["toy"]
