"""The batched int8 path of the benchmark gives the interpreter's integers, image by image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from experiments import host_int8
from mcu_hybrid.compiler.passes import run_passes
from mcu_hybrid.compiler.read.tflite import read_tflite
from mcu_hybrid.reference import interp
from mcu_hybrid.reference.images import to_int8


@pytest.mark.parametrize("name", ["pretrainedResnet_quant", "vww_96_int8"])
def test_real_models(shared: Path, name: str) -> None:
    file = read_tflite((shared / "models" / f"{name}.tflite").read_bytes(), name)
    graph = run_passes(file.graph, file.metadata)
    shape = graph.tensor(graph.inputs[0]).shape[1:]
    x = np.random.default_rng(3).integers(0, 256, (5, *shape)).astype(np.uint8)
    found = host_int8.run(graph, x)
    for i, image in enumerate(to_int8(graph, x)):
        for have, want in zip(found, interp.run(graph, [image[None]]), strict=True):
            np.testing.assert_array_equal(have[i], want[0])
    np.testing.assert_array_equal(host_int8.run(graph, x[2:3])[0], found[0][2:3])
