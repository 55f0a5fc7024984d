"""Segments: a program in parts, each with a place to stop; what is read there is still there."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mcu_hybrid import resources
from mcu_hybrid.compiler.emit.model import emit
from mcu_hybrid.compiler.lowering import cut_at, lower_graph
from mcu_hybrid.compiler.passes import optimise
from mcu_hybrid.compiler.program import Program, assemble, program_of
from mcu_hybrid.compiler.read.tflite import read_tflite
from mcu_hybrid.compiler.schedule.candidates import runs, stream_of
from mcu_hybrid.graph.cuts import Cut, single_tensor_cuts
from mcu_hybrid.graph.types import ABSENT, Graph
from mcu_hybrid.reference import interp
from mcu_hybrid.wire import messages
from tests.support.random_cnn import random_cnn
from tests.support.random_graph import Builder, random_graph, random_inputs
from tests.support.rig import FLAGS


def _crossing(graph: Graph, position: int) -> set[int]:
    """What the operators from a position on read of what was there before, by its definition."""
    before = {*graph.inputs, *(t for op in graph.ops[:position] for t in op.outputs)}
    read = {t for op in graph.ops[position:] for t in op.inputs if t != ABSENT}
    return before & read


@pytest.mark.parametrize("seed", range(30))
def test_one_tensor_crosses_a_cut(seed: int) -> None:
    graph = random_graph(seed) if seed % 2 else random_cnn(seed)
    alone = [(n, _crossing(graph, n)) for n in range(1, len(graph.ops))]
    wanted = [Cut(n, *found) for n, found in alone if len(found) == 1]
    assert list(single_tensor_cuts(graph)) == [c for c in wanted if c.tensor not in graph.inputs]


def test_a_skip_is_not_cut() -> None:
    b = Builder(1, 8)
    (x,) = b.op("RELU", b.inputs, [(1, 8)])
    (y,) = b.op("LOGISTIC", [x], [(1, 8)])
    (z,) = b.op("ADD", [x, y], [(1, 8)], fused_activation_function=0)
    (w,) = b.op("LOGISTIC", [z], [(1, 8)])
    assert single_tensor_cuts(b.graph([w])) == (Cut(1, x), Cut(3, z))
    assert single_tensor_cuts(b.graph([y, w])) == (Cut(1, x), Cut(3, z))  # an exit crosses nothing


def _cut(graph: Graph, parts: int) -> list[Cut]:
    """Cuts into so many parts of about as many operators."""
    found = single_tensor_cuts(graph)
    return [found[len(found) * n // parts] for n in range(1, parts)]


def _with_exits(graph: Graph, cuts: list[Cut]) -> Graph:
    """The graph with one more output in each part but the last: of its first operator."""
    starts = [0, *(cut.position for cut in cuts)][: len(cuts)]
    exits = [graph.ops[start].outputs[0] for start in starts]
    return graph.with_(outputs=(*graph.outputs, *exits))


def _run_c(program: Program, folder: Path, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """Compile for this machine under the sanitizers; the outputs in order of the segments."""
    for name, text in emit(program, digest=bytes(32)).items():
        (folder / name).write_text(text)
    (folder / "mh_messages.h").write_text(messages.c_header())
    kernels = [resources.kernels() / "ref" / f"{stem}.c" for stem in program.kernel_stems]
    app = resources.root("firmware_templates") / "app"
    include = [f"-I{path}" for path in (resources.kernels() / "include", app, folder)]
    main = Path(__file__).with_name("segment_main.c")
    argv = ["gcc", *FLAGS, *include, main, folder / "model.c", *kernels, "-o", folder / "model"]
    subprocess.run(argv, check=True)
    stdin = b"".join(array.tobytes() for array in inputs)
    done = subprocess.run([folder / "model"], input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, (done.returncode, done.stderr.decode())
    found, at = [], 0
    for output in (t for segment in program.segments for t in segment.exit):
        tensor = program.graph.tensor(output)
        data = np.frombuffer(done.stdout, tensor.dtype, tensor.elements, at)
        found.append(data.reshape(tensor.shape))
        at += tensor.bytes
    assert at == len(done.stdout)
    return found


MODELS = [("kws_ref_model", 3), ("pretrainedResnet_quant", 2), ("hello_world_int8", 3)]


def _real(shared: Path, name: str) -> tuple[Graph, bytes]:
    data = (shared / "models" / f"{name}.tflite").read_bytes()
    return read_tflite(data, name).graph, data


@pytest.mark.parametrize("exits", [False, True], ids=["cut", "exits"])
@pytest.mark.parametrize(("name", "parts"), MODELS)
def test_a_real_model_in_segments(
    name: str, parts: int, exits: bool, shared: Path, tmp_path: Path
) -> None:
    from mcu_hybrid.reference.judge import Judge

    pytest.importorskip("tflite_micro")
    graph, data = _real(shared, name)
    cuts = _cut(graph, parts)
    whole = _with_exits(graph, cuts) if exits else graph
    program = program_of(whole, cuts=cuts)
    assert [segment.cut for segment in program.segments] == [*(c.tensor for c in cuts), None]
    assert [bool(s.exit) for s in program.segments] == [exits] * (parts - 1) + [True]
    inputs = random_inputs(graph, 3)
    found = _run_c(program, tmp_path, inputs)
    values = interp.run(graph, inputs, keep=True)
    order = [t for segment in program.segments for t in segment.exit]
    for tensor, have in zip(order, found, strict=True):
        np.testing.assert_array_equal(have, values[tensor], graph.tensor(tensor).name)
    theirs = Judge(data).run(inputs)
    ours = dict(zip(order, found, strict=True))
    for tensor, want in zip(graph.outputs, theirs, strict=True):
        np.testing.assert_array_equal(ours[tensor].ravel(), want.ravel())


def _last_time(program: Program, tensor: int) -> int:
    """When the bytes that a tensor lies in are last held."""
    made = next(n for n, layer in enumerate(program.layers) if tensor in layer.op.outputs)
    rows = [row for row in program.plan.lifetimes if row.tensor is not None]
    (row,) = [
        row
        for row in rows
        if row.first <= made <= row.last and row.offset == program.plan.offsets[tensor]
    ]
    return row.last


@pytest.mark.parametrize("name", ["kws_ref_model", "pretrainedResnet_quant"])
def test_an_exit_lives_to_the_end_of_its_segment(name: str, shared: Path) -> None:
    graph, _ = _real(shared, name)
    cuts = _cut(graph, 3)
    graph = _with_exits(graph, cuts)
    parts, whole = program_of(graph, cuts=cuts), program_of(graph)
    exits = [t for segment in parts.segments[:-1] for t in segment.exit]
    assert len(exits) == 2
    end = 0
    for segment in parts.segments:
        end += len(segment.layers)
        assert all(_last_time(parts, tensor) >= end for tensor in segment.exit)
    assert all(_last_time(parts, tensor) < end for tensor in exits)
    assert all(_last_time(whole, tensor) == end for tensor in (*exits, *graph.outputs))
    assert parts.plan.arena_bytes <= whole.plan.arena_bytes


def test_a_missing_rule_is_seen(shared: Path, tmp_path: Path) -> None:
    """The C run can fail: with the places of a plan in which nobody reads the exits."""
    graph, _ = _real(shared, "kws_ref_model")
    cuts = _cut(graph, 3)
    whole = _with_exits(graph, cuts)
    program, other = program_of(whole, cuts=cuts), program_of(graph, cuts=cuts)
    segments = tuple(
        replace(s, layers=o.layers) for s, o in zip(program.segments, other.segments, strict=True)
    )
    broken = replace(program, plan=other.plan, segments=segments)
    inputs = random_inputs(graph, 3)
    values = interp.run(graph, inputs, keep=True)
    order = [t for segment in broken.segments for t in segment.exit]
    found = _run_c(broken, tmp_path, inputs)
    same = [np.array_equal(have, values[t]) for t, have in zip(order, found, strict=True)]
    assert not all(same) and same[-1]


def test_one_segment_has_no_table() -> None:
    files = emit(program_of(random_cnn(2)), digest=bytes(32), answers=())
    assert not any("segment" in text.lower() for text in files.values())


def test_a_stream_is_not_cut() -> None:
    graph = optimise(random_cnn(1))
    first, last = next((a, b) for a, b in runs(graph) if b > a and b + 1 < len(graph.ops))
    stream = stream_of(graph, first, last, rows=1, keep=True)
    steps = lower_graph(graph, streams=[stream])
    behind = assemble(graph, cut_at(steps, [Cut(last + 1, graph.ops[last].outputs[0])]))
    assert len(behind.segments) == 2 and behind.segments[0].layers[-1].op == stream
    with pytest.raises(ValueError, match=f"no step ends at operator {last}"):
        cut_at(steps, [Cut(last, graph.ops[last - 1].outputs[0])])
