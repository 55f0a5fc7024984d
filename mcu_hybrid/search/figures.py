"""What a genome takes on a board, by the code that builds firmware: nothing is estimated twice.

The graph goes through the passes, kernel choice, schedules and planner of ``mcu-hybrid build``.
Latency is an estimate with a range: the cost model's instructions (counted per kernel on virtual
boards) at the core's cycles per instruction and clock, as ``build`` and ``bench`` price them.
"""

from __future__ import annotations

from mcu_hybrid.artifacts.search import Figures, Limits
from mcu_hybrid.board.load import Board
from mcu_hybrid.compiler import cost, report
from mcu_hybrid.compiler.code_budget import code_table
from mcu_hybrid.compiler.engine import EngineOptions
from mcu_hybrid.compiler.program import Program
from mcu_hybrid.engines.compile import compile_graph
from mcu_hybrid.errors import CapacityError, InputError
from mcu_hybrid.firmware.fit import STATICS_BYTES, arena_room
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.machines.price import Time, estimate, parts_of, unknown
from mcu_hybrid.ops import operator


def limits_of(board: Board, limits: Limits) -> Limits:
    """The limits with the board's own memories where none are given or theirs are smaller.

    Raises:
        InputError: a latency is asked for, and the core's instructions have no price.
    """
    if limits.latency_us is not None and board.core.cpi is None:
        raise InputError(
            f"no cycles per instruction are known for {board.core.name} (board {board.name})",
            "choose a Cortex-M7 or M4 board (mcu-hybrid boards), or leave the latency out",
            key="--max-latency",
        )
    sram, flash = (
        min((n for n in (own or None, given) if n is not None), default=None)
        for own, given in (
            (board.ram_bytes, limits.sram_bytes),
            (board.flash_bytes, limits.flash_bytes),
        )
    )
    return Limits(sram_bytes=sram, flash_bytes=flash, latency_us=limits.latency_us)


def figures_of(graph: Graph, board: Board, limits: Limits) -> Figures:
    """Compile the graph for the board; a schedule that saves RAM where the fastest has too much.

    Args:
        graph: of ``graph_of``, linked and not optimised.
        limits: of ``limits_of``.
    """
    made = _compiled(graph, board, limits)
    counts = _counts(made, board)
    known = [count for count in counts if count is not None]
    instructions = sum(known) if len(known) == len(counts) else None
    weights = report.weights_bytes(made)
    code = code_table(board.core.kernel_dirs).predicted(made.kernels)
    time = _time(made, board, counts)
    return Figures(
        macs=report.model_macs(graph),
        instructions=instructions,
        latency_us=time.us,
        latency_low_us=time.low_us,
        latency_high_us=time.high_us,
        arena_bytes=made.plan.arena_bytes,
        sram_bytes=made.plan.arena_bytes + _beside_arena(board),
        weights_bytes=weights,
        code_bytes=code,
        flash_bytes=weights + code,
        streams=len(made.streams),
        unmeasured=sum(c is None for c in made.predicted),
    )


def _time(made: Program, board: Board, counts: list[int | None]) -> Time:
    if None in counts:
        return unknown("a layer's instructions are not known")
    layers = report.layer_rows(made)
    return estimate(board, parts_of(layers, counts, sum(count or 0 for count in counts)))


def excess(figures: Figures, board: Board, limits: Limits) -> dict[str, float]:
    """By how much each limit is exceeded, as a share of it; 0 or less where it is kept."""
    pairs = {
        "arena": (figures.arena_bytes, arena_room(board)),  # its region may be smaller than all RAM
        "sram": (figures.sram_bytes, limits.sram_bytes),
        "flash": (figures.flash_bytes, limits.flash_bytes),
        "latency": (figures.latency_us, limits.latency_us),
    }
    return {
        name: 0.0 if need is None or have is None else need / have - 1.0
        for name, (need, have) in pairs.items()
    }


def _counts(made: Program, board: Board) -> list[int | None]:
    """Instructions of each layer: as predicted, else of its fastest kernel that was measured."""
    found = []
    for layer in made.layers:
        op, count = layer.op, layer.kernel.instructions
        if count is None:
            others = [o.instructions for o in layer.kernel.others if o.instructions is not None]
            plain = operator(op.kind).lower(made.graph, op) if isinstance(op, Op) else None
            own = cost.instructions(plain, board.core.name) if plain is not None else None
            count = min(others, default=own)
        found.append(count)
    return found


def _compiled(graph: Graph, board: Board, limits: Limits) -> Program:
    """As built for the board; the smallest schedule where none keeps the limit."""
    if limits.sram_bytes is None:
        return compile_graph(graph, board, EngineOptions()).program
    stack = _beside_arena(board) - STATICS_BYTES
    try:
        options = EngineOptions(ram_limit=max(1, limits.sram_bytes - stack))
        return compile_graph(graph, board, options).program
    except CapacityError:
        return compile_graph(graph, board, EngineOptions(optimize="ram")).program


def _beside_arena(board: Board) -> int:
    """Bytes of RAM for statics and stack."""
    return STATICS_BYTES + (0 if board.is_host else board.stack_bytes)
