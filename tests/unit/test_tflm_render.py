"""Engine tflm: resolver = graph operators, golden text, networks cut right, arena bound.

The user's checkout and library: test_tflm_tree.py; a real TFLM: tests/e2e/test_tflm.py.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcu_hybrid import ops
from mcu_hybrid.compiler.emit.known_answers import KnownAnswer
from mcu_hybrid.compiler.passes.link_route import link_route
from mcu_hybrid.compiler.read.cut import cut
from mcu_hybrid.compiler.read.tflite import read_tflite
from mcu_hybrid.errors import ModelError, UnsupportedOp
from mcu_hybrid.ops import route_features as rf
from mcu_hybrid.reference import interp
from mcu_hybrid.tflm import arena, generate, networks
from tests.support.tflite_builder import OpSpec, Spec, build

GOLDEN = Path(__file__).parent.parent / "golden" / "tflm_hybrid"
CLASSES, SCALE = 3, 0.25
# arena_used_bytes() on a Cortex-M7: TFLM's reference kernels, CMSIS-NN
USED = {
    "hello_world_int8": (676, 772),
    "kws_ref_model": (22_772, 22_820),
    "micro_speech_quantized": (6_788, 6_836),
    "pretrainedResnet_quant": (54_340, 54_996),
    "vww_96_int8": (100_660, 100_708),
}


def dense(rng: np.random.Generator, name: str, inputs: int, units: int) -> list[Spec]:
    """Weights and bias of a fully connected layer."""
    weights = rng.integers(-127, 128, (units, inputs), np.int8)
    bias = rng.integers(-500, 500, units, np.int32)
    return [
        Spec(f"{name}_w", weights.shape, scale=0.02, data=weights),
        Spec(f"{name}_b", bias.shape, "int32", scale=0.002, data=bias),
    ]


def metadata() -> dict[str, object]:
    n = 1 + rf.top_of(CLASSES)
    attrs = rf.make_attrs(CLASSES, SCALE, [0.5] * n, [1.0] * n, 1 / 64, -3)
    return {
        "version": 1,
        "logits": "logits",
        "route_features": "route_features",
        "route_score": "route_score",
        "features": attrs.to_json(),
        "deployed": {"router": 1, "coverage": 0.8, "threshold": -17},
    }


def hybrid(*, softmax: bool = False, router: bool = True, meta: bool = True) -> bytes:
    """image -> logits (-> softmax); route_features -> route_score: what export writes, in small."""
    rng = np.random.default_rng(5)
    features = 1 + rf.top_of(CLASSES)
    fc = {"fused_activation_function": 0}
    tensors = [
        Spec("image", (1, 6), scale=0.1, zero=-2),
        *dense(rng, "base", 6, CLASSES),
        Spec("logits", (1, CLASSES), scale=SCALE, zero=4),
        Spec("route_features", (1, features), scale=1 / 64, zero=-3),
        *dense(rng, "router", features, 1),
        Spec("route_score", (1, 1), scale=0.1, zero=7),
        Spec("probabilities", (1, CLASSES), scale=1 / 256, zero=-128),
    ]
    operators = [OpSpec("FULLY_CONNECTED", (0, 1, 2), (3,), fc)]
    if router:  # first: nothing in a file says that base operators come before the router's
        operators.insert(0, OpSpec("FULLY_CONNECTED", (4, 5, 6), (7,), fc))
    if softmax:
        operators.append(OpSpec("SOFTMAX", (3,), (8,), {"beta": 1.0}))
    inputs = [0, 4] if router else [0]
    outputs = [3, 7] if router else [8 if softmax else 3]
    info = metadata()
    if not router:
        info = {k: v for k, v in info.items() if k not in ("route_features", "route_score")}
    entry = {"mcu_hybrid": json.dumps(info).encode()} if meta else {}
    return build(tensors, operators, inputs, outputs, metadata=entry)


def linked(data: bytes, name: str = "hybrid.tflite"):
    file = read_tflite(data, name)
    return link_route(file.graph, file.metadata), file.metadata


def resolver_of(files: dict[str, str]) -> tuple[int, list[str], list[str]]:
    """(size, codes, added methods) as the compiler will see them."""
    text = files["mh_tflm_ops.h"]
    size = int(re.search(r"#define MH_TFLM_OPS (\d+)", text)[1])
    return size, re.findall(r"BuiltinOperator_(\w+),", text), re.findall(r"ops->(\w+)\(", text)


@pytest.mark.parametrize("name", [*USED, "mcunet_vww1"])
def test_the_resolver_has_exactly_the_graphs_operators(shared, name):
    data = (shared / "models" / f"{name}.tflite").read_bytes()
    graph = read_tflite(data, f"{name}.tflite").graph
    size, codes, added = resolver_of(generate.emit_tflm(data, graph, answers=()))
    kinds = {op.kind for op in graph.ops}
    assert set(codes) == kinds and size == len(codes) == len(kinds)
    assert added == [ops.operator(code).traits.tflm.add for code in codes]
    assert {"QUANTIZE", "DEQUANTIZE"}.isdisjoint(codes)  # mcunet_vww1: the edges are taken off


def test_every_operator_that_is_read_is_known_to_the_engine():
    # TABLE comes from our own passes, which this engine does not run.
    ours = {"ROUTE_FEATURES", "TABLE", "GELU", "RELU_0_TO_1"}
    named = {kind for kind, own in ops.known().items() if own.traits.tflm}
    assert named == set(ops.known()) - ours


def test_an_operator_that_the_engine_lacks_is_named():
    graph, _ = linked(hybrid())
    odd = graph.with_(ops=(graph.ops[0].__class__("GATHER", "pick", (0,), (3,), None), *graph.ops))
    with pytest.raises(UnsupportedOp, match=r"layer 'pick': the engine tflm does not run GATHER"):
        networks.split(odd)


def test_golden_text_of_a_hybrid():
    data = hybrid()
    graph, info = linked(data)
    answers = (KnownAnswer(1, 0xDEADBEEF), KnownAnswer(2, 7))
    files = generate.emit_tflm(data, graph, metadata=info, answers=answers, arena_bytes=4096)
    del files["mh_tflm.cc"]  # the same bytes for every model
    if os.environ.get("MH_UPDATE_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        for name, text in files.items():
            (GOLDEN / name).write_text(text, encoding="utf-8")
    assert files == {path.name: path.read_text("utf-8") for path in GOLDEN.iterdir()}


def test_another_library_is_another_text():
    data = hybrid()
    graph, _ = linked(data)
    one, two = (
        generate.emit_tflm(data, graph, answers=(), library=library)["mh_tflm_model.c"]
        for library in ("library sha256 1", "library sha256 2")
    )
    assert one != two


@pytest.mark.parametrize("softmax", [False, True])
def test_base_link_and_router_are_told_apart(softmax):
    nets = networks.split(linked(hybrid(softmax=softmax))[0])
    assert [op.outputs[0] for op in nets.base.ops] == [3]
    assert [op.outputs[0] for op in nets.router.ops] == [7]
    assert [op.kind for op in nets.layers] == [
        "FULLY_CONNECTED",
        "ROUTE_FEATURES",
        "FULLY_CONNECTED",
    ]
    assert nets.kinds == ("FULLY_CONNECTED",)


def test_a_classifier_with_simple_scores_alone_keeps_its_file():
    data = hybrid(softmax=True, router=False)
    graph, info = linked(data)
    nets = networks.split(graph)
    assert nets.router is None
    assert [op.kind for op in nets.layers] == ["FULLY_CONNECTED", "ROUTE_FEATURES", "SOFTMAX"]
    files = generate.emit_tflm(data, graph, metadata=info, answers=())
    text = files["mh_tflm_model.c"]
    assert f"The flatbuffers as TFLM reads them ({-(-len(data) // 16) * 16} bytes)" in text
    assert "{MH_TFLM_FROM_BASE, 0},\n    {MH_TFLM_FROM_SCORES, 0}," in text
    assert ".route = 255," in text and ".scores = 1," in text


def test_the_cut_networks_and_our_link_equal_the_linked_graph():
    runtime = pytest.importorskip("tflite_micro").runtime
    data = hybrid()
    graph, _ = linked(data)
    base, router = networks.flatbuffers(data, networks.split(graph))
    judge = [runtime.Interpreter.from_bytes(part) for part in (base, router)]

    def invoke(index: int, x: np.ndarray) -> np.ndarray:
        judge[index].set_input(x, 0)
        judge[index].invoke()
        return judge[index].get_output(0)

    link = next(op for op in graph.ops if op.kind == "ROUTE_FEATURES")
    rng = np.random.default_rng(1)
    for x in rng.integers(-128, 128, (50, 1, 6), np.int8):
        logits = invoke(0, x)
        features, scores = rf.compute(link.attrs, logits)
        expected = interp.run(graph, [x])
        for got, want in zip((logits, invoke(1, features), scores), expected, strict=True):
            assert got.tobytes() == want.tobytes()


def test_float_edges_come_off_as_in_the_graph():
    runtime = pytest.importorskip("tflite_micro").runtime
    rng = np.random.default_rng(2)
    tensors = [
        Spec("x", (1, 6), "float32"),
        Spec("xq", (1, 6), scale=0.1, zero=-2),
        *dense(rng, "fc", 6, 4),
        Spec("yq", (1, 4), scale=0.3, zero=5),
        Spec("y", (1, 4), "float32"),
    ]
    operators = [
        OpSpec("QUANTIZE", (0,), (1,)),
        OpSpec("FULLY_CONNECTED", (1, 2, 3), (4,), {"fused_activation_function": 1}),
        OpSpec("DEQUANTIZE", (4,), (5,)),
    ]
    data = build(tensors, operators, [0], [5])
    graph = read_tflite(data, "float.tflite").graph
    files = generate.emit_tflm(data, graph, answers=())
    assert "QUANTIZE at float input" in files["mh_tflm_model.c"]  # named in the generated source
    inner = runtime.Interpreter.from_bytes(networks.flatbuffers(data, networks.split(graph))[0])
    for x in rng.integers(-128, 128, (20, 1, 6), np.int8):
        inner.set_input(x, 0)
        inner.invoke()
        assert inner.get_output(0).tobytes() == interp.run(graph, [x])[0].tobytes()


@pytest.mark.parametrize("name", USED)
def test_a_rewritten_model_computes_the_same(shared, name):
    """Every operator's options, per-channel scales and weights survive the writer."""
    runtime = pytest.importorskip("tflite_micro").runtime
    data = (shared / "models" / f"{name}.tflite").read_bytes()
    graph = read_tflite(data, name).graph
    both = [data, cut(data, graph.inputs, graph.outputs)]
    x = np.random.default_rng(3).integers(-128, 128, graph.tensor(graph.inputs[0]).shape, np.int8)
    results = []
    for part in both:
        run = runtime.Interpreter.from_bytes(part)
        run.set_input(x, 0)
        run.invoke()
        results.append(run.get_output(0).tobytes())
    assert results[0] == results[1]


def test_layers_and_footprint_of_a_hybrid():
    data = hybrid()
    graph, _ = linked(data)
    rows = generate.layer_rows(graph)
    assert [(row.op, row.macs, row.out_bytes) for row in rows] == [
        ("FULLY_CONNECTED", 6 * CLASSES, CLASSES),
        ("ROUTE_FEATURES", 0, 1 + rf.top_of(CLASSES)),
        ("FULLY_CONNECTED", 1 + rf.top_of(CLASSES), 1),
    ]
    need = generate.footprint(data, graph)
    parts = networks.flatbuffers(data, networks.split(graph))
    assert need.kernels == ("route_features_s8",) and need.layers == 3
    assert need.weights_bytes == sum(map(len, parts)) and all(len(part) % 16 == 0 for part in parts)
    assert generate.footprint(data, graph, arena_bytes=640).arena_bytes == 640


def test_a_part_that_reads_another_input_cannot_be_cut_out():
    with pytest.raises(ModelError, match="also reads the input 'image'"):
        cut(hybrid(), [4], [3])


def test_a_tensor_that_is_not_in_the_file_is_refused():
    data = hybrid(meta=False)
    graph = read_tflite(data, "m.tflite").graph
    other = graph.with_(tensors=graph.tensors[1:] + graph.tensors[:1])
    with pytest.raises(ModelError, match=r"is not in the file.*\n.*--engine aot"):
        networks.flatbuffers(data, networks.split(other))


@pytest.mark.parametrize("name", USED)
def test_the_arena_bound_holds_and_is_not_far_off(shared, name):
    data = (shared / "models" / f"{name}.tflite").read_bytes()
    bound = networks.split(read_tflite(data, name).graph).arena_bytes
    assert max(USED[name]) <= bound <= 1.15 * max(USED[name]) + 1200


@given(st.lists(st.tuples(st.integers(1, 500), st.integers(0, 9), st.integers(0, 4)), max_size=20))
def test_the_greedy_head_is_between_the_fullest_moment_and_the_sum(rows):
    buffers = [arena._Buffer(size * 16, first, first + n) for size, first, n in rows]
    fullest = max(sum(b.size for b in buffers if b.first <= t <= b.last) for t in range(14))
    assert fullest <= arena._greedy(buffers) <= sum(b.size for b in buffers)
