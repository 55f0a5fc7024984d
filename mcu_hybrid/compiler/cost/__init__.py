"""Executed instructions of kernel calls, predicted before anything is compiled.

``terms`` says how often each part of a kernel runs, from the params of a call; what a part costs
on a core was measured (``measured.json``, written by tools/calibrate/fit_cost.py). Counts only:
cycles and wait states of memories are not modelled.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

from mcu_hybrid.compiler.select.dsp.depthwise import cost as dsp_depthwise
from mcu_hybrid.compiler.select.dsp.elementwise import cost as dsp_elementwise
from mcu_hybrid.compiler.select.dsp.matrix import cost as dsp_matrix
from mcu_hybrid.compiler.select.dsp.move import cost as dsp_move
from mcu_hybrid.compiler.select.dsp.pool import cost as dsp_pool
from mcu_hybrid.compiler.select.loops import Terms
from mcu_hybrid.compiler.select.mve.add import cost as mve_add
from mcu_hybrid.compiler.select.mve.depthwise import cost as mve_depthwise
from mcu_hybrid.compiler.select.mve.matrix import cost as mve_matrix
from mcu_hybrid.compiler.select.mve.pool import cost as mve_pool
from mcu_hybrid.compiler.select.ref import cost as ref
from mcu_hybrid.compiler.select.scalar.add import cost as scalar_add
from mcu_hybrid.compiler.select.scalar.average_pool import cost as scalar_average_pool
from mcu_hybrid.compiler.select.scalar.depthwise import cost as scalar_depthwise
from mcu_hybrid.compiler.select.scalar.matrix import cost as scalar_matrix
from mcu_hybrid.ops.base import KernelCall

MEASURED = Path(__file__).with_name("measured.json")
# The cores that are measured.
DSP, MVE, SCALAR, NARROW = "cortex-m7", "cortex-m55", "cortex-m3", "cortex-m0plus"
# Cores with the instructions of a core that was measured, by the name in boards/cores.toml.
_SAME = {"cortex-m4": DSP, "cortex-m7-sp": DSP, "cortex-m33": DSP}
_FAMILIES = (
    ref,
    dsp_depthwise,
    dsp_elementwise,
    dsp_matrix,
    dsp_move,
    dsp_pool,
    mve_add,
    mve_depthwise,
    mve_matrix,
    mve_pool,
    scalar_add,
    scalar_average_pool,
    scalar_depthwise,
    scalar_matrix,
)
_TERMS: dict[str, Callable[[KernelCall], Terms]] = {
    family: terms for module in _FAMILIES for family, terms in module.TERMS.items()
}
_NARROW_TERMS = _TERMS | ref.NARROW_TERMS | scalar_depthwise.NARROW_TERMS
_OF_FOLDER = {"cortex_m_mve": MVE, "cortex_m_dsp": DSP, "cortex_m_scalar": SCALAR}


def core_of(kernel_dirs: Sequence[str]) -> str:
    """The core that is measured for these kernel folders; "" where none is."""
    return next((_OF_FOLDER[name] for name in kernel_dirs if name in _OF_FOLDER), "")


def measured_core(core: str) -> str:
    """The core whose constants count for ``core``."""
    return _SAME.get(core, core)


def terms(call: KernelCall, core: str) -> Terms | None:
    """How often each part of the call runs; None for kernels that are not counted here."""
    count = (_NARROW_TERMS if core == NARROW else _TERMS).get(call.kernel.family)
    return None if count is None else count(call)


def instructions(call: KernelCall, core: str) -> int | None:
    """The predicted count of a call; None where kernel, part of it or core is not measured."""
    constants = _measured().get(measured_core(core), {}).get(call.kernel.family)
    found = terms(call, core)
    if constants is None or found is None:
        return None
    runs = {name: count for name, count in found.items() if count}
    if not runs.keys() <= constants.keys():
        return None
    return round(sum(count * constants[name] for name, count in runs.items()))


@cache
def _measured() -> Mapping[str, Mapping[str, Mapping[str, float]]]:
    """core -> family -> term -> instructions."""
    found: dict[str, dict[str, dict[str, float]]] = json.loads(MEASURED.read_text("utf-8"))
    return found
