"""What the loops of a kernel run through, read from the params of its call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mcu_hybrid.ops.base import CTable, KernelCall
from mcu_hybrid.quant import INT8_MAX, INT8_MIN

Values = Mapping[str, int]
Terms = dict[str, float]


def numbers(call: KernelCall) -> dict[str, int]:
    """The integer fields of the call's params."""
    return {name: v for name, v in call.params.fields if isinstance(v, int)}


def table(call: KernelCall, name: str) -> list[int]:
    """The entries of a table of the call's params; raises KeyError where it has none."""
    value = dict(call.params.fields)[name]
    if not isinstance(value, CTable):
        raise KeyError(name)
    return [int(n) for n in np.asarray(value.data).reshape(-1)]


@dataclass(frozen=True)
class Seen:
    """Along one axis, per output: kernel positions before, inside and behind the map."""

    before: np.ndarray
    inside: np.ndarray
    behind: np.ndarray

    @property
    def total(self) -> int:
        """Positions inside the map, over all outputs."""
        return int(self.inside.sum())


def seen(v: Values, axis: str) -> Seen:
    """Rows ("h") or columns ("w") that the windows of a layer see; dilation where it has one."""
    pad = v["pad_top" if axis == "h" else "pad_left"]
    first = np.arange(v[f"out_{axis}"]) * v[f"stride_{axis}"] - pad
    steps = np.arange(v[f"kernel_{axis}"]) * v.get(f"dilation_{axis}", 1)
    places = first[:, None] + steps[None, :]
    behind = places >= v[f"in_{axis}"]
    before = (places < 0) & ~behind
    return Seen(before.sum(1), (~before & ~behind).sum(1), behind.sum(1))


def products(extents: list[int]) -> list[int]:
    """How often the bodies of nested loops run, outermost first."""
    return [int(n) for n in np.cumprod(extents)]


def copied(source: np.ndarray, target: np.ndarray, size: np.ndarray) -> Terms:
    """memcpy of the firmware (platforms/common/mem.c); arguments: a value per call, bytes."""
    size = np.broadcast_arrays(source, target, size)[2]
    return {
        "copy": size.size,
        "copied 8s": int((size // 8).sum()),
        "copied bytes": int((size % 8).sum()),
    }


def filled(size: np.ndarray) -> Terms:
    """memset of the firmware."""
    return {"filled 16s": int((size // 16).sum()), "filled bytes": int((size % 16).sum())}


def copied_narrow(source: np.ndarray, target: np.ndarray, size: np.ndarray) -> Terms:
    """memcpy of newlib-nano for Armv6-M, which asks where source and target lie."""
    source, target, size = np.broadcast_arrays(source, target, size)
    is_wordwise = ((source | target) % 4 == 0) & (size >= 16)
    words, rest = size[is_wordwise] // 4, size[is_wordwise] % 4
    return {
        "copy": size.size,
        "unaligned": int((~is_wordwise & (size >= 16)).sum()),
        "wordwise": int(is_wordwise.sum()),
        "copied 16s": int((words // 4).sum()),
        "copied some 4s": int((words % 4 > 0).sum()),
        "copied 4s": int((words % 4).sum()),
        "copied end": int((rest > 0).sum()),
        "byte": int(rest.sum() + size[~is_wordwise].sum()),
    }


def bounded(v: Values, outputs: int) -> Terms:
    """mh_bound_s8, where a layer has bounds tighter than int8."""
    is_bounded = (v["lo"], v["hi"]) != (INT8_MIN, INT8_MAX)
    words, rest = divmod(outputs * is_bounded, 4)
    return {"bounds": is_bounded, "bounded words": words, "bounded bytes": rest}
