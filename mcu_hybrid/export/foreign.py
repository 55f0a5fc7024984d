"""Exports of models that were not trained here: an ONNX classifier, or a ready int8 .tflite.

The ONNX file is prepared (onnx_prepare.py) and converted; the .tflite keeps its operators and
weights. Either gets a simple router where it has logits, and every doubt about the result is put
into ``warnings``: nothing is left out without a word. The cloud's network is in global_file.py.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from mcu_hybrid.artifacts.export import Agreement
from mcu_hybrid.errors import InputError, ModelError
from mcu_hybrid.events import OnEvent
from mcu_hybrid.export import facts as facts_of
from mcu_hybrid.export import (
    global_file,
    link,
    onnx_edit,
    onnx_ends,
    onnx_file,
    suspicion,
)
from mcu_hybrid.export import metadata as flat
from mcu_hybrid.export.facts import MODEL, ReadGraph
from mcu_hybrid.export.onnx_prepare import Prepared, prepare
from mcu_hybrid.export.onnx_run import FloatNet
from mcu_hybrid.export.onnx_words import in_the_users_words
from mcu_hybrid.export.pack import Made, Route, checked, pack, repack
from mcu_hybrid.export.tflite import PROBES, Converted, convert
from mcu_hybrid.graph.pixels import UNIT, PixelForm
from mcu_hybrid.graph.types import Graph
from mcu_hybrid.nets.checkpoint import Splits
from mcu_hybrid.ops.route_features import link_of
from mcu_hybrid.reference.images import to_int8

_ENOUGH = 0.02  # of the output's range: float rounding and the order of sums stay far below


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
    route = checked(Route(router, coverage))
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
    made = Made(path, b"", form, classes)
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
    return pack(made, splits, out_dir, read, route, (global_onnx, global_pixels), on_event)


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
        return repack(path, data, out_dir, read, splits, route, pixels, cloud, on_event)
    checked(route)
    if splits is not None:
        made = Made(path, data, UNIT)
        _choose_pixels(made, graph, pixels, splits.x_fit.shape[-1])
        return pack(made, splits, out_dir, read, route, cloud, on_event)
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


def _choose_pixels(made: Made, graph: Graph, asked: PixelForm | None, channels: int) -> None:
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
