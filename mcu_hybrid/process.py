"""The one seam through which programs are started; tests hand in a fake and compare argv."""

from __future__ import annotations

import logging
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mcu_hybrid.errors import MissingTool, ToolError

OWN_PROGRAMS = str(Path(sys.executable).parent)
_LOG = logging.getLogger(__name__)
_VERSION = re.compile(r"\d+\.\d+(\.\d+)?")
INSTALL_HINTS = {
    "arm-none-eabi-gcc": "sudo apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi",
    "arm-none-eabi-g++": "sudo apt-get install gcc-arm-none-eabi libstdc++-arm-none-eabi-newlib",
    "arm-none-eabi-objcopy": "sudo apt-get install binutils-arm-none-eabi",
    "arm-none-eabi-objdump": "sudo apt-get install binutils-arm-none-eabi",
    "qemu-system-arm": "sudo apt-get install qemu-system-arm",
    "openocd": "sudo apt-get install openocd",
    "st-flash": "sudo apt-get install stlink-tools",
    "pyocd": "pip install pyocd",
    "gcc": "sudo apt-get install gcc",
}


@dataclass(frozen=True)
class Result:
    """What a finished program left behind."""

    argv: tuple[str, ...]
    code: int
    output: str


class Tools:
    """Runs programs; ``dry_run`` records the argv lists in ``planned`` and starts nothing."""

    def __init__(self, dry_run: bool = False) -> None:
        self.dry_run = dry_run
        self.planned: list[tuple[str, ...]] = []

    def find(self, program: str) -> str | None:
        """Return the program's path, or None where it is not installed.

        One that pip put beside this interpreter (pyocd) is found without an activated environment.
        """
        return shutil.which(program) or shutil.which(program, path=OWN_PROGRAMS)

    def require(self, program: str) -> str:
        """Return the program's path; raise MissingTool with the install command."""
        path = self.find(program)
        if path is None:
            hint = INSTALL_HINTS.get(program, f"install {program} and put it on PATH")
            raise MissingTool(f"{program} is not installed", hint, argv=(program,))
        return path

    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        timeout_s: float = 600.0,  # a hung tool must end; builds and flashing take minutes at most
        check: bool = True,
    ) -> Result:
        """Run to the end, stdout and stderr together; raise ToolError on a non-zero exit code."""
        argv = tuple(str(a) for a in argv)
        self.planned.append(argv)
        if self.dry_run:
            return Result(argv, 0, "")
        program = self.require(argv[0])
        started = time.monotonic()
        try:
            done = subprocess.run(
                argv,
                executable=program,
                cwd=cwd,
                stdin=subprocess.DEVNULL,  # a tool that asks must fail, not wait for ever
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ToolError(
                f"{argv[0]} did not end within {timeout_s:g} s: {shlex.join(argv)}",
                argv=argv,
                tail=_tail(_text(error.stdout)),
            ) from error
        output = _text(done.stdout)
        seconds = time.monotonic() - started
        _LOG.debug("%s   (%.1f s, exit code %d)", shlex.join(argv), seconds, done.returncode)
        if check and done.returncode != 0:
            raise ToolError(
                f"{argv[0]} failed with exit code {done.returncode}: {shlex.join(argv)}",
                argv=argv,
                code=done.returncode,
                tail=_tail(output),
            )
        return Result(argv, done.returncode, output)

    def output(self, *argv: str) -> str:
        """What a program prints; "" where it is not there or cannot run."""
        if self.find(argv[0]) is None:
            return ""
        try:
            return self.run(argv, timeout_s=30.0, check=False).output
        except ToolError:
            return ""

    def version(self, program: str) -> str:
        """The program's version; "" where it is not there or cannot run."""
        match = _VERSION.search(self.output(program, "--version"))
        return match[0] if match else ""


def _text(output: bytes | None) -> str:
    return (output or b"").decode("utf-8", "replace")


def _tail(output: str) -> str:
    return "\n".join(output.splitlines()[-25:])
