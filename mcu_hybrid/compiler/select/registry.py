"""The matches of each kernel folder; the first that takes an operator is used."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from mcu_hybrid.compiler.select import Choice
from mcu_hybrid.compiler.select.dsp.depthwise import match as dsp_depthwise
from mcu_hybrid.compiler.select.dsp.elementwise import match as dsp_elementwise
from mcu_hybrid.compiler.select.dsp.matrix import match as dsp_matrix
from mcu_hybrid.compiler.select.dsp.move import match as dsp_move
from mcu_hybrid.compiler.select.dsp.pool import match as dsp_pool
from mcu_hybrid.compiler.select.mve.add import match as mve_add
from mcu_hybrid.compiler.select.mve.depthwise import match as mve_depthwise
from mcu_hybrid.compiler.select.mve.matrix import match as mve_matrix
from mcu_hybrid.compiler.select.mve.pool import match as mve_pool
from mcu_hybrid.compiler.select.scalar.add import match as scalar_add
from mcu_hybrid.compiler.select.scalar.average_pool import match as scalar_average_pool
from mcu_hybrid.compiler.select.scalar.depthwise import match as scalar_depthwise
from mcu_hybrid.compiler.select.scalar.matrix import match as scalar_matrix
from mcu_hybrid.graph.types import Graph, Op

Match = Callable[[Graph, Op], Choice | None]

FAST: dict[str, tuple[Match, ...]] = {
    "cortex_m_dsp": (
        dsp_matrix.match,
        dsp_depthwise.match,
        dsp_elementwise.match,
        dsp_pool.match,
        dsp_move.match,
    ),
    "cortex_m_mve": (
        mve_matrix.match,
        mve_depthwise.match,
        mve_add.match,
        mve_pool.match,
    ),
    "cortex_m_scalar": (
        scalar_matrix.match,
        scalar_depthwise.match,
        scalar_add.match,
        scalar_average_pool.match,
    ),
}

# Candidates with less scratch and more instructions, for schedules that need the bytes.
LEAN: dict[str, tuple[Match, ...]] = {
    "cortex_m_dsp": (
        dsp_matrix.match_one_channel,
        *(partial(dsp_depthwise.match, scratch=size) for size in (4096, 2048, 1024, 512, 256)),
    ),
}
