"""Which tensor a router reads in a model of somebody else, and what is said where there is none."""

from __future__ import annotations

import re

import pytest

from mcu_hybrid.export.ends import find_logits
from mcu_hybrid.graph.types import Graph, Op, Tensor
from mcu_hybrid.quant import QuantParams

LABELS = ("a", "b", "c")
QUANT = QuantParams((0.1,), (0,))


def chain(*steps: tuple[str, tuple[int, ...]], outputs: tuple[int, ...] | None = None) -> Graph:
    """image -> the given (operator, output shape), one behind the other."""
    tensors = [Tensor("image", (1, 4), "int8", QUANT)]
    ops = []
    for i, (kind, shape) in enumerate(steps):
        tensors.append(Tensor(f"{kind.lower()}_{i}", shape, "int8", QUANT))
        ops.append(Op(kind, f"layer{i}", (i,), (i + 1,), None))
    return Graph("m", tuple(tensors), tuple(ops), (0,), outputs or (len(steps),))


FC, SOFT = ("FULLY_CONNECTED", (1, 3)), ("SOFTMAX", (1, 3))


@pytest.mark.parametrize(
    ("graph", "logits"),
    [
        (chain(FC), "fully_connected_0"),
        (chain(FC, SOFT), "fully_connected_0"),
        (chain(FC, SOFT, ("RESHAPE", (3,))), "fully_connected_0"),
        (chain(FC, ("QUANTIZE", (1, 3))), "quantize_1"),
        (chain(("CONV_2D", (1, 1, 1, 3)), ("RESHAPE", (1, 3)), SOFT), "reshape_1"),
        (chain(("MEAN", (1, 1, 1, 3))), "mean_0"),
        (chain(FC, ("RESHAPE", (1, 3, 1, 1))), "reshape_1"),
        (chain(FC, ("LOGISTIC", (1, 3))), "fully_connected_0"),
        (chain(FC, SOFT, ("QUANTIZE", (1, 3))), "fully_connected_0"),
        (chain(("FULLY_CONNECTED", (1, 7)), FC, SOFT, outputs=(1, 3)), "fully_connected_1"),
    ],
)
def test_the_logits_are_found(graph: Graph, logits: str) -> None:
    end = find_logits(graph, LABELS)
    assert end.logits is not None and graph.tensor(end.logits).name == logits
    assert bool(end.note) == (end.logits not in graph.outputs or len(graph.outputs) > 1)


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        (chain(("FULLY_CONNECTED", (1, 1)), ("LOGISTIC", (1, 1))), "LOGISTIC .* one value"),
        (chain(("FULLY_CONNECTED", (1, 12)), ("SOFTMAX", (1, 12))), "12 values, the data has 3"),
        (chain(("CONV_2D", (1, 3, 1)), ("SOFTMAX", (1, 3, 1))), "not that of the classes"),
        (chain(FC, SOFT, ("MUL", (1, 3))), "behind SOFTMAX"),
        (chain(FC, FC, outputs=(1, 2)), "2 of them end in 3 logits"),
        (chain(("RELU", (1, 8)), ("RELU", (1, 9)), outputs=(1, 2)), "none of them"),
    ],
)
def test_other_ends_are_named(graph: Graph, words: str) -> None:
    end = find_logits(graph, LABELS)
    assert end.logits is None
    assert re.search(words, end.reason), end.reason
