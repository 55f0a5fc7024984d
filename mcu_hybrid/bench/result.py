"""What a bench needs to know of the build, and what it finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from mcu_hybrid.bench.mix import ModelMix
from mcu_hybrid.machines.price import AOT, Kind


@dataclass(frozen=True)
class BenchModel:
    """What the bench must know of the build; a layer row has ``name``, ``op`` and ``macs``.

    A row of ``routers`` has ``router`` and the numbers of its ``layers``, and what else is to be
    told of it (compiler/router_cost.py). ``predicted`` are the layers' instructions as the build
    has them (None where it does not know one), ``code`` says whose they are (price.py). ``macs``
    are those of the model as given; None: of the layers, which were not changed.
    """

    sha256: str
    layers: Sequence[Mapping[str, Any]]
    code_bytes: int
    weights_bytes: int
    routers: Sequence[Mapping[str, Any]] = ()
    predicted: Sequence[int | None] | None = None
    code: str = AOT
    macs: int | None = None


@dataclass(frozen=True)
class LayerTime:
    """One layer; ``share`` is of the sum over the layers; the rest as in BenchResult."""

    name: str
    op: str
    macs: int
    ticks: int
    instructions: int | None
    share: float
    out_crc32: str
    latency_us: float | None = None
    latency_low_us: float | None = None
    latency_high_us: float | None = None


@dataclass(frozen=True)
class BenchResult:
    """The figures, of the second inference; ``exact`` is None where nothing was compared.

    ``not_compared`` says why then: TFLM refuses the model, or died of it.

    ``differing_outputs`` counts output values that differ from the judge's, over all inferences.
    ``macs`` are those of the model as given, ``macs_executed`` those of the layers that run, after
    folding. ``instructions`` is None on boards that count cycles or time. ``latency_us`` is what
    ``latency_kind`` says: "measured" by a real board's counter, an "estimate" between
    ``latency_low_us`` and ``latency_high_us``, or no board's time (None: a process of this machine,
    or nothing is known; ``latency_basis`` says which). ``latency_is_estimate`` is kept from before.
    ``routers`` are the build's rows with ``instructions`` (None on boards that do not count them)
    and ``share``, of what the base takes. ``mix`` is None where it was not asked for, or QEMU does
    not run the board.
    """

    board: str
    core: str
    engine: str
    model_sha256: str
    build_id: str
    macs: int
    macs_executed: int
    instructions: int | None
    ticks: int
    tick_hz: int
    latency_us: float | None
    latency_low_us: float | None
    latency_high_us: float | None
    latency_kind: Kind | None
    latency_is_estimate: bool
    latency_basis: str
    arena_bytes: int
    sram_bytes: int
    stack_bytes: int
    flash: dict[str, int]
    layers: tuple[LayerTime, ...]
    runs: int
    ticks_min: int
    ticks_max: int
    self_test: dict[str, int | None]
    exact: bool | None
    differing_outputs: int | None
    differing_inputs: tuple[int, ...]
    outputs: tuple[tuple[bytes, ...], ...] = field(repr=False)
    routers: tuple[dict[str, Any], ...] = ()
    mix: ModelMix | None = None
    not_compared: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Everything but the outputs' bytes."""
        data = asdict(self)
        del data["outputs"]
        return data
