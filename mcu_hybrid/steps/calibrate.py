"""The winner through the real export, on a virtual board: measured against what its genome said."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mcu_hybrid import nets
from mcu_hybrid.artifacts import store
from mcu_hybrid.artifacts.search import Calibrated, Limits, SearchResult
from mcu_hybrid.board.load import Board, list_boards, load_board
from mcu_hybrid.compiler.cost import measured_core
from mcu_hybrid.errors import BoardError
from mcu_hybrid.events import OnEvent
from mcu_hybrid.machines import counter_of
from mcu_hybrid.nets import checkpoint
from mcu_hybrid.nets.checkpoint import Hybrid, NetSpec, RouterParts, Splits
from mcu_hybrid.nets.genome import Genome
from mcu_hybrid.nets.router_head import Collapsed
from mcu_hybrid.ops import route_features
from mcu_hybrid.search import results
from mcu_hybrid.search.figures import figures_of
from mcu_hybrid.search.graph import ROUTER_HIDDEN, graph_of
from mcu_hybrid.steps.search import WEIGHTS, SearchOptions
from mcu_hybrid.training.data import Dataset, load_data


def calibrate_step(
    options: SearchOptions, found: SearchResult, on_event: OnEvent | None = None
) -> Calibrated:
    """Export the best base with its weights, bench it, add the figures to search.json.

    Raises:
        BoardError: no virtual board has the board's kernels.
        MissingTool: an export package, the compiler or the emulator is not installed.
    """
    from mcu_hybrid.steps.bench import BenchOptions, bench_step

    board = virtual_of(load_board(options.board, options.board_dirs), options.board_dirs)
    data = load_data(options.data, size=options.size)
    assert found.best is not None
    genome = results.genome_of(found.best)
    with tempfile.TemporaryDirectory(prefix="mcu-hybrid-") as folder:
        model = export_genome(genome, data, Path(folder), options.out / WEIGHTS, on_event)
        bench = BenchOptions(runs=2, board_dirs=options.board_dirs)
        measured = bench_step(model, board.name, bench, on_event=on_event)
    said = figures_of(graph_of(genome, data.shape[2], data.classes), board, Limits())
    counted = measured.instructions
    made = Calibrated(
        board=board.name,
        exact=measured.exact,
        instructions=counted,
        predicted=said.instructions,
        error=said.instructions / counted - 1 if counted and said.instructions else None,
        arena_bytes=measured.arena_bytes,
        predicted_arena=said.arena_bytes,
        flash=measured.flash,
        predicted_flash_bytes=said.flash_bytes,
    )
    store.write(replace(found, measured=made), options.out)
    return made


def virtual_of(board: Board, board_dirs: Sequence[Path] = ()) -> Board:
    """The board itself where it is virtual, else a virtual one with its core's kernels."""
    if board.is_virtual and counter_of(board):
        return board
    found = [
        other
        for other in list_boards(board_dirs)
        if other.is_virtual
        and counter_of(other)
        and measured_core(other.core.name) == measured_core(board.core.name)
        and other.core.kernel_dirs == board.core.kernel_dirs
    ]
    if found:  # cortex-m7-sp has the kernels of cortex-m4 and cortex-m7: the latter is nearer
        return min(found, key=lambda other: not board.core.name.startswith(other.core.name))
    raise BoardError(
        f"no virtual board has the kernels of {board.core.name}",
        "leave --calibrate-on-board out, or bench the trained model on the board itself",
        key="--calibrate-on-board",
    )


def export_genome(
    genome: Genome,
    data: Dataset,
    folder: Path,
    weights: Path | None = None,
    on_event: OnEvent | None = None,
) -> Path:
    """The .tflite of base and an untrained router (its time does not depend on its weights).

    Args:
        weights: a state dict of the base; None or a missing file: as initialised.
    """
    from mcu_hybrid.steps.export import exporter, read_graph
    from mcu_hybrid.training.image_decode import resized

    package = exporter()

    shape = (*genome.size, data.shape[2])
    net = nets.build(genome.spec, shape, data.classes, 0, large=False)
    if weights is not None and weights.is_file():
        nets.load_weights(net, weights)
    x = resized(data.x[:64], genome.size)
    y = data.y[:64]
    empty: dict[str, np.ndarray] = {}
    spec = NetSpec(genome.spec, 0)
    router = _untrained(data.classes)
    hybrid = Hybrid(net.eval(), net, spec, spec, router, shape, data.labels, {"coverage": 0.8})
    trained, out = folder / "train", folder / "export"
    trained.mkdir()
    checkpoint.save_hybrid(hybrid, trained / checkpoint.CHECKPOINT)
    Splits(x, x, y, x, y, empty, data.labels, data.digest).save(trained / checkpoint.SPLITS)
    package.export_hybrid(trained, out, read_graph, on_event=on_event)
    return out / package.MODEL


def _untrained(classes: int) -> RouterParts:
    """A router of the usual size with random weights."""
    rng = np.random.default_rng(0)
    n = 1 + route_features.top_of(classes)
    w1, w2 = rng.standard_normal((ROUTER_HIDDEN, n)), rng.standard_normal(ROUTER_HIDDEN)
    head = Collapsed(w1, np.full(ROUTER_HIDDEN, 0.1), w2, 0.0)
    sample = rng.uniform(-1, 1, (256, n)).astype(np.float32)
    return RouterParts(head, (0.5,) * n, (0.5,) * n, 0.05, sample)
