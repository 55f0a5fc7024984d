"""Thumb instructions of an ELF: their class, and what they cost on a Cortex-M4. No emulator here.

Cycles are those of table 3-1 "Processor instruction set summary" and section 3.3.2 "Load/store
timings" of the Arm Cortex-M4 Technical Reference Manual, and of the FPU's table 7-1, for memory
without wait states. A figure that the manual gives as a range is kept as one (``Cycles``).
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from mcu_hybrid.process import Tools

# The classes, in the order of the tables; every executed instruction is of exactly one. A return by
# POP is a load_multiple; a move into half a vector register is of the FPU.
CLASSES = (
    "load",
    "load_multiple",
    "store",
    "store_multiple",
    "mac",
    "multiply",
    "divide",
    "dsp",
    "alu",
    "branch_taken",
    "branch_not_taken",
    "fpu",
    "system",
    "mve_load",
    "mve_store",
    "mve_mac",
    "mve_other",
)


class Cycles(NamedTuple):
    """Least, assumed and most cycles."""

    low: float
    estimate: float
    high: float


def _exactly(cycles: int) -> Cycles:
    return Cycles(cycles, cycles, cycles)


# P, the pipeline's refill behind a branch: 1 to 3, by the target's width and alignment.
REFILL = Cycles(1, 2, 3)
# Early termination makes a division 2 to 12; the middle is assumed. IT is folded where possible.
M4_CYCLES: Mapping[str, Cycles] = {
    "load": _exactly(2),  # 1 behind a load that it does not depend on
    "store": _exactly(1),  # 2 with a register offset
    "mac": _exactly(1),
    "multiply": _exactly(1),
    "divide": Cycles(2, 7, 12),
    "dsp": _exactly(1),
    "alu": _exactly(1),
    "branch_not_taken": _exactly(1),
    "fpu": _exactly(1),
    "system": Cycles(1, 1, 2),
}
M4_SPECIAL: Mapping[str, Cycles] = {
    "it": Cycles(0, 1, 1),
    "isb": REFILL,
    "vmla": _exactly(3),
    "vmls": _exactly(3),
    "vnmla": _exactly(3),
    "vnmls": _exactly(3),
    "vfma": _exactly(3),
    "vfms": _exactly(3),
    "vfnma": _exactly(3),
    "vfnms": _exactly(3),
    "vdiv": _exactly(14),
    "vsqrt": _exactly(14),
}

_BRANCH = re.compile(
    r"b(eq|ne|cs|hs|cc|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le|al)?|bl|bl?x(ns)?|cbn?z|tb[bh]"
    r"|le(tp)?|wls(tp)?"
)
_SYSTEM = re.compile(
    r"it|nop|d[ms]b|isb|cps(ie|id)?|mrs|msr|svc|bkpt|wf[ie]|sev|yield|udf|pl[di]|clrex|csdb|sg"
    r"|dls(tp)?|lctp|bti|pac\w*|aut\w*"
)
# Beginnings of mnemonics, the first that fits.
_BEGINNINGS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("load_multiple", ("ldrd", "ldm", "pop", "vldm", "vpop")),
    ("store_multiple", ("strd", "stm", "push", "vstm", "vpush")),
    ("load", ("ldr", "lda", "vldr")),
    ("store", ("str", "stl", "vstr")),
    ("mac", ("mla", "mls", "smla", "smls", "smmla", "smmls", "umlal", "smlal", "umaal")),
    ("multiply", ("mul", "smul", "umull", "smmul", "smuad", "smusd")),
    ("divide", ("sdiv", "udiv")),
    ("dsp", ("sxtb16", "uxtb16", "sxtab", "sxtah", "uxtab", "uxtah", "pkh", "ssat", "usat", "sel")),
    ("dsp", ("qadd", "qsub", "qdadd", "qdsub", "qasx", "qsax", "usad")),
    ("dsp", tuple(s + op for s in ("s", "u") for op in ("add8", "add16", "sub8", "sub16"))),
    ("dsp", tuple(s + op for s in ("s", "u") for op in ("hadd", "hsub", "asx", "sax", "hasx"))),
    ("dsp", ("shsax", "uhsax", "uqadd", "uqsub", "uqasx", "uqsax")),
)
_MVE_BEGINNINGS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("mve_load", ("vldr", "vld2", "vld4")),
    ("mve_store", ("vstr", "vst2", "vst4")),
    ("mve_mac", ("vmla", "vmls", "vrmla", "vrmls", "vqdmla", "vqrdmla", "vqdmls", "vqrdmls")),
    ("mve_mac", ("vqdmlsd", "vfma", "vfms", "vcmla")),
    ("mve_other", ("v",)),
)
_MVE_ONLY = re.compile(r"v(p[stn]|ctp)|v(ldr|str)[bhwd]|v(ld|st)[24][0-3]")
_VECTOR = re.compile(r"\bq[0-7]\b|\bp0\b")
_LINE = re.compile(r"^ *([0-9a-f]+):\t([0-9a-f ]+)\t(\S+)(?:\t(.*))?$")
_REGISTERS = re.compile(r"\b([rsd])?(\d+|[a-z]{2})(?:-[sd](\d+))?\b")
_COMMENT = re.compile(r"\s*[;@].*$")


@dataclass(frozen=True)
class Instruction:
    """One line of the listing; ``name`` has no condition, width or type suffix."""

    address: int
    size: int
    name: str
    operands: str

    @cached_property
    def kind(self) -> str:
        """One of CLASSES; "branch" for what the path tells taken or not."""
        if _BRANCH.fullmatch(self.name):
            return "branch"
        if _SYSTEM.fullmatch(self.name):
            return "system"
        if self.name.startswith("v") and (
            _MVE_ONLY.match(self.name) or _VECTOR.search(self.operands)
        ):
            return _by_beginning(self.name, _MVE_BEGINNINGS)
        return _by_beginning(self.name, _BEGINNINGS) or ("fpu" if self.name[0] == "v" else "alu")

    @cached_property
    def registers(self) -> int:
        """32-bit registers that a *_multiple loads or stores (a d register counts two), else 0."""
        if not self.kind.endswith("_multiple"):
            return 0
        if self.name in ("ldrd", "strd"):
            return 2
        inside = self.operands.partition("{")[2].partition("}")[0]
        total = 0
        for bank, first, last in _REGISTERS.findall(inside):
            count = int(last) - int(first) + 1 if last else 1
            total += 2 * count if bank == "d" else count
        return total

    def m4_cycles(self, before: Instruction | None, is_taken: bool) -> Cycles:
        """Cycles on a Cortex-M4, without MVE.

        Args:
            before: the instruction that ran before, where it is the one before in memory.
            is_taken: the next instruction that ran is not the next in memory.
        """
        if self.name in M4_SPECIAL:
            return M4_SPECIAL[self.name]
        refill = REFILL if is_taken else _exactly(0)
        if self.kind == "branch":
            base = 2 if self.name in ("tbb", "tbh") else 1
        elif self.kind.endswith("_multiple"):
            base = 1 + self.registers
        elif self.kind in ("load", "store"):
            base = self._single_cycles(before)
        else:
            return _plus(M4_CYCLES[self.kind], refill)
        return _plus(_exactly(base), refill)

    def _single_cycles(self, before: Instruction | None) -> int:
        """A load or store; one behind a load is pipelined unless its address needs that load."""
        address = self.operands.partition("[")[2]
        cycles = int(M4_CYCLES[self.kind].estimate)
        if self.kind == "store" and re.match(r"\w+, [^#]", address):
            cycles = 2
        if self.name.startswith("v"):
            cycles = 3 if self.operands.startswith("d") else 2
        elif before is not None and before.kind == "load" and not before.name.startswith("v"):
            loaded = before.operands.partition(",")[0]
            if cycles == 2 and not re.search(rf"\b{loaded}\b", address):
                cycles = 1
        return cycles


def read_listing(text: str) -> dict[int, Instruction]:
    """What ``objdump -d`` prints, by address; the suffixes of conditional blocks are taken off."""
    found: dict[int, Instruction] = {}
    conditional = 0
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        name = match[3].partition(".")[0]
        if conditional:
            name = name[:-2]
            conditional -= 1
        elif re.fullmatch(r"it[te]{0,3}", name):
            conditional = len(name) - 1
            name = "it"
        operands = _COMMENT.sub("", match[4] or "")
        size = len(match[2].replace(" ", "")) // 2
        address = int(match[1], 16)
        found[address] = Instruction(address, size, name or match[3], operands)
    return found


def disassemble(elf: Path, prefix: str, tools: Tools) -> dict[int, Instruction]:
    """All instructions of an ELF by address; ``prefix`` is that of the core's compiler.

    Raises:
        MissingTool, ToolError: no objdump, or it cannot read the file.
    """
    # The architecture by name: from the file's attributes it does not see Helium.
    argv = (f"{prefix}objdump", "-d", "-m", "armv8.1-m.main", str(elf))
    return read_listing(tools.run(argv).output)


def literal_stores(
    listing: Mapping[int, Instruction], functions: Container[int], target: int
) -> set[int]:
    """Addresses of the half-word stores to ``target`` whose base comes from a literal pool.

    Args:
        functions: where functions begin; what a register holds is forgotten there.
    """
    found: set[int] = set()
    holds: dict[str, int] = {}
    for address in sorted(listing):
        instruction = listing[address]
        if address in functions:
            holds = {}
        register = instruction.operands.partition(",")[0]
        if instruction.name == "strh":
            base = re.search(r"\[(\w+)(?:, #(-?\d+))?\]$", instruction.operands)
            if base and holds.get(base[1], -1) + int(base[2] or 0) == target:
                found.add(address)
        elif (word := _pool_word(instruction, listing)) is not None:
            holds[register] = word
        elif instruction.name != "cmp":
            holds.pop(register, None)
    return found


def _pool_word(instruction: Instruction, listing: Mapping[int, Instruction]) -> int | None:
    match = re.search(r"\[pc, #(-?\d+)\]", instruction.operands)
    if instruction.name != "ldr" or match is None:
        return None
    word = listing.get((instruction.address & ~3) + 4 + int(match[1]))
    if word is None or not word.operands.startswith("0x"):
        return None
    return int(word.operands, 16)


def _by_beginning(name: str, table: tuple[tuple[str, tuple[str, ...]], ...]) -> str:
    return next((kind for kind, beginnings in table if name.startswith(beginnings)), "")


def _plus(a: Cycles, b: Cycles) -> Cycles:
    return Cycles(*(x + y for x, y in zip(a, b, strict=True)))
