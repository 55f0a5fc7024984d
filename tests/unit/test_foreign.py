"""Ready int8 files of others: softmax ends get routed, outputs stay, odd ends are told."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.tflite_builder import OpSpec, Spec, build

pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("ai_edge_litert")

from mcu_hybrid.artifacts.export import Agreement
from mcu_hybrid.compiler.passes import run_passes
from mcu_hybrid.compiler.read.tflite import read_tflite
from mcu_hybrid.errors import InputError, ModelError
from mcu_hybrid.export import link, package
from mcu_hybrid.export import metadata as flat
from mcu_hybrid.graph.pixels import PixelForm
from mcu_hybrid.graph.types import Graph
from mcu_hybrid.nets.checkpoint import Splits
from mcu_hybrid.reference import interp
from mcu_hybrid.reference.images import to_int8

SIDE = 4


def read(data: bytes, name: str) -> Graph:
    model = read_tflite(data, name)
    return run_passes(model.graph, model.metadata)


def splits(classes: int = 3) -> Splits:
    r = np.random.default_rng(0)
    y = np.arange(60) % classes
    x = r.integers(0, 256, (60, SIDE, SIDE, 1)).astype(np.uint8)
    names = tuple("abcdefgh"[:classes])
    return Splits(x[:20], x[20:40], y[20:40], x[40:], y[40:], {}, names, "")


@dataclass(frozen=True)
class Kind:
    """How the file ends, and the numbers of its input."""

    end: str = "softmax"
    scale: float = 1 / 255
    zero: int = -128
    classes: int = 3


def classifier(kind: Kind) -> bytes:
    """image - CONV_2D over all of it - RESHAPE - SOFTMAX or what else ``end`` says."""
    r, n = np.random.default_rng(1), kind.classes
    weights = r.integers(-127, 128, (n, SIDE, SIDE, 1))
    tensors = [
        Spec("image", (1, SIDE, SIDE, 1), scale=kind.scale, zero=kind.zero),
        Spec("w", weights.shape, scale=0.02 / kind.scale / 255, data=weights.astype(np.int8)),
        Spec("conv", (1, 1, 1, n), scale=0.2),
        Spec("shape", (2,), "int32", data=np.array([1, n], np.int32)),
        Spec("flat", (1, n), scale=0.2),
        Spec("probabilities", (1, n), scale=1 / 256, zero=-128),
        Spec("float", (1, n), "float32"),
    ]
    window = {"stride_h": 1, "stride_w": 1, "padding": 1}
    ops = [OpSpec("CONV_2D", (0, 1), (2,), window), OpSpec("RESHAPE", (2, 3), (4,))]
    outs = [4]
    if "softmax" in kind.end:
        ops, outs = [*ops, OpSpec("SOFTMAX", (4,), (5,), {"beta": 1.0})], [5]
    if "sigmoid" in kind.end:
        ops, outs = [*ops, OpSpec("LOGISTIC", (4,), (5,))], [5]
    if "float" in kind.end:
        ops, outs = [*ops, OpSpec("DEQUANTIZE", (outs[0],), (6,))], [6]
    return build(tensors, ops, [0], outs)


def export(tmp_path: Path, kind: Kind, **options: Any) -> tuple[Agreement, bytes]:
    source = tmp_path / "ready.tflite"
    source.write_bytes(classifier(kind))
    given = {"splits": splits(kind.classes)} | options
    facts = package.export_tflite(source, tmp_path / "out", read, **given)
    return facts, (tmp_path / "out" / package.MODEL).read_bytes()


@pytest.mark.parametrize("end", ["softmax", "softmax float", "logits float", "logits", "sigmoid"])
def test_every_usual_end_is_routed_and_keeps_its_outputs(tmp_path: Path, end: str) -> None:
    kind = Kind(end)
    facts, data = export(tmp_path, kind, router="entropy", coverage=0.7)
    assert facts.routes.deployed.router == 2 and facts.routes.thresholds["margin"]
    told = " ".join(facts.notes)
    assert ("SOFTMAX" in told) == ("softmax" in end) and ("LOGISTIC" in told) == (end == "sigmoid")
    before, after = read(classifier(kind), "m"), read(data, "m")
    model = read_tflite(data, "m")
    judge = None
    if find_spec("tflite_micro") is not None and end != "sigmoid":
        from mcu_hybrid.reference.judge import Judge

        judge = Judge(data, model.metadata)
    for image in to_int8(after, splits().x_test):
        old, new = interp.run(before, [image[None]]), interp.run(after, [image[None]])
        assert (old[0] == new[0]).all()  # what the file gave, bit by bit
        logits = interp.run(before, [image[None]], keep=True)[4]
        position = [after.tensor(t).name for t in after.outputs].index("flat")
        assert (new[position].ravel() == logits.ravel()).all()
        for one, other in zip(new, judge.run([image[None]]) if judge else new, strict=True):
            assert one.ravel().tolist() == other.ravel().tolist()


def test_what_has_no_logits_is_refused_or_told(tmp_path: Path) -> None:
    kind = Kind("sigmoid", classes=1)
    with pytest.raises(ModelError, match=r"ready.tflite: cannot be routed: .*LOGISTIC.*one value"):
        export(tmp_path, kind, router="entropy", splits=splits(2))
    assert not (tmp_path / "out").exists()
    facts, _ = export(tmp_path, kind, splits=splits(2))
    assert facts.routes is None and "LOGISTIC" in facts.warnings[0]
    assert facts.compared.accuracy_int8 is not None  # above or below one half
    with pytest.raises(ModelError, match="3 values, the data has 4 classes"):
        export(tmp_path, Kind(), coverage=0.5, splits=splits(4))
    facts, _ = export(tmp_path, Kind(), splits=splits(4))
    assert facts.compared.accuracy_int8 is None and "4 classes" in facts.warnings[0]
    facts, _ = export(tmp_path, kind, router="none", splits=splits(2))
    assert not any("router" in sentence for sentence in facts.warnings)


def test_a_route_that_nothing_can_be_chosen_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="chosen on images"):
        export(tmp_path, Kind(), router="margin", splits=None)
    with pytest.raises(InputError, match="learned"):
        export(tmp_path, Kind(), router="learned")


def test_a_file_with_a_router_takes_another_route(tmp_path: Path) -> None:
    first, data = export(tmp_path, Kind(), router="entropy")
    source = tmp_path / "again.tflite"
    source.write_bytes(data)
    out = tmp_path / "again"
    facts = package.export_tflite(source, out, read, router="margin", coverage=0.7)
    assert facts.routes.deployed.threshold == first.routes.thresholds["margin"]["0.7"]
    assert (
        read_tflite((out / package.MODEL).read_bytes(), "m").metadata["deployed"]["router"]
        == facts.routes.deployed.router
    )
    facts = package.export_tflite(source, out, read, splits=splits(), coverage=0.6)
    assert facts.routes.deployed.coverage == 0.6 and facts.routes.deployed.router == 2
    with pytest.raises(InputError, match=r"coverage 0\.6"):
        package.export_tflite(source, out, read, coverage=0.6)
    package.export_tflite(source, out, read)
    assert (out / package.MODEL).read_bytes() == data


@pytest.mark.parametrize(
    ("scale", "zero", "form"),
    [
        (1 / 255, -128, PixelForm()),
        (1.0, -128, PixelForm(255.0)),
        (2 / 255, -1, PixelForm(1.0, (0.5,), (0.5,))),
    ],
)
def test_the_range_of_a_file_s_input_is_used(
    tmp_path: Path, scale: float, zero: int, form: PixelForm
) -> None:
    facts, data = export(tmp_path, Kind(scale=scale, zero=zero))
    graph = read(data, "m")
    assert graph.pixels == form
    x = splits().x_test
    assert (to_int8(graph, x) == x.astype(int) - 128).all()  # what run sends to the board
    assert not any("levels" in sentence for sentence in facts.warnings)


def test_a_range_that_no_one_knows_is_asked_for(tmp_path: Path) -> None:
    facts, _ = export(tmp_path, Kind(scale=0.03, zero=-4))
    assert any("--input-scale" in s and "levels" in s for s in facts.warnings)
    form = PixelForm(8.0, (4.0,))
    facts, data = export(tmp_path, Kind(scale=0.03, zero=-4), pixels=form)
    assert read(data, "m").pixels == form
    assert not any("levels" in sentence for sentence in facts.warnings)


def test_a_destroyed_scale_is_named_by_its_own_layer() -> None:
    assert flat.destroyed_layer(classifier(Kind())) is None
    tensors = [
        Spec("image", (1, 4), scale=0.1),
        Spec("sum", (1, 4), scale=1.3e36),
        Spec("end", (1, 4), scale=1.3e36),
    ]
    data = build(tensors, [OpSpec("RELU", (0,), (1,)), OpSpec("RELU6", (1,), (2,))], [0], [2])
    told = flat.destroyed_layer(data)
    assert told is not None and told[0] == "RELU 'sum'" and told[1] > 1e38


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 8, 1), (8, 1, 1), (4, 4, 3)])
@pytest.mark.parametrize("form", [PixelForm(), PixelForm(1.0, (0.5,), (0.5,))])
def test_black_and_white_are_among_the_images_of_any_size(
    shape: tuple[int, ...], form: PixelForm
) -> None:
    grey = form.real(np.full((5, *shape), 128, np.uint8))
    rows = link.with_extremes(grey, form)
    low, high = form.real(np.array([0, 255], np.uint8))
    assert rows.shape[1:] == shape and (rows.min(), rows.max()) == (low, high)
    assert (rows[:5] == grey).all()
