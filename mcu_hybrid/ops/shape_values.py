"""What operators give for the integers of shapes: a file's own bookkeeping, done when it is read.

Not here: operators on int8 values (each in its own file).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mcu_hybrid.ops import strided_slice
from mcu_hybrid.ops.base import RawOp
from mcu_hybrid.ops.file_kinds import SHAPE


def _sliced(raw: RawOp, operands: Sequence[np.ndarray]) -> np.ndarray:
    data, attrs = operands[0], strided_slice.read(raw)
    picks: list[slice | int] = []
    for axis, (begin, end, step) in enumerate(
        zip(attrs.begin, attrs.end, attrs.strides, strict=True)
    ):
        if attrs.shrink_mask >> axis & 1:
            picks.append(begin)
            continue
        first = None if attrs.begin_mask >> axis & 1 else begin
        picks.append(slice(first, None if attrs.end_mask >> axis & 1 else end, step))
    return np.asarray(data[tuple(picks)])


def _gathered(raw: RawOp, operands: Sequence[np.ndarray]) -> np.ndarray:
    return np.take(operands[0], operands[1], axis=int(raw.options.get("axis", 0)))


EVALUATED: dict[str, Callable[[RawOp, Sequence[np.ndarray]], np.ndarray]] = {
    "STRIDED_SLICE": _sliced,
    "PACK": lambda raw, ins: np.stack(list(ins), axis=int(raw.options.get("axis", 0))),
    "CONCATENATION": lambda raw, ins: np.concatenate(list(ins), int(raw.options.get("axis", 0))),
    "GATHER": _gathered,
    "CAST": lambda raw, ins: ins[0],
    "ADD": lambda raw, ins: ins[0] + ins[1],
    "SUB": lambda raw, ins: ins[0] - ins[1],
    "MUL": lambda raw, ins: ins[0] * ins[1],
    "SQUEEZE": lambda raw, ins: ins[0].reshape(raw.tensors[raw.outputs[0]].shape),
    "EXPAND_DIMS": lambda raw, ins: ins[0].reshape(raw.tensors[raw.outputs[0]].shape),
    "RESHAPE": lambda raw, ins: ins[0].reshape(raw.tensors[raw.outputs[0]].shape),
}
READ = frozenset({SHAPE, *EVALUATED})  # operators whose options are read for this
