"""What is installed on this machine, and the exact command that mends what is not.

Each check is a function that returns ``Check`` records; nothing is changed here and nothing opened
for writing. Serial ports and USB permissions are in ``doctor_ports.py``.
"""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mcu_hybrid import extras
from mcu_hybrid.board.load import list_boards
from mcu_hybrid.errors import ToolError
from mcu_hybrid.process import INSTALL_HINTS, Tools

GATHERED = ("all", "dev")  # extras that only name others
# Programs of a step: (program, what for, argument that prints the version).
COMPILERS = (
    ("arm-none-eabi-gcc", "firmware for boards"),
    ("arm-none-eabi-objcopy", "firmware for boards"),
    ("gcc", "board native"),
)
FLASH_TOOLS = ("openocd", "pyocd", "st-flash")
QEMU = "qemu-system-arm"
QEMU_INSTALL = INSTALL_HINTS[QEMU]
NEWLIB_INSTALL = "sudo apt-get install libnewlib-arm-none-eabi"
_VERSION = re.compile(r"\d+\.\d+(\.\d+)?")


@dataclass(frozen=True)
class Check:
    """One thing looked at: what was ``found`` and, where not ``ok``, the command to ``fix`` it."""

    name: str
    ok: bool
    found: str
    fix: str


def examine(tools: Tools | None = None) -> list[Check]:
    """Run all checks, in the order in which a user meets the things."""
    from mcu_hybrid.doctor.flash import check_boards
    from mcu_hybrid.doctor.ports import check_ports, check_probes

    tools = tools or Tools()
    return [
        check_python(),
        *check_compilers(tools),
        check_newlib(tools),
        check_qemu(tools),
        *check_packages(),
        check_flash_tools(tools),
        *check_boards(tools),
        *check_probes(),
        *check_ports(),
    ]


def check_python() -> Check:
    """The interpreter itself."""
    found = f"{platform.python_version()} at {sys.executable}"
    return Check("python 3.11", sys.version_info[:2] == (3, 11), found, "pyenv install 3.11")


def check_compilers(tools: Tools) -> Iterator[Check]:
    """The compilers, by version."""
    for program, purpose in COMPILERS:
        version = _version(tools, program)
        found = f"{version} ({purpose})" if version else f"not installed ({purpose})"
        yield Check(program, bool(version), found, "" if version else INSTALL_HINTS[program])


def check_newlib(tools: Tools) -> Check:
    """The C library of the Arm compiler: a package of its own in Debian, easily forgotten."""
    name = "newlib (nano.specs)"
    if tools.find("arm-none-eabi-gcc") is None:
        return Check(name, False, "no compiler to ask", INSTALL_HINTS["arm-none-eabi-gcc"])
    answer = _output(tools, "arm-none-eabi-gcc", "-print-file-name=nano.specs").strip()
    ok = Path(answer).is_absolute()  # gcc repeats the bare name of a file that it does not have
    return Check(name, ok, answer if ok else "not found", "" if ok else NEWLIB_INSTALL)


def check_qemu(tools: Tools) -> Check:
    """The emulator, and that it has the machines of our virtual boards."""
    version = _version(tools, QEMU)
    if not version:
        return Check(QEMU, False, "not installed", QEMU_INSTALL)
    machines = {line.split(" ", 1)[0] for line in _output(tools, QEMU, "-M", "help").splitlines()}
    wanted = sorted({board.qemu.machine for board in list_boards() if board.qemu})
    missing = [machine for machine in wanted if machine not in machines]
    if missing:
        return Check(QEMU, False, f"{version}, lacks {', '.join(missing)}", QEMU_INSTALL)
    return Check(QEMU, True, f"{version} with {', '.join(wanted)}", "")


def check_flash_tools(tools: Tools) -> Check:
    """One of the tools for real boards is enough; which board it can flash: ``doctor_flash.py``."""
    there = [tool for tool in FLASH_TOOLS if tools.find(tool)]
    if there:
        return Check("flashing tools", True, ", ".join(there), "")
    fix = "; or: ".join(INSTALL_HINTS[tool] for tool in FLASH_TOOLS)
    return Check("flashing tools", False, f"none of {', '.join(FLASH_TOOLS)} (real boards)", fix)


def check_packages() -> Iterator[Check]:
    """The Python packages of each extra, as the installed distribution lists them."""
    names = extras.names()
    if names is None:
        fix = f"{sys.executable} -m pip install -e ."
        fact = f"{extras.DISTRIBUTION} is not installed, only found"
        yield Check("packages", False, fact, fix)
    for extra in names or ():
        if extra in GATHERED:
            continue
        wanted = extras.packages(extra)
        missing = [f'"{each.name}{each.limits}"' for each in wanted if not each.installed]
        there = ", ".join(each.name for each in wanted if each.installed) or "none needed"
        found = f"missing: {', '.join(missing)}" if missing else there
        fix = f"{sys.executable} -m pip install {' '.join(missing)}" if missing else ""
        yield Check(f"packages [{extra}]", not missing, found, fix)


def _version(tools: Tools, program: str) -> str:
    """The program's version; "" where it is not there or cannot run."""
    match = _VERSION.search(_output(tools, program, "--version"))
    return match[0] if match else ""


def _output(tools: Tools, *argv: str) -> str:
    if tools.find(argv[0]) is None:
        return ""
    try:
        return tools.run(argv, timeout_s=30.0, check=False).output
    except ToolError:
        return ""
