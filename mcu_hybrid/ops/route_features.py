"""ROUTE_FEATURES: what routers read - entropy, margins and top probabilities of the int8 logits.

An operator of our own, not one of TFLite's; ``compiler/passes/link_route.py`` puts it in the graph.
Why integers of our own: no TFLM int8 operator computes an entropy or a top-k, and the int8 softmax
has steps of 1/256, too coarse for either. Everything with weights stays in int8 operators that TFLM
runs identically.

With logits q of scale s over K classes (2 <= K <= 1024):

    d_i = max(q) - q_i                        0..255
    e_i = exp_table[d_i]                      round(2^20 exp(-s d)), so e of the best class is 2^20
    S   = sum e_i                             < 2^31
    H   = ln(S / 2^20) + (sum e_i * D_i) / S  nats in Q16, D_i = s d_i in Q16
    p   = the k = min(10, K) largest e_i / S in Q15, falling
    f_j = clamp(requantize(x_j - offset_j, mult_j, shift_j) + zero_point)  of x = [H, p]
    scores = those of the logits' mechanisms (mcu_hybrid/mechanisms), int32, by their numbers

The first three (entropy, max-prob, margin) come out of this kernel; those of plug-ins are asked
behind it, one C function each.

Against a float softmax of the same int8 logits the entropy is off by at most
``K * (2 + ln K) / 2^20 + 2 / 2^16`` nats (the rounding of e_i, then of ln and of the division):
6e-5 for 10 classes, 9e-3 for 1000. A probability is off by at most ``2^-16 + K / 2^20``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mcu_hybrid import mechanisms
from mcu_hybrid.errors import ModelError
from mcu_hybrid.graph.types import Graph, Op
from mcu_hybrid.mechanisms.base import ENTROPY_ONE, PROBABILITY_ONE, Logits
from mcu_hybrid.ops.base import (
    CStruct,
    CTable,
    KernelCall,
    KernelId,
    Operands,
    Operator,
    RawOp,
    Traits,
)
from mcu_hybrid.quant import INT8_MAX, INT8_MIN, multiplier_shift, multiply_by_quantized_multiplier

MAX_TOP = 10  # as the paper's routers (hybrid 4, docs/papers.md)
MAX_CLASSES = 1024  # with _EXP_BITS: their sum is 2^30 at most
MAX_SCALE = 64.0  # scale_q24 stays below 2^31
KERNEL, KERNEL_WITH_OTHERS = "route_features_s8", "route_scored_s8"
_EXP_BITS = 20  # as many as 1,024 classes leave in 31 bits, less one
_LN2_Q32 = 2977044472  # round(ln 2 * 2^32)


@dataclass(frozen=True)
class Attrs:
    """All integers of the operator; ``offsets`` are Q16 nats, then Q15 probabilities."""

    classes: int
    top: int
    scale_q24: int
    out_zero_point: int
    exp_table: tuple[int, ...]
    offsets: tuple[int, ...]
    multipliers: tuple[int, ...]
    shifts: tuple[int, ...]

    def to_json(self) -> dict[str, object]:
        """The dictionary that the model's metadata holds under ``features``."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


def top_of(classes: int) -> int:
    """Number of probabilities that the router reads for this many classes."""
    return min(MAX_TOP, classes)


def make_attrs(
    classes: int,
    logits_scale: float,
    centers: Sequence[float],
    widths: Sequence[float],
    out_scale: float,
    out_zero_point: int,
) -> Attrs:
    """Build the integers: feature j is ``(x_j - centers_j) / widths_j``, stored with the out scale.

    Args:
        logits_scale: scale of the int8 logits.
        centers, widths: of [entropy in nats, probabilities], 1 + min(10, classes) entries each.
        out_scale, out_zero_point: quantisation of the int8 features tensor.
    """
    units = [ENTROPY_ONE] + [PROBABILITY_ONE] * top_of(classes)
    ms = [
        multiplier_shift(1.0 / (unit * width * out_scale))
        for unit, width in zip(units, widths, strict=True)
    ]
    attrs = Attrs(
        classes=classes,
        top=top_of(classes),
        scale_q24=round(logits_scale * (1 << 24)),
        out_zero_point=out_zero_point,
        exp_table=tuple(round((1 << _EXP_BITS) * math.exp(-logits_scale * d)) for d in range(256)),
        offsets=tuple(round(u * c) for u, c in zip(units, centers, strict=True)),
        multipliers=tuple(m for m, _ in ms),
        shifts=tuple(s for _, s in ms),
    )
    _check_attrs(attrs, "ROUTE_FEATURES")
    return attrs


def from_json(data: Mapping[str, Any], where: str) -> Attrs:
    """Read ``Attrs.to_json`` back; raises ModelError naming ``where`` and the faulty key."""
    values: dict[str, Any] = {}
    for key, kind in Attrs.__annotations__.items():
        value = data.get(key)
        items = value if isinstance(value, list) else [value]
        if isinstance(value, list) != kind.startswith("tuple") or not all(
            type(item) is int for item in items
        ):
            form = "a list of integers" if kind.startswith("tuple") else "an integer"
            raise ModelError(
                f"'{key}' is missing or not {form}",
                "export the model again",
                path=where,
                key="features",
            )
        values[key] = tuple(value) if isinstance(value, list) else value
    attrs = Attrs(**values)
    _check_attrs(attrs, where)
    return attrs


def _check_attrs(a: Attrs, where: str) -> None:
    """The ranges within which the kernel cannot overflow; raises ModelError."""
    n = a.top + 1
    one = 1 << _EXP_BITS
    rules = (
        (2 <= a.classes <= MAX_CLASSES, f"classes must be 2..{MAX_CLASSES}, got {a.classes}"),
        (a.top == top_of(a.classes), f"top must be {top_of(a.classes)}, got {a.top}"),
        (
            0 < a.scale_q24 <= int(MAX_SCALE * (1 << 24)),
            f"the scale of the logits must be in (0, {MAX_SCALE:g}]",
        ),
        (INT8_MIN <= a.out_zero_point <= INT8_MAX, "out_zero_point must be int8"),
        (
            len(a.exp_table) == 256 and a.exp_table[0] == one,
            "exp_table must be 256 entries from 2^20",
        ),
        (
            a.exp_table[-1] >= 0 and list(a.exp_table) == sorted(a.exp_table, reverse=True),
            "exp_table must fall",
        ),
        (
            len(a.offsets) == len(a.multipliers) == len(a.shifts) == n,
            f"offsets, multipliers and shifts must have {n} entries",
        ),
        (all(abs(o) < 1 << 22 for o in a.offsets), "an offset is out of range"),
        (
            all(0 <= m < 1 << 31 for m in a.multipliers) and all(-31 <= s <= 7 for s in a.shifts),
            "a feature's width is out of range (shift -31..7)",
        ),
    )
    for good, message in rules:
        if not good:
            raise ModelError(message, "export the model again", path=where, key="features")


def entropy_and_top(attrs: Attrs, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (entropy int32 [N] in Q16 nats, probabilities int32 [N, k] in Q15, descending).

    Args:
        logits: int8 [N, K].
    """
    q = np.asarray(logits, np.int64)
    d = q.max(axis=1, keepdims=True) - q
    e = np.asarray(attrs.exp_table, np.int64)[d]
    scaled = (d * attrs.scale_q24 + 128) >> 8
    total = e.sum(axis=1)
    mean = ((e * scaled).sum(axis=1) + total // 2) // total
    entropy = _ln_q16(total) + mean
    largest = -np.sort(-e, axis=1)[:, : attrs.top]
    top = ((largest << 15) + (total // 2)[:, None]) // total[:, None]
    return entropy.astype(np.int32), top.astype(np.int32)


def _ln_q16(total: np.ndarray) -> np.ndarray:
    """ln(total / 2^20) in Q16: 20 bits of log2 by repeated squaring, times ln 2."""
    whole = np.frexp(total.astype(np.float64))[1].astype(np.int64) - 1
    m = total << (30 - whole)
    log2_q20 = (whole - _EXP_BITS) << 20
    for bit in range(19, -1, -1):
        m = (m * m) >> 30
        carry = m >> 31
        m >>= carry
        log2_q20 |= carry << bit
    return (log2_q20 * _LN2_Q32 + (1 << 35)) >> 36


def scores(attrs: Attrs, logits: np.ndarray) -> np.ndarray:
    """Scores int32 [N, S] of int8 logits [N, K] by each mechanism of the logits, in their order."""
    return _scores(attrs, logits, *entropy_and_top(attrs, logits))


def _scores(attrs: Attrs, logits: np.ndarray, entropy: np.ndarray, top: np.ndarray) -> np.ndarray:
    seen = Logits(np.asarray(logits, np.int8), attrs.scale_q24, entropy, top)
    columns = [one.score(seen) for one in mechanisms.of_logits() if one.score is not None]
    return np.asarray(np.stack(columns, axis=1), np.int32)


def compute(attrs: Attrs, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (features int8 [N, 1 + k], scores int32 [N, S]) of int8 logits [N, K]."""
    entropy, top = entropy_and_top(attrs, logits)
    x = np.concatenate([entropy[:, None], top], axis=1) - np.asarray(attrs.offsets, np.int64)
    f = multiply_by_quantized_multiplier(x, np.array(attrs.multipliers), np.array(attrs.shifts))
    features = np.clip(f + attrs.out_zero_point, INT8_MIN, INT8_MAX).astype(np.int8)
    return features, _scores(attrs, logits, entropy, top)


def read(raw: RawOp) -> Attrs:
    """Never there in a .tflite: the operator comes from the model's metadata."""
    raise ModelError(
        "ROUTE_FEATURES is not a TFLite operator", "export the model again", key=raw.name
    )


def link_of(graph: Graph) -> Op[Attrs] | None:
    """The operator of a linked graph that gives the routers what they read; None without one."""
    return next((op for op in graph.ops if ROUTE_FEATURES.serves(op)), None)


def check(graph: Graph, op: Op[Attrs]) -> None:
    """int8 logits [1, K] in; int8 [1, 1 + k] and int32 [1, S] out; raises ModelError."""
    attrs: Attrs = op.attrs
    where = f"ROUTE_FEATURES '{op.name}'"
    _check_attrs(attrs, where)
    if len(op.inputs) != 1 or len(op.outputs) != 2:
        raise ModelError("needs one input and two outputs", "export the model again", key=where)
    wanted = (
        (attrs.classes, "int8"),
        (attrs.top + 1, "int8"),
        (len(mechanisms.of_logits()), "int32"),
    )
    for index, (elements, dtype) in zip((*op.inputs, *op.outputs), wanted, strict=True):
        tensor = graph.tensor(index)
        if tensor.elements != elements or tensor.dtype != dtype:
            raise ModelError(
                f"tensor '{tensor.name}' is {tensor.dtype} {tensor.shape}, "
                f"must be {dtype} with {elements} elements",
                "export the model again",
                key=where,
            )


def reference(graph: Graph, op: Op[Attrs], inputs: Operands) -> tuple[np.ndarray, ...]:
    """The living definition of the C kernel, bit for bit."""
    attrs: Attrs = op.attrs
    found = compute(attrs, np.asarray(inputs[0]).reshape(1, attrs.classes))
    shapes = [tensor.shape for tensor in graph.out_tensors(op)]
    return found[0].reshape(shapes[0]), found[1].reshape(shapes[1])


def lower(graph: Graph, op: Op[Attrs]) -> KernelCall | None:
    """The call of ``mh_route_features_s8``, or of the one that asks plug-ins' scores behind it."""
    a: Attrs = op.attrs
    params = CStruct(
        "mh_route_features_params",
        (
            ("classes", a.classes),
            ("top", a.top),
            ("scale_q24", a.scale_q24),
            ("out_zero_point", a.out_zero_point),
            ("exp_table", CTable("exp", "uint32_t", np.array(a.exp_table, np.uint32))),
            ("offset", CTable("offset", "int32_t", np.array(a.offsets, np.int32))),
            ("mult", CTable("mult", "int32_t", np.array(a.multipliers, np.int32))),
            ("shift", CTable("shift", "int32_t", np.array(a.shifts, np.int32))),
        ),
    )
    places = ("unary_two", op.inputs, op.outputs)
    if mechanisms.c_files():
        scored = KernelId("route_scored")
        return KernelCall(scored, params, *places, KERNEL_WITH_OTHERS, (KERNEL,))
    return KernelCall(KernelId("route_features"), params, *places, KERNEL)


ROUTE_FEATURES = Operator(
    "ROUTE_FEATURES",
    attrs=Attrs,
    read=read,
    check=check,
    reference=reference,
    lower=lower,
    traits=Traits(in_files=False),
)
