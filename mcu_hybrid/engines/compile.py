"""From an int8 graph to the program that suits a board best; writes no file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile

from mcu_hybrid.board.load import Board
from mcu_hybrid.compiler import code_budget
from mcu_hybrid.compiler.code_budget import Budgeted
from mcu_hybrid.compiler.engine import EngineOptions
from mcu_hybrid.compiler.lowering import Step, leaner, lower_graph, lowerer
from mcu_hybrid.compiler.passes import optimise
from mcu_hybrid.compiler.program import Program, assemble, program_of
from mcu_hybrid.compiler.schedule.choose import choose, is_as_fast
from mcu_hybrid.compiler.schedule.search import schedules
from mcu_hybrid.errors import CapacityError
from mcu_hybrid.events import OnEvent
from mcu_hybrid.firmware.fit import STATICS_BYTES, arena_room
from mcu_hybrid.graph.types import Graph


@dataclass(frozen=True)
class Selected:
    """The program, and what it was chosen from.

    ``front`` has the programs that were compared, fastest first; empty where none were. ``code``
    is the choice of kernels under the code budget; None for the reference kernels.
    """

    program: Program
    front: tuple[Program, ...] = ()
    code: Budgeted | None = None


def compile_graph(
    graph: Graph, board: Board, options: EngineOptions, on_event: OnEvent | None = None
) -> Selected:
    """Optimise, choose kernels for the board's core and a schedule, and plan the memory.

    All schedules are compared, but for speed on a board that the fastest fits: then those that are
    as fast. Where none fits the board, the smallest is returned: the fit gate says what is missing.

    Raises:
        CapacityError: no schedule stays within ``options.ram_limit``.
    """
    if options.kernels == "ref":
        made = Selected(program_of(graph))
        _require(made, options, 0)
        return made
    graph = optimise(graph, fold_dead=options.fold_dead)
    dirs, core = board.core.kernel_dirs, board.core.name
    fastest = lower_graph(graph, dirs, core)
    ways = tuple(step.kernel for step in fastest)
    code = code_budget.choose(ways, code_budget.code_table(dirs), options.code_budget)
    room = _room(board, options)
    lower_op, lean_candidates = lowerer(dirs, core, code.banned), leaner(dirs, core)
    points = schedules(graph, lower_op, on_event, lean_candidates)
    compared = _within_code(_compared(points, options, room), board, options)
    whole = assemble(graph, tuple(map(Step, graph.ops, code.kernels)))
    found = choose(compared, options.optimize, room) or (compared or (whole,))[-1]
    for_speed = options.optimize == "speed"
    if for_speed and (len(compared) < 2 or _is_as_good(whole, found)):
        found, compared = whole if _is_as_good(whole, found) else found, ()
    made = Selected(found, compared, code)
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


def _require(made: Selected, options: EngineOptions, tried: int) -> None:
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
