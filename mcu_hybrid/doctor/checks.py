"""What is installed on this machine, and the exact command that mends what is not.

Each check is a function that returns ``Check`` records; nothing is changed here and nothing opened
for writing. Serial ports and USB permissions are in ``doctor_ports.py``.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mcu_hybrid import extras, machines
from mcu_hybrid.board.load import list_boards
from mcu_hybrid.process import INSTALL_HINTS, Tools

GATHERED = ("all", "dev")  # extras that only name others
# Programs of a step: (program, what for, argument that prints the version).
COMPILERS = (
    ("arm-none-eabi-gcc", "firmware for boards"),
    ("arm-none-eabi-objcopy", "firmware for boards"),
    ("gcc", "board native"),
)
FLASH_TOOLS = ("openocd", "pyocd", "st-flash")
NEWLIB_INSTALL = "sudo apt-get install libnewlib-arm-none-eabi"


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
        *check_machines(tools),
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
        version = tools.version(program)
        found = f"{version} ({purpose})" if version else f"not installed ({purpose})"
        yield Check(program, bool(version), found, "" if version else INSTALL_HINTS[program])


def check_newlib(tools: Tools) -> Check:
    """The C library of the Arm compiler: a package of its own in Debian, easily forgotten."""
    name = "newlib (nano.specs)"
    if tools.find("arm-none-eabi-gcc") is None:
        return Check(name, False, "no compiler to ask", INSTALL_HINTS["arm-none-eabi-gcc"])
    answer = tools.output("arm-none-eabi-gcc", "-print-file-name=nano.specs").strip()
    ok = Path(answer).is_absolute()  # gcc repeats the bare name of a file that it does not have
    return Check(name, ok, answer if ok else "not found", "" if ok else NEWLIB_INSTALL)


def check_machines(tools: Tools) -> Iterator[Check]:
    """The machines that are programs, and that they are fit for the boards that they run."""
    boards = list_boards()
    for machine in map(machines.named, machines.names()):
        found = machine.examine(tools, boards)
        if found is not None:
            yield Check(machine.tool or machine.name, found.ok, found.found, found.fix)


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
