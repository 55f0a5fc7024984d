"""Runs operators three ways on the same inputs: integer numpy, our C under sanitizers, and TFLM.

All cases of a test become ONE C program: tables, params and inputs as constants, outputs written to
stdout. The buffers are separate globals, so the address sanitizer sees every overrun. Not here: the
cases (test_*.py) and how a .tflite is built (tests/support/tflite_builder.py).
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mcu_hybrid import ops, resources
from mcu_hybrid.compiler.emit import ctext
from mcu_hybrid.compiler.read.tflite import read_tflite
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.ops.base import CTable, KernelCall
from mcu_hybrid.reference.interp import run

FLAGS = (
    "-std=c99",
    "-O1",
    "-g",
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Werror",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
    "-fno-omit-frame-pointer",
)


@dataclass(frozen=True)
class Case:
    """A model of one operator and its inputs; ``model`` is None where TFLM lacks the operator."""

    name: str
    graph: Graph
    inputs: tuple[np.ndarray, ...]
    model: bytes | None = None


def case(name: str, model: bytes, rng: np.random.Generator) -> Case:
    """Read a one-operator .tflite and draw its inputs over the whole int8 range."""
    graph = read_tflite(model, name).graph
    inputs = tuple(
        rng.integers(-128, 128, graph.tensor(i).shape).astype(np.int8) for i in graph.inputs
    )
    return Case(name, graph, inputs, model)


def check(cases: Sequence[Case], folder: Path, kernel_dirs: Sequence[str] = ("ref",)) -> None:
    """Assert that numpy, C (also in place, where the operator allows it) and TFLM agree."""
    expected = [run(c.graph, c.inputs) for c in cases]
    for c, outputs in zip(cases, expected, strict=True):
        if c.model is not None:
            _assert_same(c, outputs, tflm(c.model, c.inputs), "TFLM")
    variants = [(c, pair) for c in cases for pair in (None, *in_place_pairs(c.graph))]
    results = run_c([(c, pair) for c, pair in variants], folder, kernel_dirs)
    by_case = {id(c): outputs for c, outputs in zip(cases, expected, strict=True)}
    for (c, pair), outputs in zip(variants, results, strict=True):
        how = "C" if pair is None else f"C, output {pair[1]} on input {pair[0]}"
        _assert_same(c, by_case[id(c)], outputs, how)


def tflm(model: bytes, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The outputs of TFLM's host interpreter."""
    graph = read_tflite(model, "model").graph
    arena_bytes = 20_000 + 4 * sum(tensor.bytes for tensor in graph.tensors)
    return interpret(model, inputs, len(graph.outputs), arena_bytes)


def interpret(
    model: bytes, inputs: Sequence[np.ndarray], outputs: int, arena_bytes: int
) -> list[np.ndarray]:
    """The outputs of TFLM's host interpreter, also for models that our reader refuses."""
    from tflite_micro.python.tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(model, arena_size=arena_bytes)
    for i, array in enumerate(inputs):
        interpreter.set_input(array, i)
    interpreter.invoke()
    return [interpreter.get_output(i) for i in range(outputs)]


def run_c(
    variants: Sequence[tuple[Case, tuple[int, int] | None]],
    folder: Path,
    kernel_dirs: Sequence[str],
) -> list[list[np.ndarray]]:
    """Compile and run all variants in one program; return the outputs of each."""
    calls = [ops.operator(_op(c).kind).lower(c.graph, _op(c)) for c, _ in variants]
    stems = sorted({s for call in calls if call is not None for s in (call.source, *call.also)})
    if not stems:  # views only
        return [run(c.graph, c.inputs) for c, _ in variants]
    source = folder / "cases.c"
    source.write_text(_program(variants, calls))
    program = folder / "cases"
    include = resources.kernels() / "include"
    sources = [path for stem in stems for path in resources.kernel_sources(stem, kernel_dirs)]
    argv = ["gcc", *FLAGS, f"-I{include}", str(source), *map(str, sources), "-o", str(program)]
    compiled = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert compiled.returncode == 0, compiled.stderr[:4000]
    done = subprocess.run([str(program)], capture_output=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")[:4000]
    return _split(done.stdout, variants, calls)


def _op(c: Case) -> Op:
    (op,) = c.graph.ops
    return op


def in_place_pairs(graph: Graph) -> tuple[tuple[int, int], ...]:
    """(input, output) of the one operator that may share a place."""
    (op,) = graph.ops
    return tuple(ops.operator(op.kind).inplace(graph, op))


def _assert_same(
    c: Case, expected: Sequence[np.ndarray], got: Sequence[np.ndarray], what: str
) -> None:
    assert len(expected) == len(got)
    for i, (a, b) in enumerate(zip(expected, got, strict=True)):
        flat_a, flat_b = a.reshape(-1), np.asarray(b).reshape(-1)
        wrong = np.flatnonzero(flat_a != flat_b)
        assert flat_a.size == flat_b.size and wrong.size == 0, (
            f"{c.name}: output {i} of {what} differs from numpy in {wrong.size} of {flat_a.size} "
            f"values; at {wrong[:5]}: numpy {flat_a[wrong[:5]]}, {what} {flat_b[wrong[:5]]}\n"
            f"{_op(c).attrs}"
        )


_HEAD = """#include "mh_kernels.h"
#include <stdio.h>
#include <stdlib.h>

static void *scratch_of(size_t bytes)
{
    void *p = bytes != 0 ? malloc(bytes) : NULL; /* exactly as asked: an overrun is an error */
    return p;
}
"""


def _program(
    variants: Sequence[tuple[Case, tuple[int, int] | None]], calls: Sequence[KernelCall | None]
) -> str:
    parts, body = [_HEAD], []
    for n, ((c, pair), call) in enumerate(zip(variants, calls, strict=True)):
        if call is not None:
            parts.append(_definitions(n, c, call, pair))
            body.append(_call(n, c, call, pair))
    main = "\n".join(body)
    parts.append(f"int main(void)\n{{\n{main}\n    return 0;\n}}\n")
    return "\n".join(parts)


def _definitions(n: int, c: Case, call: KernelCall, pair: tuple[int, int] | None) -> str:
    op, out = _op(c), []
    fed = dict(zip(c.graph.inputs, c.inputs, strict=True))
    names = {}
    for table in ctext.struct_tables(call.params):
        names[table.name] = f"c{n}_{table.name}"
        out.append(ctext.table_text(table, names[table.name], section=None))
    out.append(ctext.struct_text(call.params, f"c{n}_params", names))
    overlay = _overlay(op, call, pair)
    for position, index in enumerate(call.ins):
        if call.ins.index(index) != position:
            continue  # one tensor given twice is one array, as on the device
        data = fed.get(index, c.graph.tensor(index).data)
        assert data is not None
        if pair is not None and position == overlay:
            room = max(data.size, c.graph.tensor(op.outputs[pair[1]]).bytes)
            data = np.concatenate([data.reshape(-1), np.zeros(room - data.size, np.int8)])
        table = CTable("in", "int8_t", data.reshape(-1))
        text = ctext.table_text(table, f"c{n}_in{position}", section=None)
        out.append(text.replace("static const", "static", 1))
    for position, index in enumerate(call.outs):
        if pair is None or position != pair[1]:
            size = c.graph.tensor(index).bytes
            out.append(f"static int8_t c{n}_out{position}[{size}] __attribute__((aligned(4)));")
    return "\n".join(out)


def _overlay(op: Op, call: KernelCall, pair: tuple[int, int] | None) -> int | None:
    """The operand of the call that the output of ``pair`` lies on."""
    return None if pair is None else call.ins.index(op.inputs[pair[0]])


def _call(n: int, c: Case, call: KernelCall, pair: tuple[int, int] | None) -> str:
    ins = [f"c{n}_in{call.ins.index(index)}" for index in call.ins]
    outs = [
        f"c{n}_in{_overlay(_op(c), call, pair)}"
        if pair is not None and i == pair[1]
        else f"c{n}_out{i}"
        for i in range(len(call.outs))
    ]
    lines = ["    {"]
    if call.form == "nary_in":
        lines.append(f"        const int8_t *const ins[] = {{{', '.join(ins)}}};")
        ins = ["ins"]
    if call.form == "nary_out":
        lines.append(f"        int8_t *const outs[] = {{{', '.join(outs)}}};")
    given = ["outs"] if call.form == "nary_out" else outs
    scratch_bytes = ops.operator(_op(c).kind).scratch_bytes(c.graph, _op(c))
    arguments = ", ".join([f"&c{n}_params", *ins, *given, "scratch"])
    lines += [
        f"        void *scratch = scratch_of({scratch_bytes});",
        f"        if ({call.kernel.symbol}({arguments}) != MH_OK) {{",
        f'            fprintf(stderr, "case {n}: status\\n");',
        "            return 1;",
        "        }",
        "        free(scratch);",
    ]
    for name, index in zip(outs, call.outs, strict=True):
        lines.append(f"        fwrite({name}, 1, {c.graph.tensor(index).bytes}, stdout);")
    return "\n".join([*lines, "    }"])


def _split(
    data: bytes,
    variants: Sequence[tuple[Case, tuple[int, int] | None]],
    calls: Sequence[KernelCall | None],
) -> list[list[np.ndarray]]:
    results, at = [], 0
    for (c, _), call in zip(variants, calls, strict=True):
        if call is None:
            results.append(run(c.graph, c.inputs))
            continue
        arrays = {}
        for index in call.outs:
            tensor = c.graph.tensor(index)
            raw = data[at : at + tensor.bytes]
            arrays[index] = np.frombuffer(raw, np.dtype(tensor.dtype)).reshape(tensor.shape)
            at += tensor.bytes
        results.append([arrays[index] for index in c.graph.outputs])
    assert at == len(data)
    return results
