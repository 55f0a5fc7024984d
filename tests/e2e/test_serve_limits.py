"""The server under clients that send too much, too slowly, or nothing at all."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest

from mcu_hybrid.cloud.oip import HEADER_LENGTH, encode_request

onnx = pytest.importorskip("onnx")
pytest.importorskip("fastapi")

from mcu_hybrid.cloud.fronts import http_guard as guard  # noqa: E402
from tests.support import serve_rig as server  # noqa: E402

HEAD = b"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n"


@pytest.fixture(scope="module")
def doubling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """y = x + x, any batch of four."""
    info = onnx.helper.make_tensor_value_info
    float_ = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Add", ["x", "x"], ["y"])],
        "g",
        [info("x", float_, ["n", 4])],
        [info("y", float_, ["n", 4])],
    )
    path = tmp_path_factory.mktemp("onnx") / "double.onnx"
    opset = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), str(path))
    return path


@pytest.fixture
def url(doubling: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(guard, "PATIENCE_S", 0.2)
    monkeypatch.setattr(guard, "MAX_UNFINISHED_PER_CLIENT", 8)
    with server.serving(doubling, "m", max_batch=10) as address:
        yield address


def connected(url: str, sent: bytes, own_address: str = "127.0.0.1") -> socket.socket:
    target = urlsplit(url)
    assert target.hostname and target.port
    peer = socket.create_connection(
        (target.hostname, target.port), timeout=10, source_address=(own_address, 0)
    )
    peer.sendall(sent)
    return peer


def is_closed(peer: socket.socket, within_s: float) -> bool:
    peer.settimeout(within_s)
    try:
        return peer.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def infers(url: str, batch: int = 1, seconds: float = 10.0) -> httpx.Response:
    message = encode_request({"x": np.ones((batch, 4), "f4")})
    with httpx.Client(trust_env=False, timeout=seconds) as web:
        return web.post(f"{url}/v2/models/m/infer", content=message.body, headers=message.headers)


@pytest.mark.parametrize("sent", [b"", HEAD, HEAD + b"\r\n{"], ids=["nothing", "head", "body"])
def test_half_open_requests_shut_nobody_out(url: str, sent: bytes) -> None:
    with ExitStack() as stack:
        peers = [stack.enter_context(connected(url, sent)) for _ in range(6)]
        time.sleep(0.4)  # now they are late
        peers += [stack.enter_context(connected(url, sent)) for _ in range(150)]
        assert infers(url).status_code == 200
        time.sleep(0.4)
        late = stack.enter_context(connected(url, sent))
        assert infers(url).status_code == 200
        assert not is_closed(late, 0.05)  # the oldest goes, not who has just come
        assert is_closed(peers[0], 5.0)


def test_one_client_cannot_hold_all_places(url: str) -> None:
    with ExitStack() as stack:
        other = stack.enter_context(connected(url, HEAD, "127.0.0.2"))
        limit = guard.MAX_UNFINISHED_PER_CLIENT
        own = [stack.enter_context(connected(url, HEAD)) for _ in range(limit)]
        time.sleep(0.4)
        stack.enter_context(connected(url, HEAD))
        assert is_closed(own[0], 5.0) and not is_closed(own[1], 0.05)
        assert not is_closed(other, 0.2)


def test_a_head_has_a_deadline(doubling: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "HEAD_TIMEOUT_S", 0.5)
    with (
        server.serving(doubling, "m") as url,
        connected(url, HEAD) as slow,
        connected(url, b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n") as kept,
    ):
        assert is_closed(slow, 5.0)
        assert kept.recv(12) == b"HTTP/1.1 200"
        while b"true" not in kept.recv(4096):
            pass
        kept.sendall(b"GET /v2/heal")  # a second request on the same connection
        assert is_closed(kept, 5.0)


def test_a_batch_beyond_the_limit_is_told(url: str) -> None:
    web = httpx.get(f"{url}/v2/models/m", trust_env=False).json()
    assert web["parameters"]["max_batch_size"] == 10
    assert infers(url, 10).status_code == 200
    refused = infers(url, 11)
    assert refused.status_code == 400
    assert "batch of 11" in refused.json()["error"] and "at most 10" in refused.json()["error"]


@pytest.mark.parametrize("digits", [19, 5000])
def test_a_header_length_of_many_digits_is_a_400(url: str, digits: int) -> None:
    answer = httpx.post(
        f"{url}/v2/models/m/infer",
        content=b"{}",
        headers={HEADER_LENGTH: "9" * digits},
        trust_env=False,
    )
    assert answer.status_code == 400 and "digits" in answer.json()["error"]


@pytest.mark.parametrize("shape", ["[1e99]", f"[{'9' * 30}]", f"[{'9' * 5000}]", "[4294967296,4]"])
def test_shapes_beyond_all_sizes_are_a_400(url: str, shape: str) -> None:
    body = f'{{"inputs":[{{"name":"x","datatype":"FP32","shape":{shape},"data":[1]}}]}}'
    answer = httpx.post(f"{url}/v2/models/m/infer", content=body, trust_env=False)
    assert answer.status_code == 400 and answer.json()["error"]


def test_a_client_that_leaves_is_no_error_of_the_server(
    doubling: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with server.serving(doubling, "m") as url:
        connected(url, HEAD + b"\r\n{").close()
        assert infers(url).status_code == 200
    assert capsys.readouterr().err == ""
