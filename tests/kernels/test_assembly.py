"""Assembly is in .S files, one section a function, and agrees with C on every offset.

What the assembly computes is the business of the tests that run it; here is only how it is written.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile

from mcu_hybrid import resources

_CC = "arm-none-eabi-gcc"
# What a folder's assembly is made for: cores of both instruction sets where it has two.
_CORES = {
    "cortex_m_dsp": ("cortex-m4",),
    "cortex_m_mve": ("cortex-m55",),
    "cortex_m_scalar": ("cortex-m3", "cortex-m0plus"),
}
_OFFSET = re.compile(r"^#define (MH_\w+) (\d+)", re.MULTILINE)
_CHECK = re.compile(r"^MH_FIELD\((\w+), (\w+), (MH_\w+)\);$", re.MULTILINE)
_SIZE = re.compile(r"^MH_SIZE\((\w+), (MH_\w+)\);$", re.MULTILINE)
# Numbers that say where something lies in the frame (sp) or in a struct (a register named job).
_BARE = re.compile(r"\[(?:sp|job), #-?\d|\b(?:add|sub)s?(?:\.w)? (?:\w+, )?(?:sp|job), #\d")
_MULTIPLE = re.compile(r"\b(?:ldm|stm|ldmia|stmia) (?:sp|job)!?,|\b(?:ldrd|strd) .*\[(?:sp|job), ")


def _sources(*patterns: str) -> list[Path]:
    found = [path for pattern in patterns for path in resources.kernels().glob(f"*/{pattern}")]
    assert found
    return sorted(found)


def _job_headers() -> list[Path]:
    return _sources("*_job.h")


def _code(path: Path) -> str:
    """The text without comments; lines stay where they are."""
    text = path.read_text("utf-8")
    return re.sub(r"/\*.*?\*/", lambda m: "\n" * m[0].count("\n"), text, flags=re.DOTALL)


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """(the line before, line) of all lines with code, stripped."""
    before = ""
    for line in filter(None, map(str.strip, _code(path).splitlines())):
        yield before, line
        before = line


def _outside(code: str) -> list[str]:
    """Assembly in C that is no statement of a function, and functions that are nothing else."""
    found, depth = [], 0
    for token in re.finditer(r"[{}]|\b(?:__asm__|asm|naked|__naked__)\b|\"(?:\\.|[^\"])*\"", code):
        if token[0] in "{}":
            depth += 1 if token[0] == "{" else -1
        elif token[0][0] != '"' and (depth == 0 or "naked" in token[0]):
            found.append(code[token.start() :].split("\n", 1)[0])
    return found


def test_no_assembly_in_c_but_statements() -> None:
    wrong = {
        path.name: found
        for path in _sources("*.c", "*.h")
        if not path.name.endswith("asm.h") and (found := _outside(_code(path)))
    }
    assert not wrong


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        ('__asm__("nop");', 1),
        ('#define F(name) \\\n    __asm__(FUNCTION(name) "bx lr")', 1),
        ('__attribute__((naked)) void f(void)\n{\n    __asm__("bx lr");\n}', 1),
        ('int f(int x)\n{\n    __asm__("ssat %0, #8, %1" : "=r"(x) : "r"(x));\n}', 0),
    ],
)
def test_assembly_in_c_is_found(code: str, wrong: int) -> None:
    assert len(_outside(code)) == wrong


def test_the_frame_and_jobs_are_read_by_names() -> None:
    wrong = [
        f"{path.name}: {line}"
        for path in _sources("*.S", "*_asm.h")
        for before, line in _lines(path)
        if _BARE.search(line) or (_MULTIPLE.search(line) and not before.startswith("FIELDS"))
    ]
    assert not wrong


@pytest.mark.parametrize(
    "line", ["ldr r4, [sp, #40]", "ldr r1, [job, #16]", "sub sp, #28", "add r3, sp, #24"]
)
def test_bare_numbers_are_found(line: str) -> None:
    assert _BARE.search(line)


@pytest.mark.parametrize("header", _job_headers(), ids=lambda path: path.stem)
def test_every_offset_is_compared_with_the_struct(header: Path) -> None:
    text = header.read_text("utf-8")
    checks = _CHECK.findall(text)
    assert checks
    for struct, field, name in checks:
        assert name == f"{struct}_{field}".upper()
    structs = tuple(f"{struct.upper()}_" for struct, _, _ in checks)
    offsets = {name for name, _ in _OFFSET.findall(text) if name.startswith(structs)}
    sizes = {name for _, name in _SIZE.findall(text)}
    assert offsets == {name for _, _, name in checks} | sizes


@pytest.mark.parametrize("header", _job_headers(), ids=lambda path: path.stem)
def test_an_offset_that_moves_is_an_error_of_the_build(header: Path, tmp_path: Path) -> None:
    text = header.read_text("utf-8")
    right = _compile(tmp_path, header, text)
    assert right.returncode == 0, right.stderr
    checked = len(_CHECK.findall(text)) + len(_SIZE.findall(text))
    moved = _OFFSET.sub(lambda found: f"#define {found[1]} {int(found[2]) + 4}", text)
    assert _compile(tmp_path, header, moved).stderr.count("static assertion failed") == checked


def _compile(folder: Path, header: Path, text: str) -> subprocess.CompletedProcess[str]:
    (folder / header.name).write_text(text, "utf-8")
    (folder / "main.c").write_text(f'#include "{header.name}"\n', "utf-8")
    return _gcc("cortex-m4", "-std=c99", "-fsyntax-only", str(folder / "main.c"))


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ("MH_ADD_JOB_A, MH_ADD_JOB_B, MH_ADD_JOB_OUT", ""),
        ("MH_ADD_JOB_OUT", ""),
        ("MH_ADD_JOB_A, MH_ADD_JOB_OUT", "does not follow the field before it"),
        ("MH_ADD_JOB_B, MH_ADD_JOB_A", "does not follow the field before it"),
    ],
)
def test_fields_in_another_order_do_not_assemble(fields: str, error: str, tmp_path: Path) -> None:
    source = tmp_path / "main.S"
    source.write_text(f'#include "mh_ew_job.h"\nFIELDS {fields}\n', "utf-8")
    folder = resources.kernels() / "cortex_m_dsp"
    done = _gcc("cortex-m4", f"-I{folder}", "-c", str(source), "-o", str(tmp_path / "main.o"))
    assert (done.returncode != 0) == bool(error)
    assert error in done.stderr


@pytest.mark.parametrize(
    ("source", "core"),
    [(path, core) for path in _sources("*.S") for core in _CORES[path.parent.name]],
    ids=lambda value: value.stem if isinstance(value, Path) else value,
)
def test_a_function_is_a_section_that_the_linker_can_drop(
    source: Path, core: str, tmp_path: Path
) -> None:
    built = tmp_path / "source.o"
    done = _gcc(core, "-c", str(source), "-o", str(built))
    assert done.returncode == 0, done.stderr
    with built.open("rb") as stream:
        file = ELFFile(stream)
        symbols = list(file.get_section_by_name(".symtab").iter_symbols())
        sections = enumerate(file.iter_sections())
        code = {
            n: s for n, s in sections if s["sh_flags"] & SH_FLAGS.SHF_EXECINSTR and s["sh_size"]
        }
        assert code
        for n, section in code.items():
            own = [s for s in symbols if s["st_shndx"] == n and f".text.{s.name}" == section.name]
            assert len(own) == 1, section.name
            assert own[0]["st_value"] == 1  # at its beginning, as Thumb code
            assert 0 <= section["sh_size"] - own[0]["st_size"] < section["sh_addralign"]


def _gcc(core: str, *args: str) -> subprocess.CompletedProcess[str]:
    if shutil.which(_CC) is None:
        pytest.skip(f"{_CC} is not installed")
    include = f"-I{resources.kernels() / 'include'}"
    argv = [_CC, f"-mcpu={core}", "-mthumb", include, *args]
    return subprocess.run(argv, capture_output=True, text=True, check=False)
