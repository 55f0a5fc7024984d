"""Boards and programs: unknown boards, wrong board files, programs and packages not installed."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

import pytest

from mcu_hybrid import process
from mcu_hybrid.board.load import load_board
from mcu_hybrid.steps.build import build_step
from tests.support.bad_rig import Refused, Steps, classifier, npz
from tests.support.own_boards import write_boards


@pytest.fixture
def net(work: Path) -> Path:
    path = work / "net.tflite"
    path.write_bytes(classifier())
    return path


@pytest.fixture
def no_programs(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PATH on which there is nothing."""
    monkeypatch.setenv("PATH", str(work / "no" / "bin"))
    monkeypatch.setattr(process, "OWN_PROGRAMS", str(work / "no" / "bin"))


# --- boards


def test_an_unknown_board(net: Path, refused: Refused) -> None:
    for args in (("build", net, "--out", "out"), ("bench", net), ("flash", "--stop"), ("demo",)):
        told = refused(*args, "--board", "stm32h9")
        assert told.kind == "BoardError"
        assert "board 'stm32h9' is unknown" in told.message
        assert "mps2-an500" in told.hint and "--boards" in told.hint


@pytest.mark.parametrize(
    ("file", "text", "spoilt", "names"),
    [
        ("own.toml", "title =", "colour = 3\ntitle =", "own.toml: colour"),
        ("own.toml", '["qemu"]', '["magic"]', "magic"),
        ("own.toml", 'chip = "small"', 'chip = "none"', "none"),
        ("own.toml", "title =", "title = [", "own.toml"),
        ("chips/small.toml", "stack_bytes", "stack_byte", "small.toml: stack_byte"),
        ("chips/small.toml", 'core = "mine"', 'core = "m9"', "m9"),
        ("chips/small.toml", "0x2001_0000", "0x2000_1000", "overlap"),
    ],
)
@pytest.mark.parametrize("verb", ["boards", "build"])
def test_a_wrong_board_file(
    verb: str,
    file: str,
    text: str,
    spoilt: str,
    names: str,
    net: Path,
    refused: Refused,
) -> None:
    folder = write_boards(net.parent / "mine", (file, text, spoilt))
    rest = () if verb == "boards" else (net, "--board", "own", "--out", "out")
    told = refused(verb, *rest, "--boards", folder)
    assert told.kind == "BoardError"
    assert names in told.message
    assert str(folder) in told.message


def test_a_build_for_another_board(steps: Steps, refused: Refused) -> None:
    for verb in ("flash", "bench"):
        told = refused(verb, steps.build, "--board", "stm32h7")
        assert "was built for native, not for stm32h7" in told.message
        assert "mcu-hybrid build" in told.hint


def test_only_virtual_boards_can_be_stopped(refused: Refused) -> None:
    assert "real board" in refused("flash", "--stop", "--board", "stm32h7").message


# --- programs


@pytest.mark.usefixtures("no_programs")
@pytest.mark.parametrize(
    ("board", "program", "mends"),
    [
        ("mps2-an500", "arm-none-eabi-gcc", "sudo apt-get install gcc-arm-none-eabi"),
        ("stm32h7", "arm-none-eabi-gcc", "sudo apt-get install gcc-arm-none-eabi"),
        ("native", "gcc", "sudo apt-get install gcc"),
    ],
)
@pytest.mark.parametrize("verb", ["build", "bench"])
def test_no_compiler(
    verb: str, board: str, program: str, mends: str, net: Path, refused: Refused
) -> None:
    told = refused(verb, net, "--board", board, "--out", "out")
    assert told.kind == "MissingTool"
    assert told.message == f"{program} is not installed"
    assert told.hint.startswith(mends)


@pytest.fixture(scope="module")
def for_boards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small model built for a virtual and for a real board."""
    import shutil

    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    folder = tmp_path_factory.mktemp("built")
    (folder / "net.tflite").write_bytes(classifier())
    for board in ("mps2-an500", "stm32h7"):
        build_step(folder / "net.tflite", load_board(board), folder / board)
    return folder


@pytest.mark.usefixtures("no_programs")
@pytest.mark.parametrize("verb", ["bench", "flash"])
def test_no_emulator(verb: str, for_boards: Path, refused: Refused) -> None:
    told = refused(verb, for_boards / "mps2-an500")
    assert told.kind == "MissingTool"
    assert "qemu-system-arm is not installed" in told.message
    assert told.hint == "sudo apt-get install qemu-system-arm"


@pytest.mark.usefixtures("no_programs")
def test_no_flasher(for_boards: Path, refused: Refused) -> None:
    told = refused("flash", for_boards / "stm32h7", "--port", "/dev/null")
    assert told.kind == "MissingTool"
    for text in ("openocd", "apt-get install openocd", "pip install pyocd", "stlink-tools"):
        assert text in told
    told = refused("flash", for_boards / "stm32h7", "--flasher", "pyocd")
    assert (told.message, told.hint) == ("pyocd is not installed", "pip install pyocd")


def test_a_flasher_that_the_board_does_not_have(for_boards: Path, refused: Refused) -> None:
    told = refused("flash", for_boards / "stm32h7", "--flasher", "avrdude")
    assert "not flashed with 'avrdude'" in told.message
    assert "openocd" in told.hint


@pytest.mark.usefixtures("no_programs")
def test_demo_says_before_the_training_what_is_missing(refused: Refused) -> None:
    assert "arm-none-eabi-gcc is not installed" in refused("demo", "--out", "d").message
    assert "gcc is not installed" in refused("demo", "--out", "d", "--board", "native").message


def test_demo_looks_at_everything_before_the_training(work: Path, refused: Refused) -> None:
    assert "no link 'pigeon'" in refused("demo", "--out", "d", "--link", "pigeon").message
    assert "seed" in refused("demo", "--out", "d", "--seed", "-1").message
    (work / "d" / "run").mkdir(parents=True)
    (work / "d" / "run" / "notes.txt").write_text("mine")
    assert "will not overwrite" in refused("demo", "--out", "d").message


# --- Python packages


def without(monkeypatch: pytest.MonkeyPatch, package: str, *ours: str) -> None:
    """Importing the package fails, and ``ours`` are imported anew."""
    for name in list(sys.modules):
        if name == package or name.startswith(f"{package}.") or name in ours:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)


def uninstalled(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """The distribution is not there either, as pip would say."""
    known = importlib.metadata.version

    def version(name: str) -> str:
        if name == package:
            raise importlib.metadata.PackageNotFoundError(name)
        return known(name)

    monkeypatch.setattr(importlib.metadata, "version", version)


def test_no_web_framework(steps: Steps, refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    without(
        monkeypatch, "fastapi", "mcu_hybrid.cloud.fronts.http", "mcu_hybrid.cloud.fronts.http_app"
    )
    uninstalled(monkeypatch, "fastapi")
    for args in (("serve", "--model", steps.export), ("run", steps.build, "--out", "r")):
        told = refused(*args)
        assert told.kind == "MissingTool"
        assert "fastapi" in told.message
        assert told.hint == "pip install 'mcu-hybrid[cloud]'"


def test_no_onnxruntime(steps: Steps, refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "onnxruntime")
    told = refused("serve", "--model", steps.export, "--port", "0")
    assert "onnxruntime is not installed" in told.message
    assert told.hint == "pip install 'mcu-hybrid[cloud]'"


def test_no_interpreter_to_compare_with(
    steps: Steps, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "tflite_micro")
    told = refused("bench", steps.build)
    assert "tflite-micro" in told.message and "pip install" in told.hint


def test_no_torch(work: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch  # noqa: F401 - loaded first: what stands in sys.modules is put back afterwards

    ours = [name for name in sys.modules if name.startswith("mcu_hybrid.training")]
    for name in ours:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    uninstalled(monkeypatch, "torch")
    told = refused("train", "--data", npz(work / "d.npz"), "--out", "t")
    assert told.kind == "MissingTool"
    assert "torch" in told.message and "pip install" in told.hint
