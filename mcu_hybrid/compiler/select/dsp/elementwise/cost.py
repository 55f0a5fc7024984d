"""Terms of the DSP sums and products: how often each part of their loops runs."""

from __future__ import annotations

from collections.abc import Callable

from mcu_hybrid.compiler.select.loops import Terms, bounded, numbers, products, table
from mcu_hybrid.ops.base import KernelCall


def _runs(call: KernelCall, together: int) -> Terms:
    """Kernels of two operands; ``together``: values of a block."""
    v, loops = numbers(call), table(call, "loops")
    outer, middle, runs, values = products(loops[:4])
    size = loops[3]
    return {
        "call": 1,
        "outer": outer,
        "middle": middle,
        "run": runs,
        "run with blocks": runs * (size >= together),
        "block": runs * (size // together),
        "rest": runs * (size % together),
        **bounded(v, values),
    }


def _add(call: KernelCall) -> Terms:
    return _runs(call, 8)


def _mul(call: KernelCall) -> Terms:
    return _runs(call, 4)


TERMS: dict[str, Callable[[KernelCall], Terms]] = {
    "add_fast": _add,
    "mul_fast": _mul,
}
