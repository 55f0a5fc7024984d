"""The real models: every operator's output in numpy has the CRC that TFLM gave on a Cortex-M7."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pytest

from mcu_hybrid import ops
from mcu_hybrid.compiler.read.tflite import read_tflite
from mcu_hybrid.reference.interp import run

MODELS = (
    "hello_world_int8",
    "kws_ref_model",
    "mcunet_vww1",
    "micro_speech_quantized",
    "pretrainedResnet_quant",
    "vww_96_int8",
)


@pytest.mark.parametrize("name", MODELS)
def test_every_operator_is_bit_exact(shared: Path, name: str) -> None:
    golden = json.loads((shared / "models" / "golden" / f"{name}.json").read_text())
    model = read_tflite((shared / "models" / f"{name}.tflite").read_bytes(), name)
    graph = model.graph
    inputs = []
    for index in graph.inputs:
        tensor = graph.tensor(index)
        q = (np.arange(tensor.elements) * 37 + 11) % 256 - 128  # the golden files' input rule
        inputs.append(q.astype(np.int8).reshape(tensor.shape))
    values = run(graph, inputs, keep=True)

    assert model.sha256 == golden["sha256"]
    rows = {row["tensor"]: row for row in golden["per_op_outputs_tflm"]["ops"]}
    compared = [index for op in graph.ops for index in op.outputs]
    assert set(compared) <= set(rows)
    wrong = [
        f"op {rows[i]['op']} {rows[i]['type']}"
        for i in compared
        if zlib.crc32(values[i].tobytes()) != int(rows[i]["crc32"], 16)
    ]
    assert not wrong
    assert sum(ops.operator(op.kind).macs(graph, op) for op in graph.ops) == golden["macs"]
    for index, row in zip(graph.outputs, golden["outputs"], strict=True):
        assert graph.tensor(index).shape == tuple(row["shape"])


def test_float_edges_of_mcunet_are_taken_off_and_named(shared: Path) -> None:
    data = (shared / "models" / "mcunet_vww1.tflite").read_bytes()
    graph = read_tflite(data, "mcunet_vww1").graph
    assert [graph.tensor(i).dtype for i in (*graph.inputs, *graph.outputs)] == ["int8", "int8"]
    assert not {"QUANTIZE", "DEQUANTIZE"} & {op.kind for op in graph.ops}
    assert "QUANTIZE at float input 'input_0_f.1' taken off" in graph.notes[0]
    assert "DEQUANTIZE at float output '1422' taken off" in graph.notes[1]
