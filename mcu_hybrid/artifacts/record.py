"""Committed results of benchmarks and experiments: one form, one row a line.

    {command, commit, machine, seeds, rows: [{id, value, error, must, aim, met}]}

``command`` makes the file anew, ``commit`` is the one it was made at, ``machine`` says what counts
there (compiler, emulator, processor). ``value`` is what was seen, ``error`` its half width where it
scatters, ``must`` a bound that is held, ``aim`` one that is wished for, ``met`` says whether the
bound holds (None: there is none). Tables and figures of the docs are made from these files.
"""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from mcu_hybrid.errors import InputError, McuHybridError
from mcu_hybrid.json_text import loads
from mcu_hybrid.process import Tools

_TOOLS = {"compiler": "arm-none-eabi-gcc", "emulator": "qemu-system-arm"}


@dataclass(frozen=True)
class Row:
    """One figure, or one group of figures that were seen together."""

    id: str
    value: object
    error: float | None = None
    must: object = None
    aim: object = None
    met: bool | None = None


@dataclass(frozen=True)
class Record:
    """A file of results."""

    command: str
    commit: str
    machine: Mapping[str, object]
    seeds: tuple[int, ...]
    rows: tuple[Row, ...]

    def text(self) -> str:
        """The file's text: a head, then one row a line, so that a change shows its rows only."""
        head = {key: value for key, value in asdict(self).items() if key != "rows"}
        lines = ",\n".join("  " + json.dumps(asdict(row)) for row in self.rows)
        return json.dumps(head, indent=1)[:-2] + f',\n "rows": [\n{lines}\n ]\n}}\n'


def machine(tools: Tools | None = None) -> dict[str, object]:
    """What of this machine results can depend on; no name and no path."""
    found: dict[str, object] = {
        "processor": platform.machine(),
        "python": platform.python_version(),
    }
    for what, program in _TOOLS.items():
        try:
            said = (tools or Tools()).output(program, "--version")
        except McuHybridError:
            continue
        found[what] = said.splitlines()[0].strip()
    return found


def commit(root: Path) -> str:
    """The short name of the checkout's commit, "+" behind it where files differ; "" elsewhere."""
    try:
        said = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--exclude=*"],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return said.stdout.strip()


def read(path: Path) -> Record:
    """Read a file of results.

    Raises:
        InputError: it is none; says which command makes such a file.
    """
    try:
        found = loads(path.read_bytes())
        rows = tuple(Row(**row) for row in found.pop("rows"))
        return Record(**found | {"seeds": tuple(found["seeds"]), "rows": rows})
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"is no file of results ({error})",
            "make it anew with the command in its head, or see docs/device.md and docs/hybrid.md",
            path=path,
        ) from error
