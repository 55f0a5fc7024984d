"""Generated C: golden text, warnings as errors, and the bytes of the reference when it runs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from mcu_hybrid import resources
from mcu_hybrid.compiler import report
from mcu_hybrid.compiler.emit import ctext
from mcu_hybrid.compiler.emit.known_answers import KnownAnswer, input_bytes, known_answers
from mcu_hybrid.compiler.emit.model import emit
from mcu_hybrid.compiler.passes import run_passes
from mcu_hybrid.compiler.program import program_of
from mcu_hybrid.compiler.read.tflite import read_tflite
from mcu_hybrid.errors import ModelError
from mcu_hybrid.graph.types import Graph, Tensor
from mcu_hybrid.ops.base import CStruct, CTable
from mcu_hybrid.ops.route_features import make_attrs
from mcu_hybrid.quant import QuantParams
from mcu_hybrid.reference import interp
from mcu_hybrid.wire import messages
from tests.support.random_graph import Builder, random_graph, random_inputs

DIGEST = bytes(range(32))
ANSWERS = (KnownAnswer(1, 0xDEADBEEF),)
FLAGS = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-O1", "-g")
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def text_of(graph: Graph, **metadata: object) -> str:
    return emit(program_of(graph), digest=DIGEST, metadata=metadata, answers=ANSWERS)["model.c"]


def run_c(graph: Graph, folder: Path, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """Compile model.c with its kernels and the test's main; check known answers; return outputs."""
    program = program_of(graph)
    for name, text in emit(program, digest=DIGEST).items():
        (folder / name).write_text(text)
    (folder / "mh_messages.h").write_text(messages.c_header())
    kernels = [resources.kernels() / "ref" / f"{s}.c" for s in report.footprint(program).kernels]
    app = resources.root("firmware_templates") / "app"
    include = [f"-I{path}" for path in (resources.kernels() / "include", app, folder)]
    main = Path(__file__).with_name("model_main.c")
    argv = ["gcc", *FLAGS, *SANITIZE, *include, main, folder / "model.c", *kernels]
    subprocess.run([*argv, "-o", folder / "model"], check=True)
    stdin = b"".join(array.tobytes() for array in inputs)
    done = subprocess.run([folder / "model"], input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, (done.returncode, done.stderr.decode())
    outputs, at = [], 0
    for tensor in (graph.tensor(t) for t in graph.outputs):
        data = np.frombuffer(done.stdout, tensor.dtype, tensor.elements, at)
        outputs.append(data.reshape(tensor.shape))
        at += tensor.bytes
    assert at == len(done.stdout)
    return outputs


@pytest.mark.parametrize("seed", range(6))
def test_random_graphs_run_as_c(seed: int, tmp_path: Path) -> None:
    graph = random_graph(seed)
    inputs = random_inputs(graph, seed)
    for want, have in zip(interp.run(graph, inputs), run_c(graph, tmp_path, inputs), strict=True):
        np.testing.assert_array_equal(have, want)


@pytest.mark.parametrize("name", ["hello_world_int8", "kws_ref_model", "micro_speech_quantized"])
def test_real_models_run_as_c(shared: Path, name: str, tmp_path: Path) -> None:
    file = read_tflite((shared / "models" / f"{name}.tflite").read_bytes(), name)
    graph = run_passes(file.graph, file.metadata)
    inputs = random_inputs(graph, 9)
    for want, have in zip(interp.run(graph, inputs), run_c(graph, tmp_path, inputs), strict=True):
        np.testing.assert_array_equal(have, want)


def tiny() -> Graph:
    b = Builder(1, 4)
    (x,) = b.op("RELU", b.inputs, [(1, 4)])
    constant = b.add_tensor((1, 4), np.array([[1, -2, 3, -128]], np.int8))
    (y,) = b.op("ADD", [x, constant], [(1, 4)], fused_activation_function=0)
    (z,) = b.op("RESHAPE", [y], [(1, 1, 1, 4)])
    (w,) = b.op("CONCATENATION", [y, x], [(1, 8)], axis=1, fused_activation_function=0)
    return b.graph([z, w], name="tiny */ ??/ model\nü")


def test_golden_text(root: Path) -> None:
    """Set MH_UPDATE_GOLDEN=1 to write it anew; read the difference before committing."""
    files = emit(program_of(tiny()), digest=DIGEST, answers=ANSWERS)
    for name, text in files.items():
        golden = root / "tests" / "golden" / f"tiny_{name}"
        if os.environ.get("MH_UPDATE_GOLDEN"):
            golden.write_text(text)
        assert text == golden.read_text(), name


def test_names_cannot_end_a_comment(tmp_path: Path) -> None:
    graph = tiny()
    inputs = random_inputs(graph, 0)
    for want, have in zip(interp.run(graph, inputs), run_c(graph, tmp_path, inputs), strict=True):
        np.testing.assert_array_equal(have, want)


def test_views_are_no_layers() -> None:
    rows = report.layer_rows(program_of(tiny()))
    assert [row.op for row in rows] == ["RELU", "ADD", "CONCATENATION"]
    assert (
        "#define MH_MODEL_LAYERS 3"
        in emit(program_of(tiny()), digest=DIGEST, answers=ANSWERS)["model.h"]
    )


def test_a_linked_hybrid_runs_as_c(tmp_path: Path) -> None:
    b = Builder(2, 10)
    features = QuantParams((1 / 127,), (0,))
    b.tensors[b.inputs[1]] = Tensor("features", (1, 11), "int8", features)
    (logits,) = b.op("RELU", [b.inputs[0]], [(1, 10)])
    (score,) = b.op("LOGISTIC", [b.inputs[1]], [(1, 11)])
    scale = b.tensors[logits].require_quant().scale
    metadata = {
        "logits": b.tensors[logits].name,
        "route_score": b.tensors[score].name,
        "route_features": "features",
        "features": make_attrs(10, scale, [1.0] * 11, [0.5] * 11, 1 / 127, 0).to_json(),
        "deployed": {"router": 1, "threshold": 12},
    }
    graph = run_passes(b.graph([logits, score]), metadata)
    text = emit(program_of(graph), digest=DIGEST, metadata=metadata, answers=ANSWERS)["model.c"]
    for line in (".logits = 0u", ".route = 1u", ".scores = 2u", ".threshold = 12"):
        assert line in text
    inputs = random_inputs(graph, 4)
    for want, have in zip(interp.run(graph, inputs), run_c(graph, tmp_path, inputs), strict=True):
        np.testing.assert_array_equal(have, want)
    assert have.dtype == np.int32 and have[0, 0] > 0


def test_equal_tables_are_stored_once() -> None:
    b = Builder(1, 8)
    (x,) = b.op("RELU", b.inputs, [(1, 8)])
    (y,) = b.op("RELU", [x], [(1, 8)])
    graph = b.graph([y])
    assert text_of(graph).count("[256]") == 1
    assert [row["bytes"] for row in report.flash_rows(program_of(graph))] == [256, 0]
    assert report.weights_bytes(program_of(graph)) == 256


def test_hybrid_fields_come_from_the_metadata() -> None:
    graph = tiny()
    names = [graph.tensor(t).name for t in graph.outputs]
    plain = text_of(graph)
    assert ".logits = MH_NO_OUTPUT" in plain and ".router = MH_ROUTER_NONE" in plain
    text = text_of(
        graph, logits=names[1], route_score=names[0], deployed={"router": 1, "threshold": -7}
    )
    for line in (".logits = 1u", ".route = 0u", ".router = MH_ROUTER_LEARNED", ".threshold = -7"):
        assert line in text


@pytest.mark.parametrize("deployed", [{"router": 5}, {"router": 1, "threshold": 0.5}])
def test_unknown_router_is_refused(deployed: dict[str, object]) -> None:
    with pytest.raises(ModelError, match="is not known"):
        text_of(tiny(), deployed=deployed)


def test_a_model_without_layers_is_refused() -> None:
    b = Builder(1, 4)
    (x,) = b.op("RESHAPE", b.inputs, [(1, 1, 1, 4)])
    with pytest.raises(ModelError, match="computes nothing"):
        text_of(b.graph([x]))


def test_input_bytes_are_the_generator_of_the_header() -> None:
    x, expected = 0x9E3779B9, []
    for _ in range(1000):
        x = (x * 1664525 + 1013904223) & 0xFFFFFFFF
        expected.append(x >> 24)
    assert input_bytes(0x9E3779B9, 1000).tolist() == expected


def test_known_answers_depend_on_the_seed() -> None:
    graph = tiny()
    assert len({answer.crc for answer in known_answers(graph, range(20))}) > 1


def test_numbers() -> None:
    assert ctext.number(-(1 << 31)) == "INT32_MIN"
    assert ctext.number((1 << 32) - 1, "uint32_t") == "4294967295u"
    assert ctext.number(-128, "int8_t") == "-128"
    with pytest.raises(ValueError, match="128 does not fit int8_t"):
        ctext.number(128, "int8_t")


def test_struct_and_table_text() -> None:
    table = CTable("w", "int32_t", np.array([1, -(1 << 31)]))
    struct = CStruct("mh_params", (("w", table), ("bias", None), ("n", 3)))
    assert ctext.struct_text(struct, "p", {"w": "p_w"}) == (
        "static const mh_params p = {\n    .w = p_w, .bias = NULL, .n = 3\n};"
    )
    assert ctext.table_text(table, "p_w", section=None) == (
        "static const int32_t p_w[2] = {\n    1, INT32_MIN\n};"
    )
    with pytest.raises(ValueError, match="needs integers"):
        ctext.table_text(CTable("w", "int8_t", np.array([0.5])), "w")
    with pytest.raises(ValueError, match="not a C identifier"):
        ctext.table_text(table, "0w")
