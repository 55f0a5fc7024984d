"""Terms of the vector extension's sums."""

from __future__ import annotations

from collections.abc import Callable

from mcu_hybrid.compiler.select.loops import Terms, numbers
from mcu_hybrid.compiler.select.mve.bounds import VECTOR, clamped
from mcu_hybrid.ops.base import KernelCall


def _add(call: KernelCall) -> Terms:
    v = numbers(call)
    vectors, rest = divmod(v["size"], VECTOR)
    return {"call": 1, "vector": vectors, "last": rest > 0, **clamped(v, v["size"])}


TERMS: dict[str, Callable[[KernelCall], Terms]] = {
    "mve_add": _add,
}
