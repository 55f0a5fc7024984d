"""Random models, written as the converter writes them: TFLM, our interpreter and all passes agree.

MH_FUZZ_EXAMPLES=500 hunts for longer, with other models every time; without it the suite draws the
same few. What fails is shrunk by hypothesis.
"""

from __future__ import annotations

import os
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mcu_hybrid.compiler.passes import optimise
from mcu_hybrid.compiler.read.tflite import read_tflite
from mcu_hybrid.errors import ModelError
from mcu_hybrid.graph.types import Graph
from mcu_hybrid.reference.interp import run
from mcu_hybrid.reference.judge import Judge
from tests.support.random_models import Model, random_model
from tests.support.random_source import Source, seeded
from tests.support.tflite_builder import Spec, build_one

pytest.importorskip("tflite_micro")

EXAMPLES = int(os.environ.get("MH_FUZZ_EXAMPLES", "0"))
EVERY = np.arange(-128, 128, dtype=np.int8).reshape(1, 256)


@st.composite
def models(draw: st.DrawFn) -> Model:
    """Models whose structure hypothesis decides."""
    return random_model(Source(lambda n: draw(st.integers(0, n - 1))))


def inputs_of(graph: Graph, seed: int) -> list[list[np.ndarray]]:
    """Random bytes twice, and both ends of int8 everywhere."""
    rng = np.random.default_rng(seed)
    shapes = [graph.tensor(i).shape for i in graph.inputs]
    random = [[rng.integers(-128, 128, s).astype(np.int8) for s in shapes] for _ in range(2)]
    return random + [[np.full(s, end, np.int8) for s in shapes] for end in (-128, 127)]


def assert_agreement(model: Model) -> None:
    """TFLM == numpy on the graph as read == numpy on the optimised graph, bit for bit."""
    graph, judge = read_tflite(model.data, "random").graph, Judge(model.data)
    variants = {"as read": graph, "optimised": optimise(graph)}
    variants["without folding"] = optimise(graph, fold_dead=False)
    for inputs in inputs_of(graph, len(model.data)):
        wanted = judge.run(inputs)
        for how, variant in variants.items():
            for n, (want, have) in enumerate(zip(wanted, run(variant, inputs), strict=True)):
                np.testing.assert_array_equal(
                    have.reshape(-1), want.reshape(-1), f"{model.kinds}, {how}, output {n}"
                )


@settings(
    max_examples=EXAMPLES or 40,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)
@given(models())
def test_tflm_numpy_and_the_passes_agree(model: Model) -> None:
    assert_agreement(model)


@pytest.mark.parametrize("first", [0, 40])
def test_seeded_models_agree(first: int) -> None:
    """Models that are larger than those that hypothesis starts with."""
    for seed in range(first, first + 40):
        assert_agreement(random_model(seeded(seed)))


def test_the_models_hold_what_they_should() -> None:
    drawn = [random_model(seeded(seed)) for seed in range(200)]
    seen = Counter(kind for model in drawn for kind in model.kinds)
    for kind in (
        *("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MAX_POOL_2D", "AVERAGE_POOL_2D"),
        *("PAD", "PADV2", "ADD", "SUB", "MUL", "CONCATENATION", "SPLIT", "STRIDED_SLICE", "MEAN"),
        *("RESHAPE", "TRANSPOSE", "RESIZE_NEAREST_NEIGHBOR", "SOFTMAX", "QUANTIZE", "LOGISTIC"),
        *("RELU", "RELU6", "LEAKY_RELU", "TANH", "HARD_SWISH"),
    ):
        assert seen[kind] >= 10, (kind, seen)
    sizes = sorted(len(model.kinds) for model in drawn)
    assert sizes[10] <= 5 and sizes[-10] >= 17
    graphs = [read_tflite(model.data, "random").graph for model in drawn]
    assert sum(len(graph.outputs) > 1 for graph in graphs) > 20
    assert sum(len(graph.inputs) > 1 for graph in graphs) > 10


@pytest.mark.parametrize(("kind", "out"), [("LOGISTIC", (1 / 256, -128)), ("TANH", (1 / 128, 0))])
def test_sigmoids_of_any_input_scale(kind: str, out: tuple[float, int]) -> None:
    """Also where one step of the input leaves the range in which the function changes."""
    for exponent in np.arange(-26, 34, 0.7):
        scale = float(np.float32(2.0**exponent))
        source = Spec("x", (1, 256), scale=scale, zero=5)
        target = Spec("y", (1, 256), scale=out[0], zero=out[1])
        data = build_one(kind, [source], [target])
        (have,), (want,) = run(read_tflite(data, kind).graph, [EVERY]), Judge(data).run([EVERY])
        np.testing.assert_array_equal(have, want, f"scale {scale}")


@pytest.mark.parametrize("scale", [2.0**-40, 2.0**40])
def test_a_sigmoid_of_a_senseless_scale_is_refused(scale: float) -> None:
    data = build_one(
        "LOGISTIC",
        [Spec("x", (1, 4), scale=scale)],
        [Spec("y", (1, 4), scale=1 / 256, zero=-128)],
    )
    with pytest.raises(ModelError, match="is outside the range of the integer function"):
        read_tflite(data, "x")
