"""Exports of models that were not trained here: an ONNX classifier, or a ready int8 .tflite.

The ONNX file is prepared (onnx_prepare.py) and converted; the .tflite keeps its operators and
weights. Either gets a simple router where it has logits, and every doubt about the result is put
into ``warnings``: nothing is left out without a word. The cloud's network is in global_file.py.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
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
    onnx_edit,
    onnx_ends,
    onnx_file,
    suspicion,
)
from mcu_hybrid.export import facts as facts_of
from mcu_hybrid.export import metadata as flat
from mcu_hybrid.export.ends import find_logits
from mcu_hybrid.export.facts import MODEL
from mcu_hybrid.export.onnx_prepare import Prepared, prepare
from mcu_hybrid.export.onnx_run import FloatNet
from mcu_hybrid.export.onnx_words import in_the_users_words
from mcu_hybrid.export.tflite import PROBES, Converted, convert
from mcu_hybrid.graph.pixels import UNIT, PixelForm
from mcu_hybrid.graph.types import Graph
from mcu_hybrid.mechanisms import entropy
from mcu_hybrid.nets import checkpoint
from mcu_hybrid.nets.checkpoint import Splits
from mcu_hybrid.ops.route_features import link_of
from mcu_hybrid.reference.images import to_int8

ReadGraph = Callable[[bytes, str], Graph]
_COVERAGE = 0.8  # deployed where none is asked for: training's default target
_NOT_OURS = "a .tflite and an .onnx have no learned router"
_ENOUGH = 0.02  # of the output's range: float rounding and the order of sums stay far below


@dataclass
class _Made:
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


def export_onnx(
    path: Path,
    splits: Splits,
    out_dir: Path,
    read: ReadGraph,
    *,
    global_onnx: Path | None = None,
    coverage: float | None = None,
    router: str = "",
    pixels: PixelForm | None = None,
    global_pixels: PixelForm | None = None,
    on_event: OnEvent | None = None,
) -> Agreement:
    """Convert an ONNX classifier (one image input) with these images.

    A simple ``router`` routes it. ``global_onnx`` is written beside it for the cloud. ``pixels``
    are what the network was trained on; None: [0, 1].

    Raises:
        ModelError: the file is no ONNX classifier for these images, or cannot be converted.
    """
    route = _checked(Route(router, coverage))
    tell = on_event or (lambda label, done, total: None)
    shape, count = splits.x_fit.shape[1:], len(splits.labels)
    form = (pixels or UNIT).check(shape[-1])
    model = onnx_file.load(path)
    image = onnx_file.image_input(model, path, shape, outputs=1)
    onnx_edit.plain_means(model)
    net = FloatNet(onnx_file.one_file(model, path), image, path)

    def classes_of(x: np.ndarray, tried: PixelForm) -> np.ndarray | None:
        return onnx_ends.predictions(net.run(x, tried)[0], count)

    tell("float network", 0, 1)
    classes = classes_of(splits.x_calibration, form)
    made = _Made(path, b"", form, classes)
    if classes is not None:
        x, y = splits.x_calibration, splits.y_calibration
        other = suspicion.better_form(classes_of, x, y, form)
        made.warnings += suspicion.of_float("the float network", classes, y, form, other)
    told = prepare(model, path, image, splits, form, net)
    made.notes += told.notes
    tell("convert to int8", 0, 1)
    made.converted = _convert(told, path, shape)
    tell("convert to int8", 1, 1)
    made.data, made.pixels = made.converted.tflite, told.pixels
    _require_scales(made.data, path)
    with in_the_users_words(model, path):
        read(made.data, MODEL)
    made.warnings += _converter_errors(told, made.converted, path)
    return _pack(made, splits, out_dir, read, route, (global_onnx, global_pixels), on_event)


def export_tflite(
    path: Path,
    out_dir: Path,
    read: ReadGraph,
    *,
    splits: Splits | None = None,
    global_onnx: Path | None = None,
    coverage: float | None = None,
    router: str = "",
    pixels: PixelForm | None = None,
    global_pixels: PixelForm | None = None,
    on_event: OnEvent | None = None,
) -> Agreement:
    """Check a ready int8 .tflite and pack it; its weights and layers are not touched.

    With ``splits`` a classifier with logits gets a simple ``router``. A file that carries our
    metadata already is kept byte for byte, unless a route or range is asked for. ``pixels`` None:
    as the scale of the input says.

    Raises:
        ModelError, UnsupportedOp: it is not a full-integer int8 model that the engine runs.
    """
    data = path.read_bytes() if path.is_file() else b""
    if not data:
        raise InputError(
            "is empty" if path.exists() else "does not exist", "give an int8 .tflite", path=path
        )
    graph = read(data, path.name)
    route = Route(router, coverage)
    cloud = global_onnx, global_pixels
    if link_of(graph) is not None:
        return _repack(path, data, out_dir, read, splits, route, pixels, cloud, on_event)
    _checked(route)
    if splits is not None:
        made = _Made(path, data, UNIT)
        _choose_pixels(made, graph, pixels, splits.x_fit.shape[-1])
        return _pack(made, splits, out_dir, read, route, cloud, on_event)
    if route.is_asked:
        raise InputError("a router's threshold is chosen on images", "give --data", key="router")
    if pixels is not None:
        form = pixels.check(graph.tensor(graph.inputs[0]).shape[-1])
        data = flat.with_metadata(data, {"version": 1, "input": link.input_metadata(form)})
    told = global_file.write(global_onnx, out_dir, None, global_pixels, None, on_event)
    facts = Agreement(
        layers=None,
        tflite_bytes=len(data),
        accuracy_global=told.accuracy,
        notes=("no router: its threshold needs images (--data)",),
        warnings=told.warnings,
    )
    facts_of.write(out_dir, data, facts)
    return facts


def _checked(route: Route) -> Route:
    """The route itself; said before the conversion where it cannot be."""
    if route.router == mechanisms.of_model().name:
        names = ", ".join(one.name for one in mechanisms.of_logits())
        raise InputError(_NOT_OURS, f"give --router {names} or none", key="router")
    facts_of.check_coverage(_COVERAGE if route.coverage is None else route.coverage)
    return route


def _convert(told: Prepared, path: Path, shape: tuple[int, ...]) -> Converted:
    rows = {"image": link.with_extremes(told.pixels.real(told.x_fit), told.pixels)}
    height, width, channels = shape
    size = f"{channels},{height},{width}" if told.image.is_nchw else f"{height},{width},{channels}"
    with tempfile.TemporaryDirectory(prefix="mcu-hybrid-") as folder:
        file = Path(folder) / "model.onnx"
        file.write_bytes(told.data)
        with in_the_users_words(told.original, path):
            return convert(
                file,
                rows,
                (told.output,),
                shapes=(f"image:1,{size}",),
                keep_nhwc=() if told.image.is_nchw else ("image",),
            )


def _require_scales(data: bytes, path: Path) -> None:
    """One value like minus infinity takes all 256 levels; said of the layer where it comes up."""
    found = flat.destroyed_layer(data)
    if found is not None:
        raise ModelError(
            f"its layer {found[0]} spans {found[1]:.3g}: int8 keeps nothing of the usual values",
            "look for a padding or a mask of minus infinity there, and use a value of the size of "
            "the others",
            path=path,
        )


def _converter_errors(told: Prepared, converted: Converted, path: Path) -> list[str]:
    """A sentence where the converter's float network computes something else than the file."""
    theirs = converted.float_activations.get(told.output)
    if theirs is None:
        return []
    probes = told.pixels.real(told.x_fit[:PROBES])
    ours = FloatNet(told.data, told.image, path).run_real(probes)[0]
    theirs = theirs[: len(ours)].reshape(len(theirs[: len(ours)]), -1)
    ours = ours[: len(theirs)].reshape(len(theirs), -1)
    if ours.shape != theirs.shape:
        return [f"the converted network gives {theirs.shape[1]} values, the file {ours.shape[1]}"]
    gap = float(np.abs(ours - theirs).max())
    if not gap > _ENOUGH * max(float(np.ptp(ours)), 1e-6):
        return []
    return [
        f"the converted network differs from {path.name} in float already, by up to {gap:.3g} "
        f"(its output spans {np.ptp(ours):.3g}): onnx2tf misreads one of its layers"
    ]


def _choose_pixels(made: _Made, graph: Graph, asked: PixelForm | None, channels: int) -> None:
    """The asked range, or that which the file's input was quantised for; doubts are said."""
    quant = graph.tensor(graph.inputs[0]).require_quant()
    low, high = ((q - quant.zero_point) * float(quant.scale) for q in (-128, 127))
    found = suspicion.matching_form(low, high) if asked is None else asked.check(channels)
    made.pixels = found or UNIT
    if asked is None and found is not None and not found.is_unit:
        made.notes.append(f"its input takes {found}, as its scale and zero point say")
    shape = graph.tensor(graph.inputs[0]).shape[1:]
    if len(shape) == 3:
        ramp = np.resize(np.arange(256, dtype=np.uint8), (256, 1))
        pixels = np.broadcast_to(ramp[:, :, None, None], (256, *shape))
        used = to_int8(graph.with_(pixels=made.pixels), np.ascontiguousarray(pixels))[:, 0, 0, 0]
        made.warnings += suspicion.of_levels(low, high, used, made.pixels)


def _pack(
    made: _Made,
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


def _with_router(made: _Made, graph: Graph, splits: Splits, route: Route) -> dict[str, Any] | None:
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


def _int8_doubts(made: _Made, classes: np.ndarray | None, truth: np.ndarray) -> list[str]:
    if classes is None:
        return []
    if made.classes_float is not None:
        return suspicion.of_int8(classes, made.classes_float, truth)
    return suspicion.of_float("the int8 network", classes, truth, made.pixels)


def _repack(
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
