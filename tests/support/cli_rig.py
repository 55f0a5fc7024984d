"""Calls the command line in this process, as a program would; errors are data (no tests)."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest

from mcu_hybrid.cli import main


@pytest.fixture(scope="module", autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The boards that a module starts are its own: import this, and every test has it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


def call(*args: object) -> Any:
    """Run a verb with --json; returns what it printed. Fails where it does not end well."""
    code, printed, said = run(*args, "--json")
    assert code == 0, said
    return json.loads(printed)


def fail(*args: object) -> dict[str, str]:
    """Run a verb that must fail with one of our errors; returns it."""
    code, printed, said = run(*args, "--json")
    assert code == 1, (code, printed, said)
    assert "Traceback" not in said
    told: dict[str, str] = json.loads(printed)
    return told


def text(*args: object) -> str:
    """Run a verb as a person does; returns what it printed."""
    code, printed, said = run(*args)
    assert code == 0, said
    return printed


def run(*args: object) -> tuple[int, str, str]:
    """Run a verb; returns its exit code, what it printed, and what it said on stderr."""
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(arg) for arg in args])
        except SystemExit as ended:
            code = ended.code
    return (code if isinstance(code, int) else 0), out.getvalue(), err.getvalue()
