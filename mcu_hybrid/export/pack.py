"""A model that was not trained here into the export folder: its route, its accuracy, every doubt.

How it is read and converted is foreign.py's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mcu_hybrid import mechanisms
from mcu_hybrid.artifacts.codec import to_json
from mcu_hybrid.artifacts.export import Agreement, Routes
from mcu_hybrid.artifacts.table import Deployed
from mcu_hybrid.errors import InputError, ModelError
from mcu_hybrid.events import OnEvent
from mcu_hybrid.export import (
    agreement,
    global_file,
    link,
    onnx_ends,
    suspicion,
)
from mcu_hybrid.export import facts as facts_of
from mcu_hybrid.export import metadata as flat
from mcu_hybrid.export.ends import find_logits
from mcu_hybrid.export.facts import MODEL, ReadGraph
from mcu_hybrid.export.tflite import Converted
from mcu_hybrid.graph.pixels import PixelForm
from mcu_hybrid.graph.types import Graph
from mcu_hybrid.mechanisms import entropy
from mcu_hybrid.nets import checkpoint
from mcu_hybrid.nets.checkpoint import Splits

_COVERAGE = 0.8  # deployed where none is asked for: training's default target
_NOT_OURS = "a .tflite and an .onnx have no learned router"


@dataclass
class Made:
    """What is known of a model on its way into the export folder."""

    path: Path
    data: bytes
    pixels: PixelForm
    classes_float: np.ndarray | None = None
    converted: Converted | None = None
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Route:
    """The deployed router and coverage; "" and None: as usual, where the model has logits."""

    router: str = ""
    coverage: float | None = None

    @property
    def is_asked(self) -> bool:
        """True where the user wants a router, so that none is an error."""
        return self.router != "none" and (bool(self.router) or self.coverage is not None)

    @property
    def is_given(self) -> bool:
        """True where the user said anything of it."""
        return bool(self.router) or self.coverage is not None


def checked(route: Route) -> Route:
    """The route itself; said before the conversion where it cannot be."""
    if route.router == mechanisms.of_model().name:
        names = ", ".join(one.name for one in mechanisms.of_logits())
        raise InputError(_NOT_OURS, f"give --router {names} or none", key="router")
    facts_of.check_coverage(_COVERAGE if route.coverage is None else route.coverage)
    return route


def pack(
    made: Made,
    splits: Splits,
    out_dir: Path,
    read: ReadGraph,
    route: Route,
    cloud: tuple[Path | None, PixelForm | None],
    on_event: OnEvent | None,
) -> Agreement:
    """A simple router where the model has logits; what is known of accuracy and layers."""
    given = {"input": link.input_metadata(made.pixels)}
    content = _with_router(made, read(made.data, MODEL), splits, route)
    if content is not None or not made.pixels.is_unit:
        content = (content or {"version": 1, "labels": list(splits.labels)}) | given
        made.data = flat.with_metadata(made.data, content)
    graph = read(made.data, MODEL)
    seen = agreement.run_int8(graph, splits.x_calibration, on_event=on_event)
    routes: Routes | None = None
    if content is not None and "features" in content:
        coverage = _COVERAGE if route.coverage is None else route.coverage
        routes = facts_of.thresholds(seen, coverage, route.router or entropy.MECHANISM.name)
        made.data = flat.with_metadata(made.data, {**content, **to_json(routes)})
        graph = read(made.data, MODEL)
    quant = graph.tensor(graph.outputs[0]).require_quant()
    real = (seen.logits.astype(np.float64) - quant.zero_point) * float(quant.scale)
    classes = onnx_ends.predictions(
        seen.logits if seen.logits.shape[1] > 1 else real, len(splits.labels)
    )
    layers = facts_of.noise(graph, made.converted, splits)
    made.warnings += _int8_doubts(made, classes, splits.y_calibration)
    told = global_file.write(cloud[0], out_dir, splits, cloud[1], classes, on_event)
    facts = Agreement(
        routes=routes,
        compared=facts_of.compare(splits, layers, classes, made.classes_float),
        layers=layers,
        labels=tuple(splits.labels),
        tflite_bytes=len(made.data),
        input=given["input"],
        accuracy_global=told.accuracy,
        notes=tuple(made.notes),
        warnings=(*made.warnings, *told.warnings),
    )
    facts_of.write(out_dir, made.data, facts)
    splits.save(out_dir / checkpoint.SPLITS)
    return facts


def _with_router(made: Made, graph: Graph, splits: Splits, route: Route) -> dict[str, Any] | None:
    """Metadata of the simple routers, the logits among the file's outputs; None without them."""
    end = find_logits(graph, splits.labels)
    content, reason = None, end.reason
    if end.logits is not None:
        try:
            content = link.plain_metadata(graph, end.logits, splits.labels)
        except ModelError as error:
            reason = error.message
    if content is None:
        if route.is_asked:
            raise ModelError(
                f"cannot be routed: it {reason}",
                "end the network in one logit for each class, or export with --router none",
                path=made.path,
            )
        if route.router != "none":
            made.warnings.append(f"no router, everything stays on the board: {made.path} {reason}")
        return None
    if end.note:
        made.notes.append(end.note)
    assert end.logits is not None
    if end.logits not in graph.outputs:
        made.data = flat.with_output(made.data, end.logits)
    return content


def _int8_doubts(made: Made, classes: np.ndarray | None, truth: np.ndarray) -> list[str]:
    if classes is None:
        return []
    if made.classes_float is not None:
        return suspicion.of_int8(classes, made.classes_float, truth)
    return suspicion.of_float("the int8 network", classes, truth, made.pixels)


def repack(
    path: Path,
    data: bytes,
    out_dir: Path,
    read: ReadGraph,
    splits: Splits | None,
    route: Route,
    pixels: PixelForm | None,
    cloud: tuple[Path | None, PixelForm | None],
    on_event: OnEvent | None,
) -> Agreement:
    """A file with our metadata: as it is, or with another route or range in its metadata."""
    routes: Routes | None = None
    content = flat.metadata_of(data)
    if pixels is not None:
        form = pixels.check(read(data, MODEL).tensor(0).shape[-1])
        content["input"] = link.input_metadata(form)
        data = flat.with_metadata(data, content)
    if route.is_given:
        routes = _another_route(content, read(data, path.name), splits, route, path, on_event)
        content |= to_json(routes)
        data = flat.with_metadata(data, content)
    told = global_file.write(cloud[0], out_dir, splits, cloud[1], None, on_event)
    facts = Agreement(
        routes=routes,
        layers=None,
        tflite_bytes=len(data),
        accuracy_global=told.accuracy,
        notes=(),
        warnings=told.warnings,
    )
    facts_of.write(out_dir, data, facts)
    if splits is not None:
        splits.save(out_dir / checkpoint.SPLITS)
    return facts


def _another_route(
    content: Mapping[str, Any],
    graph: Graph,
    splits: Splits | None,
    route: Route,
    path: Path,
    on_event: OnEvent | None,
) -> Routes:
    """Thresholds and deployed route: chosen on the images, else of the file's own table."""
    old = content.get("deployed") or {}
    router = route.router or mechanisms.router_name(old.get("router", 0))
    coverage = route.coverage or old.get("coverage", _COVERAGE)
    facts_of.check_coverage(coverage if router != "none" else _COVERAGE)
    if splits is not None:
        seen = agreement.run_int8(graph, splits.x_calibration, on_event=on_event)
        return facts_of.thresholds(seen, coverage if router != "none" else _COVERAGE, router)
    table = content.get("thresholds") or {}
    if router == "none":
        deployed = Deployed(router=mechanisms.NONE_ID, coverage=1.0, threshold=0)
    elif f"{coverage:g}" in table.get(router, {}):
        threshold = table[router][f"{coverage:g}"]
        number = mechanisms.router_id(router)
        deployed = Deployed(router=number, coverage=coverage, threshold=threshold)
    else:
        raise InputError(
            f"holds no '{router}' threshold for coverage {coverage:g}",
            "give --data: it is chosen on the images",
            path=path,
            key="router",
        )
    return Routes(thresholds=table, deployed=deployed)
