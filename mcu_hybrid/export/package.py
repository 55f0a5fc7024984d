"""export: base + router as one int8 .tflite, the global as ONNX, thresholds, float against int8.

Three sources: a checkpoint of ours, an ONNX classifier (converted), a ready int8 .tflite (checked
and packed, not converted). Files go into the given folder; the manifest is the caller's.

``read`` turns a .tflite with its metadata into the verified graph that the device runs; it is
handed in because the reader belongs to codegen.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mcu_hybrid.errors import InputError
from mcu_hybrid.export import agreement, feature_router, int8_losses, link
from mcu_hybrid.export import facts as facts_of
from mcu_hybrid.export import metadata as flat
from mcu_hybrid.export.facts import AGREEMENT, COVERAGES, GLOBAL, MODEL
from mcu_hybrid.export.link import Band
from mcu_hybrid.export.tflite import Converted, convert
from mcu_hybrid.graph.types import Graph
from mcu_hybrid.nets import checkpoint
from mcu_hybrid.nets.checkpoint import Hybrid, Splits

OnEvent = Callable[[str, int, int], None]
ReadGraph = Callable[[bytes, str], Graph]
__all__ = [
    "AGREEMENT",
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
) -> dict[str, Any]:
    """Export what ``train`` wrote; returns the facts (accuracies, thresholds, layers, sizes).

    Args:
        coverage: of the deployed threshold; None = the training config's.
        router: the deployed one: a name of ``routers.ROUTERS``, or "none".

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
    content.update(facts_of.thresholds(seen, coverage, router))
    data = flat.with_metadata(data, content)
    graph = read(data, MODEL)
    facts = facts_of.compare(
        graph, converted, splits, seen, link.base_logits(hybrid.base, splits.x_calibration)
    )
    facts |= {"thresholds": content["thresholds"], "deployed": content["deployed"]}
    facts |= {"labels": list(hybrid.labels), "tflite_bytes": len(data)}
    quant = graph.tensor(graph.outputs[0]).require_quant()
    facts["losses"] = int8_losses.exact_losses(hybrid, splits, seen, coverage)
    facts["simulation"] = int8_losses.simulation(hybrid, splits, seen, quant)
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


def export_onnx(
    path: Path,
    splits: Splits,
    out_dir: Path,
    read: ReadGraph,
    *,
    global_onnx: Path | None = None,
    coverage: float = 0.8,
    router: str = "entropy",
    on_event: OnEvent | None = None,
) -> dict[str, Any]:
    """Convert an ONNX classifier (one image input in [0, 1], logits out) with these images.

    A simple ``router`` routes it. ``global_onnx`` is copied beside it for the cloud.

    Raises:
        ModelError: the file is no ONNX classifier for these images, or cannot be converted.
    """
    from mcu_hybrid.export.onnx_file import describe_input

    told = describe_input(path, splits.x_fit.shape[1:])
    rows = {"image": link.with_extremes(splits.x_fit.astype(np.float32) / 255)}
    converted = convert(path, rows, ("logits",), shapes=told.shapes, keep_nhwc=told.keep_nhwc)
    route = coverage, router
    return _pack_plain(
        converted.tflite, converted, splits, out_dir, read, global_onnx, route, on_event
    )


def export_tflite(
    path: Path,
    out_dir: Path,
    read: ReadGraph,
    *,
    splits: Splits | None = None,
    global_onnx: Path | None = None,
    coverage: float = 0.8,
    router: str = "entropy",
    on_event: OnEvent | None = None,
) -> dict[str, Any]:
    """Check a ready int8 .tflite and pack it; its weights and layers are not touched.

    With ``splits`` a classifier that ends in logits gets a simple ``router``. A file that
    carries our metadata already is kept byte for byte.

    Raises:
        ModelError, UnsupportedOp: it is not a full-integer int8 model that the engine runs.
    """
    data = path.read_bytes() if path.is_file() else b""
    if not data:
        raise InputError(
            "is empty" if path.exists() else "does not exist", "give an int8 .tflite", path=path
        )
    graph = read(data, path.name)
    linked = graph.ops and any(op.kind == "ROUTE_FEATURES" for op in graph.ops)
    if splits is None or linked:
        facts: dict[str, Any] = {"tflite_bytes": len(data), "layers": None}
        facts_of.write(out_dir, data, facts)
        if splits is not None:
            splits.save(out_dir / checkpoint.SPLITS)
        facts_of.copy_global(global_onnx, out_dir)
        return facts
    route = coverage, router
    return _pack_plain(data, None, splits, out_dir, read, global_onnx, route, on_event)


def _pack_plain(
    data: bytes,
    converted: Converted | None,
    splits: Splits,
    out_dir: Path,
    read: ReadGraph,
    global_onnx: Path | None,
    route: tuple[float, str],
    on_event: OnEvent | None,
) -> dict[str, Any]:
    """A simple router (coverage, name) where the model ends in logits; what is known of layers."""
    content = link.plain_metadata(read(data, MODEL), splits.labels)
    if content is not None:
        data = flat.with_metadata(data, content)
    graph = read(data, MODEL)
    seen = agreement.run_int8(graph, splits.x_calibration, on_event=on_event)
    facts: dict[str, Any] = {}
    if content is not None:
        coverage, router = route
        chosen = facts_of.thresholds(seen, facts_of.check_coverage(coverage), router)
        data = flat.with_metadata(data, {**content, **chosen})
        graph = read(data, MODEL)
        facts |= chosen
    facts |= facts_of.compare(graph, converted, splits, seen, None)
    facts |= {"labels": list(splits.labels), "tflite_bytes": len(data)}
    facts_of.write(out_dir, data, facts)
    splits.save(out_dir / checkpoint.SPLITS)
    facts_of.copy_global(global_onnx, out_dir)
    return facts
