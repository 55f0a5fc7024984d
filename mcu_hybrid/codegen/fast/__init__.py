"""Fast kernels: which one an operator may use, its repacked constants, and what it will cost.

One module per family of operators, each with ``match(graph, op) -> Choice | None``; None means
that the operator's own ``lower`` (the reference kernel) is the only way. Here is only what they
share with the emitter; nothing here chooses between kernels or writes C.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mcu_hybrid.ops.base import KernelCall


@dataclass(frozen=True)
class Choice:
    """A kernel call and what it takes.

    ``inplace`` is as in ops/base.py. ``instructions`` is the predicted count of executed
    instructions of the call (None: not known, a reference kernel). ``forms`` counts channels per
    form of requantisation.
    """

    call: KernelCall
    scratch_bytes: int
    inplace: tuple[tuple[int, int], ...]
    instructions: int | None
    forms: Mapping[str, int]
