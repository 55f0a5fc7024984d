"""The fast modules of each kernel folder; the first whose ``match`` takes an operator is used."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from mcu_hybrid.compiler.select import (
    Choice,
    add,
    conv,
    depthwise,
    dw_as_conv,
    fully_connected,
    move,
    mul,
    mve_add,
    mve_depthwise,
    mve_matrix,
    mve_pool,
    plain_depthwise,
    plain_matrix,
    plain_simple,
    pool,
)
from mcu_hybrid.graph.types import Graph, Op

Match = Callable[[Graph, Op], Choice | None]

FAST: dict[str, tuple[Match, ...]] = {
    "cortex_m_dsp": (
        conv.match,
        fully_connected.match,
        depthwise.match,
        add.match,
        mul.match,
        pool.match,
        move.match,
    ),
    "cortex_m_mve": (
        mve_matrix.match,
        mve_depthwise.match,
        mve_add.match,
        mve_pool.match,
    ),
    "cortex_m_plain": (
        plain_matrix.match,
        plain_depthwise.match,
        plain_simple.match_add,
        plain_simple.match_average_pool,
    ),
}

# Ways with less scratch and more instructions, for schedules that need the bytes.
LEAN: dict[str, tuple[Match, ...]] = {
    "cortex_m_dsp": (
        dw_as_conv.match,
        *(partial(depthwise.match, scratch=size) for size in (4096, 2048, 1024, 512, 256)),
    ),
}
