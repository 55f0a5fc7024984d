"""The shapes that an operator's outputs have, from those of its inputs and its options.

Only needed where an input's size is given anew (input_shapes.py); each operator's own check then
verifies the result. Not here: any arithmetic on values, and the rules (each operator's file).
"""

from __future__ import annotations

from mcu_hybrid import ops
from mcu_hybrid.errors import ModelError
from mcu_hybrid.graph.types import ABSENT
from mcu_hybrid.ops.base import RawOp, Shape
from mcu_hybrid.ops.quantize import DEQUANTIZE


def output_shapes(raw: RawOp) -> list[Shape]:
    """One shape per output; raises ModelError where they do not follow."""
    found = ops.known().get(raw.kind)
    rule = None if found is None else found.shapes
    if rule is None and not _keeps_shape(raw):
        raise _unknown(raw, "an operator whose output sizes are not derived")
    try:
        return rule(raw) if rule is not None else [raw.shape(0)] * len(raw.outputs)
    except ModelError:
        raise
    except (ArithmeticError, LookupError, ValueError, TypeError, AttributeError) as error:
        raise _unknown(raw, f"inputs that do not fit together ({error})") from error


def _keeps_shape(raw: RawOp) -> bool:
    """QUANTIZE, activations, softmax: one value in, one value out."""
    data = [i for i in raw.inputs if i != ABSENT]
    is_known = raw.kind in ops.known() or raw.kind == DEQUANTIZE
    return is_known and len(data) == 1 and len(raw.outputs) == 1


def _unknown(raw: RawOp, fact: str) -> ModelError:
    return ModelError(
        f"has {fact}: no shape follows from the given input shape",
        "export the model again with fixed dimensions",
        key=f"{raw.kind} '{raw.name}'",
    )
