"""compile: an int8 model to calls of kernels and a memory plan for a core; writes no file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

from mcu_hybrid.board.load import Board
from mcu_hybrid.compiler import code_budget, report
from mcu_hybrid.compiler.code_budget import Budgeted
from mcu_hybrid.compiler.lowering import Step, leaner, lower_graph, lowerer
from mcu_hybrid.compiler.passes import optimise
from mcu_hybrid.compiler.program import Program, assemble, program_of
from mcu_hybrid.compiler.read.tflite import ModelFile
from mcu_hybrid.compiler.schedule.choose import choose, is_as_fast
from mcu_hybrid.compiler.schedule.search import schedules
from mcu_hybrid.errors import CapacityError
from mcu_hybrid.events import OnEvent
from mcu_hybrid.firmware.fit import STATICS_BYTES, arena_room
from mcu_hybrid.graph.types import Graph


@dataclass(frozen=True)
class Model:
    """A .tflite as read; ``graph`` is linked and verified, and not optimised."""

    data: bytes
    file: ModelFile
    graph: Graph


@dataclass(frozen=True)
class Compiled:
    """The program, and what it was chosen from.

    ``front`` has the programs that were compared, fastest first; empty where none were. ``code``
    is the choice of kernels under the code budget; None for the reference kernels.
    """

    program: Program
    front: tuple[Program, ...] = ()
    code: Budgeted | None = None

    def facts(self) -> dict[str, Any]:
        """The schedule and its alternatives, for build.json and the report."""
        points = [
            {
                "arena_bytes": s.plan.arena_bytes,
                "instructions": s.instructions,
                "streams": len(s.streams),
                "is_chosen": s is self.program,
            }
            for s in self.front
        ]
        facts = {"streams": report.stream_rows(self.program), "front": points}
        return facts if self.code is None else facts | self.code.facts()


@dataclass(frozen=True)
class TflmTree:
    """The user's TensorFlow Lite Micro: checkout and static library."""

    root: Path
    library: Path


@dataclass(frozen=True)
class EngineOptions:
    """Which engine, and how ``aot`` compiles.

    ``kernels`` is "fast" (the core's own) or "ref" (the reference kernels, no passes, no streams).
    ``fold_dead`` takes constant and unneeded channels out; it never changes an output.
    ``optimize`` is "speed", "ram" or "balanced" (compiler/schedule/choose.py); ``ram_limit`` are
    the bytes that arena and statics may take (the stack comes on top); None: what the board has.
    ``code_budget`` are the bytes that code may take, without constants (compiler/code_budget.py);
    None: smaller code where it costs few instructions. ``input_shapes`` are (name, shape) of inputs
    whose size the file leaves open, "" for the only one (compiler/read/input_shapes.py). ``given``
    names the fields that somebody asked for, be it with their usual value.
    """

    name: str = "aot"
    tflm: TflmTree | None = None
    kernels: str = "fast"
    fold_dead: bool = True
    optimize: str = "speed"
    ram_limit: int | None = None
    code_budget: int | None = None
    input_shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()
    given: frozenset[str] = field(default=frozenset(), compare=False)


def compile_model(
    model: Model, board: Board, options: EngineOptions, on_event: OnEvent | None = None
) -> Compiled:
    """``compile_graph`` of a model's graph."""
    return compile_graph(model.graph, board, options, on_event)


def compile_graph(
    graph: Graph, board: Board, options: EngineOptions, on_event: OnEvent | None = None
) -> Compiled:
    """Optimise, choose kernels for the board's core and a schedule, and plan the memory.

    All schedules are compared, but for speed on a board that the fastest fits: then those that are
    as fast. Where none fits the board, the smallest is returned: the fit gate says what is missing.

    Raises:
        CapacityError: no schedule stays within ``options.ram_limit``.
    """
    if options.kernels == "ref":
        made = Compiled(program_of(graph))
        _require(made, options, 0)
        return made
    graph = optimise(graph, fold_dead=options.fold_dead)
    dirs, core = board.core.kernel_dirs, board.core.name
    fastest = lower_graph(graph, dirs, core)
    ways = tuple(step.kernel for step in fastest)
    code = code_budget.choose(ways, code_budget.code_table(dirs), options.code_budget)
    room = _room(board, options)
    lower_op, lean_ways = lowerer(dirs, core, code.banned), leaner(dirs, core)
    points = schedules(graph, lower_op, on_event, lean_ways)
    compared = _within_code(_compared(points, options, room), board, options)
    whole = assemble(graph, tuple(map(Step, graph.ops, code.kernels)))
    found = choose(compared, options.optimize, room) or (compared or (whole,))[-1]
    for_speed = options.optimize == "speed"
    if for_speed and (len(compared) < 2 or _is_as_good(whole, found)):
        found, compared = whole if _is_as_good(whole, found) else found, ()
    made = Compiled(found, compared, code)
    _require(made, options, len(compared))
    return made


def _is_as_good(whole: Program, found: Program) -> bool:
    """True where streams and leaner kernels buy neither speed nor bytes; they take code."""
    return is_as_fast(whole, found) and whole.plan.arena_bytes <= found.plan.arena_bytes


def _compared(
    points: Iterator[Program], options: EngineOptions, room: int | None
) -> tuple[Program, ...]:
    """The schedules among which the aim chooses, fastest first."""
    first = next(points)
    if options.optimize != "speed" or (room is not None and first.plan.arena_bytes > room):
        return (first, *points)
    return (first, *takewhile(lambda point: is_as_fast(point, first), points))


def _within_code(
    found: tuple[Program, ...], board: Board, options: EngineOptions
) -> tuple[Program, ...]:
    """Without those whose streams take more code than there is room for."""
    if options.code_budget is None:
        return found
    table = code_budget.code_table(board.core.kernel_dirs)
    return tuple(s for s in found if table.predicted(s.kernels) <= options.code_budget)


def _room(board: Board, options: EngineOptions) -> int | None:
    """Bytes that the arena may have; None: as many as it likes."""
    rooms = [arena_room(board)]
    if options.ram_limit is not None:
        rooms.append(options.ram_limit - STATICS_BYTES)
    return min((room for room in rooms if room is not None), default=None)


def _require(made: Compiled, options: EngineOptions, tried: int) -> None:
    if options.ram_limit is None:
        return
    arena = made.program.plan.arena_bytes
    need = arena + STATICS_BYTES
    if need <= options.ram_limit:
        return
    what = f"the smallest of {tried} schedules" if tried else "the only schedule"
    raise CapacityError(
        f"{what} needs {need:,} B RAM (arena {arena:,} + statics "
        f"{STATICS_BYTES:,}), the limit is {options.ram_limit:,} B",
        f"give --ram-limit {-(-need // 64) * 64} or more, or a smaller input or network",
        need=need,
        have=options.ram_limit,
    )
