"""What is printed where the console is narrow, full or closed: numbers whole, results not lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mcu_hybrid.board.load import load_board
from mcu_hybrid.cli import main
from mcu_hybrid.machines import named
from mcu_hybrid.machines.program import launch

_MAIN = "from mcu_hybrid.cli import main; main()"
_TABLE = """
import sys
sys.stdout.isatty = lambda: True
from mcu_hybrid.cli.common import table
rows = [(i, "AVERAGE_POOL_2D", f"base/average_pool_2d_{i}", "12,345,678", "0.0020 (0.0018-0.0024)")
        for i in range(2)]
table("t", ("#", "operator", "layer", "instructions", "ms, estimate (range)"), rows)
"""


@pytest.mark.parametrize("columns", ["20", "40", "80", "200"])
def test_no_number_is_cut_in_a_narrow_terminal(columns: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _TABLE],
        env=os.environ | {"COLUMNS": columns, "TERM": "dumb", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert "…" not in done.stdout
    for number in ("12,345,678", "0.0020", "(0.0018-0.0024)"):
        assert done.stdout.count(number) == 2, done.stdout
    cells = [line.split("│") for line in done.stdout.splitlines() if line.startswith("│")]
    names = "".join(row[3].strip() for row in cells)
    assert names == "base/average_pool_2d_0base/average_pool_2d_1"


@pytest.mark.parametrize("redirect", ["2>/dev/full", "2>&-", "<&- 2>&-", "2>'{closed}'"])
def test_a_stderr_that_takes_nothing_costs_no_result(redirect: str, tmp_path: Path) -> None:
    """With progress, warnings and -v, all of which go there."""
    speaks = (
        "import click, logging\n"
        "import mcu_hybrid.cli.boards as b\n"
        "from mcu_hybrid.cli.common import progress\n"
        "def speak(**_):\n"
        "    with progress() as on_event:\n"
        "        on_event('one', 0, 2); on_event('two', 0, 2)\n"
        "    click.echo('warning: w', err=True)\n"
        "    logging.getLogger('mcu_hybrid').debug('argv')\n"
        "    click.echo('the result')\n"
        "b.command.callback = speak\n"
    )
    script = tmp_path / "speaks.py"
    script.write_text(speaks + _MAIN)
    call = f"{sys.executable} {script} -v boards"
    if "closed" in redirect:  # nobody reads the pipe any more
        fifo = tmp_path / "fifo"
        os.mkfifo(fifo)
        call = f"exec 3<>{fifo}; exec 4>{fifo}; exec 3<&-; {call} 2>&4"
    else:
        call += f" {redirect}"
    done = subprocess.run(["sh", "-c", call], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "the result\n"), done.stderr


def test_no_file_takes_the_number_of_a_closed_console(tmp_path: Path) -> None:
    """Else what a library prints itself ends in a result."""
    opens = (
        "import os\n"
        "import mcu_hybrid.cli.boards as b\n"
        "def write(**_):\n"
        f"    with open({str(tmp_path / 'result')!r}, 'w') as result:\n"
        "        os.write(1, b'noise'); os.write(2, b'noise')\n"
        "        result.write('kept')\n"
        "b.command.callback = write\n"
    )
    script = tmp_path / "opens.py"
    script.write_text(opens + _MAIN)
    call = f"{sys.executable} {script} boards <&- >&- 2>&-"
    done = subprocess.run(["sh", "-c", call], check=False)
    assert done.returncode == 0
    assert (tmp_path / "result").read_text() == "kept"


def test_verbose_tells_of_the_emulator_too(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level("DEBUG", "mcu_hybrid")
    command = named("qemu").command(load_board("mps2-an500"), Path("firmware.elf"), 4711)
    command = replace(command, argv=("true", *command.argv[1:]))
    process = launch(command, tmp_path / "log", ends_with_us=True)
    process.wait()
    assert "-M mps2-an500 -kernel firmware.elf" in caplog.text


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("tune --json", "give a target"),
        ("biuld --json", "Did you mean build?"),
        ("-q build --json", "Missing argument"),
        ("bench x --runs 0 --json", "'--runs'"),
        ("flash --json --bad", "No such option"),
    ],
)
def test_a_wrong_command_line_is_json_too(
    line: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(line.split())
    told = json.loads(capsys.readouterr().out)
    assert ended.value.code == 2
    assert told["error"] == "UsageError" and said in told["message"]
    with pytest.raises(SystemExit):
        main(["boards", "--json"])  # nothing of the last call is left
    assert isinstance(json.loads(capsys.readouterr().out), list)
