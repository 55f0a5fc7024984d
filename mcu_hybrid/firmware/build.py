"""Compiles and links a rendered project; the same sources give the same bytes in any folder.

Works beside the project's results and moves them over at the end. Sizes are read by ``image.py``.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from mcu_hybrid.board.load import Board
from mcu_hybrid.errors import CapacityError, MissingTool, ToolError
from mcu_hybrid.events import OnEvent
from mcu_hybrid.firmware import toolchain
from mcu_hybrid.firmware.render import Project
from mcu_hybrid.image.firmware import Extra, FirmwareImage, read_image
from mcu_hybrid.process import INSTALL_HINTS, Tools

JOBS = 2  # compilers at once: files are few and small. Not tuned
_NO_CXX_HEADERS = re.compile(r"fatal error: c?(algorithm|std\w+|string|new|utility|limits)(\.h)?:")
_OVERFLOW = re.compile(r"region [`'](\S+?)' overflowed by (\d+) bytes")


def build(
    project: Project,
    board: Board,
    tools: Tools,
    *,
    extra: Extra = Extra(),  # noqa: B008 - frozen
    on_event: OnEvent | None = None,
) -> FirmwareImage:
    """Compile ``project`` into firmware.elf, .map and, for a chip, .bin and .hex beside ``src``.

    Raises:
        MissingTool: the compiler is not installed, or a C++ file lacks its standard library.
        ToolError: it refused a file (our bug, or a foreign toolchain).
        CapacityError: the linker found a region too small.
    """
    for name in ("gcc",) if board.is_host else ("gcc", "objcopy"):
        tools.require(toolchain.program(board, name))
    root = project.root.resolve()
    with _work_folder(root) as work:
        commands = _compile_commands(project, board, extra, root, work)
        try:
            _compile(commands, tools, root, on_event)
        except ToolError as error:
            raise _without_cxx(error, board) from error
        _link(commands, board, tools, extra, root, work)
        outputs = ["firmware.elf", toolchain.MAP]
        if not board.is_host:
            outputs += _convert(board, tools, work)
        for output in outputs:
            (work / output).replace(root / output)
    return read_image(root / "firmware.elf", root / toolchain.MAP, project.build_id)


@contextmanager
def _work_folder(root: Path) -> Iterator[Path]:
    """A folder of always the same name: it is named in the map file."""
    work = root / ".build"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _compile_commands(
    project: Project, board: Board, extra: Extra, root: Path, work: Path
) -> dict[str, list[str]]:
    """argv by object file, in the order of the link."""
    includes = [f"-I{folder}" for folder in toolchain.INCLUDE_DIRS]
    # The folder's own name must not get into the debug information.
    same = [f"-ffile-prefix-map={root}=.", f"-frandom-seed={project.build_id}"]
    commands = {}
    for path in sorted(project.files):
        if path.suffix not in (".c", ".S", ".cc"):
            continue
        is_cxx = path.suffix == ".cc"
        compiler = toolchain.program(board, "g++" if is_cxx else "gcc")
        source = path.as_posix()
        flags = toolchain.cxx_flags(board, extra) if is_cxx else toolchain.c_flags(board, source)
        if path.suffix == ".S":  # the compiler does not hand the map on
            flags = (*flags, "-Xassembler", f"--debug-prefix-map={root}=.")
        target = f"{work.name}/{'_'.join(path.parts[1:])}.o"
        commands[target] = [compiler, *flags, *same, *includes, "-c", source, "-o", target]
    return commands


def _compile(
    commands: dict[str, list[str]], tools: Tools, root: Path, on_event: OnEvent | None
) -> None:
    with ThreadPoolExecutor(JOBS) as pool:
        runs = [pool.submit(tools.run, argv, cwd=root) for argv in commands.values()]
        try:
            for n, run in enumerate(runs):
                run.result()
                if on_event:
                    on_event("compile", n + 1, len(runs))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _without_cxx(error: ToolError, board: Board) -> ToolError | MissingTool:
    """The error, or what it says where the C++ compiler came without a library."""
    if _NO_CXX_HEADERS.search(error.tail) is None:
        return error
    compiler = toolchain.program(board, "g++")
    return MissingTool(
        f"{compiler} has no C++ standard library",
        INSTALL_HINTS.get(compiler, "install the C++ library of this compiler"),
        argv=error.argv,
    )


def _link(
    commands: dict[str, list[str]],
    board: Board,
    tools: Tools,
    extra: Extra,
    root: Path,
    work: Path,
) -> None:
    is_cxx = any(argv[0].endswith("g++") for argv in commands.values())
    linker = toolchain.program(board, "g++" if is_cxx else "gcc")
    flags = [
        flag.replace(toolchain.MAP, f"{work.name}/{toolchain.MAP}")
        for flag in toolchain.link_flags(board)
    ]
    output = ["-o", f"{work.name}/firmware.elf"]
    try:
        tools.run([linker, *flags, *commands, *extra.link, *output], cwd=root)
    except ToolError as error:
        found = _OVERFLOW.search(error.tail)
        if found is None:
            raise
        raise _overflow(board, found[1], int(found[2])) from error


def _overflow(board: Board, kind: str, excess: int) -> CapacityError:
    have = board.region(kind).size
    return CapacityError(
        f"needs {have + excess:,} B {kind}, {board.name} has {have:,} B (found by the linker)",
        f"{excess:,} B too many: take a smaller model, or a board with more {kind}",
        need=have + excess,
        have=have,
    )


def _convert(board: Board, tools: Tools, work: Path) -> list[str]:
    """The forms that flashing tools take."""
    objcopy = toolchain.program(board, "objcopy")
    forms = {"firmware.bin": "binary", "firmware.hex": "ihex"}
    for name, form in forms.items():
        tools.run([objcopy, "-O", form, "firmware.elf", name], cwd=work)
    return list(forms)
