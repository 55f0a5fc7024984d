"""The fast modules of each kernel folder; the first whose ``match`` takes an operator gives its call."""

from __future__ import annotations

from collections.abc import Callable

from mcu_hybrid.codegen.fast import Choice
from mcu_hybrid.graph.types import Graph, Op

Match = Callable[[Graph, Op], Choice | None]

FAST: dict[str, tuple[Match, ...]] = {}
