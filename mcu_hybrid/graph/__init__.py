"""The int8 graph: immutable, and verified after every pass."""

from mcu_hybrid.graph.types import Graph, Op, Tensor

__all__ = ["Graph", "Op", "Tensor"]
