"""The checks of the user's TFLM checkout and library, on stand-ins for both."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from mcu_hybrid.board.load import load_board
from mcu_hybrid.errors import InputError, MissingTool, ToolError, UnsupportedOp
from mcu_hybrid.firmware.build import build
from mcu_hybrid.firmware.render import Project
from mcu_hybrid.process import Tools
from mcu_hybrid.tflm.tree import open_tflm

INTERPRETER = "_ZN6tflite16MicroInterpreter6InvokeEv"
M7 = load_board("mps2-an500")


def archive(symbols: list[str], machine: int = 40, content: bytes | None = None) -> bytes:
    """A static library: symbol table and one object, of which only an ELF header is there."""

    def member(name: str, body: bytes) -> bytes:
        body += b"\n" * (len(body) % 2)
        return f"{name:<16}{0:<12}{0:<6}{0:<6}{0:<8}{len(body):<10}`\n".encode() + body

    names = b"".join(symbol.encode() + b"\0" for symbol in symbols)
    first = 8 + 60 + (4 + 4 * len(symbols) + len(names) + 1) // 2 * 2
    index = struct.pack(f">{1 + len(symbols)}I", len(symbols), *[first] * len(symbols)) + names
    elf = b"\x7fELF\x01\x01\x01" + bytes(9) + struct.pack("<HH", 1, machine)
    return b"!<arch>\n" + member("/", index) + member("a.o/", content or elf)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files by which a checkout is recognised."""
    downloads = "tensorflow/lite/micro/tools/make/downloads"
    for name in (
        "tensorflow/lite/micro/micro_interpreter.h",
        f"{downloads}/flatbuffers/include/flatbuffers/flatbuffers.h",
        "third_party/gemmlowp/fixedpoint/fixedpoint.h",
        f"{downloads}/ruy/ruy/profiler/instrumentation.h",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize("cmsis", [False, True])
def test_flags_follow_checkout_and_library(checkout, cmsis):
    symbols = [INTERPRETER] + ["_ZN6tflite21Register_CONV_2D_INT8Ev"] * cmsis
    (checkout / "lib.a").write_bytes(archive(symbols))
    tree = open_tflm(checkout, checkout / "lib.a", M7)
    extra = tree.extra
    assert ("-DCMSIS_NN" in extra.cxx_flags) == tree.cmsis_nn == cmsis
    assert "-DTF_LITE_STATIC_MEMORY" in extra.cxx_flags
    flags = extra.cxx_flags
    folders = [flags[n + 1] for n, flag in enumerate(flags) if flag == "-isystem"]
    assert folders[0] == str(checkout.resolve())
    assert [Path(f).name for f in folders[1:]] == ["include", "gemmlowp", "ruy"]
    assert extra.link == (str((checkout / "lib.a").resolve()), "-lm")


def test_a_library_without_an_operator_is_named(checkout):
    (checkout / "lib.a").write_bytes(archive([INTERPRETER, "_ZN6tflite12Register_ADDEv"]))
    tree = open_tflm(checkout, checkout / "lib.a", M7)
    tree.require(["ADD"])
    with pytest.raises(UnsupportedOp, match=r"lib\.a: has no operator ADD_N"):
        tree.require(["ADD", "ADD_N"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file"),
        (b"", "is not TFLM's static library"),
        (b"!<arch>\n/               0     ", "is not TFLM's static library"),
        (archive([]), "is not TFLM's static library"),
        (archive(["main"]), "is not TFLM's static library"),
        (archive([INTERPRETER], machine=62), "is for another processor (ELF machine 62)"),
    ],
)
def test_a_wrong_library_is_refused(checkout, content, message):
    if content is not None:
        (checkout / "lib.a").write_bytes(content)
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        open_tflm(checkout, checkout / "lib.a", M7)
    assert caught.value.path == checkout / "lib.a" and caught.value.hint


COMPILER = shutil.which("arm-none-eabi-gcc")


@pytest.mark.skipif(COMPILER is None, reason="arm-none-eabi-gcc is not installed")
@pytest.mark.parametrize(
    ("flags", "board", "message"),
    [
        ("-mcpu=cortex-m7 -mfpu=auto -mfloat-abi=hard", "stm32h7", None),
        ("-mcpu=cortex-m7 -mfpu=auto -mfloat-abi=hard", "stm32f7", "a double-precision FPU"),
        ("-mcpu=cortex-m7 -mfpu=fpv5-sp-d16 -mfloat-abi=hard", "stm32f7", None),
        ("-mcpu=cortex-m4 -mfpu=auto -mfloat-abi=hard", "nrf52840dk", None),
        (
            "-mcpu=cortex-m4+nofp -mfpu=auto -mfloat-abi=soft",
            "nrf52840dk",
            "in no registers",
        ),
    ],
)
def test_the_librarys_fpu_must_be_the_boards(checkout, flags, board, message):
    source = checkout / "a.c"
    source.write_text("double twice(double x) { return 2 * x; }\n")
    argv = [str(COMPILER), *flags.split(), "-mthumb", "-c", str(source), "-o", f"{source}.o"]
    subprocess.run(argv, check=True)
    content = Path(f"{source}.o").read_bytes()
    (checkout / "lib.a").write_bytes(archive([INTERPRETER], content=content))
    if message is None:
        open_tflm(checkout, checkout / "lib.a", load_board(board))
        return
    with pytest.raises(InputError, match=message):
        open_tflm(checkout, checkout / "lib.a", load_board(board))


def test_a_wrong_checkout_is_refused(checkout, tmp_path_factory):
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(InputError, match="is not a TFLM checkout"):
        open_tflm(empty, checkout / "lib.a", M7)
    (checkout / "third_party/gemmlowp/fixedpoint/fixedpoint.h").unlink()
    with pytest.raises(InputError, match=r"has no gemmlowp headers\n.*third_party_downloads"):
        open_tflm(checkout, checkout / "lib.a", M7)


def test_a_compiler_without_cpp_headers_is_named(checkout):
    """Debian's arm-none-eabi-g++ comes without them."""

    class Bare(Tools):
        def require(self, program):
            return program

        def run(self, argv, **options):
            raise ToolError("failed", tail="mh_tflm.cc:9:10: fatal error: cstring: No such file")

    (checkout / "lib.a").write_bytes(archive([INTERPRETER]))
    tree = open_tflm(checkout, checkout / "lib.a", M7)
    project = Project(checkout, "0" * 32, (Path("src/model/mh_tflm.cc"),))
    with pytest.raises(MissingTool, match="libstdc\\+\\+-arm-none-eabi-newlib"):
        build(project, M7, Bare(), extra=tree.extra)
