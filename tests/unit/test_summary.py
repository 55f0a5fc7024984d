"""summarize: what a file holds is told, and every layer that is refused, not only the first."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from mcu_hybrid import ops
from mcu_hybrid.cli.summarize import command
from mcu_hybrid.compiler.summary import summarize
from mcu_hybrid.errors import ModelError
from mcu_hybrid.steps.build import read_model
from tests.support.tflite_builder import OpSpec, Spec, build

MODELS = ("kws_ref_model", "vww_96_int8", "field/mltk_image_example1", "hello_world_int8")


@pytest.mark.parametrize("name", MODELS)
def test_a_model_that_runs_is_told_as_the_engine_reads_it(shared: Path, name: str) -> None:
    path = shared / "models" / f"{name}.tflite"
    graph = read_model(path).graph
    told = summarize(path.read_bytes(), path.name)
    assert told.runs and told.refusals == ()
    assert told.macs == sum(ops.operator(op.kind).macs(graph, op) for op in graph.ops)
    constants = {i for op in graph.ops for i in op.inputs if i >= 0 and graph.tensor(i).is_const}
    stored = [graph.tensor(i).data for i in constants]
    assert told.constant_bytes >= sum(data.nbytes for data in stored if data is not None)
    weights = [d for d in stored if d is not None and d.dtype == np.int8]
    assert told.parameters >= sum(d.size for d in weights)
    largest = max(
        sum(graph.tensor(i).bytes for i in {*op.inputs, *op.outputs} - constants if i >= 0)
        for op in graph.ops
    )
    assert told.peak_tensor_bytes >= largest
    assert told.layers[told.peak_layer].live_bytes == told.peak_tensor_bytes


def _three_faults() -> bytes:
    """CONV_2D with asymmetric weights, a good ADD, ATAN2, and SUB of an int16 tensor."""
    shape = (1, 4, 4, 2)
    tensors = [
        Spec("x", shape, scale=0.1),
        Spec("w", (2, 1, 1, 2), scale=0.1, zero=3, data=np.ones((2, 1, 1, 2), np.int8)),
        Spec("a", shape, scale=0.1),
        Spec("b", shape, scale=0.1),
        Spec("c", shape, scale=0.1),
        Spec("d", shape, "int16", scale=0.1),
    ]
    conv = {"stride_w": 1, "stride_h": 1, "dilation_w_factor": 1, "dilation_h_factor": 1}
    operators = [
        OpSpec("CONV_2D", (0, 1), (2,), conv),
        OpSpec("ADD", (2, 2), (3,), {}),
        OpSpec("ATAN2", (3, 3), (4,), {}),
        OpSpec("SUB", (4, 4), (5,), {}),
    ]
    return build(tensors, operators, [0], [5])


def test_every_layer_that_is_refused_is_named() -> None:
    told = summarize(_three_faults(), "three")
    assert not told.runs and told.macs is None
    assert [bool(layer.refused) for layer in told.layers] == [True, False, True, True]
    conv, _, atan, sub = (layer.refused or "" for layer in told.layers)
    assert "asymmetric (zero point 3)" in conv and "not supported" in atan and "int16" in sub
    assert sum("ATAN2" in refusal for refusal in told.refusals) == 1  # said once
    assert all(layer.hint for layer in told.layers if layer.refused)
    assert told.parameters == 4


def test_float_edges_and_shape_computations_are_not_called_faults(shared: Path) -> None:
    path = shared / "models" / "field" / "mltk_anomaly_detection_shape_pack.tflite"
    told = summarize(path.read_bytes(), path.name)
    assert not any(layer.refused for layer in told.layers)
    assert "float32" in told.inputs[0]


@pytest.mark.parametrize("cut", [0, 7, 40, 400])
def test_a_damaged_file_is_one_error(cut: int) -> None:
    with pytest.raises(ModelError):
        summarize(_three_faults()[:cut], "cut")


def test_every_file_of_the_field_is_told(shared: Path) -> None:
    for path in sorted((shared / "models" / "field").glob("*.tflite")):
        told = summarize(path.read_bytes(), path.name)
        assert told.layers and told.peak_tensor_bytes > 0, path.name
        try:
            read_model(path)
        except ModelError:
            assert told.refusals, path.name
        else:
            assert told.runs, path.name


def test_the_verb(tmp_path: Path) -> None:
    path = tmp_path / "three.tflite"
    path.write_bytes(_three_faults())
    plain = CliRunner().invoke(command, [str(path)])
    assert plain.exit_code == 0 and plain.output.count("refused  ") >= 3
    found = json.loads(CliRunner().invoke(command, [str(path), "--json"]).output)
    assert found["runs"] is False and len(found["layers"]) == 4
    assert list(tmp_path.iterdir()) == [path]  # nothing is written
