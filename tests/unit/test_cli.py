"""The command line itself: help, lazy imports, exit codes, errors. No verb does its work here."""

from __future__ import annotations

import ast
import errno
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from mcu_hybrid import cli
from mcu_hybrid.cli import VERBS, main
from mcu_hybrid.errors import McuHybridError

HEAVY = {"torch", "tensorflow", "fastapi", "uvicorn", "onnxruntime", "plotly", "onnx", "onnx2tf"}


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the command line, run in this process."""
    with pytest.raises(SystemExit) as ended:
        main(list(args))
    said = capsys.readouterr()
    code = ended.value.code
    return (code if isinstance(code, int) else 0), said.out, said.err


def imported_by(*args: str) -> set[str]:
    """The modules that a fresh interpreter holds after this command."""
    code = (
        "import sys\nfrom mcu_hybrid.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as ended:\n    assert not ended.code\n"
        "print('MODULES', *sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("MODULES")[2].split())


@pytest.mark.parametrize("verb", VERBS)
def test_help_has_an_example_and_the_json_switch(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, verb, "--help")
    assert code == 0
    assert f"Example: mcu-hybrid {verb}" in out
    assert "--json" in out


def test_group_help_names_every_verb_and_imports_none() -> None:
    modules = imported_by("--help")
    verbs = {name.rpartition(".")[2] for name in modules if name.startswith("mcu_hybrid.cli.")}
    assert not verbs & set(VERBS)
    assert not {"mcu_hybrid.steps", "numpy"} & modules


@pytest.mark.parametrize("verb", VERBS)
def test_no_option_name_breaks_in_80_columns(
    verb: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = run(capsys, verb, "--help")
    command = cli.cli.get_command(click.Context(cli.cli), verb)
    assert command is not None
    for option in command.params:
        if isinstance(option, click.Option):
            for name in (*option.opts, *option.secondary_opts):
                assert re.search(rf"{name}(?![a-z-])", out), name


@pytest.mark.parametrize(
    ("line", "first"),
    [
        ("build --board st", "stm32f4"),
        ("build --board nucleo-f7", "nucleo-f746zg"),
        ("flash --board NRF", "nrf52840dk"),
        ("flash --flasher py", "pyocd"),
        ("tune --router ma", "max-prob"),
        ("tune --payload j", "jpeg"),
        ("train --data dig", "digits"),
        ("run --router max", "max-prob"),
        ("ex", "export"),
        ("demo --link lo", "lora"),
        ("bench --runs 3 --bo", "--board"),
    ],
)
def test_the_shell_completes_verbs_options_and_values(line: str, first: str) -> None:
    words = f"mcu-hybrid {line}"
    environment = os.environ | {
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
        "_MCU_HYBRID_COMPLETE": "bash_complete",
    }
    done = subprocess.run(
        [sys.executable, "-c", "from mcu_hybrid.cli import main; main()"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines()[0] == f"plain,{first}", done.stderr


def test_a_word_that_is_no_verb_names_its_neighbour(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "biuld")
    assert code == 2
    assert "Did you mean build?" in err


CONSOLES = ("ascii", "latin-1", "cp437", "ascii:strict")


@pytest.mark.parametrize("encoding", CONSOLES)
def test_whatever_the_console_can_show_the_result_comes_out(encoding: str, tmp_path: Path) -> None:
    failing = (
        "import mcu_hybrid.cli.boards as b\n"
        "from mcu_hybrid.errors import InputError\n"
        "def fail(**_): raise InputError('M\\u00fcller \\u2014 \\u6c49')\n"
        "b.command.callback = fail\n"
    )
    for before, code, stream, text in (
        ("", 0, "stdout", b"mps2-an500"),
        (failing, 1, "stderr", b"error: M"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", f"{before}from mcu_hybrid.cli import main; main()", "boards"],
            env=os.environ | {"PYTHONIOENCODING": encoding},
            capture_output=True,
            check=False,
        )
        assert b"Traceback" not in done.stderr
        assert done.returncode == code
        assert text in getattr(done, stream)


@pytest.mark.parametrize("form", ["table", "json"])
@pytest.mark.parametrize("redirect", [">/dev/full", ">&-", "2>/dev/full", "2>&-", ">&- 2>&-"])
def test_a_console_that_takes_nothing_is_no_traceback(
    redirect: str, form: str, tmp_path: Path
) -> None:
    verb = "boards" + (" --json" if form == "json" else "")
    call = f"{sys.executable} -m mcu_hybrid {verb} {redirect}"
    done = subprocess.run(["sh", "-c", call], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
    full = redirect == ">/dev/full"
    assert done.returncode == (1 if full else 0)
    assert ("No space left" in done.stderr) == full


@pytest.mark.parametrize(
    "args", [("flash", "--help"), ("build", "--help"), ("run", "--help"), ("boards",)]
)
def test_light_verbs_import_no_heavy_package(args: tuple[str, ...]) -> None:
    assert not HEAVY & imported_by(*args)


def test_every_verb_is_a_module_and_every_module_a_verb(root: Path) -> None:
    files = {path.stem for path in (root / "mcu_hybrid" / "cli").glob("*.py")}
    assert files - {"__init__", "common", "completion", "console"} == set(VERBS)


def test_only_the_command_line_prints(root: Path) -> None:
    library = [p for p in (root / "mcu_hybrid").rglob("*.py") if p.parent.name != "cli"]
    assert len(library) > 100
    printing = [
        f"{path.relative_to(root)}:{node.lineno}"
        for path in library
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
        and path.name != "convert_worker.py"  # a program of its own, read by its parent
    ]
    assert not printing


@pytest.mark.parametrize(
    "args",
    [
        ("nonsense",),
        ("boards", "--nonsense"),
        ("serve",),
        ("build",),
        ("build", "x.tflite", "--engine", "other"),
        ("bench", "--runs", "0"),
        ("bench", "--runs", "-3"),
        ("bench", "--runs", "many"),
        ("run", "--limit", "-1"),
        ("run", "--deadline", "0"),
        ("run", "--size", "3x4x5"),
        ("serve", "--model", "x.onnx", "--port", "70000"),
        ("serve", "--model", "x.onnx", "--max-body", "0"),
        ("train", "--size", "0"),
        ("export", "--router", "oracle"),
        ("run", "--router", "oracle"),
        ("train", "--router-inputs", "oracle"),
    ],
    ids=" ".join,
)
def test_usage_errors_exit_2(
    args: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *args)
    assert code == 2
    assert not out
    assert "Error" in err and "Traceback" not in err
    assert not list(tmp_path.iterdir())


def test_an_error_of_ours_is_one_message_and_exit_1(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "build", "no.tflite", "--board", "no-board")
    assert code == 1
    assert not out
    assert err.startswith("error: board 'no-board' is unknown\n  next step: known boards:")
    assert err.count("\n") == 2


def test_an_error_of_ours_is_an_object_with_json(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "build", "no.tflite", "--board", "no-board", "--json")
    told = json.loads(out)
    assert code == 1
    assert told["error"] == "BoardError"
    assert told["message"] == "board 'no-board' is unknown"
    assert "mps2-an500" in told["hint"]
    assert err.startswith("error: ")


def fail_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(cli.cli, "main", fails)


def test_a_full_disk_is_no_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_with(monkeypatch, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/data/x.elf"))
    code, _, err = run(capsys, "boards")
    assert code == 1
    assert err.startswith("error: /data/x.elf: No space left on device\n")


def test_a_fault_of_ours_stays_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, FileNotFoundError(errno.ENOENT, "gone", "template.c"))
    with pytest.raises(FileNotFoundError):
        main(["boards"])


def test_a_closed_pipe_is_silent() -> None:
    line = f"{shlex.quote(sys.executable)} -m mcu_hybrid boards --json | true"
    for _ in range(2):  # whether the pipe closes in time is a race
        done = subprocess.run(line, shell=True, capture_output=True, text=True, check=False)
        assert not done.stderr


def test_every_error_class_reaches_the_user(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def below(kind: type[McuHybridError]) -> list[type[McuHybridError]]:
        return [kind, *(k for sub in kind.__subclasses__() for k in below(sub))]

    for kind in below(McuHybridError):
        if kind.__module__ != "mcu_hybrid.errors":
            continue
        fail_with(monkeypatch, kind("the fact", "the step"))
        code, out, err = run(capsys, "boards", "--json")
        assert (code, err) == (1, "error: the fact\n  next step: the step\n")
        assert json.loads(out) == {
            "error": kind.__name__,
            "message": "the fact",
            "hint": "the step",
        }
