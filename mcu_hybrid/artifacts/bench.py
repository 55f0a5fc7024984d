"""bench: bench.json, and the facts in its manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from mcu_hybrid.artifacts.build import RouterRow
from mcu_hybrid.artifacts.codec import Artefact, always_inlined, unwritten
from mcu_hybrid.artifacts.times import Latency, Span


@dataclass(frozen=True, kw_only=True)
class LayerTime:
    """One layer; ``share`` is of the sum over the layers; the rest as in BenchResult."""

    name: str
    op: str
    macs: int
    ticks: int
    instructions: int | None
    share: float
    out_crc32: str = ""
    time: Span = always_inlined()


@dataclass(frozen=True, kw_only=True)
class RouterTime(RouterRow):
    """A router's row of the build, and what it took of what the base takes."""

    instructions: int | None
    share: float


@dataclass(frozen=True, kw_only=True)
class FlashUse:
    """Bytes of flash in use."""

    code_bytes: int
    weights_bytes: int


@dataclass(frozen=True, kw_only=True)
class SelfTestFacts:
    """The board's own tests of its kernels."""

    passed: int
    total: int
    first_failing: int | None


@dataclass(frozen=True)
class M4Cycles:
    """Cycles by the Cortex-M4's instruction table: least, assumed and most."""

    low: int
    estimate: int
    high: int


@dataclass(frozen=True)
class Mix:
    """Executed instructions by class; ``registers``: 32-bit ones moved by the *_multiple classes.

    ``m4_cycles`` is None where the code has instructions that a Cortex-M4 does not know.
    """

    instructions: int
    classes: Mapping[str, int]
    registers: Mapping[str, int]
    m4_cycles: M4Cycles | None


@dataclass(frozen=True)
class LayerMix:
    """The mix of one layer, with the glue of ``mh_model_run`` behind it."""

    name: str
    op: str
    mix: Mix


@dataclass(frozen=True)
class ModelMix:
    """The mix of ``mh_model_run``; ``layers`` is None where the code does not show them.

    ``counted`` is what the firmware's own clock gave for the same inference.
    """

    total: Mix
    counted: int
    m4_basis: str | None
    layers: tuple[LayerMix, ...] | None


@dataclass(frozen=True, kw_only=True)
class BenchResult(Artefact):
    """The figures, of the second inference; ``exact`` is None where nothing was compared.

    ``not_compared`` says why then: TFLM refuses the model, or died of it.

    ``differing_outputs`` counts output values that differ from the judge's, over all inferences.
    ``macs`` are those of the model as given, ``macs_executed`` those of the layers that run, after
    folding. ``instructions`` is None on boards that count cycles or time. ``time`` is measured by
    a real board's counter, an estimate with its range, or no board's (a process of this machine, or
    nothing is known; its basis says which).
    ``routers`` are the build's rows with ``instructions`` (None on boards that do not count them)
    and ``share``, of what the base takes. ``mix`` is None where it was not asked for, or QEMU does
    not run the board.
    """

    step: ClassVar[str] = "bench"
    file: ClassVar[str] = "bench.json"

    board: str
    core: str
    engine: str
    model_sha256: str
    build_id: str
    macs: int
    macs_executed: int | None = None  # version 0.1 did not say
    instructions: int | None
    ticks: int
    tick_hz: int
    time: Latency = always_inlined()
    arena_bytes: int
    sram_bytes: int
    stack_bytes: int
    flash: FlashUse
    layers: tuple[LayerTime, ...]
    runs: int
    ticks_min: int = 0
    ticks_max: int = 0
    self_test: SelfTestFacts | None = None
    exact: bool | None
    differing_outputs: int | None
    differing_inputs: tuple[int, ...] = ()
    routers: tuple[RouterTime, ...] = ()
    mix: ModelMix | None = None
    not_compared: str | None = None
    outputs: tuple[tuple[bytes, ...], ...] = unwritten()  # of each inference


@dataclass(frozen=True, kw_only=True)
class BenchFacts(Artefact):
    """What the manifest of a bench says."""

    step: ClassVar[str] = "bench"

    exact: bool | None
    board: str
