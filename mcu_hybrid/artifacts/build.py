"""build: the facts in its manifest, and the memory plan beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from mcu_hybrid.artifacts.codec import Artefact, always_inlined, inlined, left_out
from mcu_hybrid.artifacts.table import RouterSize
from mcu_hybrid.artifacts.times import Latency


@dataclass(frozen=True, kw_only=True)
class LayerRow:
    """A layer as the firmware runs it; ``macs`` are those that it executes."""

    name: str
    op: str
    macs: int
    out_bytes: int


@dataclass(frozen=True, kw_only=True)
class RouterRow(RouterSize):
    """What a router takes; ``layers`` are numbers, as the firmware counts them.

    ``predicted_share`` is of the base's own instructions; None where the cost model does not know a
    layer.
    """

    layers: tuple[int, ...]
    predicted_instructions: int | None
    predicted_share: float | None


@dataclass(frozen=True, kw_only=True)
class StreamRow:
    """A run of operators in strips of ``rows`` rows: layer number ``layer``."""

    layer: int
    operators: tuple[str, ...]
    rows: int
    keeps_rows: bool


@dataclass(frozen=True, kw_only=True)
class SchedulePoint:
    """A schedule that was compared: predicted instructions over the arena that it needs."""

    arena_bytes: int
    instructions: int
    streams: int
    is_chosen: bool


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What the cost model says of an inference: instructions, and a time with its range."""

    instructions: int
    time: Latency = always_inlined()


@dataclass(frozen=True, kw_only=True)
class CodeChoice:
    """Kernels under a budget of code; bytes are predicted ones of the whole firmware's code."""

    predicted_code_bytes: int
    code_bytes_saved: int
    instructions_spent: int


@dataclass(frozen=True, kw_only=True)
class AotFacts:
    """What only our own engine tells; ``code`` is None for the reference kernels.

    ``front`` has the schedules that were compared, fastest first; ``estimate`` is None where the
    cost model does not know a layer.
    """

    arena_is_optimal: bool
    kernels: str
    fold_dead: bool
    optimize: str
    code_budget: int | None
    streams: tuple[StreamRow, ...]
    front: tuple[SchedulePoint, ...]
    code: CodeChoice | None = inlined()
    requantise_forms: Mapping[str, int]
    predicted_instructions: tuple[int | None, ...]
    estimate: Estimate | None


@dataclass(frozen=True, kw_only=True)
class BuildFacts(Artefact):
    """A build: firmware for a board, how full it makes it, and what is predicted of it.

    ``macs`` are those of the model as given, ``macs_executed`` those of its layers.
    ``untuned_sha256``: the model as it was exported, where the build gave it a tuned threshold.
    ``known_answers_by`` says who made the answers of the board's self-test, ``_reason`` why it was
    not TFLM.
    """

    step: ClassVar[str] = "build"

    untuned_sha256: str | None = left_out()
    model: str
    model_sha256: str
    board: str
    core: str
    engine: str
    build_id: str
    static_ram_bytes: int
    stack_bytes: int
    code_bytes: int
    weights_bytes: int
    flash_bytes: int
    ram_capacity_bytes: int
    flash_capacity_bytes: int
    macs: int
    is_hybrid: bool
    macs_executed: int
    arena_bytes: int
    arena_lower_bound_bytes: int
    ram_limit: int | None
    aot: AotFacts | None = inlined()
    tflm_library_sha256: str | None = left_out()
    routers: tuple[RouterRow, ...] = ()
    layers: tuple[LayerRow, ...]
    notes: tuple[str, ...]
    known_answers_by: str = "our own interpreter"
    known_answers_reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class PlanRow:
    """A layer in the order in which they run, and the bytes of the arena that live then."""

    name: str
    op: str
    live_bytes: int


@dataclass(frozen=True, kw_only=True)
class BufferRow:
    """A buffer from layer ``first_op`` to ``last_op``, both included; ``tensor`` None: scratch.

    -1 is the host's writing of the input, the number of layers its reading of the outputs.
    """

    name: str
    tensor: int | None
    first_op: int
    last_op: int
    offset: int
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Plan(Artefact):
    """plan.json: the arena over time, one entry a layer and one box a buffer."""

    step: ClassVar[str] = "build"
    file: ClassVar[str] = "plan.json"

    arena_bytes: int
    lower_bound_bytes: int
    is_optimal: bool = False
    scratch_bytes: int
    peak_op: int
    ops: tuple[PlanRow, ...]
    buffers: tuple[BufferRow, ...]
