"""Tools that are "installed" by name, start nothing, and keep what they were asked to run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mcu_hybrid.errors import ToolError
from mcu_hybrid.process import Result, Tools


class FakeTools(Tools):
    """``answers`` maps the start of a command line to its output; ``failing`` tools exit with 1."""

    def __init__(
        self,
        *installed: str,
        answers: dict[str, str] | None = None,
        failing: dict[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.installed = installed
        self.answers = answers or {}
        self.failing = failing or {}

    def find(self, program: str) -> str | None:
        return f"/fake/{program}" if program in self.installed else None

    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        timeout_s: float = 600.0,
        check: bool = True,
    ) -> Result:
        self.planned.append(tuple(argv))
        self.require(argv[0])
        if argv[0] in self.failing:
            raise ToolError(f"{argv[0]} failed", argv=argv, code=1, tail=self.failing[argv[0]])
        line = " ".join(argv)
        output = next((text for start, text in self.answers.items() if line.startswith(start)), "")
        return Result(tuple(argv), 0, output)
