"""Measures a model on a board, and compares every output with the judge's.

No building and no flashing here; the caller hands in an open device, the layer table of the graph
that was built, and the sizes of the image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from mcu_hybrid.artifacts.bench import (
    BenchResult,
    FlashUse,
    LayerTime,
    RouterTime,
    SelfTestFacts,
)
from mcu_hybrid.artifacts.build import RouterRow
from mcu_hybrid.bench import timing
from mcu_hybrid.bench.model import BenchModel
from mcu_hybrid.board.load import Board
from mcu_hybrid.device.client import Device
from mcu_hybrid.device.inference import Inference, Profile
from mcu_hybrid.errors import ProtocolError
from mcu_hybrid.events import OnEvent
from mcu_hybrid.ops import route_features
from mcu_hybrid.reference.judge import Judge, Unjudged
from mcu_hybrid.wire.payloads import Hello, SelfTest, Stats


def bench(
    device: Device,
    board: Board,
    model: BenchModel,
    inputs: Sequence[Sequence[np.ndarray]],
    *,
    judge: Judge | None = None,
    on_event: OnEvent | None = None,
) -> BenchResult:
    """Run every input once (the first one twice: the second inference is the one reported).

    A hybrid whose firmware does not compute the route features (engine tflm: it has the file's two
    inputs) runs twice per input, the second time with the features of the first; its simple scores
    are not compared, because the firmware does not give them.

    Raises:
        InputError: an input has not the size that the model takes.
        ProtocolError: the board runs another model.
    """
    hello = device.hello()
    _require_model(hello, model)
    rows = model.layers
    device.name_layers([row.name for row in rows], [row.macs for row in rows])
    tell = on_event or (lambda label, done, total: None)
    features = features_of(device, inputs[0], judge)
    self_test = device.self_test()
    runs = _run_all(device, inputs, judge, features, tell)
    tell("profile", 0, 1)
    profile = _profile(device, inputs[0], features)
    tell("profile", 1, 1)
    work = timing.Work(model.layers, model.predicted, model.code)
    timer = timing.Timer(board, hello, device.link.url, work)
    return _result(timer, model, runs, profile, self_test, device.stats())


@dataclass
class _Runs:
    """The inferences that count, and how they compare; ``judged`` where all were compared."""

    judged: bool
    reason: str | None = None  # why not
    results: list[Inference] = field(default_factory=list)
    differing_inputs: list[int] = field(default_factory=list)
    differing_values: int = 0


def _run_all(
    device: Device,
    inputs: Sequence[Sequence[np.ndarray]],
    judge: Judge | None,
    features: route_features.Attrs | None,
    tell: OnEvent,
) -> _Runs:
    runs = _Runs(judged=judge is not None)
    infer(device, inputs[0], features)  # caches, and whatever else only the first one meets
    for number, sample in enumerate(inputs):
        result = infer(device, sample, features)
        runs.results.append(result)
        if judge is not None and runs.judged:
            try:
                expected = judge.run(sample)
            except Unjudged as error:  # what the board did is worth keeping
                runs.judged, runs.reason = False, error.message
                continue
            count = count_differences(result.outputs, expected[:-1] if features else expected)
            runs.differing_values += count
            runs.differing_inputs += [number] if count else []
        tell("inference", number + 1, len(inputs))
    return runs


def _result(
    timer: timing.Timer,
    model: BenchModel,
    runs: _Runs,
    profile: Profile,
    self_test: SelfTest,
    stats: Stats,
) -> BenchResult:
    second, hello = runs.results[0], timer.hello
    counted = hello.tick_instructions > 0
    executed = sum(row.macs for row in model.layers)
    return BenchResult(
        board=hello.board,
        core=hello.core,
        engine=hello.engine.name.lower(),
        model_sha256=hello.model_sha256,
        build_id=hello.build_id,
        macs=executed if model.macs is None else model.macs,
        macs_executed=executed,
        instructions=second.instructions if counted else None,
        ticks=second.ticks,
        tick_hz=hello.tick_hz,
        time=timer.total(second.ticks, second.instructions).said(),
        arena_bytes=hello.arena_bytes,
        sram_bytes=hello.static_ram_bytes + stats.stack_used_bytes,
        stack_bytes=stats.stack_used_bytes,
        flash=FlashUse(code_bytes=model.code_bytes, weights_bytes=model.weights_bytes),
        layers=_layer_times(timer, profile, counted),
        runs=len(runs.results) + 1,
        ticks_min=min(result.ticks for result in runs.results),
        ticks_max=max(result.ticks for result in runs.results),
        self_test=SelfTestFacts(**vars(self_test)),
        exact=False if runs.differing_values else True if runs.judged else None,
        differing_outputs=runs.differing_values if runs.judged else None,
        not_compared=runs.reason,
        differing_inputs=tuple(runs.differing_inputs),
        outputs=tuple(_model_outputs(result, hello) for result in runs.results),
        routers=_router_costs(model.routers, profile, counted),
    )


def features_of(
    device: Device, sample: Sequence[np.ndarray], judge: Judge | None
) -> route_features.Attrs | None:
    """The route features that are the caller's to compute; None where the firmware does it."""
    two_pass = judge is not None and device.hello().inputs == len(sample) + 1
    return judge.features if judge is not None and two_pass else None


def infer(
    device: Device,
    sample: Sequence[np.ndarray],
    features: route_features.Attrs | None = None,
    before_run: Callable[[], None] | None = None,
) -> Inference:
    """One inference; with ``features``, two: the second has the route features of the first.

    ``before_run`` is called when the inputs of the (second) inference are on the board.
    """
    given = sample if features is None else _with_features(device, sample, features)
    return device.infer(given, before_run)


def _with_features(
    device: Device, sample: Sequence[np.ndarray], features: route_features.Attrs
) -> list[np.ndarray]:
    first = device.infer([*sample, np.zeros(features.top + 1, np.int8)])
    logits = first.int8(device.hello().logits).reshape(1, -1)
    return [*sample, route_features.compute(features, logits)[0]]


def _profile(
    device: Device, sample: Sequence[np.ndarray], features: route_features.Attrs | None
) -> Profile:
    given = sample if features is None else _with_features(device, sample, features)
    return device.profile(given)


def count_differences(outputs: Sequence[bytes], expected: Sequence[np.ndarray]) -> int:
    """Values that differ; an output that is missing or of another size counts whole."""
    different = 0
    for index, want in enumerate(expected):
        raw = outputs[index] if index < len(outputs) else b""
        if len(raw) != want.nbytes:
            different += want.size
            continue
        different += int(np.count_nonzero(np.frombuffer(raw, want.dtype) != want.ravel()))
    return different


def _require_model(hello: Hello, model: BenchModel) -> None:
    if hello.model_sha256 != model.sha256:
        raise ProtocolError(
            f"the board holds model {hello.model_sha256[:16]}, expected {model.sha256[:16]}",
            "flash it again: mcu-hybrid flash DIR --board NAME",
        )
    if hello.layers != len(model.layers):
        raise ProtocolError(
            f"the board's model has {hello.layers} layers, the build {len(model.layers)}",
            "flash it again: mcu-hybrid flash DIR --board NAME",
        )


def _layer_times(timer: timing.Timer, profile: Profile, counted: bool) -> tuple[LayerTime, ...]:
    total = (profile.instructions if counted else profile.ticks) or 1
    rows = []
    for n, (row, time) in enumerate(zip(timer.work.layers, profile.rows, strict=True)):
        layer = LayerTime(
            name=row.name,
            op=row.op,
            macs=row.macs,
            ticks=time.ticks,
            instructions=time.instructions if counted else None,
            share=(time.instructions if counted else time.ticks) / total,
            out_crc32=f"{time.crc32:08x}",
            time=timer.layer(n, time.ticks, time.instructions).span,
        )
        rows.append(layer)
    return tuple(rows)


def _router_costs(
    rows: Sequence[RouterRow], profile: Profile, counted: bool
) -> tuple[RouterTime, ...]:
    """What the layers of each router took; the base are the layers of none of them."""
    spent = [row.instructions if counted else row.ticks for row in profile.rows]
    routing = {n for row in rows for n in row.layers}
    base = sum(value for n, value in enumerate(spent) if n not in routing) or 1
    mine = [sum(spent[n] for n in row.layers) for row in rows]
    return tuple(
        RouterTime(**vars(row), instructions=value if counted else None, share=value / base)
        for row, value in zip(rows, mine, strict=True)
    )


def _model_outputs(result: Inference, hello: Hello) -> tuple[bytes, ...]:
    """The file's own outputs: the simple scores are ours."""
    return tuple(part for i, part in enumerate(result.outputs) if i != hello.scores)
