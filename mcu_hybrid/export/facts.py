"""What every export states and writes: thresholds, float against int8, the files of its folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from mcu_hybrid import mechanisms
from mcu_hybrid.artifacts import store
from mcu_hybrid.artifacts.export import Agreement, Compared, NoiseRow, Routes
from mcu_hybrid.artifacts.table import Deployed
from mcu_hybrid.errors import InputError
from mcu_hybrid.export import agreement
from mcu_hybrid.export.agreement import Int8Run
from mcu_hybrid.export.tflite import PROBES, Converted
from mcu_hybrid.graph.types import Graph
from mcu_hybrid.nets.checkpoint import Splits
from mcu_hybrid.routing.thresholds import threshold_for

MODEL, GLOBAL = "model.tflite", "global.onnx"
ReadGraph = Callable[[bytes, str], Graph]  # a .tflite with its metadata, and its name
COVERAGES = (0.9, 0.8, 0.7, 0.5)  # thresholds that the model brings: those of the tables


def thresholds(seen: Int8Run, coverage: float, router: str) -> Routes:
    """Thresholds of each score at the standard coverages and at the deployed one."""
    number = mechanisms.router_id(router)
    if router != "none" and router not in seen.scores:
        known = ", ".join(seen.scores) or "none"
        raise InputError(f"the model has no '{router}' score", f"it has: {known}", key="router")
    wanted = sorted({*COVERAGES, coverage}, reverse=True)
    table = {
        name: {f"{c:g}": threshold_for(values, c) for c in wanted}
        for name, values in seen.scores.items()
    }
    threshold = table[router][f"{coverage:g}"] if router != "none" else 0
    deployed = Deployed(
        router=number,
        coverage=coverage if router != "none" else 1.0,
        threshold=threshold,
    )
    return Routes(thresholds=table, deployed=deployed)


def compare(
    splits: Splits,
    layers: Sequence[NoiseRow] | None,
    classes_int8: np.ndarray | None,
    classes_float: np.ndarray | None,
) -> Compared:
    """Accuracy on the calibration split, and the first layer whose noise hurts.

    Args:
        classes_int8, classes_float: what the network says of each calibration image; None where
            that is not known, or is no class of the data.
    """
    known = classes_float is not None and classes_int8 is not None
    return Compared(
        accuracy_int8=_share(classes_int8, splits.y_calibration),
        accuracy_float=_share(classes_float, splits.y_calibration),
        same_class=_share(classes_float, np.asarray(classes_int8)) if known else None,
        images=len(splits.y_calibration),
        first_that_hurts=agreement.first_that_hurts(layers or ()),
        hurts_below_db=agreement.HURTS_BELOW_DB,
    )


def noise(graph: Graph, converted: Converted | None, splits: Splits) -> tuple[NoiseRow, ...] | None:
    """The noise of each layer on the converter's probes; None for what was not converted here."""
    if converted is None:
        return None
    probes = splits.x_fit[:PROBES]
    return tuple(agreement.layer_noise(graph, probes, converted.float_activations))


def _share(classes: np.ndarray | None, truth: np.ndarray) -> float | None:
    return None if classes is None else float((classes == truth).mean())


def check_coverage(value: float) -> float:
    """The coverage itself; raises InputError outside (0, 1)."""
    if not 0.0 < value < 1.0:
        raise InputError(f"{value} is not between 0 and 1", "for example 0.8", key="coverage")
    return value


def write(out_dir: Path, data: bytes, facts: Agreement) -> None:
    """Write model.tflite and agreement.json."""
    out_dir.mkdir(parents=True, exist_ok=True)
    (out_dir / MODEL).write_bytes(data)
    store.write(facts, out_dir)
