"""export: base + router as one int8 .tflite, the global as ONNX, thresholds, float against int8.

Here the checkpoint of ours; an ONNX classifier or a ready int8 .tflite is in foreign.py. Files go
into the given folder; the manifest is the caller's.

``read`` turns a .tflite with its metadata into the verified graph that the device runs; it is
handed in because the reader belongs to the compiler.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np

from mcu_hybrid.artifacts.codec import to_json
from mcu_hybrid.artifacts.export import Agreement
from mcu_hybrid.events import OnEvent
from mcu_hybrid.export import agreement, feature_router, int8_losses, link, suspicion
from mcu_hybrid.export import facts as facts_of
from mcu_hybrid.export import metadata as flat
from mcu_hybrid.export.facts import COVERAGES, GLOBAL, MODEL, ReadGraph
from mcu_hybrid.export.foreign import export_onnx, export_tflite
from mcu_hybrid.export.link import Band
from mcu_hybrid.export.tflite import Converted, convert
from mcu_hybrid.nets import checkpoint
from mcu_hybrid.nets.checkpoint import Hybrid

__all__ = [
    "COVERAGES",
    "GLOBAL",
    "MODEL",
    "export_hybrid",
    "export_onnx",
    "export_tflite",
]


def export_hybrid(
    train_dir: Path,
    out_dir: Path,
    read: ReadGraph,
    *,
    coverage: float | None = None,
    router: str = "learned",
    on_event: OnEvent | None = None,
) -> Agreement:
    """Export what ``train`` wrote; returns the facts (accuracies, thresholds, layers, sizes).

    Args:
        coverage: of the deployed threshold; None = the training config's.
        router: the deployed one: a mechanism's name, or "none".

    Raises:
        ModelError: the checkpoint is not ours, or the network cannot be converted.
        MissingTool: torch, TensorFlow or onnx2tf is not installed.
    """
    from mcu_hybrid.export import onnx

    tell = on_event or (lambda label, done, total: None)
    hybrid = checkpoint.load_hybrid(train_dir / checkpoint.CHECKPOINT)
    splits = checkpoint.load_splits(train_dir / checkpoint.SPLITS)
    out_dir.mkdir(parents=True, exist_ok=True)
    coverage = facts_of.check_coverage(hybrid.config["coverage"] if coverage is None else coverage)
    hybrid, half = link.centre_scores(hybrid)
    tell("convert to int8", 0, 1)
    make = feature_router.make if hybrid.router.features else _pair
    converted, band = make(hybrid, splits.x_fit, half, read)
    tell("convert to int8", 1, 1)
    data = converted.tflite
    content = link.hybrid_metadata(hybrid, read(data, MODEL), band)
    graph = read(flat.with_metadata(data, content), MODEL)
    seen = agreement.run_int8(graph, splits.x_calibration, on_event=on_event)
    routes = facts_of.thresholds(seen, coverage, router)
    content |= to_json(routes)
    data = flat.with_metadata(data, content)
    graph = read(data, MODEL)
    classes = seen.logits.argmax(1)
    floats = link.base_logits(hybrid.base, splits.x_calibration).argmax(1)
    truth, layers = splits.y_calibration, facts_of.noise(graph, converted, splits)
    facts = Agreement(
        routes=routes,
        compared=facts_of.compare(splits, layers, classes, floats),
        layers=layers,
        labels=tuple(hybrid.labels),
        tflite_bytes=len(data),
        losses=int8_losses.exact_losses(hybrid, splits, seen, coverage),
        simulation=int8_losses.simulation(
            hybrid, splits, seen, graph.tensor(graph.outputs[0]).require_quant()
        ),
        warnings=(
            *suspicion.of_base(floats, truth),
            *suspicion.of_int8(classes, floats, truth),
        ),
    )
    onnx.write_global(hybrid, out_dir / GLOBAL)
    facts_of.write(out_dir, data, facts)
    shutil.copyfile(train_dir / checkpoint.SPLITS, out_dir / checkpoint.SPLITS)
    return facts


def _pair(
    hybrid: Hybrid, x_fit: np.ndarray, half: float, read: ReadGraph
) -> tuple[Converted, Band]:
    """Base and router through the converter, side by side; the score spans -half..half."""
    from mcu_hybrid.export import onnx

    with tempfile.TemporaryDirectory(prefix="mcu-hybrid-") as folder:
        path = Path(folder) / "pair.onnx"
        onnx.write_pair(hybrid, path)
        converted = convert(path, link.calibration_rows(hybrid, x_fit), (onnx.LOGITS, onnx.SCORE))
    data = flat.set_output_range(converted.tflite, onnx.SCORE, -half, half)
    return Converted(data, converted.float_activations), Band()
