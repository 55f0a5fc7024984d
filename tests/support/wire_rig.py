"""Builds the firmware's own application for the host, with sanitizers (not a test)."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from mcu_hybrid import resources
from mcu_hybrid.wire import layouts, messages

HERE = Path(__file__).parent / "harness_rig"
BUILD_ID = bytes(range(16)).hex()
BOARD_CONFIG = """
#define MH_BOARD_NAME "rig"
#define MH_CHIP_NAME "host chip"
#define MH_CORE_NAME "host"
#define MH_CLOCK_HZ 1000000000u
#define MH_TICK_HZ 1000000000u
#define MH_TICK_INSTRUCTIONS 0
"""
WARNINGS = ["-std=c99", "-D_POSIX_C_SOURCE=200809L", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
SANITIZERS = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


def build(folder: Path, sources: list[Path], *flags: str) -> Path:
    """Compile and link; return the program."""
    if shutil.which("gcc") is None:
        pytest.skip("no host compiler (gcc)")
    app = resources.root("firmware_templates") / "app"
    (folder / "mh_messages.h").write_text(messages.c_header())
    (folder / "mh_payloads.h").write_text(layouts.c_header())
    (folder / "board_config.h").write_text(BOARD_CONFIG)
    (folder / "build_info.h").write_text(f'#define MH_BUILD_ID "{BUILD_ID}"\n')
    includes = [f"-I{path}" for path in (folder, app, resources.kernels() / "include")]
    program = folder / "program"
    argv = ["gcc", *WARNINGS, *SANITIZERS, *flags, *includes, *map(str, sources), "-o", program]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return program


def app_sources() -> list[Path]:
    """All C of the application."""
    return sorted((resources.root("firmware_templates") / "app").glob("*.c"))
