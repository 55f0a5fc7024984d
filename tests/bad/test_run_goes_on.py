"""A run that is ended (a pulled cable, a kill, a cloud that goes) keeps what it has, and goes on.

Gone on with, it ends as one that was never ended.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcu_hybrid import manifest
from mcu_hybrid.cli import main
from mcu_hybrid.device.client import Device
from mcu_hybrid.link.tcp import TcpLink
from mcu_hybrid.routing.outcomes import load_outcomes
from mcu_hybrid.steps.journal import ANSWERS
from tests.support.bad_rig import Refused, Steps, npz
from tests.support.cloud_rig import GOOD, Server, answer, answering, tensor

KEPT = "table.resume.jsonl"
TIMES = {"cloud_ms", "query_ms", "latency_ms"}
ANSWERED = ("results.npz", "calibration.npz", "pictures.npz")
BOARD_QUITS_AT = 12


def args_of(steps: Steps, url: str, *more: object) -> list[str]:
    return [str(a) for a in ("run", steps.build, "--cloud", url, "--out", "table", *more)]


def well(argv: Sequence[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*argv])
    assert not ended.value.code


def good(asked: int) -> tuple[Any, ...]:
    return GOOD


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in value.items() if k not in TIMES}
    return [without_times(v) for v in value] if isinstance(value, list) else value


def written(folder: Path) -> dict[str, Any]:
    arrays: dict[str, Any] = {}
    for name in ANSWERED:
        with np.load(folder / name) as file:
            arrays |= {f"{name}/{key}": file[key].tobytes() for key in file.files}
    return arrays | {"run": without_times(json.loads((folder / "run.json").read_text()))}


@pytest.fixture
def whole(steps: Steps, work: Path) -> dict[str, Any]:
    """What a run writes that nothing ended."""
    with answering(Server(good)) as url:
        well(args_of(steps, url))
    found = written(work / "table")
    shutil.rmtree(work / "table")
    return found


@pytest.fixture
def cable(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Pulls the cable at the inference of this number."""

    def pull_at(number: int) -> None:
        left = [number]
        infer = Device.infer

        def pulled(device: Device, *args: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                assert isinstance(device.link, TcpLink)
                device.link._socket.shutdown(socket.SHUT_RDWR)
            return infer(device, *args, **named)

        monkeypatch.setattr(Device, "infer", pulled)

    return pull_at


def stopped(argv: Sequence[str], capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """A run that the board ends: one error; what it said."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main([*argv, "--json"])
    out, err = capsys.readouterr()
    assert ended.value.code == 1 and "Traceback" not in err
    told: dict[str, str] = json.loads(out)
    return told


@pytest.fixture
def ended(
    steps: Steps, cable: Callable[[int], None], capsys: pytest.CaptureFixture[str], work: Path
) -> Path:
    """The journal of a run whose cable was pulled."""
    cable(BOARD_QUITS_AT)
    with answering(Server(good)) as url:
        stopped(args_of(steps, url), capsys)
    return work / KEPT


@pytest.mark.parametrize("number", [2, BOARD_QUITS_AT, 21 + 5])
def test_a_pulled_cable(
    number: int,
    steps: Steps,
    work: Path,
    whole: dict[str, Any],
    cable: Callable[[int], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Also in the calibration split, which is streamed after the 21 inputs of the test split."""
    cable(number)
    with answering(Server(good)) as url:
        told = stopped(args_of(steps, url), capsys)
        assert told["error"] == "LinkError"
        inputs = whole["run"]["samples"] + load_count(whole)
        assert f"the board's answers to {number - 1} of {inputs} inputs are kept" in told["message"]
        assert str(work / KEPT) in told["message"] and "--resume" in told["hint"]
        assert os.listdir(work) == [KEPT]
        well(args_of(steps, url, "--resume"))
    assert written(work / "table") == whole
    assert os.listdir(work) == ["table"]
    assert ANSWERS not in manifest.load(work / "table", "run").files


def load_count(found: dict[str, Any]) -> int:
    return len(found["calibration.npz/truth"]) // 4


def test_a_first_input_that_is_not_answered_leaves_nothing(
    steps: Steps, work: Path, cable: Callable[[int], None], refused: Refused
) -> None:
    cable(1)
    with answering(Server(good)) as url:
        told = refused(*args_of(steps, url))
    assert told.kind == "LinkError" and "--resume" not in told


@pytest.mark.parametrize(("number", "number_of_signal"), [(3, signal.SIGKILL), (30, signal.SIGINT)])
def test_a_killed_run(
    number: int, number_of_signal: int, steps: Steps, work: Path, whole: dict[str, Any]
) -> None:
    """By the cloud, while it is asked: in the live pass, and later. Only Ctrl-C can be told of."""
    running: list[subprocess.Popen[str]] = []

    def says(asked: int) -> tuple[Any, ...]:
        if asked == number:
            running[0].send_signal(number_of_signal)
        return GOOD

    with answering(Server(says)) as url:
        argv = [sys.executable, "-m", "mcu_hybrid", *args_of(steps, url)]
        root = str(Path(manifest.__file__).parent.parent)
        environment = os.environ | {"PYTHONPATH": root}
        running.append(subprocess.Popen(argv, env=environment, stderr=subprocess.PIPE, text=True))
        _, told = running[0].communicate(timeout=120)
    assert running[0].returncode != 0
    if number_of_signal == signal.SIGINT:
        assert f"kept in {work / KEPT}; go on with the same command and --resume" in told
        assert "Traceback" not in told
    assert os.listdir(work) == [KEPT]
    with answering(Server(good)) as url:  # at another address
        well(args_of(steps, url, "--resume"))
    assert written(work / "table") == whole


def test_an_ended_run_is_not_forgotten(steps: Steps, ended: Path, refused: Refused) -> None:
    told = refused("run", steps.build, "--out", "table")
    assert f"{ended}: a run into this folder was ended before it was done" in told.message
    assert "--resume" in told.hint and "--restart" in told.hint
    with answering(Server(good)) as url:
        well(args_of(steps, url, "--restart"))
    assert not ended.exists()


def test_nothing_to_go_on_with(steps: Steps, refused: Refused) -> None:
    told = refused("run", steps.build, "--out", "table", "--resume")
    assert "there is no ended run to go on with" in told.message
    assert "without --resume" in told.hint


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (("--limit", 5), "limit = 0, this run has 5"),
        (("--no-check",), "check = True, this run has False"),
        (("--no-calibration",), "calibration inputs = "),
        (("--router", "none"), "router = 'entropy', this run has 'none'"),
        (("--data", "other.npz"), "data = "),
    ],
    ids=["limit", "check", "calibration", "router", "data"],
)
def test_another_run_is_not_gone_on_with(
    more: tuple[object, ...], named: str, steps: Steps, ended: Path, refused: Refused
) -> None:
    npz(ended.parent / "other.npz", per_class=4)
    with answering(Server(good)) as url:
        told = refused(*args_of(steps, url, *more, "--resume"))
    assert f"{ended}: was written with {named}" in told.message
    assert "--restart" in told.hint


def test_another_build_is_not_gone_on_with(steps: Steps, ended: Path, refused: Refused) -> None:
    root = steps.root
    made_of = ("--data", root / "data.npz", "--global-onnx", root / "g.onnx", "--coverage", 0.5)
    well([str(a) for a in ("export", root / "net.tflite", *made_of, "--out", "e")])
    well(["build", "e", "--board", "native", "--out", "b"])
    with answering(Server(good)) as url:
        told = refused("run", "b", "--cloud", url, "--out", "table", "--resume")
    assert "was written with build = " in told.message


def test_another_network_in_the_cloud_is_not_gone_on_with(
    steps: Steps, ended: Path, refused: Refused
) -> None:
    """At the same address and under the same name: half of the table would be its."""
    other = answer(tensor([1.0, 0.5, 0.0], [1, 3]))
    with answering(Server(lambda asked: other)) as url:
        told = refused(*args_of(steps, url, "--resume"))
    assert "gives class 0 for an input that it gave class 2" in told.message


def test_a_cut_last_line_costs_one_answer(
    steps: Steps, whole: dict[str, Any], ended: Path, work: Path
) -> None:
    ended.write_bytes(ended.read_bytes()[:-9])
    with answering(Server(good)) as url:
        well(args_of(steps, url, "--resume"))
    assert written(work / "table") == whole


@pytest.mark.parametrize("damage", ["a flipped bit", "nothing", "another file"])
def test_a_damaged_journal_is_refused(
    damage: str, steps: Steps, ended: Path, refused: Refused
) -> None:
    raw = bytearray(ended.read_bytes())
    raw[len(raw) // 2] ^= 1
    ended.write_bytes({"a flipped bit": raw, "nothing": b""}.get(damage, b"other\nlines\n"))
    with answering(Server(good)) as url:
        told = refused(*args_of(steps, url, "--resume"))
    assert f"{ended}: is not what a run has kept, or was changed" in told.message
    assert "--restart" in told.hint


def test_two_runs_into_one_folder(steps: Steps, work: Path, refused: Refused) -> None:
    """The second is refused while the first goes on, whatever its options."""
    told: list[str] = []

    def says(asked: int) -> tuple[Any, ...]:
        if asked == 3:
            for more in ([], ["--resume"], ["--restart"]):
                argv = [sys.executable, "-m", "mcu_hybrid", *args_of(steps, "http://127.0.0.1:9")]
                done = subprocess.run([*argv, *more], capture_output=True, text=True, check=False)
                told.append(done.stderr)
        return GOOD

    with answering(Server(says)) as url:
        well(args_of(steps, url, "--deadline", 120))
    assert len(told) == 3
    for said in told:
        assert f"{work / KEPT}: another run is writing it" in said


def test_a_cloud_that_went_is_asked_again_for_what_is_missing(
    steps: Steps, work: Path, whole: dict[str, Any], refused: Refused
) -> None:
    """The run has ended well, with what it knew; the board is not asked again."""
    dies = Server(lambda asked: GOOD if asked < 8 else (500, b"{}"))
    with answering(dies) as url:
        well(args_of(steps, url))
    first = written(work / "table")
    assert first["run"]["cloud_missing"] > 0 and (work / "table" / ANSWERS).is_file()
    assert os.listdir(work) == ["table"]
    with answering(Server(good)) as url:
        told = refused(*args_of(steps, url, "--limit", 3, "--resume"))
        assert f"{ANSWERS}: was written with limit = 0, this run has 3" in told.message
        well(args_of(steps, url, "--resume"))
    again = written(work / "table")
    for name in ("results.npz/cloud", "results.npz/device", "calibration.npz/cloud"):
        assert again[name] == whole[name]
    assert again["run"]["cloud_missing"] == 0 and again["run"]["exact"] is True
    assert again["run"]["counters"] == first["run"]["counters"]  # of the live pass: as it was
    assert not (work / "table" / ANSWERS).exists()


def test_a_board_keeps_its_own_route_through_it_all(
    steps: Steps, work: Path, cable: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """A cable that is plugged in again: the board has gone on, by the route of the run."""
    from mcu_hybrid.steps.build import open_build
    from mcu_hybrid.steps.flash import on_board

    build = open_build(steps.build)
    well(["flash", str(steps.build)])
    try:
        with on_board(build) as device:
            own = device.get_route()
            port = device.link.url
        with answering(Server(good)) as url:
            args = args_of(steps, url, "--router", "margin", "--port", port)
            cable(5)
            stopped(args, capsys)
            assert os.listdir(work) == [KEPT]
            with Device.open(port) as device:
                assert device.get_route() != own
            well([*args, "--resume"])
            with Device.open(port) as device:
                assert device.get_route() == own
    finally:
        well(["flash", "--stop", "--board", "native"])
    assert load_outcomes(work / "table" / "results.npz").count == 21
