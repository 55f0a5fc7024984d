"""Fast kernels: which one an operator may use, its repacked constants, and what it will cost.

A folder per family of kernels, ``<isa>/<family>/``: match.py has ``match(graph, op) -> Choice |
None`` (None: the operator's own ``lower``, the reference kernel, is the only candidate), pack.py
the constants in the kernel's order, cost.py its terms. Here is only what they share with the
emitter; nothing here chooses between kernels or writes C.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mcu_hybrid.compiler.schedule.call import Call


@dataclass(frozen=True)
class Choice:
    """A kernel call (or a stream of them) and what it takes.

    ``inplace`` is as in ops/base.py. ``overlap`` is how many bytes input 0 must lie above the
    output where the two overlap, because the kernel reads what it has not overwritten yet (None:
    they must not overlap but as ``inplace`` says). ``instructions`` is the predicted count of
    executed instructions of the call (None: not measured, see compiler/cost). ``forms`` counts
    channels per form of requantisation. ``others`` are candidates with more instructions, which
    may share code with other layers or take less of it (code_budget.py picks).
    """

    call: Call
    scratch_bytes: int
    inplace: tuple[tuple[int, int], ...]
    instructions: int | None
    forms: Mapping[str, int]
    overlap: int | None = None
    others: tuple[Choice, ...] = ()
