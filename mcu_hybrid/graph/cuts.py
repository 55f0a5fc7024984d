"""Cuts: where one tensor alone crosses from the operators before to those behind.

There a network can be taken apart: stopped, or gone on with elsewhere. What is read at such a place
(an output) does not cross it. Nothing here knows an operator.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mcu_hybrid.graph.types import ABSENT, Graph


@dataclass(frozen=True)
class Cut:
    """``tensor`` is all that the operators from ``position`` on read of what was there before."""

    position: int
    tensor: int


def single_tensor_cuts(graph: Graph) -> tuple[Cut, ...]:
    """All of them, in order; none at the network's input, where nothing was computed yet."""
    return tuple(_cuts(graph))


def _cuts(graph: Graph) -> Iterator[Cut]:
    last = {i: n for n, op in enumerate(graph.ops) for i in op.inputs if i != ABSENT}
    alive = set(graph.inputs) & last.keys()
    for n, op in enumerate(graph.ops[:-1]):
        alive |= set(op.outputs) & last.keys()
        alive = {tensor for tensor in alive if last[tensor] > n}
        if len(alive) == 1 and not alive & set(graph.inputs):
            yield Cut(n + 1, next(iter(alive)))
