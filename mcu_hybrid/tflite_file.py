"""Facts of the .tflite schema that the package ``tflite`` hides, for all who read or write one.

Here: an operator's code, and absent biases. Not here: reading a model (compiler/read/tflite.py).
"""

from __future__ import annotations

from typing import Any

import tflite
from flatbuffers import number_types

_NEW_CODE_SLOT = 10  # OperatorCode.builtin_code in its table; 4 is the deprecated byte
_INPUTS_SLOT = 6  # Operator.inputs
_LAST_OLD_CODE = 127  # what the deprecated byte holds where the code does not fit it
_WEIGHTED = (
    tflite.BuiltinOperator.CONV_2D,
    tflite.BuiltinOperator.DEPTHWISE_CONV_2D,
    tflite.BuiltinOperator.FULLY_CONNECTED,
)
_BIAS = 2  # the input of a weighted operator that is its bias


def builtin_code(code: Any) -> int:
    """The operator that an OperatorCode stands for: the larger of its two fields, as in TFLM.

    Files may carry the number in the new field alone. ``tflite`` answers with the deprecated byte
    then (0: ADD), so the field itself is read here.
    """
    if not hasattr(code, "_tab"):  # the schema's object form, which holds both as they are
        return max(int(code.builtinCode), int(code.deprecatedBuiltinCode))
    offset = code._tab.Offset(_NEW_CODE_SLOT)
    new = code._tab.Get(number_types.Int32Flags, offset + code._tab.Pos) if offset else 0
    return max(int(new), int(code.DeprecatedBuiltinCode()))


def deprecated_code(builtin: int) -> int:
    """What the deprecated byte holds beside this code in the new field."""
    return min(builtin, _LAST_OLD_CODE)


def without_absent_bias(data: bytes) -> bytes:
    """The file with biases that are written as -1 left out of their operators' inputs.

    Both mean the same; TFLM's depthwise convolution reads through the -1 and dies.
    """
    model = tflite.Model.GetRootAs(data, 0)
    patched = bytearray(data)
    for number in range(model.SubgraphsLength()):
        graph = model.Subgraphs(number)
        for position in range(graph.OperatorsLength()):
            op = graph.Operators(position)
            kind = builtin_code(model.OperatorCodes(op.OpcodeIndex()))
            if kind not in _WEIGHTED or op.InputsLength() != _BIAS + 1 or op.Inputs(_BIAS) != -1:
                continue
            start = op._tab.Vector(op._tab.Offset(_INPUTS_SLOT))  # its length is the word before
            patched[start - 4 : start] = _BIAS.to_bytes(4, "little")
    return bytes(patched)
