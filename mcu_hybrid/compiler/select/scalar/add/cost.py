"""Terms of the scalar sums."""

from __future__ import annotations

from collections.abc import Callable

from mcu_hybrid.compiler.select.loops import Terms, numbers
from mcu_hybrid.compiler.select.scalar.bounds import clamped
from mcu_hybrid.ops.base import KernelCall


def _add(call: KernelCall) -> Terms:
    v = numbers(call)
    quads, rest = divmod(v["size"], 4)
    return {"call": 1, "quads": quads, "rest": rest, **clamped(v, v["size"])}


TERMS: dict[str, Callable[[KernelCall], Terms]] = {
    "scalar_add": _add,
}
