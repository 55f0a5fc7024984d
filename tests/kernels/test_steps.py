"""Fast kernels at every rounding step; and a constant that is wrong by the least is noticed there.

For each family of kernels and form of requantisation: layers whose sums lie at and before all steps
(step_cases.py) equal the reference. Then every constant of every channel is changed by as little as
moves any output; exactly those outputs that the change moves by the form's definition are wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from mcu_hybrid.compiler.select.dsp.depthwise import match as dsp_depthwise
from mcu_hybrid.compiler.select.dsp.matrix import match as dsp_matrix
from mcu_hybrid.compiler.select.mve.depthwise import match as mve_depthwise
from mcu_hybrid.compiler.select.mve.matrix import match as mve_matrix
from mcu_hybrid.compiler.select.scalar.depthwise import match as scalar_depthwise
from mcu_hybrid.compiler.select.scalar.matrix import match as scalar_matrix
from mcu_hybrid.ops.activation import NONE, RELU
from mcu_hybrid.ops.base import KernelCall, KernelId
from tests.support import arm_rig, step_seams
from tests.support.arm_rig import ArmCase
from tests.support.kernel_ids import is_like
from tests.support.step_cases import WIDE_DIGITS, Steps, Style, conv_steps, depthwise_steps
from tests.support.step_faults import Fit, Match, Seam, disturbed, fit, harmful

Rng = np.random.Generator
TRIES = 40
# One line serves a layer with ReLU; layers without need TFLite's own arithmetic, unless their
# factors round only once.
ONE_LINE, TWO_LINES = Style(RELU, -128, 7), Style(NONE, -20, -5)
CLIPPED, ONCE = Style(RELU, -128, -128), Style(NONE, 5, 3, (0.52, 0.98))
MIXED = Style(NONE, -20, 3, is_mixed=True)
LOUD = Style(NONE, 5, 3, (0.6, 3.0))


@dataclass(frozen=True)
class Layer:
    """A layer to draw until the matcher picks a kernel like ``kernel``."""

    kernel: KernelId
    match: Match
    seam: Seam
    make: Callable[[Rng], Steps]


def _matrix(
    kernels: Iterable[KernelId], match: Match, seam: Seam, style: Style, wide: bool = False
) -> list[Layer]:
    """gemm, conv and conv_band: by the number of input channels and the window."""
    windows = {"gemm": ((1, 1), 8), "conv": ((1, 2), 4), "conv_band": ((2, 2), 3)}
    found = []
    for wanted in kernels:
        kernel, in_c = windows[wanted.family.removeprefix("mve_").removeprefix("scalar_")]
        digits = {"digits": WIDE_DIGITS} if wide else {}
        found.append(
            Layer(
                wanted,
                match,
                seam,
                lambda rng, k=kernel, c=in_c, d=digits: conv_steps(rng, style, k, c, **d),
            )
        )
    return found


def _depthwise(
    wanted: KernelId,
    style: Style,
    kernel: tuple[int, int],
    stride: int,
    channels: int = 4,
    multiplier: int = 1,
    match: Match = dsp_depthwise.match,
    seam: Seam = step_seams.DEPTHWISE,
) -> Layer:
    return Layer(
        wanted,
        match,
        seam,
        lambda rng: depthwise_steps(rng, style, kernel, stride, channels, multiplier),
    )


def _dsp_matrix() -> list[Layer]:
    found = []
    for form, style in (("line", ONE_LINE), ("exact", TWO_LINES), ("fine", ONCE)):
        kernels = [KernelId(family, form=form) for family in ("gemm", "conv", "conv_band")]
        found += _matrix(kernels, dsp_matrix.match, step_seams.MATRIX, style)
    kernels = [KernelId(family, form="plain") for family in ("gemm", "conv", "conv_band")]
    return found + _matrix(kernels, dsp_matrix.match, step_seams.MATRIX, TWO_LINES, wide=True)


def _dsp_depthwise() -> list[Layer]:
    return [
        _depthwise(KernelId("dw3", (1,)), ONE_LINE, (3, 3), 1),
        _depthwise(KernelId("dw3", (2,)), CLIPPED, (3, 3), 2, 5),
        _depthwise(KernelId("dw3", (1, 128), "exact"), TWO_LINES, (3, 3), 1, 4, 2),
        _depthwise(KernelId("dw3", (2, 128), "exact"), TWO_LINES, (3, 3), 2),
        _depthwise(KernelId("dw3", (1,), "slope", variant="fixup"), MIXED, (3, 3), 1, 8),
        _depthwise(KernelId("dwk", (3, 0, 1), "slope"), CLIPPED, (2, 5), 1),
        _depthwise(KernelId("dwk", (2, 0, 2), "slope"), ONE_LINE, (3, 4), 2, 3),
        _depthwise(KernelId("dwk", (4, 0, 1), "exact"), TWO_LINES, (1, 7), 1),
        _depthwise(KernelId("dwk", (2,), "slope", variant="fixup"), MIXED, (2, 3), 1, 8),
    ]


def _mve() -> list[Layer]:
    found = []
    for form, style in (("up", ONE_LINE), ("away", TWO_LINES), ("any", LOUD)):
        kernels = [KernelId(family, form=form) for family in ("mve_gemm", "mve_conv")]
        found += _matrix(kernels, mve_matrix.match, step_seams.MVE_MATRIX, style)
        if form != "any":
            more = (mve_depthwise.match, step_seams.MVE_DEPTHWISE)
            wanted = KernelId("mve_depthwise", form=form)
            found.append(_depthwise(wanted, style, (3, 3), 1, 17, 1, *more))
            found.append(_depthwise(wanted, style, (1, 7), 2, 4, 1, *more))
    return found


def _scalar() -> list[Layer]:
    found = []
    for style in (ONE_LINE, TWO_LINES):
        kernels = [KernelId("scalar_gemm"), KernelId("scalar_conv")]
        found += _matrix(kernels, scalar_matrix.match, step_seams.SCALAR_MATRIX, style)
        more = (scalar_depthwise.match, step_seams.SCALAR_DEPTHWISE)
        wanted = KernelId("scalar_depthwise")
        found.append(_depthwise(wanted, style, (3, 3), 1, 4, 1, *more))
        found.append(_depthwise(wanted, style, (2, 4), 2, 2, 2, *more))
    return found


FAMILIES = {
    "dsp_matrix": (_dsp_matrix, "mps2-an500", "", ("cortex_m_dsp", "ref")),
    "dsp_depthwise": (_dsp_depthwise, "mps2-an500", "", ("cortex_m_dsp", "ref")),
    "mve": (_mve, "mps3-an547", "", ("cortex_m_mve", "ref")),
    "scalar": (_scalar, "mps2-an385", "cortex-m3", ("cortex_m_scalar", "ref")),
}


def _kernel(found: Fit) -> KernelId:
    call = found.choice.call
    assert isinstance(call, KernelCall)
    return call.kernel


def _drawn(layer: Layer, rng: Rng) -> tuple[Steps, Fit]:
    """A layer that the wanted kernel takes."""
    for _ in range(TRIES):
        steps = layer.make(rng)
        found = fit(layer.match, layer.seam, steps.graph)
        if found is not None and is_like(_kernel(found), layer.kernel):
            return steps, found
    raise AssertionError(f"no layer for {layer.kernel} in {TRIES} tries")


def _disturbed(
    layer: Layer, steps: Steps, found: Fit, sign: int
) -> Iterable[tuple[ArmCase, np.ndarray]]:
    """A case per constant, wrong by the least in every channel, and what that must do."""
    for name in layer.seam.names(found.result):
        sizes = harmful(steps, layer.seam, found, name, sign)
        assert np.any(sizes), (layer.kernel, name)
        case, wrong = disturbed(steps, layer.match, layer.seam, found, name, sizes)
        missed = np.flatnonzero((sizes != 0) & (wrong == 0))
        assert missed.size == 0, f"{case.name}: no step shows channels {missed}"
        yield case, wrong


@pytest.mark.parametrize("family", FAMILIES)
def test_every_step_is_in_its_place_and_watched(family: str, tmp_path: Path) -> None:
    arm_rig.require_tools()
    layers, machine, cpu, folders = FAMILIES[family]
    rng = np.random.default_rng(40)
    cases: list[ArmCase] = []
    wrong: list[int] = []
    for n, layer in enumerate(layers()):
        steps, found = _drawn(layer, rng)
        cases.append(steps.case(found.choice, str(layer.kernel)))
        wrong.append(0)
        for case, count in _disturbed(layer, steps, found, (1, -1)[n % 2]):
            cases.append(case)
            wrong.append(int(count.sum()))
    results = arm_rig.run_arm(cases, tmp_path, machine, folders, cpu=cpu)
    bad = [
        (r, count)
        for r, count in zip(results, wrong, strict=True)
        if (r.status, r.wrong, r.outside) != (0, count, 0)
    ]
    assert not bad, f"{len(bad)} of {len(cases)}: {bad[:5]}"
