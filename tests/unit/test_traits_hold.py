"""What an operator's traits say is true of its reference: passes believe them without looking."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from mcu_hybrid import ops
from mcu_hybrid.compiler.exact.ranges import tensor_ranges
from mcu_hybrid.graph.types import ABSENT, Graph, Op
from mcu_hybrid.ops.activation import NONE, RELU, RELU6, activation_range
from mcu_hybrid.ops.base import Monotone, Operator
from mcu_hybrid.ops.lut import EVERY_INT8
from mcu_hybrid.ops.weighted import requantised, weights_of
from tests.kernels.test_elementwise import MAKERS, cases
from tests.support.random_cnn import random_cnn

Seen = tuple[Graph, Op, Operator, list[np.ndarray | None]]
Rng = np.random.Generator


def seen() -> Iterator[Seen]:
    """Operators in graphs, with random values for what they read."""
    rng = np.random.default_rng(11)
    graphs = [random_cnn(seed) for seed in range(24)]
    graphs += [case.graph()[0] for kind in MAKERS for case in cases(kind, 6)]
    for graph in graphs:
        for op in graph.ops:
            yield graph, op, ops.operator(op.kind), operands(graph, op, rng)


def operands(graph: Graph, op: Op, rng: Rng) -> list[np.ndarray | None]:
    """The constants, and random bytes for the rest."""
    found: dict[int, np.ndarray | None] = {ABSENT: None}
    for i in op.inputs:
        if i not in found:
            tensor = graph.tensor(i)
            drawn = rng.integers(-128, 128, tensor.shape).astype(np.int8)
            found[i] = drawn if tensor.data is None else tensor.data
    return [found[i] for i in op.inputs]


def moving(graph: Graph, op: Op) -> list[int]:
    """Positions of the operands that are computed."""
    return [n for n, i in enumerate(op.inputs) if i != ABSENT and not graph.tensor(i).is_const]


def bytewise(graph: Graph, op: Op, own: Operator, ins: list, rng: Rng) -> None:
    (y,), (table,) = own.reference(graph, op, ins), own.reference(graph, op, [EVERY_INT8])
    assert np.array_equal(table[ins[0].view(np.uint8)], y)


def pointwise(graph: Graph, op: Op, own: Operator, ins: list, rng: Rng) -> None:
    """Of an operand of the output's shape: what changes at one place changes nothing elsewhere."""
    (y,) = own.reference(graph, op, ins)
    for n in moving(graph, op):
        if ins[n].shape != y.shape or len(set(op.inputs)) < len(op.inputs):
            continue
        place = tuple(int(rng.integers(size)) for size in y.shape)
        other = ins[n].copy()
        other[place] ^= 0x55
        changed = [other if m == n else x for m, x in enumerate(ins)]
        z = np.array(own.reference(graph, op, changed)[0])
        z[place] = y[place]
        assert np.array_equal(y, z)


def rises(graph: Graph, op: Op, own: Operator, ins: list, rng: Rng) -> None:
    """Monotone.ALL: no output falls where operands rise."""
    grown = list(ins)
    for n in moving(graph, op):
        more = rng.integers(0, 3, ins[n].shape) * rng.integers(0, 90, ins[n].shape)
        grown[n] = np.minimum(ins[n].astype(int) + more, 127).astype(np.int8)
    before, after = own.reference(graph, op, ins), own.reference(graph, op, grown)
    if len(set(op.inputs)) == len(op.inputs):
        assert all(np.all(b >= a) for a, b in zip(before, after, strict=True))


def moves(graph: Graph, op: Op, own: Operator, ins: list, rng: Rng) -> None:
    """Each byte that comes out follows a byte that goes in, or none at all."""
    flipped = [x ^ 0x55 if n in moving(graph, op) else x for n, x in enumerate(ins)]
    ys, zs = own.reference(graph, op, ins), own.reference(graph, op, flipped)
    for y, z in zip(ys, zs, strict=True):
        assert np.all((z == y ^ 0x55) | (z == y))
    if len(moving(graph, op)) == 1:
        assert moving(graph, op) == [own.traits.data_at]


def view(graph: Graph, op: Op, own: Operator, ins: list, rng: Rng) -> None:
    (y,) = own.reference(graph, op, ins)
    assert own.lower(graph, op) is None and np.array_equal(y.ravel(), ins[0].ravel())


def clamps(graph: Graph, op: Op, own: Operator, ins: list, rng: Rng) -> None:
    (plain,) = own.reference(graph, with_activation(op, NONE), ins)
    for activation in (RELU, RELU6):
        (y,) = own.reference(graph, with_activation(op, activation), ins)
        bounds = activation_range(activation, graph.tensor(op.outputs[0]).require_quant())
        assert np.array_equal(y, np.clip(plain, *bounds))


def with_activation(op: Op, activation: int) -> Op:
    return replace(op, attrs=replace(op.attrs, activation=activation))


def weighted(graph: Graph, op: Op, own: Operator, ins: list, rng: Rng) -> None:
    sums = own.traits.weighted.sums(graph, op, ins[0], weights_of(graph, op))
    (y,) = own.reference(graph, op, ins)
    assert np.array_equal(requantised(graph, op, sums, op.attrs.activation).reshape(y.shape), y)
    assert weights_of(graph, op).shape[own.traits.weighted.channel_axis] == y.shape[-1]


RULES: dict[str, tuple[Callable[[Operator], bool], Callable[..., None]]] = {
    "bytewise": (lambda own: own.traits.bytewise, bytewise),
    "pointwise": (lambda own: own.traits.pointwise, pointwise),
    "monotone": (lambda own: own.traits.monotone is Monotone.ALL, rises),
    "moves": (lambda own: own.traits.moves, moves),
    "view": (lambda own: own.traits.view, view),
    "clamps": (lambda own: own.traits.clamps, clamps),
    "weighted": (lambda own: own.traits.weighted is not None, weighted),
}


@pytest.fixture(scope="module")
def every() -> list[Seen]:
    return list(seen())


@pytest.mark.parametrize("trait", RULES)
def test_a_trait_is_true_of_the_reference(trait: str, every: list[Seen]) -> None:
    has, holds = RULES[trait]
    rng, tried = np.random.default_rng(3), set()
    for graph, op, own, ins in every:
        if has(own):
            holds(graph, op, own, ins, rng)
            tried.add(op.kind)
    # Made by passes and tables of the reader's, seen in test_passes.py and test_float_tables.py.
    elsewhere = {"TABLE", "GELU", "RELU_0_TO_1", "SQUEEZE", "EXPAND_DIMS", "PADV2"}
    assert {kind for kind, own in ops.known().items() if has(own)} - tried <= elsewhere


def test_values_lie_within_the_bounds_that_traits_give(every: list[Seen]) -> None:
    """Monotone.EACH among them: SUB and MUL have their extremes at the operands' ends."""
    kinds = set()
    for graph, op, own, ins in every:
        alone = graph.with_(ops=(op,), inputs=tuple(op.inputs[n] for n in moving(graph, op)))
        ranges = tensor_ranges(alone)
        for index, y in zip(op.outputs, own.reference(graph, op, ins), strict=True):
            assert np.all((ranges[index].low <= y) & (y <= ranges[index].high)), op.kind
        kinds.add(op.kind)
    assert {"SUB", "MUL"} <= kinds


def test_a_trait_that_is_not_true_is_seen(every: list[Seen]) -> None:
    """SUB falls where its second operand rises; an addition does not move bytes."""
    rng = np.random.default_rng(1)
    for kind, rule in (("SUB", rises), ("ADD", moves), ("AVERAGE_POOL_2D", view)):
        with pytest.raises(AssertionError):
            for graph, op, own, ins in (row for row in every if row[1].kind == kind):
                rule(graph, op, own, ins, rng)
