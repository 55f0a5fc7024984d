"""Which code a machine ran: blocks in the order in which they ran, and who can record them.

What the instructions are is not known here; how one machine records them is in its own files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

T = TypeVar("T")


@dataclass(frozen=True)
class Block:
    """Straight-line code: the addresses [start, end), in bytes."""

    start: int
    end: int


@dataclass(frozen=True)
class Trace:
    """One call of a function, with all that it calls.

    ``path`` are the blocks in the order in which they ran, as indices of ``blocks`` [int32, one per
    entry]; ``returned_to`` is the address behind the call.
    """

    blocks: tuple[Block, ...]
    path: np.ndarray
    returned_to: int

    def falls_through(self) -> np.ndarray:
        """For each entry of ``path``: True where the next address in memory ran next [bool]."""
        starts = np.array([block.start for block in self.blocks], np.int64)[self.path]
        ends = np.array([block.end for block in self.blocks], np.int64)[self.path]
        following: np.ndarray = np.append(starts[1:], self.returned_to)
        return following == ends


class Tracer(Protocol):
    """A private board whose blocks can be recorded; ``url`` opens its console."""

    url: str

    def record(self, entry: int, action: Callable[[Callable[[], None]], T]) -> tuple[T, Trace]:
        """Run ``action``; return its result and the last call of the function at ``entry`` in it.

        ``action`` is handed a function that switches the recording on, to call when it gets
        interesting: it costs time.

        Raises:
            ToolError: the record cannot be read, or the function was not called.
        """
