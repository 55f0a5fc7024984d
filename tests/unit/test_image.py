"""Rendering and building a firmware: sizes, reproducible bytes, nothing half written."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mcu_hybrid.board.load import Board, load_board
from mcu_hybrid.compiler import report
from mcu_hybrid.compiler.emit.model import emit
from mcu_hybrid.compiler.program import program_of
from mcu_hybrid.errors import CapacityError, InputError, McuHybridError, MissingTool, ToolError
from mcu_hybrid.firmware import toolchain
from mcu_hybrid.firmware.build import build
from mcu_hybrid.firmware.fit import check_elf
from mcu_hybrid.firmware.render import Project, render_project
from mcu_hybrid.graph.types import Graph
from mcu_hybrid.image.firmware import Footprint, read_image
from mcu_hybrid.process import Tools
from tests.support.own_boards import write_boards
from tests.support.random_graph import Builder

ASSEMBLY = ("bound_s8",)  # a kernel of C and assembly
ARM = shutil.which("arm-none-eabi-gcc")
needs_arm = pytest.mark.skipif(ARM is None, reason="arm-none-eabi-gcc is not installed")


def model(size: int = 64) -> Graph:
    b = Builder(1, size)
    (x,) = b.op("RELU", b.inputs, [(1, size)])
    (y,) = b.op("CONCATENATION", [x, x], [(1, 2 * size)], axis=1, fused_activation_function=0)
    return b.graph([y], "model")


def board_of(tmp_path: Path) -> Board:
    return load_board("own", [write_boards(tmp_path / "mine")])


def render(
    root: Path, board: Board, graph: Graph, also: tuple[str, ...] = ()
) -> tuple[Project, Footprint]:
    """A project of the model with its kernels, and of others."""
    program = program_of(graph)
    need = report.footprint(program)
    files = emit(program, digest=bytes(32))
    return render_project(root, board, files, kernels=(*need.kernels, *also)), need


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@needs_arm
def test_sizes_and_places_of_a_firmware(tmp_path: Path) -> None:
    board = board_of(tmp_path)
    project, need = render(tmp_path / "out", board, model())
    events: list[tuple[str, int, int]] = []
    image = build(project, board, Tools(), on_event=lambda *event: events.append(event))
    check_elf(image, need, board)
    assert events[-1][1] == events[-1][2] == len(events)
    assert image.weights_bytes == need.weights_bytes == 256 + 8
    assert image.symbols["arena"][1] == need.arena_bytes == 192
    assert board.region("ram").holds(*image.symbols["arena"])
    assert board.region("dtcm").holds(image.symbols["mh_layer_now"][0])
    assert image.stack_bytes == 4096
    assert image.flash_used == sum(s.bytes for s in image.segments)
    assert 4_000 < image.code_bytes < image.flash_used - image.weights_bytes
    assert need.arena_bytes < image.ram_used < 8_000
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        *("src", "firmware.elf", "firmware.map", "firmware.bin", "firmware.hex")
    }
    gaps = (tmp_path / "out" / "firmware.bin").stat().st_size - image.flash_used
    assert 0 <= gaps < 16, "between segments there is alignment only"


@needs_arm
def test_the_same_sources_give_the_same_bytes_in_any_folder(tmp_path: Path) -> None:
    board = load_board("stm32f4")  # of a core that has kernels in assembly
    folders = [tmp_path / "a", tmp_path / "another" / "place"]
    for folder in folders:
        build(render(folder, board, model(), ASSEMBLY)[0], board, Tools())
    assert digests(folders[0]) == digests(folders[1])
    assert "src/kernels/bound_s8.S" in digests(folders[0])
    assert "firmware.map" in digests(folders[0])
    for path in folders[0].rglob("*"):
        assert not path.is_file() or str(tmp_path).encode() not in path.read_bytes(), path


def test_the_build_id_is_that_of_sources_and_flags(tmp_path: Path) -> None:
    board = board_of(tmp_path)
    first = render(tmp_path / "a", board, model())[0].build_id
    assert first == render(tmp_path / "b", board, model())[0].build_id
    other_flag = replace(
        board, chip=replace(board.chip, cores=(replace(board.core, cflags=("-mcpu=cortex-m3",)),))
    )
    other_clock = replace(board, chip=replace(board.chip, clock_hz=1))
    ids = {
        render(tmp_path / "c", board, model(62))[0].build_id,
        render(tmp_path / "d", other_flag, model())[0].build_id,
        render(tmp_path / "e", other_clock, model())[0].build_id,
        first,
    }
    assert len(ids) == 4
    header = (tmp_path / "a" / "src" / "build_info.h").read_text()
    assert f'"{first}"' in header and len(first) == 32


def test_board_config_holds_the_boards_numbers(tmp_path: Path) -> None:
    render(tmp_path / "out", board_of(tmp_path), model())
    text = (tmp_path / "out" / "src" / "platform" / "board_config.h").read_text()
    for line in (
        '#define MH_BOARD_NAME "own"',
        '#define MH_CHIP_NAME "small"',
        '#define MH_CORE_NAME "mine"',
        "#define MH_CLOCK_HZ 25000000u",
        "#define MH_TICK_INSTRUCTIONS 40",
        "#define MH_BAUD 115200u",
        "#define MH_CFG_SPEED 3",
        "#define MH_CFG_PORT MH_PORT_A",
    ):
        assert line in text.splitlines()


def test_a_foreign_src_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out" / "src").mkdir(parents=True)
    (tmp_path / "out" / "src" / "mine.c").write_text("int x;")
    with pytest.raises(InputError, match="is there and is not a firmware project"):
        render(tmp_path / "out", board_of(tmp_path), model())
    assert digests(tmp_path / "out").keys() == {"src/mine.c"}


def test_rendering_again_replaces_the_project(tmp_path: Path) -> None:
    board = board_of(tmp_path)
    render(tmp_path / "out", board, model())
    (tmp_path / "out" / "src" / "kernels" / "old.c").write_text("#error old")
    before, _ = render(tmp_path / "out", board, model())
    assert {p.as_posix() for p in before.files} == digests(tmp_path / "out").keys()


@needs_arm
def test_a_compiler_error_leaves_the_old_firmware(tmp_path: Path) -> None:
    board = board_of(tmp_path)
    project, _ = render(tmp_path / "out", board, model())
    build(project, board, Tools())
    before = (tmp_path / "out" / "firmware.elf").read_bytes()
    (tmp_path / "out" / "src" / "app" / "main.c").write_text("int main(void) { char c = 300; }\n")
    with pytest.raises(ToolError, match=r"main\.c"):
        build(project, board, Tools())
    assert (tmp_path / "out" / "firmware.elf").read_bytes() == before
    assert not list((tmp_path / "out").glob(".*"))


@needs_arm
def test_the_linker_finds_what_the_gate_let_through(tmp_path: Path) -> None:
    spoil = ("chips/small.toml", "start = 0x0000_0000, size = 0x1_0000", "start = 0, size = 0x1000")
    board = load_board("own", [write_boards(tmp_path / "mine", spoil)])
    project, _ = render(tmp_path / "out", board, model())
    with pytest.raises(CapacityError, match=r"B flash, own has 4,096 B \(found by the") as error:
        build(project, board, Tools())
    assert error.value.need > error.value.have == 4096


@needs_arm
def test_an_elf_that_is_not_the_plan_is_refused(tmp_path: Path) -> None:
    board = board_of(tmp_path)
    project, need = render(tmp_path / "out", board, model())
    image = build(project, board, Tools())
    with pytest.raises(McuHybridError, match="arena is 192, planned was 208"):
        check_elf(image, replace(need, arena_bytes=208), board)
    with pytest.raises(McuHybridError, match="weights is 264, planned was 260"):
        check_elf(image, replace(need, weights_bytes=260), board)
    with pytest.raises(CapacityError, match=r"\.mh_stack at 0x2001.* lies outside the memories of"):
        regions = tuple(r for r in board.chip.regions if r.kind != "dtcm")
        check_elf(image, need, replace(board, chip=replace(board.chip, regions=regions)))


def test_a_missing_compiler_is_named(tmp_path: Path) -> None:
    class NoTools(Tools):
        def find(self, program: str) -> str | None:
            return None

    board = board_of(tmp_path)
    project, _ = render(tmp_path / "out", board, model())
    with pytest.raises(MissingTool, match="apt-get install gcc-arm-none-eabi"):
        build(project, board, NoTools())


def test_not_an_elf(tmp_path: Path) -> None:
    (tmp_path / "x.elf").write_bytes(b"no")
    with pytest.raises(InputError, match="cannot be read as an ELF"):
        read_image(tmp_path / "x.elf")
    with pytest.raises(InputError, match="cannot be read as an ELF"):
        read_image(tmp_path / "absent.elf")


def test_warnings_are_errors_on_the_target() -> None:
    flags = set(toolchain.c_flags(load_board("stm32f7")))
    assert {"-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror"} <= flags
