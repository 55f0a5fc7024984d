"""What an engine is to the build: from a model and a board to sources, and what they ask for.

Two classes are one: ours, which compiles ahead of time (engines/aot.py), and the user's TFLM
(tflm/engine.py). A third is a class and its name in steps/engine.py. Nothing here knows either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mcu_hybrid.artifacts.build import AotFacts, LayerRow, Plan, RouterRow
from mcu_hybrid.board.load import Board
from mcu_hybrid.compiler.emit.known_answers import KnownAnswer
from mcu_hybrid.compiler.read.tflite import ModelFile
from mcu_hybrid.events import OnEvent
from mcu_hybrid.graph.types import Graph
from mcu_hybrid.image.firmware import Extra, Footprint


@dataclass(frozen=True)
class Model:
    """A .tflite as read; ``graph`` is linked and verified, and not optimised."""

    data: bytes
    file: ModelFile
    graph: Graph


@dataclass(frozen=True)
class TflmTree:
    """The user's TensorFlow Lite Micro: checkout and static library."""

    root: Path
    library: Path


@dataclass(frozen=True)
class EngineOptions:
    """Which engine, and how ``aot`` compiles.

    ``kernels`` is "fast" (the core's own) or "ref" (the reference kernels, no passes, no streams).
    ``fold_dead`` takes constant and unneeded channels out; it never changes an output.
    ``optimize`` is "speed", "ram" or "balanced" (compiler/schedule/choose.py); ``ram_limit`` are
    the bytes that arena and statics may take (the stack comes on top); None: what the board has.
    ``code_budget`` are the bytes that code may take, without constants (compiler/code_budget.py);
    None: smaller code where it costs few instructions. ``input_shapes`` are (name, shape) of inputs
    whose size the file leaves open, "" for the only one (compiler/read/input_shapes.py). ``given``
    names the fields that somebody asked for, be it with their usual value.
    """

    name: str = "aot"
    tflm: TflmTree | None = None
    kernels: str = "fast"
    fold_dead: bool = True
    optimize: str = "speed"
    ram_limit: int | None = None
    code_budget: int | None = None
    input_shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()
    given: frozenset[str] = field(default=frozenset(), compare=False)


@dataclass(frozen=True)
class EngineFacts:
    """What an engine tells of its own in the manifest of a build."""

    routers: tuple[RouterRow, ...]
    aot: AotFacts | None = None
    tflm_library_sha256: str | None = None


@dataclass(frozen=True)
class Compiled:
    """What an engine made of a model for a board; nothing is written.

    ``graph`` is what runs, and what the known answers of the self-test are of. ``files`` gives the
    text of the engine's own sources, by name, with these answers in them. ``layers`` are in the
    order in which the firmware counts them; ``extra`` is what they are compiled and linked with.
    """

    graph: Graph
    files: Callable[[Sequence[KnownAnswer]], Mapping[str, str]]
    footprint: Footprint
    layers: tuple[LayerRow, ...]
    plan: Plan
    facts: EngineFacts
    extra: Extra = Extra()  # noqa: RUF009 - frozen


class Engine(Protocol):
    """Runs a network on a board."""

    def compile(
        self, model: Model, board: Board, options: EngineOptions, on_event: OnEvent | None = None
    ) -> Compiled:
        """Raises ModelError, UnsupportedOp or CapacityError where it does not run the model."""
        ...
