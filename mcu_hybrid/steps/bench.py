"""bench: measure a model on a board, compare every output with TFLM's host interpreter."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mcu_hybrid import extras, manifest
from mcu_hybrid.artifacts import store
from mcu_hybrid.artifacts.bench import BenchFacts, BenchResult, ModelMix
from mcu_hybrid.bench import measure, mix, samples, timing
from mcu_hybrid.bench.model import BenchModel
from mcu_hybrid.board.load import load_board
from mcu_hybrid.device.client import Device
from mcu_hybrid.device.inference import Inference
from mcu_hybrid.errors import InputError, ModelError
from mcu_hybrid.events import OnEvent
from mcu_hybrid.machines import price, tracer_of
from mcu_hybrid.ops.float_tables import not_in_tflm
from mcu_hybrid.process import Tools
from mcu_hybrid.reference.judge import Judge
from mcu_hybrid.steps.attach import Way
from mcu_hybrid.steps.boards import open_for
from mcu_hybrid.steps.build import DEFAULT_ENGINE, Build, EngineOptions, build_step
from mcu_hybrid.steps.engine import require_build
from mcu_hybrid.steps.flash import on_board


@dataclass(frozen=True)
class BenchOptions:
    """What to run: ``inputs`` is a file of raw int8, else the golden input and random ones.

    ``mix`` counts the executed instructions by class; None does so where a machine can.
    """

    runs: int = 10
    inputs: Path | None = None
    outputs: Path | None = None
    port: str = ""
    engine: EngineOptions = DEFAULT_ENGINE
    board_dirs: Sequence[Path] = ()
    mix: bool | None = False
    probe: str = ""
    virtual: bool = False


def bench_step(
    source: Path,
    board_name: str | None,
    options: BenchOptions,
    *,
    out: Path | None = None,
    on_event: OnEvent | None = None,
) -> BenchResult:
    """Measure ``source`` (a build folder, an export folder, or any int8 .tflite) on a board.

    Args:
        board_name: needed where ``source`` is not built yet.
        out: folder for bench.json; None keeps nothing.
    """
    _check_targets(options, out)
    with _built(source, board_name, options, on_event) as build:
        result = bench_board(build, options, on_event=on_event)
        if options.outputs is not None:
            samples.write_outputs(options.outputs, result.outputs)
        if out is not None:
            with manifest.writing(out, "bench") as draft:
                draft.sources["build" if build.folder == source else "model"] = source
                store.write(result, draft.folder)
                draft.facts |= BenchFacts(exact=result.exact, board=result.board).to_json()
    return result


def _check_targets(options: BenchOptions, out: Path | None) -> None:
    """What cannot be read or written is said before the build and the long run."""
    if options.inputs is not None and not options.inputs.is_file():
        raise InputError("no such file", "give a file of raw int8", path=options.inputs)
    if options.outputs is not None:
        folder = options.outputs.parent
        if options.outputs.is_dir() or not folder.is_dir():
            fact = "is a folder" if options.outputs.is_dir() else f"there is no folder {folder}"
            raise InputError(fact, "give a file in a folder that exists", path=options.outputs)
    if out is not None:
        manifest.check_target(out, "bench")


def bench_board(
    build: Build,
    options: BenchOptions,
    *,
    inputs: Sequence[Sequence[np.ndarray]] | None = None,
    on_event: OnEvent | None = None,
) -> BenchResult:
    """Run a build on its board (flashed where it is not running already).

    Raises:
        BoardError: the instruction mix is asked for, and no machine can count it.
    """
    if options.mix:
        mix.require(build.board)
    graph = build.model.graph
    shapes = [graph.tensor(t).shape for t in graph.inputs]
    if inputs is None and options.inputs is not None:
        inputs = samples.read_inputs(options.inputs, shapes)
    if inputs is None:
        inputs = samples.default_inputs(shapes, max(1, options.runs))
    model = _bench_model(build)
    extras.require("the comparison with TFLM", "bench")
    unknown = not_in_tflm(graph)
    told = f"TFLM has no {', '.join(unknown)}"
    judge, reason = (None, told) if unknown else _judge(build)
    way = Way(options.port, options.probe, virtual=options.virtual)
    with on_board(build, way, on_event=on_event) as device:
        result = measure.bench(device, build.board, model, inputs, judge=judge, on_event=on_event)
    if reason is not None:
        result = replace(result, not_compared=reason)
    if options.mix is False or tracer_of(build.board) is None:
        return result
    counted = _mix(build, inputs[0], judge, on_event)
    return timing.with_mix(result, build.board, counted, model.code)


def _bench_model(build: Build) -> BenchModel:
    facts = build.facts
    return BenchModel(
        sha256=build.model.file.sha256,
        layers=facts.layers,
        routers=facts.routers,
        code_bytes=build.image.code_bytes,
        weights_bytes=build.image.weights_bytes,
        predicted=facts.aot.predicted_instructions if facts.aot else None,
        code=price.code_of(facts.engine, facts.aot.kernels if facts.aot else ""),
        macs=facts.macs,
    )


def _judge(build: Build) -> tuple[Judge | None, str | None]:
    """The judge, or why there is none: the board's figures are worth having without it too."""
    try:
        return Judge(build.model.data, build.model.file.metadata), None
    except ModelError as error:
        return None, error.message


def _mix(
    build: Build, sample: Sequence[np.ndarray], judge: Judge | None, on_event: OnEvent | None
) -> ModelMix:
    """On a virtual board of its own: the one that was measured is not slowed down by a log."""

    def infer(device: Device, before_run: Callable[[], None] | None) -> Inference:
        features = measure.features_of(device, sample, judge)
        return measure.infer(device, sample, features, before_run)

    if on_event:
        on_event("instruction mix", 0, 1)
    counted = mix.measure(build.board, build.image, build.facts.layers, infer, Tools())
    if on_event:
        on_event("instruction mix", 1, 1)
    return counted


@contextmanager
def _built(
    source: Path, board_name: str | None, options: BenchOptions, on_event: OnEvent | None
) -> Iterator[Build]:
    """The build folder itself, or one that is made for the time of the measurement."""
    if source.is_dir() and manifest.read(source).step == "build":
        build = open_for(source, board_name, options.board_dirs)
        require_build(build.facts, build.folder, options.engine)
        yield build
        return
    board = load_board(board_name or "mps2-an500", options.board_dirs)
    with tempfile.TemporaryDirectory(prefix="mcu-hybrid-") as folder:
        yield build_step(
            source,
            board,
            Path(folder) / "build",
            options.engine,
            board_dirs=options.board_dirs,
            on_event=on_event,
        )
