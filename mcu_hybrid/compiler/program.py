"""Program: what the compiler knows of a network, one value for all that comes after it.

Emit, footprint, report, bench and search take a program and nothing beside it. It is made here and
nowhere else: the choice of kernels and schedules comes before (engines/aot.py, schedule/search.py),
C text and figures after. Nothing is computed again from a graph.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

from mcu_hybrid.compiler.arena.plan import MemoryPlan, plan
from mcu_hybrid.compiler.lowering import REFERENCE, Steps, cut_at, lower_graph
from mcu_hybrid.compiler.schedule.call import Call
from mcu_hybrid.compiler.schedule.stream import Stream, Work, ops_of
from mcu_hybrid.compiler.select import Choice
from mcu_hybrid.graph.cuts import Cut
from mcu_hybrid.graph.types import Graph, Op


@dataclass(frozen=True)
class Places:
    """Byte offsets in the arena; None: a constant in flash, or no scratch."""

    ins: tuple[int | None, ...]
    outs: tuple[int, ...]
    scratch: int | None


@dataclass(frozen=True)
class Layer:
    """What the firmware counts as one: an operator or a stream, its kernel, and its places.

    ``places`` are in the order of the call's ``ins`` and ``outs``.
    """

    op: Work
    kernel: Choice
    places: Places

    @property
    def ops(self) -> tuple[Op[Any], ...]:
        """The graph's operators that it computes: one, or the run of a stream."""
        return ops_of(self.op)

    @property
    def call(self) -> Call:
        """The C call."""
        return self.kernel.call


@dataclass(frozen=True)
class Segment:
    """A run of layers with one place to stop behind it.

    ``exit`` are the network's outputs that it makes: they lie in the arena until the next segment
    begins, those of the last one until the host has read them. ``cut`` is the tensor that the next
    segment goes on from, None behind the last. ``core`` numbers the core that runs it.
    """

    layers: tuple[Layer, ...]
    exit: tuple[int, ...]
    cut: int | None = None
    core: int = 0


@dataclass(frozen=True)
class Program:
    """Segments in order, the plan of their one arena, and what lives longer than an inference.

    ``graph`` is what they compute. ``views`` are tensors that lie where another does: no layer
    makes them. ``states`` are the tensors that one inference leaves to the next; the rule: a state
    has bytes of the arena that nothing else ever gets, and is written by one layer at most. No
    operator has any yet.
    """

    graph: Graph
    segments: tuple[Segment, ...]
    plan: MemoryPlan
    views: Mapping[int, int]
    states: tuple[int, ...] = ()

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """Those of all segments, in the order in which the firmware numbers them."""
        return tuple(layer for segment in self.segments for layer in segment.layers)

    @property
    def kernels(self) -> tuple[Choice, ...]:
        """What each layer runs as."""
        return tuple(layer.kernel for layer in self.layers)

    @property
    def kernel_stems(self) -> tuple[str, ...]:
        """File stems of the kernels that the calls need, sorted."""
        calls = [layer.call for layer in self.layers]
        return tuple(sorted({stem for call in calls for stem in (call.source, *call.also)}))

    @property
    def predicted(self) -> list[int | None]:
        """The cost model's count for each layer, None where a reference kernel has none."""
        return [kernel.instructions for kernel in self.kernels]

    @cached_property
    def instructions(self) -> int:
        """The sum of all predictions; a layer without one counts nothing."""
        return sum(count or 0 for count in self.predicted)

    @cached_property
    def streams(self) -> tuple[tuple[int, Stream], ...]:
        """What is computed strip by strip of rows, by number of the layer."""
        work = enumerate(layer.op for layer in self.layers)
        return tuple((n, stream) for n, stream in work if isinstance(stream, Stream))

    @property
    def requantise_forms(self) -> dict[str, int]:
        """Channels per form of requantisation, over all layers of fast kernels."""
        total: Counter[str] = Counter()
        for kernel in self.kernels:
            total.update(kernel.forms)
        return dict(sorted(total.items()))


def program_of(
    graph: Graph,
    kernel_dirs: Sequence[str] = REFERENCE,
    core: str = "",
    streams: Iterable[Stream] = (),
    cuts: Iterable[Cut] = (),
) -> Program:
    """Streams as given, every other operator by itself, as the fastest of these kernels."""
    return assemble(graph, cut_at(lower_graph(graph, kernel_dirs, core, streams), cuts))


def assemble(graph: Graph, steps: Steps) -> Program:
    """Plan the memory of what was chosen, and divide it into segments."""
    planned = plan(graph, steps)
    views = {step.op.outputs[0]: step.op.inputs[0] for step in steps if step.kernel is None}
    segments = tuple(_segments(graph, steps, planned))
    if len(segments) > 1 and not all(segment.layers for segment in segments):
        raise ValueError("a segment needs a layer")
    return Program(graph, segments, planned, views)


def _segments(graph: Graph, steps: Steps, planned: MemoryPlan) -> Iterator[Segment]:
    layers = _layers(steps, planned)
    begun, read = 0, set(graph.outputs)
    for n, step in enumerate(steps):
        is_last = n + 1 == len(steps)
        if step.cut is None and not is_last:
            continue
        part = steps[begun : n + 1]
        made = {output for step in part for output in step.op.outputs}
        exits = tuple(t for t in graph.outputs if (t in read if is_last else t in made))
        count = sum(step.kernel is not None for step in part)
        yield Segment(tuple(islice(layers, count)), exits, None if is_last else step.cut)
        begun, read = n + 1, read - made


def _layers(steps: Steps, planned: MemoryPlan) -> Iterator[Layer]:
    running = ((step.op, step.kernel) for step in steps if step.kernel is not None)
    for n, (op, kernel) in enumerate(running):
        ins = tuple(planned.offsets.get(t) for t in kernel.call.ins)
        outs = tuple(planned.offsets[t] for t in kernel.call.outs)
        yield Layer(op, kernel, Places(ins, outs, planned.scratch_offsets.get(n)))
