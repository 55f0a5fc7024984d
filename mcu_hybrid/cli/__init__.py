"""The command line: a lazy group; each verb is a short file that calls the library and prints.

Only this module catches McuHybridError (exit code 1; 2 is click's usage error).
A traceback is a bug.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

import rich_click as click

from mcu_hybrid import __version__
from mcu_hybrid.errors import McuHybridError

click.rich_click.TEXT_MARKUP = "ansi"
click.rich_click.MAX_WIDTH = 110

# verb -> (module, one line for the group's help, so that the help imports nothing)
VERBS = {
    "demo": "The whole path on embedded data: train to report, on a virtual board.",
    "train": "Train base, router and global network.",
    "export": "Base + router to one int8 .tflite, global to ONNX.",
    "build": "Compile a model into firmware for a board.",
    "flash": "Put firmware on a board (or start a virtual one).",
    "bench": "Measure a model on a board, and compare it with TFLM bit for bit.",
    "serve": "Serve an ONNX model over the Open Inference Protocol v2.",
    "run": "Stream data through the board, query the cloud, print the table.",
    "report": "One self-contained HTML page from the steps' folders.",
    "boards": "List the boards and which virtual ones are running.",
    "doctor": "Check compiler, emulator, probes, ports; print what mends each.",
}


class LazyGroup(click.RichGroup):
    """Imports a verb's module only when that verb is called; its own help imports none."""

    only_names = False

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        if self.only_names or ctx.resilient_parsing:
            return click.RichCommand(name=name, short_help=VERBS[name], help=VERBS[name])
        module = importlib.import_module(f"mcu_hybrid.cli.{name}")
        command: click.Command = module.command
        return command

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self.only_names = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self.only_names = False


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mcu-hybrid")
def cli() -> None:
    """Hybrid inference on microcontrollers: the board answers what it can, the cloud the rest.

    Begin with: mcu-hybrid demo
    """


def main(argv: list[str] | None = None) -> None:
    """Entry point; maps our errors to exit code 1 and one clear message on stderr."""
    args = sys.argv[1:] if argv is None else argv
    try:
        cli.main(args=args, prog_name="mcu-hybrid", standalone_mode=True)
    except McuHybridError as error:
        if "--json" in args:
            kind = type(error).__name__
            print(json.dumps({"error": kind, "message": error.message, "hint": error.hint}))
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
