"""Which kernels a model runs on under a limit of code: few instructions, or few bytes.

Layers share code: a kernel's bytes are paid once, and most kernels need others. So layers are not
chosen one by one. A search begins with the fastest candidate of every layer and gives up sections
of code one after the other; a layer that used such a section takes the next best
(``Choice.others``).
Bytes come from code_bytes.json, which tools/calibrate/code_size.py measures. Nothing is
compiled here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from mcu_hybrid.compiler.schedule.call import Call, StreamCall, kernel_calls
from mcu_hybrid.compiler.select import Choice
from mcu_hybrid.errors import CapacityError
from mcu_hybrid.ops.base import CSymbol, KernelCall

TABLE = Path(__file__).with_name("code_bytes.json")
# Without a budget: instructions that may be spent on smaller code. About the most that nobody would
# ask for back; docs/engine.md promises this figure. Not tuned.
SLACK = 0.01
# The generated C around the kernels, measured: once, per layer, and per call of a stream.
_MODEL, _LAYER, _ACT = 180, 41, 28
_ON_DEMAND = {"bound_s8": "mh_bound_s8", "gemm_odd_s8": "mh_gemm_last_channel"}  # weak references

Kernels = tuple[Choice | None, ...]
Banned = frozenset[str]
NOTHING: Banned = frozenset()


@dataclass(frozen=True)
class CodeTable:
    """Bytes of the harness, of params structs, and of sections with the sections they need."""

    harness: int
    params: Mapping[str, int]
    sections: Mapping[str, tuple[int, tuple[str, ...]]]
    closures: dict[tuple[str, ...], frozenset[str]] = field(default_factory=dict)

    def closure(self, call: Call) -> frozenset[str]:
        """All sections that a call links; kernels that were not measured have none."""
        roots = tuple(sorted({root for one in kernel_calls(call) for root in _roots(one)}))
        if roots not in self.closures:
            seen: set[str] = set()
            todo = [root for root in roots if root in self.sections]
            while todo:
                key = todo.pop()
                if key not in seen:
                    seen.add(key)
                    todo += self.sections[key][1]
            self.closures[roots] = frozenset(seen)
        return self.closures[roots]

    def bytes(self, sections: Iterable[str]) -> int:
        """Their sum."""
        return sum(self.sections[key][0] for key in sections)

    def predicted(self, kernels: Kernels) -> int:
        """Bytes of code of the whole firmware, constants left out."""
        calls = [choice.call for choice in kernels if choice is not None]
        used = frozenset[str]().union(*map(self.closure, calls))
        return self.harness + _MODEL + self.bytes(used) + sum(map(self._glue, calls))

    def _glue(self, call: Call) -> int:
        """A layer's params and its call."""
        params = {id(one.params): one.params for one in kernel_calls(call)}
        size = sum(self.params.get(one.ctype, 0) for one in params.values())
        acts = sum(map(len, call.steps)) * _ACT if isinstance(call, StreamCall) else 0
        return _LAYER + size + acts


@dataclass(frozen=True)
class Budgeted:
    """A choice for every layer; bytes are predicted ones of the whole firmware's code.

    ``banned`` are the sections that were given up (for ``pick``); ``fastest`` is what the kernels
    with the fewest instructions would take.
    """

    kernels: Kernels
    banned: Banned
    code_bytes: int
    instructions: int
    fastest_bytes: int
    fastest_instructions: int

    def facts(self) -> dict[str, int]:
        """What ``build --json`` says of it."""
        return {
            "predicted_code_bytes": self.code_bytes,
            "code_bytes_saved": self.fastest_bytes - self.code_bytes,
            "instructions_spent": self.instructions - self.fastest_instructions,
        }


def code_table(kernel_dirs: Sequence[str]) -> CodeTable:
    """The table of the first folder that was measured; raises KeyError where none was."""
    stored = _stored()
    name = next((folder for folder in kernel_dirs if folder in stored), "cortex_m_dsp")
    return stored[name]


def pick(choice: Choice, banned: Banned, table: CodeTable) -> Choice:
    """A layer's fastest candidate without banned code; the least banned one where none is."""
    if not banned or not choice.others:
        return choice
    candidates = (choice, *choice.others)
    return min(
        candidates,
        key=lambda one: (
            table.bytes(table.closure(one.call) & banned),
            one.instructions or 0,
        ),
    )


def choose(kernels: Kernels, table: CodeTable, budget: int | None = None) -> Budgeted:
    """The fewest instructions within ``budget`` bytes of code.

    Without a budget: the smallest code for SLACK more instructions than the fewest.

    Raises:
        CapacityError: the smallest code that the search found is larger than the budget.
    """
    search = _Search(kernels, table)
    first = search.state(NOTHING)
    if budget is None:
        best = search.down(first, most=round(first.instructions * (1 + SLACK)))
    else:
        best = search.within(first, budget)
    if budget is not None and best.code_bytes > budget:
        raise CapacityError(
            f"the code budget is {budget:,} B, the smallest code of this model takes about "
            f"{best.code_bytes:,} B",
            f"give --code-budget {best.code_bytes} or more",
            need=best.code_bytes,
            have=budget,
        )
    return Budgeted(
        best.kernels,
        best.banned,
        best.code_bytes,
        best.instructions,
        first.code_bytes,
        first.instructions,
    )


@dataclass(frozen=True)
class _State:
    banned: Banned
    kernels: Kernels
    code_bytes: int
    instructions: int


class _Search:
    """Gives up sections, the best bargain first."""

    def __init__(self, kernels: Kernels, table: CodeTable) -> None:
        self.kernels, self.table = kernels, table

    def state(self, banned: Banned) -> _State:
        """What is chosen without some sections."""
        chosen = tuple(c and pick(c, banned, self.table) for c in self.kernels)
        instructions = sum(c.instructions or 0 for c in chosen if c is not None)
        return _State(banned, chosen, self.table.predicted(chosen), instructions)

    def moves(self, state: _State) -> Iterator[_State]:
        """States with one section less that take less code."""
        seen: set[tuple[int, ...]] = set()
        for section in sorted(self._avoidable(state)):
            found = self.state(state.banned | {section})
            key = tuple(map(id, found.kernels))
            if found.code_bytes < state.code_bytes and key not in seen:
                seen.add(key)
                yield found

    def _avoidable(self, state: _State) -> set[str]:
        """Sections in use that no layer depends on."""
        used: set[str] = set()
        needed: set[str] = set()
        for layer, now in zip(self.kernels, state.kernels, strict=True):
            if layer is not None and now is not None:
                used |= self.table.closure(now.call)
                closures = [self.table.closure(one.call) for one in (layer, *layer.others)]
                needed |= frozenset.intersection(*closures)
        return used - needed

    def down(self, state: _State, most: int | None = None, enough: int = 0) -> _State:
        """Go on until no move is left, or code is small enough; at most ``most`` instructions."""
        while state.code_bytes > enough:
            found = [m for m in self.moves(state) if most is None or m.instructions <= most]
            if not found:
                return state
            fitting = [move for move in found if move.code_bytes <= enough]
            if fitting:
                return min(fitting, key=lambda move: move.instructions)
            before = state
            state = min(found, key=lambda move: _price(before, move))
        return state

    def within(self, first: _State, budget: int) -> _State:
        """The fewest instructions that fit; the smallest code where nothing does."""
        found = self.down(first, enough=budget)
        if found.code_bytes > budget:
            return found
        for section in sorted(found.banned):  # what later moves made needless
            back = self.state(found.banned - {section})
            if back.code_bytes <= budget and back.instructions <= found.instructions:
                found = back
        return found


def _price(before: _State, after: _State) -> float:
    """Instructions per byte."""
    saved = before.code_bytes - after.code_bytes
    return (after.instructions - before.instructions) / saved


def _roots(call: KernelCall) -> Iterator[str]:
    yield f"{call.source}.{call.kernel.symbol}"
    for _, value in call.params.fields:
        if isinstance(value, CSymbol):
            yield f"{value.source}.rodata.{value.name}"
    for stem in call.also:
        if stem in _ON_DEMAND:
            yield f"{stem}.{_ON_DEMAND[stem]}"


@cache
def _stored() -> Mapping[str, CodeTable]:
    found = json.loads(TABLE.read_text("utf-8"))
    return {
        name: CodeTable(
            table["harness"],
            table["params"],
            {key: (size, tuple(needs)) for key, (size, needs) in table["sections"].items()},
        )
        for name, table in found.items()
    }
