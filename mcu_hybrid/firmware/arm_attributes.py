"""What the objects of a static library need of a core: Arm's build attributes against its flags.

The linker joins objects for a higher architecture or a larger FPU without a word, and the first
instruction that the core does not have faults on the board. Here: reading archives and attributes,
and comparing. What else a library must be is in tflm_tree.py.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.construct import ConstructError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import ARMAttributesSection

from mcu_hybrid.board.types import Core

_MAGIC, _THIN = b"!<arch>\n", b"!<thin>\n"
_HEADER = 60  # bytes of a member's header in an archive of ar
_M_PROFILE = ord("M")
# Tag_CPU_arch: its name, and for each core those whose code it runs ("Addenda to the ABI").
_ARCHS = {
    10: "ARMv7",
    11: "ARMv6-M",
    12: "ARMv6S-M",
    13: "ARMv7E-M",
    14: "ARMv8-A",
    15: "ARMv8-R",
    16: "ARMv8-M.baseline",
    17: "ARMv8-M.mainline",
    21: "ARMv8.1-M.mainline",
}
_V6M = frozenset({0, 11, 12})
_RUNS = {
    "cortex-m0": _V6M,
    "cortex-m0plus": _V6M,
    "cortex-m3": _V6M | {10},
    "cortex-m4": _V6M | {10, 13},
    "cortex-m7": _V6M | {10, 13},
    "cortex-m33": _V6M | {10, 13, 16, 17},
    "cortex-m55": _V6M | {10, 13, 16, 17, 21},
}
# Tag_FP_arch of the FPUs of M-profile cores.
_FPUS = {0: "no FPU", 6: "the FPU of a Cortex-M4 (FPv4)", 8: "an FPv5 FPU"}
_DOUBLE = ("cortex-m7", "cortex-m55")  # where no -sp- FPU is asked for


@dataclass(frozen=True)
class _Unit:
    """Floating point and vectors that a core has."""

    fp_archs: frozenset[int]
    has_double: bool
    hard_abi: bool
    has_mve: bool


def make_arguments(core: Core) -> str:
    """What TFLM's make line needs for this core."""
    cpu, unit = _cpu(core), _unit(core)
    if cpu in ("cortex-m4", "cortex-m7") and unit.hard_abi:
        sp = cpu == "cortex-m7" and not unit.has_double
        return f"TARGET_ARCH={cpu}+fp" + (" FPU=fpv5-sp-d16" if sp else "")
    return f"TARGET_ARCH={cpu}"


def excess(data: bytes, library: Path, core: Core) -> str | None:
    """What an object of the archive needs and the core has not, in words; None where nothing is."""
    if not any(flag.startswith("-mcpu=cortex-m") for flag in core.cflags):
        return None
    seen: set[bytes] = set()
    for name, content in members(data, library):
        found = _attributes(content)
        if found is None or found[0] in seen:
            continue
        seen.add(found[0])
        fault = _fault(found[1], core)
        if fault is not None:
            return f"{fault} (member {name})"
    return None


def members(data: bytes, library: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of each ELF object in an archive; a thin one names files beside itself."""
    thin = data.startswith(_THIN)
    names, at = b"", len(_MAGIC)
    while at + _HEADER <= len(data):
        raw = data[at : at + 16].decode("ascii", "replace").rstrip()
        size = _number(data[at + 48 : at + 58])
        if size is None:
            return
        at += _HEADER
        inside = not thin or raw in ("/", "//", "/SYM64/")
        content = data[at : at + size] if inside else b""
        at += size + size % 2 if inside else 0
        if raw == "//":
            names = content
        if raw in ("/", "//", "/SYM64/"):
            continue
        name = _name(raw, names)
        if thin:
            content = _beside(library, name)
        if content.startswith(b"\x7fELF"):
            yield Path(name).name, content


def _number(text: bytes) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def _name(raw: str, names: bytes) -> str:
    """GNU's long names are offsets into a table."""
    offset = _number(raw[1:].encode()) if raw.startswith("/") else None
    if offset is None:
        return raw.rstrip("/")
    return names[offset:].split(b"/\n", 1)[0].decode("utf-8", "replace")


def _beside(library: Path, name: str) -> bytes:
    try:
        return (library.parent / name).read_bytes()
    except OSError:
        return b""


def _attributes(content: bytes) -> tuple[bytes, Mapping[str, int]] | None:
    """The section's bytes and Arm's build attributes by tag; None where they cannot be read."""
    try:
        section = ELFFile(io.BytesIO(content)).get_section_by_name(".ARM.attributes")
        if not isinstance(section, ARMAttributesSection):
            return None
        parts = [part for sub in section.iter_subsections() for part in sub.iter_subsubsections()]
        return section.data(), {a.tag: a.value for part in parts for a in part.iter_attributes()}
    except (ELFError, ConstructError, KeyError, ValueError):
        return None


def _cpu(core: Core) -> str:
    flag = next(flag for flag in core.cflags if flag.startswith("-mcpu="))
    return flag.removeprefix("-mcpu=").split("+")[0]


def _unit(core: Core) -> _Unit:
    cpu, flags = _cpu(core), " ".join(core.cflags)
    hard = "-mfloat-abi=hard" in flags
    fp_archs = {0} | ({6} if hard else set()) | ({8} if hard and cpu != "cortex-m4" else set())
    double = hard and cpu in _DOUBLE and "-sp-" not in flags
    return _Unit(frozenset(fp_archs), double, hard, cpu == "cortex-m55" and "+nomve" not in flags)


def _fault(found: Mapping[str, int], core: Core) -> str | None:
    """The first thing that the core has not."""
    runs, unit = _RUNS.get(_cpu(core)), _unit(core)
    arch, fp_arch = found.get("TAG_CPU_ARCH", 0), found.get("TAG_FP_ARCH", 0)
    profile = found.get("TAG_CPU_ARCH_PROFILE", 0)
    if profile not in (0, _M_PROFILE) or (runs is not None and arch not in runs):
        kind = f", profile {chr(profile)}" if profile not in (0, _M_PROFILE) else ""
        return f"is for {_ARCHS.get(arch, f'Arm architecture {arch}')}{kind}"
    if found.get("TAG_MVE_ARCH", 0) and not unit.has_mve:
        return "uses vector instructions (MVE)"
    if fp_arch not in unit.fp_archs:
        return f"uses {_FPUS.get(fp_arch, f'another FPU (FP_arch {fp_arch})')}"
    if fp_arch and found.get("TAG_ABI_HARDFP_USE") != 1 and not unit.has_double:
        return "uses a double-precision FPU"
    has_floats = fp_arch or found.get("TAG_ABI_FP_NUMBER_MODEL")
    if has_floats and ("TAG_ABI_VFP_ARGS" in found) != unit.hard_abi:
        kind = "registers" if "TAG_ABI_VFP_ARGS" in found else "no registers"
        return f"passes floats in {kind}"
    return None
