"""Where each family of fast kernels gets its constants, and what they mean, for step_faults.py.

Outputs follow the definitions that the families prove their constants with: changing a constant
there and in the stream of a kernel must make the same outputs wrong.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mcu_hybrid.compiler.exact.requant import EXACT, FINE, LINE, LayerRequant
from mcu_hybrid.compiler.select.dsp.depthwise import match as dsp_depthwise
from mcu_hybrid.compiler.select.dsp.depthwise.pack import Form, Rows
from mcu_hybrid.compiler.select.dsp.matrix import pack as dsp_matrix
from mcu_hybrid.compiler.select.mve.depthwise import match as mve_depthwise
from mcu_hybrid.compiler.select.mve.matrix import match as mve_matrix
from mcu_hybrid.compiler.select.mve.requant import Requant
from mcu_hybrid.compiler.select.scalar import requant
from mcu_hybrid.compiler.select.scalar.depthwise import match as scalar_depthwise
from mcu_hybrid.compiler.select.scalar.matrix import pack as scalar_matrix
from mcu_hybrid.compiler.select.scalar.requant import ScalarRequant
from mcu_hybrid.quant import multiply_by_quantized_multiplier
from tests.support.step_faults import Seam, with_delta

_MATRIX = {LINE: ("add", "mul"), FINE: ("add", "mul", "addend"), EXACT: ("offset", "mul")}


def _matrix_names(found: LayerRequant) -> tuple[str, ...]:
    return _MATRIX[found.form]


def _matrix_outputs(found: LayerRequant, args: tuple[Any, ...], acc: np.ndarray) -> np.ndarray:
    return found.apply(acc - args[7])


def _rows_outputs(
    rows: Rows, shift: int | None, layer: Any, prescale: int, acc: np.ndarray
) -> np.ndarray:
    """Outputs of the channels of ``rows``: a slope with its shift, or the exact form."""
    raw = (acc - layer.channels.offset)[:, rows.channels]
    if shift is not None:
        mul, start = rows.constants.T
        return (((raw << prescale) + start) * mul) >> (32 + shift)
    mul, start, addend, right = rows.constants.T
    total = 2 * raw + start
    return (((total * mul + (1 << 31)) >> 32) + addend + (total >> 63)) >> right


def _depthwise_outputs(found: Form, args: tuple[Any, ...], acc: np.ndarray) -> np.ndarray:
    layer, prescale = args[:2]
    out = _rows_outputs(found.rows, found.shift, layer, prescale, acc)
    if found.fixup is not None:
        out[:, found.fixup.channels] = _rows_outputs(found.fixup, None, layer, prescale, acc)
    ch = layer.channels
    return np.clip(np.clip(out, -128, 127), ch.lo, ch.hi)


def _depthwise_names(found: Form) -> tuple[str, ...]:
    own = ("mul", "start", "addend")[: 3 if found.name == "exact" else 2]
    return own if found.fixup is None else (*own, "fixup mul", "fixup start", "fixup addend")


def _depthwise_changed(found: Form, name: str, delta: np.ndarray) -> Form:
    where = "fixup" if name.startswith("fixup") else "rows"
    rows: Rows = getattr(found, where)
    constants = rows.constants.copy()
    column = ("mul", "start", "addend").index(name.split()[-1])
    constants[:, column] += delta[rows.channels]
    return replace(found, **{where: replace(rows, constants=constants)})


def _mve_names(found: Requant) -> tuple[str, ...]:
    return ("bias", "mul")


def _mve_outputs(found: Requant, args: tuple[Any, ...], acc: np.ndarray) -> np.ndarray:
    graph, op, weight_sums = args[:3]
    own = graph.tensor(op.inputs[2]).data
    given = own - graph.tensor(op.inputs[0]).require_quant().zero_point * weight_sums
    total = acc + found.bias - given
    out = multiply_by_quantized_multiplier(total, found.mul, found.left + found.right)
    return np.clip(out + found.out_zp, found.lo, found.hi)


def _scalar_names(found: ScalarRequant) -> tuple[str, ...]:
    return ("start", "mul") if found.form == LINE else ("start", "mul", "addend")


def _scalar_changed(found: ScalarRequant, name: str, delta: np.ndarray) -> ScalarRequant:
    if name == "start":
        return with_delta(found, name, delta)
    words = found.words.copy()
    words[:, ("mul", "addend").index(name)] += delta
    return replace(found, words=words)


def _scalar_outputs(found: ScalarRequant, args: tuple[Any, ...], acc: np.ndarray) -> np.ndarray:
    asked = requant.channels_of(*args[:3], **args[3])
    return found.apply(acc - asked.offset)


MATRIX = Seam(dsp_matrix, "fit_layer", _matrix_names, with_delta, _matrix_outputs)
DEPTHWISE = Seam(
    dsp_depthwise, "find_form", _depthwise_names, _depthwise_changed, _depthwise_outputs
)
MVE_MATRIX = Seam(mve_matrix, "requant_of", _mve_names, with_delta, _mve_outputs)
MVE_DEPTHWISE = Seam(mve_depthwise, "requant_of", _mve_names, with_delta, _mve_outputs)
SCALAR_MATRIX = Seam(scalar_matrix, "fit", _scalar_names, _scalar_changed, _scalar_outputs)
SCALAR_DEPTHWISE = Seam(scalar_depthwise, "fit", _scalar_names, _scalar_changed, _scalar_outputs)
