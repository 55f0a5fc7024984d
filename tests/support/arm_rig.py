"""Runs kernel calls on an emulated Cortex-M: outputs, overruns and executed instructions.

All cases of a test become ONE bare-metal program (arm_rig_files/) with tables, params, inputs and
expected outputs as constants. Not here: the cases, and the host's sanitizers (rig.py).
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from mcu_hybrid import resources
from mcu_hybrid.compiler.emit import ctext
from mcu_hybrid.ops.base import CTable, KernelCall

FILES = Path(__file__).with_name("arm_rig_files")
MACHINES = {"mps2-an500": "cortex-m7", "mps2-an386": "cortex-m4", "mps3-an547": "cortex-m55"}
INSTRUCTIONS_PER_TICK = {"mps2-an500": 40, "mps2-an386": 40, "mps2-an385": 40, "mps3-an547": 50}
_CC, _QEMU = "arm-none-eabi-gcc", "qemu-system-arm"
_FLAGS = (
    *("-mthumb", "-O2", "-std=c99", "-Wall", "-Wextra", "-Wconversion"),
    *("-Werror", "-ffunction-sections", "-fdata-sections", "-fno-tree-loop-distribute-patterns"),
    *("-nostartfiles", "--specs=nano.specs", "-Wl,--gc-sections", "-g"),
)


@dataclass(frozen=True)
class ArmCase:
    """One call, its inputs and what it must write.

    ``turns`` > 1 averages the instruction count. ``inplace`` is the input on which the output lies,
    -1 for none.
    """

    name: str
    call: KernelCall
    ins: tuple[np.ndarray, ...]
    outs: tuple[np.ndarray, ...]
    scratch_bytes: int
    turns: int = 1
    inplace: int = -1


@dataclass(frozen=True)
class ArmResult:
    """What the core reports of a case; ``instructions`` are per call, to a tick / turns."""

    name: str
    status: int
    wrong: int
    first_wrong: int
    outside: int
    instructions: float

    @property
    def is_right(self) -> bool:
        """True where status, all outputs and all guards are as they must be."""
        return (self.status, self.wrong, self.outside) == (0, 0, 0)


def require_tools() -> None:
    """Skip the test where the ARM compiler or the emulator is not installed."""
    for tool in (_CC, _QEMU):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")


def run_arm(
    cases: Sequence[ArmCase],
    folder: Path,
    machine: str = "mps2-an500",
    kernel_dirs: Sequence[str] = ("cortex_m_dsp", "ref"),
    timeout_s: float = 300.0,
    cpu: str = "",
) -> list[ArmResult]:
    """Build one program of all cases for the machine's core (or ``cpu``), run it; a result each."""
    elf = _build(cases, folder, cpu or MACHINES[machine], kernel_dirs)
    argv = [*emulator(machine), "-kernel", str(elf)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout_s, check=False)
    lines = (done.stdout + done.stderr).split("\n")
    assert "done" in lines, f"the program did not finish: {lines[-6:]}"
    rows = [[int(n) for n in line.split()] for line in lines if line[:1].isdigit()]
    assert len(rows) == len(cases)
    return [
        ArmResult(c.name, *row[1:5], row[5] * INSTRUCTIONS_PER_TICK[machine] / c.turns)
        for c, row in zip(cases, rows, strict=True)
    ]


def emulator(machine: str) -> list[str]:
    """The command that runs a program (``-kernel``) on a machine; it counts instructions."""
    argv = [_QEMU, "-machine", machine, "-nographic", "-monitor", "none", "-serial", "none"]
    return [*argv, "-icount", "shift=0", "-semihosting-config", "enable=on,target=native"]


def compiler(cpu: str) -> list[str]:
    """The command that compiles and links a program for a core, warnings being errors."""
    is_vector_core = cpu == "cortex-m55"  # on mps3-an547, which has another memory map
    script, abi = ("link_mps3.ld", "hard") if is_vector_core else ("link.ld", "soft")
    return [_CC, f"-mcpu={cpu}", f"-mfloat-abi={abi}", *_FLAGS, f"-T{FILES / script}"]


def write_cases(cases: Sequence[ArmCase], folder: Path, kernel_dirs: Sequence[str]) -> list[Path]:
    """Write ``cases.h`` and ``cases.c``; return what a program must compile but for its main."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cases.h").write_text(_header(cases), "utf-8")
    (folder / "cases.c").write_text(_cases(cases), "utf-8")
    stems = sorted({stem for c in cases for stem in (c.call.source, *c.call.also)})
    found = [path for stem in stems for path in resources.kernel_sources(stem, kernel_dirs)]
    return [folder / "cases.c", *found]


def _build(cases: Sequence[ArmCase], folder: Path, cpu: str, kernel_dirs: Sequence[str]) -> Path:
    # The firmware's own memcpy and memset count as there.
    common = resources.root("firmware_templates") / "platforms" / "common"
    sources = [FILES / "start.c", common / "mem.c", *write_cases(cases, folder, kernel_dirs)]
    elf = folder / "cases.elf"
    folders = (folder, resources.kernels() / "include", common)
    argv = [*compiler(cpu), *(f"-I{path}" for path in folders)]
    done = subprocess.run(
        [*argv, *map(str, sources), "-o", str(elf)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[:4000]
    return elf


def _overwritten(case: ArmCase) -> tuple[np.ndarray, ...]:
    return () if case.inplace < 0 else (case.ins[case.inplace],)


def _aligned(size: int) -> int:
    """Buffers begin at multiples of 16, as in the arena."""
    return -(-size // 16) * 16


def _header(cases: Sequence[ArmCase]) -> str:
    ins, outs = max(len(c.ins) for c in cases), max(len(c.outs) for c in cases)
    sizes = {
        "MAX_INS": ins,
        "MAX_OUTS": outs,
        "MAX_IN": _aligned(max(a.nbytes for c in cases for a in c.ins)),
        "MAX_OUT": _aligned(max(a.nbytes for c in cases for a in (*c.outs, *_overwritten(c)))),
        "MAX_SCRATCH": max(c.scratch_bytes for c in cases),
        "TEST_CASES": len(cases),
    }
    defines = "\n".join(f"#define {name} {value}u" for name, value in sizes.items())
    return f"""#include "mh_kernels.h"
#include "mh_nn_fast.h"
{defines}
typedef struct {{
    mh_status (*call)(const int8_t *const *ins, int8_t *const *outs, void *scratch);
    uint32_t ins, outs, turns, scratch_bytes;
    const int8_t *in[MAX_INS];
    uint32_t in_bytes[MAX_INS];
    const int8_t *out[MAX_OUTS];
    uint32_t out_bytes[MAX_OUTS];
    int32_t inplace;
}} test_case;
extern const test_case test_cases[TEST_CASES];
"""


def _cases(cases: Sequence[ArmCase]) -> str:
    parts = ['#include "cases.h"']
    rows = []
    for n, c in enumerate(cases):
        text, row = _case(n, c)
        parts.append(text)
        rows.append(row)
    body = ",\n".join(rows)
    return "\n".join([*parts, f"const test_case test_cases[TEST_CASES] = {{\n{body}\n}};\n"])


def _case(n: int, case: ArmCase) -> tuple[str, str]:
    call, parts = case.call, [f"/* {n} {ctext.comment(case.name)} */"]
    names = {}
    for table in ctext.struct_tables(call.params):
        names[table.name] = f"c{n}_{table.name}"
        parts.append(ctext.table_text(table, names[table.name], section=None))
    parts.append(ctext.struct_text(call.params, f"c{n}", names))
    for side, arrays in (("in", case.ins), ("out", case.outs)):
        for i, array in enumerate(arrays):
            data = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.int8)
            table = CTable("data", "int8_t", data)
            parts.append(ctext.table_text(table, f"c{n}_{side}{i}", section=None))
    head = "(const int8_t *const *ins, int8_t *const *outs, void *scratch)"
    parts.append(f"static mh_status run{n}{head}\n{{\n    return {_call_text(n, case)};\n}}")
    row = (
        f"{{run{n}, {len(case.ins)}, {len(case.outs)}, {case.turns}, {case.scratch_bytes}, "
        f"{_list('in', n, case.ins)}, {_list('out', n, case.outs)}, {case.inplace}}}"
    )
    return "\n".join(parts), row


def _call_text(n: int, case: ArmCase) -> str:
    forms = {
        "unary": "ins[0], outs[0]",
        "binary": "ins[0], ins[1], outs[0]",
        "nary_in": "ins, outs[0]",
        "nary_out": "ins[0], outs",
        "unary_two": "ins[0], outs[0], (void *)outs[1]",
    }
    return f"{case.call.kernel.symbol}(&c{n}, {forms[case.call.form]}, scratch)"


def _list(side: str, n: int, arrays: Sequence[np.ndarray]) -> str:
    names = ", ".join(f"c{n}_{side}{i}" for i in range(len(arrays)))
    return f"{{{names}}}, {{{', '.join(str(a.nbytes) for a in arrays)}}}"
