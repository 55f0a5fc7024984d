"""Installs the wheel as README says, in a stock environment and in a bare one; runs every verb.

The first environment gets README's own install line, whole, by the pip that `python -m venv`
brings: every verb must then work on tiny input. The second gets the package alone: no verb may end
in a traceback, and each names all the extras that it lacks in one line; one such line is pasted,
and must mend it.

    python3.11 tools/test_install.py [--keep DIR]     (or: make test-install)
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
import urllib.request
import venv
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TINY = "--base-epochs 1 --global-epochs 1 --base-width 4 --global-width 4 --qat no --threads 2"
PORT = 8472
DIGIT = "import numpy; numpy.save('digit.npy', numpy.zeros((8, 8, 1), numpy.uint8))"
# In the order of a user's first hour; each works in the folder that the ones before have filled.
VERBS = {
    "boards": "boards",
    "doctor": "doctor",
    "train": f"train --data digits {TINY} --out runs/train",
    "export": "export runs/train --out runs/export",
    "summarize": "summarize runs/export/model.tflite",
    "build": "build runs/export --board native --out runs/build",
    "flash": "flash runs/build",
    "bench": "bench runs/build --runs 3 --out runs/bench",
    "predict": "predict runs/build digit.npy --board native",
    "serve": f"serve --model runs/export --name global --port {PORT}",
    "run": "run runs/build --limit 20 --out runs/run",
    "tune": "tune runs/run --max-query-rate 50% --out runs/tune",
    "report": "report runs --out runs/report",
    "search": "search --data digits --board mps2-an500 --trials 1 --epochs 1 --images 200 "
    "--out runs/search",
    "demo": "demo --out runs/demo",
}
# What the bare install lacks, verb by verb; the others work in it.
LACKS = {
    "train": ["train"],
    "export": ["export", "train"],
    "bench": ["bench"],
    "serve": ["cloud"],
    "run": ["bench", "cloud"],
    "search": ["search"],
    "demo": ["train", "export", "bench", "cloud"],
}
PASTED = "serve"  # the verb whose line is pasted in the bare install: a small one


@dataclass
class Tally:
    """What passed and what failed."""

    passed: int = 0
    failed: list[str] = field(default_factory=list)

    def note(self, name: str, fault: str, seconds: float) -> None:
        """Count one check and print its line; ``fault`` is empty where it passed."""
        if fault:
            self.failed.append(name)
        else:
            self.passed += 1
        print(f"{'FAIL' if fault else 'ok  '} {name} ({seconds:.1f} s) {fault}", flush=True)


def main() -> int:
    """Run all; the exit code is 1 where anything failed."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--keep", type=Path, help="Work here and leave it.")
    keep = options.parse_args().keep
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="mcu-hybrid-install-") as name:
        work = (keep or Path(name)).resolve()
        source = copied(work / "source")
        full = work / "full"
        tally.note("README's install line", *stock(full, source))
        if not tally.failed:
            every_verb(full, work, tally)
        bare = work / "bare"
        tally.note("bare install", *install(bare, source, 'pip install "."'))
        bare_verbs(bare, work, tally)
    print(f"{tally.passed} passed, {len(tally.failed)} failed")
    return 1 if tally.failed else 0


def copied(target: Path) -> Path:
    """The files that git tracks, or has not been told of: what a user gets, and no build folder."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    for name in filter(None, names):
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_file():
            path.write_bytes((ROOT / name).read_bytes())
    return target


def readme_line() -> str:
    """README's own line, so that what is tried here is what is promised there."""
    found = re.search(r'^ +(pip install "\.\[all\]")', (ROOT / "README.md").read_text(), re.M)
    if found is None:
        raise SystemExit('README.md has no line: pip install ".[all]"')
    return found[1]


def stock(folder: Path, source: Path) -> tuple[str, float]:
    """A stock environment with everything; torch first, as README says, at the tested version."""
    pin = re.search(r"^torch==\S+", (ROOT / "constraints.txt").read_text(), re.M)
    return install(folder, source, f"pip install {pin[0] if pin else 'torch'}", readme_line())


def install(folder: Path, source: Path, *lines: str) -> tuple[str, float]:
    """Make the environment and run pip's lines in the checkout; returns the fault and seconds."""
    started = time.monotonic()
    venv.create(folder, with_pip=True, clear=True)
    for line in lines:
        done = shell(folder, f"{line} -q", source)
        if done.returncode:
            return done.stdout[-2000:], time.monotonic() - started
    return "", time.monotonic() - started


def shell(env: Path, line: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A line in a shell with the environment activated; both streams as text."""
    return subprocess.run(
        ["sh", "-c", line],
        cwd=cwd,
        env=activated(env, cwd),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def activated(env: Path, cwd: Path) -> dict[str, str]:
    """As bin/activate does; virtual boards of this check are its own."""
    unset = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    kept = {key: value for key, value in os.environ.items() if key not in unset}
    path = f"{env / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return kept | {"PATH": path, "VIRTUAL_ENV": str(env), "XDG_STATE_HOME": str(cwd / "state")}


def every_verb(env: Path, work: Path, tally: Tally) -> None:
    """All verbs, in the full install."""
    listed = shell(env, "mcu-hybrid boards --json", work)
    tally.note("boards --json is JSON", "" if json.loads(listed.stdout) else listed.stdout, 0.0)
    shell(env, f"python -c {shlex.quote(DIGIT)}", work)
    for verb in verbs_of(env, work):
        started = time.monotonic()
        line = f"mcu-hybrid {VERBS[verb]}"
        fault = served(env, work) if verb == "serve" else fault_of(shell(env, line, work))
        tally.note(f"all: {line}", fault, time.monotonic() - started)
    shell(env, "mcu-hybrid flash --board native --stop", work)
    shell(env, "mcu-hybrid flash --board mps2-an500 --stop", work)


def verbs_of(env: Path, cwd: Path) -> list[str]:
    """The verbs that the program has, in our order; one that is not listed here is an error."""
    code = "from mcu_hybrid.cli import VERBS; print(*VERBS)"
    names = set(shell(env, f"python -c {shlex.quote(code)}", cwd).stdout.split())
    if names - set(VERBS):
        raise SystemExit(f"tools/test_install.py does not know the verbs {names - set(VERBS)}")
    return [verb for verb in VERBS if verb in names]


def fault_of(done: subprocess.CompletedProcess[str]) -> str:
    """The end of the output where the verb failed or printed a traceback."""
    bad = done.returncode != 0 or "Traceback" in done.stdout
    return f"exit code {done.returncode}: {done.stdout[-1500:]}" if bad else ""


def served(env: Path, cwd: Path) -> str:
    """Start the server, ask whether it is ready, end it as Ctrl-C would; the fault or ""."""
    url = f"http://127.0.0.1:{PORT}/v2/health/ready"
    with subprocess.Popen(
        ["mcu-hybrid", *shlex.split(VERBS["serve"])],
        executable=str(env / "bin" / "mcu-hybrid"),
        cwd=cwd,
        env=activated(env, cwd),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as server:
        answered = False
        for _ in range(300):
            if server.poll() is not None:
                break
            try:
                with urllib.request.urlopen(url, timeout=5) as answer:
                    answered = answer.status == 200
                    break
            except OSError:
                time.sleep(0.2)
        server.terminate()
        said = server.communicate(timeout=30)[0]
    return "" if answered and "Traceback" not in said else said[-1500:] or "no answer"


def bare_verbs(env: Path, work: Path, tally: Tally) -> None:
    """All verbs without any extra, on the folders that the full install has left."""
    shown = "false"  # the shell's own command that fails
    for verb in verbs_of(env, work):
        started = time.monotonic()
        line = VERBS[verb].replace("--out runs/", "--out runs/bare-")
        done = shell(env, f"mcu-hybrid {line}", work)
        fault = bare_fault(verb, done)
        tally.note(f"bare: mcu-hybrid {line}", fault, time.monotonic() - started)
        if verb == PASTED:
            pasted = re.search(r"pip install .*", done.stdout)
            shown = pasted[0] if pasted else "false"
    started = time.monotonic()
    fault = fault_of(shell(env, f"{shown} -q", work)) or served(env, work)
    tally.note(f"bare: pasted {shown}, then {PASTED}", fault, time.monotonic() - started)
    shell(env, "mcu-hybrid flash --board native --stop", work)


def bare_fault(verb: str, done: subprocess.CompletedProcess[str]) -> str:
    """What is wrong with what a bare install says; "" where it says the right thing."""
    if verb not in LACKS:
        return fault_of(done)
    wanted = f"pip install 'mcu-hybrid[{','.join(LACKS[verb])}]'"
    told = done.returncode == 1 and "Traceback" not in done.stdout and wanted in done.stdout
    return "" if told else f"exit code {done.returncode}, not told {wanted}: {done.stdout[-1500:]}"


if __name__ == "__main__":
    sys.exit(main())
