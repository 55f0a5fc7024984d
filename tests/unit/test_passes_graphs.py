"""All passes on random CNNs and on the real models: every tensor that survives is what it was."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from test_emit import run_c
from test_golden_models import MODELS

from mcu_hybrid.compiler.passes import OPTIMISING, optimise
from mcu_hybrid.compiler.passes.fold_dead import fold_dead, kept_channels
from mcu_hybrid.compiler.program import program_of
from mcu_hybrid.compiler.read.tflite import read_tflite
from mcu_hybrid.compiler.report import weights_bytes
from mcu_hybrid.graph.types import Graph
from mcu_hybrid.reference.interp import run
from mcu_hybrid.reference.verify import verify
from tests.support.random_cnn import macs, random_cnn
from tests.support.random_graph import random_graph, random_inputs

SEEDS = range(48)
BATCH = 8


def inputs_of(graph: Graph, seed: int) -> list[list[np.ndarray]]:
    """Random bytes, and one end of int8 everywhere."""
    arrays = random_inputs(graph, seed)
    return [arrays, [np.full_like(a, (-128, 127)[seed % 2]) for a in arrays]]


def compare(before: Graph, after: Graph, kept: dict[int, np.ndarray] | None, seed: int) -> None:
    """All tensors that both graphs compute are equal; with ``kept``, on these channels."""
    for inputs in inputs_of(before, seed):
        want, have = run(before, inputs, keep=True), run(after, inputs, keep=True)
        assert set(after.outputs) <= set(have)
        for index in set(want) & set(have):
            expected = want[index] if kept is None else want[index][..., kept[index]]
            np.testing.assert_array_equal(have[index], expected, err_msg=f"tensor {index}")


@pytest.mark.parametrize("first", SEEDS[::BATCH])
def test_random_cnns_compute_the_same(first: int) -> None:
    for seed in range(first, first + BATCH):
        graph = random_cnn(seed)
        plain = optimise(graph, fold_dead=False)
        compare(graph, plain, None, seed)
        for align in (1, 4):
            folded = fold_dead(plain, align=align)
            verify(folded, after="fold_dead")
            compare(plain, folded, kept_channels(plain, align=align), seed)
        every = optimise(graph)
        for inputs in inputs_of(graph, seed):
            for want, have in zip(run(graph, inputs), run(every, inputs), strict=True):
                np.testing.assert_array_equal(have, want)


def test_the_random_cnns_give_every_pass_something_to_do() -> None:
    notes = [note for seed in SEEDS for note in optimise(random_cnn(seed)).notes]
    done = Counter(note.split(":")[0] for note in notes)
    for step in OPTIMISING:
        assert done[step.__name__] >= 3, (step.__name__, done)


@pytest.mark.parametrize("seed", range(20))
def test_random_graphs_of_rows_compute_the_same(seed: int) -> None:
    graph = random_graph(seed)
    compare(graph, optimise(graph), None, seed)


@pytest.mark.parametrize("seed", [3, 7, 12])
def test_optimised_graphs_run_as_c(seed: int, tmp_path: Path) -> None:
    graph = random_cnn(seed)
    inputs = random_inputs(graph, seed)
    for want, have in zip(
        run(graph, inputs), run_c(optimise(graph), tmp_path, inputs), strict=True
    ):
        np.testing.assert_array_equal(have, want)


@pytest.mark.parametrize("name", MODELS)
def test_real_models_compute_the_same(shared: Path, name: str) -> None:
    """Without folding, every tensor left has TFLM's CRC; with it, outputs and kept channels."""
    golden = json.loads((shared / "models" / "golden" / f"{name}.json").read_text())
    graph = read_tflite((shared / "models" / f"{name}.tflite").read_bytes(), name).graph
    plain, folded = optimise(graph, fold_dead=False), optimise(graph)
    tensors = [graph.tensor(i) for i in graph.inputs]
    rule = [(np.arange(t.elements) * 37 + 11) % 256 - 128 for t in tensors]
    inputs = [q.astype(np.int8).reshape(t.shape) for q, t in zip(rule, tensors, strict=True)]
    values = run(plain, inputs, keep=True)
    rows = {row["tensor"]: row["crc32"] for row in golden["per_op_outputs_tflm"]["ops"]}
    compared = [i for op in plain.ops for i in op.outputs if i in rows]
    assert len(compared) >= len(plain.ops) - 2
    assert all(zlib.crc32(values[i].tobytes()) == int(rows[i], 16) for i in compared)
    for index, have in zip(folded.outputs, run(folded, inputs), strict=True):
        np.testing.assert_array_equal(have, values[index])
    compare(plain, folded, kept_channels(plain), seed=1)


@pytest.mark.parametrize(
    ("name", "fold", "most_macs", "most_arena", "most_weights"),
    [
        ("mcunet_vww1", False, 11_516_608, 96_000, 469_000),
        ("mcunet_vww1", True, 11_069_860, 96_000, 441_500),
        ("vww_96_int8", False, 7_489_664, 55_296, 233_800),
        ("vww_96_int8", True, 3_766_476, 55_296, 40_800),
    ],
)
def test_what_the_passes_save(
    shared: Path, name: str, fold: bool, most_macs: int, most_arena: int, most_weights: int
) -> None:
    graph = read_tflite((shared / "models" / f"{name}.tflite").read_bytes(), name).graph
    done = optimise(graph, fold_dead=fold)
    assert macs(done) <= most_macs
    program = program_of(done)
    assert program.plan.arena_bytes <= most_arena
    assert weights_bytes(program) <= most_weights
    assert any(note.startswith("fold_dead: ") for note in done.notes) is fold
