"""predict: the same answers from the reference, the board and the cloud; what it refuses."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mcu_hybrid import api
from mcu_hybrid.board.load import load_board
from mcu_hybrid.compiler.read.tflite import read_tflite
from mcu_hybrid.export.agreement import run_int8
from mcu_hybrid.steps.build import build_step
from mcu_hybrid.steps.export import ExportOptions, export_step, read_graph
from tests.support.bad_rig import CLASSES, SIDE, classifier, global_onnx, npz
from tests.support.cli_rig import call, fail, own_state, run, text  # noqa: F401 (own_state)
from tests.support.tflite_builder import OpSpec, Spec, build

for package in ("PIL", "onnx", "onnxruntime", "fastapi"):
    pytest.importorskip(package)
if shutil.which("gcc") is None:
    pytest.skip("gcc is not installed", allow_module_level=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export with the entropy as its router and its build, and photos: CLASS_N.png."""
    from PIL import Image

    root = tmp_path_factory.mktemp("predict")
    (root / "net.tflite").write_bytes(classifier())
    options = ExportOptions(
        data=str(npz(root / "data.npz")), coverage=0.5, global_onnx=global_onnx(root / "g.onnx")
    )
    export_step(root / "net.tflite", root / "export", options)
    build_step(root / "export", load_board("native"), root / "build")
    for number, image in enumerate(np.load(root / "data.npz")["x"][:8]):
        Image.fromarray(image[..., 0]).save(root / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def server(made: Path) -> Iterator[str]:
    with api.serving(made / "export") as url:
        yield url


def photos(made: Path) -> list[Path]:
    return sorted(made.glob("[0-9].png"))


def test_the_reference_answers_as_the_graph_says(made: Path) -> None:
    told = call("predict", made / "export", *photos(made))
    graph = read_graph((made / "export" / "model.tflite").read_bytes(), "model.tflite")
    seen = run_int8(graph, np.load(made / "data.npz")["x"][:8])
    rows = told["predictions"]
    assert [row["label"] for row in rows] == seen.logits.argmax(1).tolist()
    assert [row["router_score"] for row in rows] == seen.scores["entropy"].tolist()
    assert [row["score"] for row in rows] == (0.25 * seen.logits.max(1)).tolist()
    assert [row["input"] for row in rows] == [path.name for path in photos(made)]
    asked = [row["router_score"] > row["threshold"] for row in rows]
    reasons = ["fallback: no_cloud" if a else "kept" for a in asked]
    assert [row["reason"] for row in rows] == reasons and len(set(reasons)) == 2
    assert told["router"] == "entropy" and "reference" in told["device"]
    assert {row["origin"] for row in rows} == {"device"}


def test_board_and_reference_are_of_one_mind(made: Path, server: str) -> None:
    """Bit for bit, decisions too; the cloud answers what both give up."""
    args = (*photos(made), "--cloud", server)
    host = call("predict", made / "build", *args)
    board = call("predict", made / "build", *args, "--board", "native")
    assert board["device"] == "board native" and board["router"] == host["router"]
    assert board["predictions"] == host["predictions"]
    assert {row["origin"] for row in host["predictions"]} == {"device", "cloud"}


def test_the_cloud_answers_with_its_own_network(made: Path, server: str) -> None:
    import onnxruntime

    x = np.load(made / "data.npz")["x"][:8]
    net = onnxruntime.InferenceSession(str(made / "g.onnx"))
    wanted = net.run(None, {"image": (x / np.float32(255)).transpose(0, 3, 1, 2)})[0]
    rows = call("predict", made / "export", *photos(made), "--cloud", server)["predictions"]
    clouds = [i for i, row in enumerate(rows) if row["origin"] == "cloud"]
    assert clouds
    for i in clouds:
        assert rows[i]["label"] == wanted[i].argmax() and rows[i]["reason"] == "queried"
        assert rows[i]["score"] == pytest.approx(wanted[i].max(), rel=1e-5)


def test_arrays_are_images_or_the_models_own_input(made: Path, tmp_path: Path) -> None:
    x = np.load(made / "data.npz")["x"][:8]
    np.savez(tmp_path / "x.npz", x=x)
    np.save(tmp_path / "one.npy", x[0])
    np.save(tmp_path / "raw.npy", (x.astype(int) - 128).astype(np.int8))
    from_files = call("predict", made / "export", *photos(made))["predictions"]
    given = (tmp_path / "x.npz", tmp_path / "one.npy", tmp_path / "raw.npy")
    rows = call("predict", made / "export", *given)["predictions"]
    names = [*(f"x.npz[{i}]" for i in range(8)), "one.npy", *(f"raw.npy[{i}]" for i in range(8))]
    assert [row.pop("input") for row in rows] == names
    for row in from_files:
        del row["input"]
    assert rows == [*from_files, from_files[0], *from_files]


def test_a_photo_is_made_the_models_size_and_that_is_said(made: Path, tmp_path: Path) -> None:
    from PIL import Image

    colour = np.repeat(np.arange(48, dtype=np.uint8).reshape(4, 12, 1) * 5, 3, 2)
    Image.fromarray(colour).save(tmp_path / "wide.jpg")
    code, printed, said = run("predict", made / "export", tmp_path / "wide.jpg")
    assert code == 0 and "wide.jpg" in printed
    assert "1 image resized to 4x4" in said and "in colour: made grey" in said
    assert "aspect ratio" in said
    assert "note" not in run("predict", made / "export", tmp_path / "wide.jpg", "-q")[2]


def test_the_table_names_class_and_who_answers(made: Path, server: str) -> None:
    printed = text("predict", made / "export", *photos(made), "--cloud", server)
    assert "queried" in printed and "kept" in printed and "cloud" in printed
    assert "router: entropy" in printed


def test_a_bare_model_says_its_range_or_is_told(made: Path, tmp_path: Path) -> None:
    """Of [0, 1] the input's scale says it; a range that is none of the usual ones is asked for."""
    bare = call("predict", made / "net.tflite", photos(made)[0])
    exported = call("predict", made / "export", photos(made)[0])
    assert bare["predictions"][0]["label"] == exported["predictions"][0]["label"]
    assert bare["router"] == "none" and bare["predictions"][0]["reason"] == "kept"
    odd = tmp_path / "odd.tflite"
    odd.write_bytes(_classifier_of(3 / 255))
    told = fail("predict", odd, photos(made)[0])
    assert "0 .. 3" in told["message"] and "--input-scale" in told["hint"]
    given = call("predict", odd, photos(made)[0], "--input-scale", 3)
    assert given["predictions"][0]["label"] == bare["predictions"][0]["label"]
    told = fail("predict", made / "export", photos(made)[0], "--input-scale", 3)
    assert "says itself" in told["message"] and "leave out" in told["hint"]
    image = np.load(made / "data.npz")["x"][0]
    np.save(tmp_path / "own.npy", (image.astype(int) - 128).astype(np.int8))
    own = call("predict", odd, tmp_path / "own.npy")  # the model's own input has no range
    assert own["predictions"][0]["label"] == bare["predictions"][0]["label"]


def test_a_bare_model_on_its_board(made: Path, tmp_path: Path) -> None:
    """Without a router the board keeps everything, and no output is marked as the logits."""
    build_step(made / "net.tflite", load_board("native"), tmp_path / "build")
    told = call("predict", tmp_path / "build", *photos(made), "--board", "native")
    host = call("predict", made / "net.tflite", *photos(made))
    assert told["predictions"] == host["predictions"] and told["router"] == "none"


def _classifier_of(scale: float, outputs: int = CLASSES, rank: int = 2) -> bytes:
    """The classifier with another input scale, number of outputs, or without its reshape."""
    source = read_tflite(classifier(), "net.tflite").graph
    weights = source.tensor(source.ops[0].inputs[1]).data
    assert weights is not None
    weights = weights[:outputs]
    shape = (1, outputs) if rank == 2 else (1, 1, outputs, 1)
    tensors = [
        Spec("image", (1, SIDE, SIDE, 1), "int8", scale, -128),
        Spec("w", weights.shape, "int8", 0.02, data=weights),
        Spec("conv", (1, 1, 1, outputs), "int8", 0.25 * scale * 255),
        Spec("shape", (len(shape),), "int32", data=np.array(shape, np.int32)),
        Spec("logits", shape, "int8", 0.25 * scale * 255),
    ]
    window = {"stride_h": 1, "stride_w": 1, "padding": 1}
    ops = [OpSpec("CONV_2D", (0, 1), (2,), window), OpSpec("RESHAPE", (2, 3), (4,))]
    return build(tensors, ops, [0], [4])


@pytest.mark.parametrize(("outputs", "rank"), [(1, 2), (3, 4)])
def test_no_class_is_made_up_of_other_outputs(
    outputs: int, rank: int, made: Path, tmp_path: Path
) -> None:
    (tmp_path / "m.tflite").write_bytes(_classifier_of(1 / 255, outputs, rank))
    told = fail("predict", tmp_path / "m.tflite", photos(made)[0])
    assert "no score a class" in told["message"] and "bench" in told["hint"]


def test_what_cannot_be_read_is_named(made: Path, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    np.save(tmp_path / "float.npy", np.zeros((SIDE, SIDE, 1)))
    np.save(tmp_path / "size.npy", np.zeros((5, 5, 1), np.uint8))
    np.save(tmp_path / "none.npy", np.zeros((0, SIDE, SIDE, 1), np.uint8))
    (tmp_path / "broken.npz").write_bytes(b"PK\3\4")
    for name in ("text.png", "gone.png", "float.npy", "size.npy", "none.npy", "broken.npz"):
        told = fail("predict", made / "export", tmp_path / name)
        assert name in told["message"] and told["hint"], told
        assert told["error"] == "DataError"


def test_a_board_needs_its_build(made: Path) -> None:
    told = fail("predict", made / "export", photos(made)[0], "--board", "native")
    assert "no firmware" in told["message"] and "mcu-hybrid build" in told["hint"]
    told = fail("predict", made / "net.tflite", photos(made)[0], "--board", "native")
    assert "no firmware" in told["message"]
    told = fail("predict", made / "build", photos(made)[0], "--board", "mps2-an500")
    assert "was built for native" in told["message"]


def test_a_server_that_is_not_there_is_said_first(made: Path) -> None:
    told = fail("predict", made / "export", photos(made)[0], "--cloud", "http://127.0.0.1:9")
    assert told["error"] == "CloudError" and told["hint"]
