"""The fast modules of each kernel folder; the first whose ``match`` takes an operator is used."""

from __future__ import annotations

from collections.abc import Callable

from mcu_hybrid.codegen.fast import Choice, conv, fully_connected
from mcu_hybrid.graph.types import Graph, Op

Match = Callable[[Graph, Op], Choice | None]

FAST: dict[str, tuple[Match, ...]] = {
    "cortex_m_dsp": (conv.match, fully_connected.match),
}
