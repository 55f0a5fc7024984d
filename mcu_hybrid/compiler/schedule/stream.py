"""A stream: a run of a graph's operators that one layer computes strip by strip of rows.

It is no operator: its values are those of its run, and the graph keeps the run. Which runs can be
streams is in candidates.py, what their calls are in lower.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mcu_hybrid.graph.types import Graph, Op


@dataclass(frozen=True)
class Stream:
    """Operators from position ``first`` of a graph on, and how their maps are cut.

    ``inputs`` are the tensors that the run reads and does not make, each once; first a map that the
    output may overlap. ``rows`` of the last operator's output are made at a time. ``keep``: rows
    that the next strip needs again are kept (a rolling window); False: they are computed again
    (patches with a halo).
    """

    first: int
    run: tuple[Op[Any], ...]
    inputs: tuple[int, ...]
    rows: int
    keep: bool
    kind = "STREAM"  # what plans, reports and generated C call it

    @property
    def last(self) -> int:
        """Position of the last operator."""
        return self.first + len(self.run) - 1

    @property
    def outputs(self) -> tuple[int, ...]:
        """The only tensors of the run that anything else reads."""
        return self.run[-1].outputs

    @property
    def name(self) -> str:
        """The names of its first and last operator."""
        if len(self.run) == 1:
            return self.run[0].name
        return f"{self.run[0].name} .. {self.run[-1].name}"


Work = Op[Any] | Stream  # what one layer computes


def ops_of(work: Work) -> tuple[Op[Any], ...]:
    """The operators that a layer computes."""
    return work.run if isinstance(work, Stream) else (work,)


def work_of(graph: Graph, streams: Iterable[Stream]) -> tuple[Work, ...]:
    """A graph's operators in order, with streams (that do not overlap) in place of their runs."""
    work: list[Work] = list(graph.ops)
    for stream in sorted(streams, key=lambda stream: -stream.first):
        work[stream.first : stream.last + 1] = [stream]
    return tuple(work)
