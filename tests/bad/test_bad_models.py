"""Models that we do not run: refused by file and layer, with what to do; nothing is made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.bad_rig import CLASSES, Refused, classifier
from tests.support.tflite_builder import OpSpec, Spec, build


def with_operator(kind: str) -> bytes:
    """A good first layer, then one operator that is not among ours."""
    tensors = [
        Spec("image", (1, 4, 4, 1), scale=0.1),
        Spec("first", (1, 4, 4, 1), scale=0.1),
        Spec("deep/second", (1, 4, 4, 1), scale=0.1),
    ]
    return build(tensors, [OpSpec("RELU", [0], [1]), OpSpec(kind, [1], [2])], [0], [2])


def batch_of(count: int) -> bytes:
    tensors = [Spec("in", (count, 8), scale=0.1), Spec("out", (count, 8), scale=0.1)]
    return build(tensors, [OpSpec("RELU", [0], [1])], [0], [1])


MODELS = {
    "text": (b"this is no model\n", "not a .tflite"),
    "empty": (b"", "empty"),
    "a-zip": (b"PK\x03\x04" + bytes(64), "not a .tflite"),
    "truncated": (classifier()[:-200], "truncated"),
    "float": (classifier("float32"), "float model"),
    "int16": (classifier("int16"), "int16"),
    "batch-2": (batch_of(2), "batch"),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("verb", ["build", "bench", "export"])
def test_a_model_that_we_do_not_run(name: str, verb: str, work: Path, refused: Refused) -> None:
    data, fact = MODELS[name]
    (work / f"{name}.tflite").write_bytes(data)
    board = () if verb == "export" else ("--board", "native")
    told = refused(verb, f"{name}.tflite", "--out", "out/deep", *board)
    assert f"{name}.tflite" in told.message
    assert fact in told.message
    assert told.kind in ("ModelError", "InputError", "UnsupportedOp")


@pytest.mark.parametrize("kind", ["FLOOR_MOD", "CUSTOM:my_op", "LSTM"])
def test_an_operator_that_we_do_not_run(kind: str, work: Path, refused: Refused) -> None:
    (work / "net.tflite").write_bytes(with_operator(kind))
    told = refused("build", "net.tflite", "--board", "native", "--out", "out")
    assert told.kind == "UnsupportedOp"
    assert kind.removeprefix("CUSTOM:") in told.message
    assert "deep/second" in told.message  # the layer


def test_no_such_file(refused: Refused) -> None:
    assert "no such file" in refused("build", "gone.tflite", "--out", "out")
    assert "no such file" in refused("bench", "gone.tflite", "--out", "out")
    assert "no such file" in refused("export", "gone.onnx", "--out", "out")
    assert "default" not in refused("bench", "--out", "out").message  # runs/build is not there


def test_a_damaged_onnx_file(work: Path, refused: Refused) -> None:
    pytest.importorskip("onnx")
    np.savez(work / "d.npz", x=np.zeros((60, 4, 4), np.uint8), y=np.arange(60) % CLASSES)
    (work / "net.onnx").write_bytes(b"\x08\x07\x12\x07pytorch" + bytes(40))
    told = refused("export", "net.onnx", "--data", "d.npz", "--out", "out")
    assert "net.onnx" in told.message
    assert "--data" in refused("export", "net.onnx", "--out", "out").hint


def test_an_unknown_kind_of_file(work: Path, refused: Refused) -> None:
    (work / "net.pth").write_bytes(b"x")
    told = refused("export", "net.pth", "--out", "out")
    assert "net.pth" in told.message and "ONNX" in told.hint


def test_no_such_global_model(work: Path, refused: Refused) -> None:
    (work / "net.tflite").write_bytes(classifier())
    told = refused("export", "net.tflite", "--global-onnx", "gone.onnx", "--out", "out")
    assert "gone.onnx: no such file" in told.message


@pytest.mark.parametrize(
    ("board", "region", "have"), [("netduinoplus2", "RAM", 131_072), ("nrf52840dk", "RAM", 262_144)]
)
def test_too_much_memory_for_the_board(
    board: str, region: str, have: int, work: Path, refused: Refused
) -> None:
    shape = (1, 180, 180, 8)
    tensors = [Spec("image", shape, scale=0.1), Spec("pooled", shape, scale=0.1)]
    window = {"filter_height": 3, "filter_width": 3, "stride_h": 1, "stride_w": 1, "padding": 0}
    ops = [OpSpec("AVERAGE_POOL_2D", [0], [1], window)]
    (work / "net.tflite").write_bytes(build(tensors, ops, [0], [1]))
    told = refused("build", "net.tflite", "--board", board, "--out", "out")
    assert told.kind == "CapacityError"
    assert region.lower() in told.message.lower()
    assert f"{have:,}" in told.message  # what there is
    assert f"1x180x180x8 {180 * 180 * 8:,}" in told.message  # the largest tensors
    assert "op 0 STREAM of AVERAGE_POOL_2D" in told.message  # and where they live
    assert "stm32h7" in told.hint or "mps2-an500" in told.hint  # boards that fit


def test_too_much_flash_for_the_board(work: Path, refused: Refused) -> None:
    weights = np.random.default_rng(0).integers(-127, 128, (1100, 1024)).astype(np.int8)
    tensors = [
        Spec("in", (1, 1024), scale=0.1),
        Spec("w", weights.shape, scale=0.01, data=weights),
        Spec("huge", (1, 1100), scale=0.5),
    ]
    (work / "net.tflite").write_bytes(
        build(tensors, [OpSpec("FULLY_CONNECTED", [0, 1], [2])], [0], [2])
    )
    told = refused("build", "net.tflite", "--board", "netduinoplus2", "--out", "out")
    assert told.kind == "CapacityError"
    assert "flash" in told.message and f"{1 << 20:,}" in told.message
    assert "stm32h7" in told.hint


def test_input_of_the_wrong_size(work: Path, refused: Refused) -> None:
    (work / "net.tflite").write_bytes(classifier())
    (work / "in.bin").write_bytes(bytes(17))
    args = ("bench", "net.tflite", "--board", "native")
    told = refused(*args, "--input", "in.bin", "--out", "out")
    assert "in.bin: has 17 bytes; one inference takes 16" in told.message
    assert "(1, 4, 4, 1)" in told.message
    (work / "in.bin").write_bytes(b"")
    assert "has 0 bytes" in refused(*args, "--input", "in.bin")
    assert "gone.bin: no such file" in refused(*args, "--input", "gone.bin")
