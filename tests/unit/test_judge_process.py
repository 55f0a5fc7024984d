"""TFLM in a process of its own: it dies there, its arena grows, and it ends with its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from mcu_hybrid.compiler.read.tflite import read_tflite
from mcu_hybrid.errors import ModelError
from mcu_hybrid.reference import interp, judge_process
from mcu_hybrid.reference.judge import Judge, Unjudged
from tests.support.tflite_builder import OpSpec, Spec, build, build_one

SHAPE = (1, 8, 8, 4)


def relu(name: str = "y") -> bytes:
    return build_one("RELU", [Spec("x", SHAPE, scale=0.5)], [Spec(name, SHAPE, scale=0.5)])


def aborts() -> bytes:
    """A softmax whose multiplier is no number that TFLM takes."""
    source, target = Spec("x", (1, 32), scale=1e-30), Spec("y", (1, 32), scale=1 / 256, zero=-128)
    return build_one("SOFTMAX", [source], [target], {"beta": 1.0})


def weighted(kind: str) -> bytes:
    """A layer whose bias is written as -1."""
    shapes = {
        "CONV_2D": (SHAPE, (4, 3, 3, 4), SHAPE),
        "DEPTHWISE_CONV_2D": (SHAPE, (1, 3, 3, 4), SHAPE),
        "FULLY_CONNECTED": ((1, 8), (4, 8), (1, 4)),
    }
    source, filters, target = shapes[kind]
    rng = np.random.default_rng(3)
    data = rng.integers(-127, 128, filters, np.int8)
    options = {"stride_h": 1, "stride_w": 1} if "CONV" in kind else {}
    if kind == "DEPTHWISE_CONV_2D":
        options["depth_multiplier"] = 1
    inputs = [Spec("x", source, scale=0.05, zero=-3), Spec("w", filters, scale=0.02, data=data)]
    out = Spec("y", target, scale=0.4, zero=5)
    return build_one(kind, [*inputs, None], [out], options)


def process_id() -> int:
    assert judge_process._running is not None
    return judge_process._running._process.pid


def some(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-128, 128, shape, np.int8)


@pytest.mark.parametrize("kind", ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"])
def test_a_bias_written_as_absent_is_judged(kind: str) -> None:
    data = weighted(kind)
    graph, judge = read_tflite(data, "m").graph, Judge(data)
    x = some(graph.tensor(graph.inputs[0]).shape)
    np.testing.assert_array_equal(interp.run(graph, [x])[0], judge.run([x])[0])


def test_an_abort_of_tflm_is_an_error_and_nothing_else_dies() -> None:
    judge, x = Judge(relu()), some(SHAPE)
    before = judge.run([x])[0]
    first = process_id()
    for _ in range(2):
        with pytest.raises(Unjudged, match=r"TFLM itself died \(SIGABRT\) while it prepared"):
            Judge(aborts())
    assert judge_process._running is None or not judge_process._running.is_alive()
    np.testing.assert_array_equal(judge.run([x])[0], before)  # loaded again in a new process
    assert process_id() != first


def test_a_process_killed_from_outside_is_named_and_the_next_judge_works() -> None:
    judge, x = Judge(relu()), some(SHAPE)
    pid = process_id()

    def kill_it() -> None:
        os.kill(pid, signal.SIGSEGV)

    os.kill(pid, signal.SIGSTOP)
    threading.Timer(0.2, kill_it).start()
    threading.Timer(0.3, os.kill, (pid, signal.SIGCONT)).start()
    with pytest.raises(Unjudged, match=r"died \(SIGSEGV\) while it ran the model"):
        judge.run([x])
    with pytest.raises(Unjudged, match="SIGSEGV"):  # it would die again
        judge.run([x])
    assert Judge(relu()).run([x])[0].shape == SHAPE


def test_what_tflm_refuses_is_told_with_its_own_words() -> None:
    data = build_one("RELU", [Spec("x", SHAPE, "int64")], [Spec("y", SHAPE, scale=0.5)])
    with pytest.raises(ModelError, match="'x' is not int8"):
        Judge(data)
    source, target = Spec("x", SHAPE, scale=0.5), Spec("y", SHAPE, scale=0.5)
    with pytest.raises(Unjudged, match="TFLM's interpreter refuses the model: ") as caught:
        Judge(build_one("CUSTOM:Nothing", [source], [target]))
    assert "CUSTOM" in caught.value.message
    assert len(caught.value.message) < 500 and "\n" not in caught.value.message


def test_the_arena_grows_past_its_first_size() -> None:
    shape = (1, 1000, 1000, 2)  # 2 MB a tensor, three of them at a time
    tensors = [Spec(name, shape, scale=0.5) for name in ("x", "y", "z")]
    data = build(tensors, [OpSpec("RELU", [0], [1]), OpSpec("ADD", [0, 1], [2])], [0], [2])
    x = some(shape)
    (out,) = Judge(data).run([x])
    np.testing.assert_array_equal(out, interp.run(read_tflite(data, "m").graph, [x])[0])


def test_judges_share_a_process_and_forget_their_models() -> None:
    first, x = Judge(relu("a")), some(SHAPE)
    pid = process_id()
    second = Judge(relu("b"))
    assert process_id() == pid
    np.testing.assert_array_equal(first.run([x])[0], second.run([x])[0])
    del first
    home = judge_process._running
    assert home is not None and len(home.forgotten) == 1
    second.run([x])
    assert home.forgotten == []


def test_many_threads_may_ask() -> None:
    judge = Judge(weighted("CONV_2D"))
    inputs = [some(SHAPE, seed) for seed in range(16)]
    want = [judge.run([x])[0] for x in inputs]
    have: dict[int, np.ndarray] = {}

    def ask(number: int) -> None:
        have[number] = judge.run([inputs[number]])[0]

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, expected in enumerate(want):
        np.testing.assert_array_equal(have[number], expected)


def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.parametrize("end", ["exit", "kill", "fork"])
def test_the_process_ends_with_its_parent(end: str, tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(relu())
    text = f"""
import os, signal, sys
import numpy as np
from mcu_hybrid.reference import judge_process
from mcu_hybrid.reference.judge import Judge
judge = Judge(open({str(tmp_path / "m.tflite")!r}, "rb").read())
print(judge_process._running._process.pid, flush=True)
if {end!r} == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
if {end!r} == "fork":
    if os.fork() == 0:
        sys.exit(0)  # runs Python's ends of a process, and must leave the parent's alone
    os.wait()
    judge.run([np.zeros({SHAPE}, np.int8)])
    print("ran", flush=True)
"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    pid, *rest = done.stdout.split()
    assert done.stderr == "" and rest == (["ran"] if end == "fork" else [])
    deadline = time.monotonic() + 30
    while not _is_gone(int(pid)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert _is_gone(int(pid))


def test_the_bad_files_of_the_attack(shared: Path) -> None:
    folder = shared / "models" / "bad"
    if not folder.is_dir():
        pytest.skip("../shared/models/bad is absent")
    for name in ("nobias-conv", "nobias-dw"):
        data = (folder / f"{name}.tflite").read_bytes()
        x = some(SHAPE)
        expected = interp.run(read_tflite(data, name).graph, [x])[0]
        np.testing.assert_array_equal(Judge(data).run([x])[0], expected)
