"""Engine aot: our own C, compiled ahead of time for the board's core.

Which kernels and schedule are chosen is in compile.py; here is what becomes of the program.
"""

from __future__ import annotations

from collections.abc import Sequence

from mcu_hybrid.artifacts.build import AotFacts, CodeChoice, Estimate, LayerRow, SchedulePoint
from mcu_hybrid.board.load import Board
from mcu_hybrid.compiler import report
from mcu_hybrid.compiler.emit.known_answers import KnownAnswer
from mcu_hybrid.compiler.emit.model import emit
from mcu_hybrid.compiler.engine import Compiled, EngineFacts, EngineOptions, Model
from mcu_hybrid.compiler.router_cost import router_costs
from mcu_hybrid.engines.compile import Selected, compile_graph
from mcu_hybrid.events import OnEvent
from mcu_hybrid.machines import price


class AotEngine:
    """The usual engine."""

    def compile(
        self, model: Model, board: Board, options: EngineOptions, on_event: OnEvent | None = None
    ) -> Compiled:
        """Optimise, choose, plan; raises CapacityError where no schedule keeps a limit."""
        if on_event:
            on_event("choose kernels", 0, 1)
        made = compile_graph(model.graph, board, options, on_event)
        program = made.program
        layers = report.layer_rows(program)

        def files(answers: Sequence[KnownAnswer]) -> dict[str, str]:
            digest = bytes.fromhex(model.file.sha256)
            return emit(program, digest=digest, metadata=model.file.metadata, answers=answers)

        return Compiled(
            graph=program.graph,
            files=files,
            footprint=report.footprint(program),
            layers=layers,
            plan=report.memory_map(program),
            facts=EngineFacts(router_costs(program), _facts(made, layers, board, options)),
        )


def _facts(
    made: Selected, layers: Sequence[LayerRow], board: Board, options: EngineOptions
) -> AotFacts:
    """The schedule, its alternatives, and what the cost model says."""
    program = made.program
    return AotFacts(
        arena_is_optimal=program.plan.is_optimal,
        kernels=options.kernels,
        fold_dead=options.fold_dead,
        optimize=options.optimize,
        code_budget=options.code_budget,
        streams=report.stream_rows(program),
        front=tuple(
            SchedulePoint(
                arena_bytes=point.plan.arena_bytes,
                instructions=point.instructions,
                streams=len(point.streams),
                is_chosen=point is program,
            )
            for point in made.front
        ),
        code=None if made.code is None else CodeChoice(**made.code.facts()),
        requantise_forms=program.requantise_forms,
        predicted_instructions=tuple(program.predicted),
        estimate=_estimate(program.predicted, layers, board, options),
    )


def _estimate(
    counts: Sequence[int | None], layers: Sequence[LayerRow], board: Board, options: EngineOptions
) -> Estimate | None:
    """What the cost model says of all layers; None where it does not know one."""
    known = [count for count in counts if count is not None]
    if len(known) < len(counts):
        return None
    code = price.code_of("aot", options.kernels)
    parts = price.parts_of(layers, counts, sum(known))
    return Estimate(instructions=sum(known), time=price.estimate(board, parts, code).said())
