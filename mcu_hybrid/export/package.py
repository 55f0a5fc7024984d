"""export: base + router as one int8 .tflite, the global as ONNX, thresholds, float against int8.

Three sources: a checkpoint of ours, an ONNX classifier (converted), a ready int8 .tflite (checked and
packed, not converted). Files go into the given folder; the manifest is written by the caller.

``read`` turns a .tflite with its metadata into the verified graph that the device runs; it is handed
in because the reader belongs to codegen.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mcu_hybrid import routers
from mcu_hybrid.errors import InputError
from mcu_hybrid.export import agreement
from mcu_hybrid.export import metadata as flat
from mcu_hybrid.export.agreement import Int8Run
from mcu_hybrid.export.tflite import PROBES, Converted, convert
from mcu_hybrid.graph.types import Graph
from mcu_hybrid.nets import checkpoint
from mcu_hybrid.nets.checkpoint import Hybrid, RouterParts, Splits
from mcu_hybrid.ops import route_features

OnEvent = Callable[[str, int, int], None]
ReadGraph = Callable[[bytes, str], Graph]
MODEL, GLOBAL, AGREEMENT = "model.tflite", "global.onnx", "agreement.json"
COVERAGES = (0.9, 0.8, 0.7, 0.5)
_SCORE_TAIL = 0.02  # the surest two per cent share the lowest level of the int8 score
_INPUT = {"scale_to_real": "x/255", "layout": "NHWC", "dtype": "uint8"}


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
        router: the deployed one, "learned", "entropy" or "none".

    Raises:
        ModelError: the checkpoint is not ours, or the network cannot be converted.
        MissingTool: torch, TensorFlow or onnx2tf is not installed.
    """
    from mcu_hybrid.export import onnx

    tell = on_event or (lambda label, done, total: None)
    hybrid = checkpoint.load_hybrid(train_dir / checkpoint.CHECKPOINT)
    splits = checkpoint.load_splits(train_dir / checkpoint.SPLITS)
    coverage = _coverage(hybrid.config["coverage"] if coverage is None else coverage)
    hybrid, half = centre_scores(hybrid)
    tell("convert to int8", 0, 1)
    with tempfile.TemporaryDirectory(prefix="mcu-hybrid-") as folder:
        path = Path(folder) / "pair.onnx"
        onnx.write_pair(hybrid, path)
        rows = calibration_rows(hybrid, splits.x_fit)
        converted = convert(path, rows, (onnx.LOGITS, onnx.SCORE))
    tell("convert to int8", 1, 1)
    data = flat.set_output_range(converted.tflite, onnx.SCORE, -half, half)
    content = hybrid_metadata(hybrid, read(data, MODEL))
    graph = read(flat.with_metadata(data, content), MODEL)
    seen = agreement.run_int8(graph, splits.x_calibration, on_event=on_event)
    content.update(_thresholds(seen, coverage, router))
    data = flat.with_metadata(data, content)
    graph = read(data, MODEL)
    facts = _compare(graph, converted, splits, seen, _float_logits(hybrid, splits))
    facts |= {"thresholds": content["thresholds"], "deployed": content["deployed"]}
    facts |= {"labels": list(hybrid.labels), "tflite_bytes": len(data)}
    onnx.write_global(hybrid, out_dir / GLOBAL)
    _write(out_dir, data, facts)
    shutil.copyfile(train_dir / checkpoint.SPLITS, out_dir / checkpoint.SPLITS)
    return facts


def export_onnx(
    path: Path,
    splits: Splits,
    out_dir: Path,
    read: ReadGraph,
    *,
    global_onnx: Path | None = None,
    coverage: float = 0.8,
    on_event: OnEvent | None = None,
) -> dict[str, Any]:
    """Convert an ONNX classifier (one image input in [0, 1], logits out) with these images.

    The entropy routes it. ``global_onnx`` is copied beside it for the cloud.

    Raises:
        ModelError: the file is no ONNX classifier for these images, or cannot be converted.
    """
    from mcu_hybrid.export.onnx_file import describe_input

    told = describe_input(path, splits.x_fit.shape[1:])
    rows = {"image": _with_extremes(splits.x_fit.astype(np.float32) / 255)}
    converted = convert(path, rows, ("logits",), shapes=told.shapes, keep_nhwc=told.keep_nhwc)
    return _pack_plain(converted.tflite, converted, splits, out_dir, read, global_onnx, coverage,
                       on_event)


def export_tflite(
    path: Path,
    out_dir: Path,
    read: ReadGraph,
    *,
    splits: Splits | None = None,
    global_onnx: Path | None = None,
    coverage: float = 0.8,
    on_event: OnEvent | None = None,
) -> dict[str, Any]:
    """Check a ready int8 .tflite and pack it; its weights and layers are not touched.

    With ``splits`` a classifier that ends in logits gets the entropy as its router. A file that
    carries our metadata already is kept byte for byte.

    Raises:
        ModelError, UnsupportedOp: it is not a full-integer int8 model that the engine runs.
    """
    data = path.read_bytes() if path.is_file() else b""
    if not data:
        raise InputError("does not exist or is empty", path=path)
    graph = read(data, path.name)
    linked = graph.ops and any(op.kind == "ROUTE_FEATURES" for op in graph.ops)
    if splits is None or linked:
        facts: dict[str, Any] = {"tflite_bytes": len(data), "routers": [], "layers": None}
        _write(out_dir, data, facts)
        if splits is not None:
            splits.save(out_dir / checkpoint.SPLITS)
        _copy_global(global_onnx, out_dir)
        return facts
    return _pack_plain(data, None, splits, out_dir, read, global_onnx, coverage, on_event)


def centre_scores(hybrid: Hybrid) -> tuple[Hybrid, float]:
    """Shift the router's score so that its useful range is -half..half; returns half too.

    The range is that of the training examples without the surest two per cent, so that the 256
    levels are spent where thresholds lie; a shift changes no decision.
    """
    scores = hybrid.router.head(hybrid.router.sample.astype(np.float64))
    low, high = float(np.quantile(scores, _SCORE_TAIL)), float(scores.max())
    head = replace(hybrid.router.head, b2=hybrid.router.head.b2 - (low + high) / 2)
    shifted = replace(hybrid, router=replace(hybrid.router, head=head))
    return shifted, max((high - low) / 2, 1e-3)


def calibration_rows(hybrid: Hybrid, x_fit: np.ndarray) -> dict[str, np.ndarray]:
    """Rows for the converter: fit images with their own features, then the router's examples."""
    images = _with_extremes(x_fit.astype(np.float32) / 255)
    own = float_features(hybrid.router, _logits(hybrid.base, x_fit))
    sample = hybrid.router.sample
    return {
        "image": images,
        "route_features": np.concatenate([own, sample]).astype(np.float32),
    }


def float_features(router: RouterParts, logits: np.ndarray) -> np.ndarray:
    """Features [N, 1 + k] of float logits, clipped to [-1, 1]: the float model's side of the link."""
    z = logits.astype(np.float64)
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    entropy = -(p * np.log(np.maximum(p, 1e-30))).sum(axis=1)
    top = -np.sort(-p, axis=1)[:, : len(router.centers) - 1]
    x = np.concatenate([entropy[:, None], top], axis=1)
    return np.clip((x - np.array(router.centers)) / np.array(router.widths), -1, 1)


def hybrid_metadata(hybrid: Hybrid, graph: Graph) -> dict[str, Any]:
    """The metadata entry, thresholds not yet in it; ``graph`` is the file without the link."""
    logits = graph.tensor(graph.outputs[0]).require_quant()
    features = graph.tensor(graph.inputs[1]).require_quant()
    attrs = route_features.make_attrs(
        len(hybrid.labels),
        float(logits.scale),
        hybrid.router.centers,
        hybrid.router.widths,
        float(features.scale),
        features.zero_point,
    )
    return {
        "version": 1,
        "logits": "logits",
        "route_features": "route_features",
        "route_score": "route_score",
        "features": attrs.to_json(),
        "labels": list(hybrid.labels),
        "input": _INPUT,
    }


def plain_metadata(graph: Graph, labels: tuple[str, ...]) -> dict[str, Any] | None:
    """Metadata of a classifier without a router of its own; None where it does not end in logits."""
    out = graph.outputs[0]
    tensor, producer = graph.tensor(out), graph.producer(out)
    if (producer is not None and producer.kind == "SOFTMAX") or tensor.elements != len(labels):
        return None
    n = 1 + route_features.top_of(len(labels))
    attrs = route_features.make_attrs(
        len(labels), float(tensor.require_quant().scale), [0.0] * n, [1.0] * n, 1 / 127, 0
    )
    return {
        "version": 1,
        "logits": tensor.name,
        "features": attrs.to_json(),
        "labels": list(labels),
        "input": _INPUT,
    }


def _pack_plain(
    data: bytes,
    converted: Converted | None,
    splits: Splits,
    out_dir: Path,
    read: ReadGraph,
    global_onnx: Path | None,
    coverage: float,
    on_event: OnEvent | None,
) -> dict[str, Any]:
    """Entropy as router where the model ends in logits; accuracy and layers where known."""
    content = plain_metadata(read(data, MODEL), splits.labels)
    if content is not None:
        data = flat.with_metadata(data, content)
    graph = read(data, MODEL)
    seen = agreement.run_int8(graph, splits.x_calibration, on_event=on_event)
    facts: dict[str, Any] = {}
    if content is not None:
        chosen = _thresholds(seen, _coverage(coverage), "entropy")
        data = flat.with_metadata(data, {**content, **chosen})
        graph = read(data, MODEL)
        facts |= chosen
    facts |= _compare(graph, converted, splits, seen, None)
    facts |= {"labels": list(splits.labels), "tflite_bytes": len(data)}
    _write(out_dir, data, facts)
    splits.save(out_dir / checkpoint.SPLITS)
    _copy_global(global_onnx, out_dir)
    return facts


def _thresholds(seen: Int8Run, coverage: float, router: str) -> dict[str, Any]:
    """Thresholds of each score at the standard coverages and at the deployed one."""
    scores = {"learned": seen.score, "entropy": seen.entropy}
    if router != "none" and scores.get(router) is None:
        raise InputError(f"the model has no '{router}' score", "choose another", key="router")
    wanted = sorted({*COVERAGES, coverage}, reverse=True)
    table = {
        name: {f"{c:g}": routers.threshold_for(values, c) for c in wanted}
        for name, values in scores.items()
        if values is not None
    }
    threshold = table[router][f"{coverage:g}"] if router != "none" else 0
    deployed = {
        "router": routers.router_id(router),
        "coverage": coverage if router != "none" else 1.0,
        "threshold": threshold,
    }
    return {"thresholds": table, "deployed": deployed}


def _compare(
    graph: Graph,
    converted: Converted | None,
    splits: Splits,
    seen: Int8Run,
    float_logits: np.ndarray | None,
) -> dict[str, Any]:
    """Accuracy on the calibration split (float where known) and the layers' noise."""
    facts: dict[str, Any] = {
        "accuracy_int8": float((seen.logits.argmax(1) == splits.y_calibration).mean()),
        "accuracy_float": None,
        "same_class": None,
        "images": len(splits.y_calibration),
        "split": "calibration",
        "layers": None,
        "first_that_hurts": None,
        "hurts_below_db": agreement.HURTS_BELOW_DB,
    }
    if float_logits is not None:
        classes = float_logits.argmax(1)
        facts["accuracy_float"] = float((classes == splits.y_calibration).mean())
        facts["same_class"] = float((classes == seen.logits.argmax(1)).mean())
    if converted is not None:
        probes = splits.x_fit[:PROBES]
        layers = agreement.layer_noise(graph, probes, converted.float_activations)
        facts["layers"] = layers
        facts["first_that_hurts"] = agreement.first_that_hurts(layers)
    return facts


def _with_extremes(images: np.ndarray) -> np.ndarray:
    """Black and white in one corner of an extra image: the input's scale becomes exactly 1/255.

    Then a uint8 pixel x is the int8 input x - 128 whatever the brightest pixel of the data is.
    """
    extra = images[:1].copy()
    extra[0, 0, 0], extra[0, 0, 1] = 0.0, 1.0
    return np.concatenate([images, extra])


def _logits(net: Any, x: np.ndarray) -> np.ndarray:
    import torch

    with torch.no_grad():
        parts = [
            net(torch.as_tensor(x[i : i + 512]).permute(0, 3, 1, 2).float() / 255).numpy()
            for i in range(0, len(x), 512)
        ]
    return np.concatenate(parts)


def _float_logits(hybrid: Hybrid, splits: Splits) -> np.ndarray:
    return _logits(hybrid.base, splits.x_calibration)


def _coverage(value: float) -> float:
    if not 0.0 < value < 1.0:
        raise InputError(f"{value} is not between 0 and 1", "for example 0.8", key="coverage")
    return value


def _copy_global(path: Path | None, out_dir: Path) -> None:
    if path is not None:
        shutil.copyfile(path, out_dir / GLOBAL)


def _write(out_dir: Path, data: bytes, facts: Mapping[str, Any]) -> None:
    out_dir.mkdir(parents=True, exist_ok=True)
    (out_dir / MODEL).write_bytes(data)
    (out_dir / AGREEMENT).write_text(json.dumps(facts, indent=1) + "\n")
