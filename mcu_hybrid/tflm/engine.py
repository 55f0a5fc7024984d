"""Engine tflm: the user's own TensorFlow Lite for Microcontrollers runs the network."""

from __future__ import annotations

from collections.abc import Sequence

from mcu_hybrid.board.load import Board
from mcu_hybrid.compiler import report
from mcu_hybrid.compiler.emit.known_answers import KnownAnswer
from mcu_hybrid.compiler.engine import Compiled, EngineFacts, EngineOptions, Model
from mcu_hybrid.compiler.program import program_of
from mcu_hybrid.compiler.router_cost import network_costs
from mcu_hybrid.errors import InputError
from mcu_hybrid.events import OnEvent
from mcu_hybrid.tflm import generate
from mcu_hybrid.tflm.networks import split
from mcu_hybrid.tflm.tree import open_tflm


class TflmEngine:
    """No pass, no kernel of ours but the link; the plan shown is what ours would take."""

    def compile(
        self, model: Model, board: Board, options: EngineOptions, on_event: OnEvent | None = None
    ) -> Compiled:
        """Check checkout, library and operators; raises InputError or UnsupportedOp."""
        if options.tflm is None:
            raise InputError(
                "the engine tflm links your own TensorFlow Lite Micro",
                "give --tflm-root DIR and --tflm-lib libtensorflow-microlite.a (see docs/tflm.md)",
            )
        tree = open_tflm(options.tflm.root, options.tflm.library, board)
        networks = split(model.graph)
        tree.require(networks.kinds)

        def files(answers: Sequence[KnownAnswer]) -> dict[str, str]:
            return generate.emit_tflm(
                model.data,
                model.graph,
                metadata=model.file.metadata,
                answers=answers,
                library=tree.describe(),
            )

        return Compiled(
            graph=model.graph,
            files=files,
            footprint=generate.footprint(model.data, model.graph),
            layers=generate.layer_rows(model.graph),
            plan=report.memory_map(program_of(model.graph)),
            facts=EngineFacts(
                network_costs(model.graph, networks.layers), tflm_library_sha256=tree.sha256
            ),
            extra=tree.extra,
        )
