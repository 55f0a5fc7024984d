"""Bytes of every kernel and of the harness as the compiler makes them, for the code budget.

    .venv/bin/python -m tools.calibrate.code_size            compare with compiler/code_bytes.json
    .venv/bin/python -m tools.calibrate.code_size --write    write it

One entry per section that the linker keeps or drops: its bytes and the sections that it needs.
Exit status 1: the harness, params or a section differ, or a section is missing or new.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
from elftools.elf.sections import Section, Symbol, SymbolTableSection

from mcu_hybrid import resources
from mcu_hybrid.board.load import Board, load_board
from mcu_hybrid.compiler.code_budget import TABLE
from mcu_hybrid.firmware import toolchain
from mcu_hybrid.firmware.render import Project, render_project

# The kernel folder of a core, and the board whose flags its kernels are measured with.
BOARDS = {
    "cortex_m_dsp": "mps2-an500",
    "cortex_m_mve": "mps3-an547",
    "cortex_m_scalar": "mps2-an385",
}
_ROOTS = ("vectors", "text.Reset_Handler", "text.mh_fault_report", "text.mh_unexpected")
_PARAMS = re.compile(r"^} (mh_\w+_params);", re.MULTILINE)


@dataclass
class Objects:
    """Sections by key (file stem, section), their needs, and what is defined where."""

    sizes: dict[str, int] = field(default_factory=dict)
    needs: dict[str, set[str]] = field(default_factory=dict)  # keys, and symbols as "?name"
    defined: dict[str, str] = field(default_factory=dict)  # global symbol -> key

    def read(self, path: Path) -> None:
        """Add the sections of an object file."""
        stem = path.name.split(".")[0]
        with path.open("rb") as stream:
            file = ELFFile(stream)
            keys = {
                n: f"{stem}.{section.name.removeprefix('.').removeprefix('text.')}"
                for n, section in enumerate(file.iter_sections())
                if _is_flash(section)
            }
            for n, key in keys.items():
                self.sizes[key] = file.get_section(n)["sh_size"]
                self.needs.setdefault(key, set())
            symbols = _symbols(file)
            for symbol in symbols:
                if symbol["st_info"]["bind"] != "STB_LOCAL" and symbol["st_shndx"] in keys:
                    self.defined[symbol.name] = keys[symbol["st_shndx"]]
            for section in file.iter_sections():
                if isinstance(section, RelocationSection) and section["sh_info"] in keys:
                    needs = self.needs[keys[section["sh_info"]]]
                    for relocation in section.iter_relocations():
                        needs |= _need(symbols[relocation["r_info_sym"]], keys)

    def resolved(self) -> dict[str, set[str]]:
        """The needs of each section as keys; symbols of libraries are left out."""
        return {
            key: {
                found
                for need in needs
                if (found := self.defined.get(need[1:]) if need[0] == "?" else need)
                and found != key
            }
            for key, needs in self.needs.items()
        }


def _symbols(file: ELFFile) -> list[Symbol]:
    tables = [s for s in file.iter_sections() if isinstance(s, SymbolTableSection)]
    return [symbol for table in tables for symbol in table.iter_symbols()]


def _need(symbol: Symbol, keys: dict[int, str]) -> set[str]:
    """What a reference to a symbol pulls in: nothing where it is weak and elsewhere."""
    if symbol["st_shndx"] in keys:
        return {keys[symbol["st_shndx"]]}
    if symbol["st_shndx"] != "SHN_UNDEF" or symbol["st_info"]["bind"] == "STB_WEAK":
        return set()
    return {f"?{symbol.name}"}


def _is_flash(section: Section) -> bool:
    flags = section["sh_flags"]
    kept = flags & SH_FLAGS.SHF_ALLOC and not flags & SH_FLAGS.SHF_WRITE
    return bool(kept and section["sh_type"] == "SHT_PROGBITS" and section["sh_size"])


def measure(folder: str, work: Path) -> dict[str, Any]:
    """The table of one kernel folder (and the reference kernels), compiled in ``work``."""
    board = load_board(BOARDS[folder])
    folders = [resources.kernels() / name for name in board.core.kernel_dirs]
    stems = sorted({path.stem for one in folders for path in one.glob("*.[cS]")})
    project = render_project(work, board, {}, kernels=stems)
    own, harness = Objects(), Objects()
    for path, built in _compile(project, board):
        (own if path.parts[1] == "kernels" else harness).read(built)
    needs = own.resolved()
    return {
        "board": board.name,
        "harness": _harness_bytes(harness),
        "params": _params_bytes(board, work),
        "sections": {key: [own.sizes[key], sorted(needs[key])] for key in sorted(own.sizes)},
    }


def _compile(project: Project, board: Board) -> Iterator[tuple[Path, Path]]:
    """(source, object) of every file; objects are named after their sources."""
    includes = [f"-I{folder}" for folder in toolchain.INCLUDE_DIRS]
    for path in project.files:
        if path.suffix not in (".c", ".S"):
            continue
        built = project.root / f"{path.name}.{path.parts[1]}.o"
        gcc, flags = toolchain.program(board, "gcc"), toolchain.c_flags(board, path.as_posix())
        argv = [gcc, *flags, *includes, "-c", str(path), "-o", str(built)]
        subprocess.run(argv, cwd=project.root, check=True)
        yield path, built


def _harness_bytes(harness: Objects) -> int:
    """What every firmware has: the sections that start-up and vectors need."""
    needs, seen = harness.resolved(), set[str]()
    todo = [key for key in needs if key.split(".", 1)[1] in _ROOTS]
    todo += [harness.defined[name] for name in ("memcpy", "memset") if name in harness.defined]
    while todo:
        key = todo.pop()
        if key not in seen:
            seen.add(key)
            todo += needs[key]
    return sum(harness.sizes[key] for key in seen)


def _params_bytes(board: Board, work: Path) -> dict[str, int]:
    """sizeof of every params struct, read from symbols of that size."""
    text = "".join(p.read_text() for p in (resources.kernels() / "include").glob("*.h"))
    names = sorted(set(_PARAMS.findall(text)))
    lines = ['#include "mh_kernels.h"', *(f"{name} size_of_{name};" for name in names)]
    (work / "sizes.c").write_text("\n".join(lines) + "\n")
    argv = [toolchain.program(board, "gcc"), *board.core.cflags, "-I", "src/kernels/include"]
    subprocess.run([*argv, "-c", "sizes.c", "-o", "sizes.o"], cwd=work, check=True)
    with (work / "sizes.o").open("rb") as stream:
        sizes = {symbol.name: symbol["st_size"] for symbol in _symbols(ELFFile(stream))}
    return {name: sizes[f"size_of_{name}"] for name in names}


def tables() -> dict[str, Any]:
    """All tables, as they are stored."""
    found = {}
    for folder in BOARDS:
        with tempfile.TemporaryDirectory() as work:
            found[folder] = measure(folder, Path(work))
    return found


def text_of(found: dict[str, Any]) -> str:
    """JSON with a section a line."""
    parts = []
    for folder, table in found.items():
        head = json.dumps({k: v for k, v in table.items() if k != "sections"})[:-1]
        rows = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in table["sections"].items())
        parts.append(f'{json.dumps(folder)}: {head}, "sections": {{\n{rows}\n}}}}')
    return "{" + ",\n".join(parts) + "}\n"


def main() -> int:
    """Measure, and write or compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help=str(TABLE.name))
    options = parser.parse_args()
    found = tables()
    if options.write:
        TABLE.write_text(text_of(found), "utf-8")
        return 0
    known = json.loads(TABLE.read_text("utf-8"))
    wrong = 0
    for folder, table in found.items():
        for key in ("harness", "params"):
            if known[folder][key] != table[key]:
                wrong += 1
                print(f"{folder} {key}: {known[folder][key]} in the file, {table[key]} here")
        for key in sorted(table["sections"].keys() | known[folder]["sections"].keys()):
            pair = [t["sections"].get(key) for t in (known[folder], table)]
            if pair[0] != pair[1]:
                wrong += 1
                print(f"{folder} {key}: {pair[0]} in the file, {pair[1]} here")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
