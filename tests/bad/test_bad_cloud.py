"""The model server: down, slow, another model, another shape, gone half way; and serving badly."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from mcu_hybrid.cli import main
from tests.support.bad_rig import CLASSES, Refused, Steps, global_onnx
from tests.support.cloud_rig import answering

pytest.importorskip("fastapi")
from tests.support.serve_rig import serving


def run_at(steps: Steps, url: str, *more: object) -> tuple[object, ...]:
    return ("run", steps.build, "--cloud", url, "--out", "table", *more)


def test_a_server_that_is_down(steps: Steps, refused: Refused) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    told = refused(*run_at(steps, url))
    assert told.kind == "CloudError"
    assert f"no answer from {url}" in told.message
    assert "mcu-hybrid serve" in told.hint


@pytest.mark.parametrize("url", ["localhost", "ftp://127.0.0.1/", "http://", "127.0.0.1:8080"])
def test_no_address(url: str, steps: Steps, refused: Refused) -> None:
    told = refused(*run_at(steps, url))
    assert "is not a server's address" in told.message
    assert "http://127.0.0.1:8080" in told.hint


def test_a_server_that_never_answers(steps: Steps, refused: Refused) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        told = refused(*run_at(steps, url, "--deadline", "0.3"))
    assert told.kind == "CloudTimeout"
    assert "within 0.3 s" in told.message


def test_something_else_than_a_model_server(steps: Steps, refused: Refused) -> None:
    with answering(lambda path: (200, b"<html>welcome</html>")) as url:
        assert refused(*run_at(steps, url)).kind == "CloudError"


def test_a_wrong_model_name(steps: Steps, refused: Refused) -> None:
    with serving(steps.export / "global.onnx", "global") as url:
        told = refused(*run_at(steps, url, "--model", "gobal"))
    assert told.kind == "CloudError"
    assert "gobal" in told.message
    assert "global" in told.message.replace("gobal", "") + told.hint  # what the server has


def test_a_token_is_asked_for(steps: Steps, refused: Refused) -> None:
    with serving(steps.export / "global.onnx", "global", token="secret") as url:
        told = refused(*run_at(steps, url))
    assert "token" in told


def test_a_model_of_another_shape(steps: Steps, work: Path, refused: Refused) -> None:
    with serving(global_onnx(work / "g.onnx", side=5), "global") as url:
        told = refused(*run_at(steps, url))
    assert "FP32 [-1, 1, 5, 5]" in told.message
    assert "[1, 4, 4, 1]" in told.message
    assert told.hint


def test_a_model_of_other_classes(steps: Steps, work: Path, refused: Refused) -> None:
    with serving(global_onnx(work / "g.onnx", classes=7), "global") as url:
        told = refused(*run_at(steps, url))
    assert f"FP32 [-1, 7], the board's model has {CLASSES} classes" in told.message


# --- a server that fails while the run goes on


class Flaky:
    """A model server that refuses some of its inferences for good."""

    def __init__(self, refuses: object) -> None:
        self.refuses, self.asked = refuses, 0

    def __call__(self, path: str) -> tuple[int, bytes]:
        if not path.endswith("/infer"):
            tensors = [
                {"name": name, "datatype": "FP32", "shape": shape}
                for name, shape in (("image", [-1, 1, 4, 4]), ("logits", [-1, CLASSES]))
            ]
            told = {"name": "global", "platform": "test", "versions": ["1"]}
            return 200, json.dumps(told | {"inputs": tensors[:1], "outputs": tensors[1:]}).encode()
        self.asked += 1
        if self.refuses(self.asked):  # type: ignore[operator]
            return 413, b'{"error": "too large today"}'
        logits = {"name": "logits", "datatype": "FP32", "shape": [1, CLASSES], "data": [0, 0, 1.0]}
        return 200, json.dumps({"model_name": "global", "outputs": [logits]}).encode()


def test_single_failures_fall_back_and_are_counted(steps: Steps, work: Path) -> None:
    with answering(Flaky(lambda asked: asked % 4 == 0)) as url, pytest.raises(SystemExit) as ended:
        main([*map(str, run_at(steps, url, "--json"))])
    assert not ended.value.code
    result = json.loads((work / "table" / "run.json").read_text())
    live, later = result["counters"]["fallbacks"], result["cloud_failed"]
    assert set(live) | set(later) == {"too_large"}
    queried = result["counters"]["queried"]
    assert queried + sum(live.values()) == result["counters"]["device_queried"] > 0
    assert sum(live.values()) + sum(later.values()) >= result["samples"] // 5
    assert result["exact"] is True


def test_a_server_that_goes_away_half_way(steps: Steps, work: Path) -> None:
    server = Flaky(lambda asked: asked > 2)
    with answering(server) as url, pytest.raises(SystemExit) as ended:
        main([*map(str, run_at(steps, url, "--json"))])
    assert not ended.value.code  # the board has answered everything
    result = json.loads((work / "table" / "run.json").read_text())
    assert result["cloud_missing"] == result["samples"] - 2
    assert server.asked < 40  # it does not ask for every one of them again


# --- serving


def test_serving_something_that_is_no_model(work: Path, steps: Steps, refused: Refused) -> None:
    (work / "text.onnx").write_text("no model")
    told = refused("serve", "--model", "text.onnx")
    assert "text.onnx: not a usable ONNX model" in told.message
    assert "gone.onnx: no such file" in refused("serve", "--model", "gone.onnx").message
    assert "holds no manifest.json" in refused("serve", "--model", work).message
    (steps.export / "global.onnx").write_text("altered")
    assert "global.onnx: was changed" in refused("serve", "--model", steps.export).message


def test_serving_an_export_without_a_global_model(
    steps: Steps, work: Path, refused: Refused
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["export", str(steps.root / "net.tflite"), "--out", "plain"])
    assert not ended.value.code
    told = refused("serve", "--model", "plain")
    assert "plain: was exported without a global model" in told.message
    assert "--global-onnx" in told.hint


def test_serving_on_a_port_in_use(steps: Steps, refused: Refused) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        told = refused("serve", "--model", steps.export, "--port", port)
    assert f"cannot listen on 127.0.0.1:{port}" in told.message
    assert "--port" in told.hint
