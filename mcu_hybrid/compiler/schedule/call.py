"""What a stream becomes: calls of kernels and moves of rows, step by step, as plain data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mcu_hybrid.ops.base import KernelCall

MOVE = "rows_s8"  # file stem of the kernel that moves rows down


@dataclass(frozen=True)
class Place:
    """``offset`` bytes into a tensor that lives whole, or (None) into the stream's scratch."""

    tensor: int | None
    offset: int


@dataclass(frozen=True)
class KernelAct:
    """One call of a kernel: what stands for its inputs and outputs, in the call's order."""

    call: KernelCall
    places: tuple[Place, ...]
    scratch: Place | None


@dataclass(frozen=True)
class MoveAct:
    """Rows that stay go to the front of their window; source and target may overlap."""

    target: int
    source: int
    bytes: int


Act = KernelAct | MoveAct
Acts = tuple[Act, ...]


@dataclass(frozen=True)
class StreamCall:
    """The layer of a stream; ``ins`` and ``outs`` are tensor indices, as in KernelCall."""

    steps: tuple[Acts, ...]
    ins: tuple[int, ...]
    outs: tuple[int, ...]
    source: str
    also: tuple[str, ...]

    def calls(self) -> Iterator[KernelCall]:
        """All calls of kernels, in order."""
        for acts in self.steps:
            yield from (act.call for act in acts if isinstance(act, KernelAct))


Call = KernelCall | StreamCall


def kernel_calls(call: Call) -> Iterator[KernelCall]:
    """The calls of kernels that a layer makes."""
    if isinstance(call, StreamCall):
        yield from call.calls()
    else:
        yield call
