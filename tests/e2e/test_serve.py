"""The real server over loopback: protocol by hand with plain HTTP, our client, limits, failures."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest

from mcu_hybrid.cloud.client import CloudClient
from mcu_hybrid.cloud.fronts import Listen, front
from mcu_hybrid.cloud.oip import HEADER_LENGTH, decode_response, encode_request
from mcu_hybrid.cloud.oip_tensors import DTYPES
from mcu_hybrid.cloud.service import open_service
from mcu_hybrid.errors import CloudError, CloudTimeout, ModelError

onnx = pytest.importorskip("onnx")
pytest.importorskip("fastapi")

from tests.support import serve_rig as server  # noqa: E402

WEIGHTS = np.arange(12, dtype="f4").reshape(4, 3)
X = np.array([[1, 2, 3, 4]], "f4")
LIMIT = 100_000
ONNX_TYPES = {
    "BOOL": onnx.TensorProto.BOOL,
    "UINT8": onnx.TensorProto.UINT8,
    "UINT16": onnx.TensorProto.UINT16,
    "UINT32": onnx.TensorProto.UINT32,
    "UINT64": onnx.TensorProto.UINT64,
    "INT8": onnx.TensorProto.INT8,
    "INT16": onnx.TensorProto.INT16,
    "INT32": onnx.TensorProto.INT32,
    "INT64": onnx.TensorProto.INT64,
    "FP16": onnx.TensorProto.FLOAT16,
    "FP32": onnx.TensorProto.FLOAT,
    "FP64": onnx.TensorProto.DOUBLE,
    "BYTES": onnx.TensorProto.STRING,
}


def save(path: Path, nodes: list, inputs: list, outputs: list, constants: list = ()) -> Path:
    graph = onnx.helper.make_graph(nodes, "g", inputs, outputs, list(constants))
    opset = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), str(path))
    return path


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """y = x W, any batch."""
    info = onnx.helper.make_tensor_value_info
    return save(
        tmp_path_factory.mktemp("onnx") / "dense.onnx",
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])],
        [info("x", ONNX_TYPES["FP32"], ["n", 4])],
        [info("y", ONNX_TYPES["FP32"], ["n", 3])],
        [onnx.numpy_helper.from_array(WEIGHTS, "w")],
    )


@pytest.fixture(scope="module")
def url(dense: Path) -> Iterator[str]:
    with server.serving(dense, "dense", max_body_bytes=LIMIT) as address:
        yield address


@pytest.fixture
def web(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, trust_env=False) as made:
        yield made


def test_health_and_metadata(web: httpx.Client) -> None:
    assert web.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/dense/ready"):
        assert web.get(path).status_code == 200
    expected = {
        "name": "dense",
        "versions": ["1"],
        "platform": "onnx_onnxv1",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 3]}],
        "parameters": {"max_batch_size": 64, "max_body_bytes": LIMIT},
    }
    assert web.get("/v2/models/dense").json() == expected
    assert web.get("/v2/models/dense/versions/1").json() == expected
    assert web.get("/v2/models/dense/versions/1/ready").status_code == 200


@pytest.mark.parametrize("version", ["", "/versions/1"])
def test_infer_with_plain_json(web: httpx.Client, version: str) -> None:
    entry = {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}
    answer = web.post(f"/v2/models/dense{version}/infer", json={"id": "a7", "inputs": [entry]})
    assert answer.status_code == 200 and HEADER_LENGTH not in answer.headers
    want = {"name": "y", "shape": [1, 3], "datatype": "FP32", "data": (X @ WEIGHTS)[0].tolist()}
    assert answer.json() == {
        "model_name": "dense",
        "model_version": "1",
        "id": "a7",
        "outputs": [want],
    }


def test_infer_with_binary_tensors(web: httpx.Client) -> None:
    entry = {"name": "x", "datatype": "FP32", "shape": [1, 4]}
    entry["parameters"] = {"binary_data_size": 16}
    wanted = [{"name": "y", "parameters": {"binary_data": True}}]
    head = json.dumps({"inputs": [entry], "outputs": wanted}).encode()
    answer = web.post(
        "/v2/models/dense/infer",
        content=head + X.tobytes(),
        headers={HEADER_LENGTH: str(len(head))},
    )
    length = int(answer.headers[HEADER_LENGTH])
    parameters = json.loads(answer.content[:length])["outputs"][0]["parameters"]
    assert parameters == {"binary_data_size": 12}
    np.testing.assert_array_equal(np.frombuffer(answer.content[length:], "<f4"), (X @ WEIGHTS)[0])


def test_infer_with_a_raw_body(web: httpx.Client) -> None:
    two = np.concatenate([X, X + 1])
    answer = web.post("/v2/models/dense/infer", content=two.tobytes(), headers={HEADER_LENGTH: "0"})
    got = np.frombuffer(answer.content[int(answer.headers[HEADER_LENGTH]) :], "<f4")
    np.testing.assert_array_equal(got, (two @ WEIGHTS).ravel())


def tensor(**changes: object) -> dict:
    entry = {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}
    return {"inputs": [entry | changes]}


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("/v2/models/other/infer", tensor(), 404, "this server has 'dense'"),
        ("/v2/models/dense/versions/2/infer", tensor(), 404, "no version '2'"),
        ("/v2/nothing", tensor(), 404, "Not Found"),
        ("/v2/health/live", tensor(), 405, "Method Not Allowed"),
        ("/v2/models/dense/infer", tensor(shape=[1, 3], data=[1, 2, 3]), 400, "x: FP32 [-1, 4]"),
        ("/v2/models/dense/infer", tensor(shape=[4]), 400, "x: FP32 [-1, 4]"),
        ("/v2/models/dense/infer", tensor(datatype="INT8"), 400, "input 'x' is INT8"),
        ("/v2/models/dense/infer", tensor(name="z"), 400, "inputs given: z"),
        ("/v2/models/dense/infer", tensor() | {"outputs": [{"name": "q"}]}, 400, "no output 'q'"),
        ("/v2/models/dense/infer", {"inputs": 3}, 400, "'inputs' is missing or not a list"),
    ],
)
def test_refusals_are_json_with_the_right_status(
    web: httpx.Client, path: str, body: dict, status: int, text: str
) -> None:
    answer = web.post(path, json=body)
    assert answer.status_code == status
    assert list(answer.json()) == ["error"] and text in answer.json()["error"]


def test_a_compressed_body_is_refused(web: httpx.Client) -> None:
    headers = {"Content-Encoding": "gzip"}
    answer = web.post("/v2/models/dense/infer", content=b"x", headers=headers)
    assert answer.status_code == 415


@pytest.mark.parametrize("size", [LIMIT + 1, 3 * LIMIT])
def test_a_large_body_is_refused(web: httpx.Client, size: int) -> None:
    answer = web.post("/v2/models/dense/infer", content=b" " * size)
    assert answer.status_code == 413 and str(LIMIT) in answer.json()["error"]


def test_a_large_chunked_body_without_a_length_is_refused(url: str) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(40):
            yield b" " * 10_000

    target = urlsplit(url)
    connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=10)
    connection.request("POST", "/v2/models/dense/infer", body=endless(), encode_chunked=True)
    answer = connection.getresponse()
    assert answer.status == 413
    connection.close()


def test_a_body_that_stops_half_way_does_not_stop_the_server(url: str, web: httpx.Client) -> None:
    target = urlsplit(url)
    with socket.create_connection((target.hostname, target.port), timeout=5) as peer:
        head = b"POST /v2/models/dense/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{"
        peer.sendall(head)
    assert web.post("/v2/models/dense/infer", json=tensor()).status_code == 200


def test_a_token_guards_all_but_health(dense: Path) -> None:
    with server.serving(dense, "m", token="s3cret") as url:
        assert httpx.get(f"{url}/v2/health/live", trust_env=False).status_code == 200
        for given in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "s3cret"}):
            answer = httpx.get(f"{url}/v2/models/m", headers=given, trust_env=False)
            assert answer.status_code == 401 and "token" in answer.json()["error"]
            assert answer.headers["www-authenticate"] == "Bearer"
        with CloudClient.open(url, "m", token="s3cret", deadline_s=10) as cloud:
            cloud.infer(X)


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "json"])
@pytest.mark.parametrize("datatype", sorted(ONNX_TYPES))
def test_every_datatype_passes_through(tmp_path: Path, datatype: str, binary: bool) -> None:
    info = onnx.helper.make_tensor_value_info
    proto = ONNX_TYPES[datatype]
    path = save(
        tmp_path / "same.onnx",
        [onnx.helper.make_node("Identity", ["x"], ["y"])],
        [info("x", proto, ["n", 2])],
        [info("y", proto, ["n", 2])],
    )
    array = np.array([[0, 1]]).astype(DTYPES[datatype])
    if datatype == "BYTES":
        array = np.array([[b"a", "ü".encode()]], object)
    message = encode_request({"x": array}, binary=binary)
    with server.serving(path, "same") as url:
        answer = httpx.post(
            f"{url}/v2/models/same/infer",
            content=message.body,
            headers=message.headers,
            trust_env=False,
        )
    assert answer.status_code == 200, answer.text
    got = decode_response(answer.content, answer.headers.get(HEADER_LENGTH)).outputs["y"]
    assert got.tolist() == array.tolist() and got.dtype == array.dtype
    assert (HEADER_LENGTH in answer.headers) is binary


def test_a_model_that_fails_answers_500_and_lives_on(tmp_path: Path) -> None:
    info = onnx.helper.make_tensor_value_info
    path = save(
        tmp_path / "reshape.onnx",
        [onnx.helper.make_node("Reshape", ["x", "shape"], ["y"])],
        [info("x", ONNX_TYPES["FP32"], ["n"])],
        [info("y", ONNX_TYPES["FP32"], ["a", "b"])],
        [onnx.numpy_helper.from_array(np.array([-1, 2], "i8"), "shape")],
    )
    with server.serving(path, "m") as url, CloudClient.open(url, "m", deadline_s=10) as cloud:
        with pytest.raises(CloudError, match="HTTP 500: the model failed") as caught:
            cloud.infer(np.zeros(3, "f4"))
        assert caught.value.reason == "server_error"
        assert cloud.infer(np.zeros(4, "f4")).scores().shape == (2, 2)


def test_nan_results_need_binary(tmp_path: Path) -> None:
    info = onnx.helper.make_tensor_value_info
    path = save(
        tmp_path / "log.onnx",
        [onnx.helper.make_node("Log", ["x"], ["y"])],
        [info("x", ONNX_TYPES["FP32"], [1])],
        [info("y", ONNX_TYPES["FP32"], [1])],
    )
    entry = {"name": "x", "datatype": "FP32", "shape": [1], "data": [-1]}
    with server.serving(path, "m") as url, CloudClient.open(url, "m", deadline_s=10) as cloud:
        answer = httpx.post(f"{url}/v2/models/m/infer", json={"inputs": [entry]}, trust_env=False)
        assert answer.status_code == 400 and "use binary" in answer.json()["error"]
        assert np.isnan(cloud.infer(np.array([-1], "f4")).scores()).all()


def test_our_client_with_many_threads(url: str) -> None:
    wrong: list[object] = []
    with CloudClient.open(url, "dense", deadline_s=30) as cloud:

        def work(n: int) -> None:
            for _ in range(5):
                if not np.array_equal(cloud.infer(X * n).scores(), X * n @ WEIGHTS):
                    wrong.append(n)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong
        assert cloud.is_live() and cloud.is_ready() and cloud.models() == ("dense",)


def test_our_client_names_model_and_limit(url: str) -> None:
    with (
        CloudClient.open(url, "nope", deadline_s=10) as cloud,
        pytest.raises(CloudError, match="it offers: dense"),
    ):
        cloud.infer(X)
    with (
        CloudClient.open(url, "dense", deadline_s=10) as cloud,
        pytest.raises(CloudError) as caught,
    ):
        cloud.infer(np.zeros((20_000, 4), "f4"))
    assert caught.value.reason == "too_large" and str(LIMIT) in caught.value.message


def test_a_server_that_went_away(dense: Path) -> None:
    with server.serving(dense, "m") as url:
        cloud = CloudClient.open(url, "m", deadline_s=5, retries=1)
        cloud.infer(X)
    with cloud, pytest.raises(CloudError) as caught:
        cloud.infer(X)
    assert caught.value.reason == "unreachable" and not isinstance(caught.value, CloudTimeout)


@pytest.mark.parametrize("content", [None, b"", b"not a model", b"\x08\x08"])
def test_a_file_that_is_no_model(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "m.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=r"m\.onnx") as caught:
        open_service(path, "m")
    assert caught.value.hint


def test_a_port_in_use_is_named(dense: Path, url: str) -> None:
    port = urlsplit(url).port
    with pytest.raises(CloudError, match=f"cannot listen on 127.0.0.1:{port}") as caught:
        front("http").serve(open_service(dense, "m"), Listen(port=port))
    assert "--port" in caught.value.hint


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_serve_runs_until_a_signal(dense: Path, sign: signal.Signals) -> None:
    code = (
        "import sys; from pathlib import Path; from mcu_hybrid.cloud.fronts import Listen, front\n"
        "from mcu_hybrid.cloud.service import open_service\n"
        "service = open_service(Path(sys.argv[1]), 'm')\n"
        "front('http').serve(service, Listen(), lambda url: print(url, flush=True))\n"
        "print('ended', flush=True)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(dense)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        with CloudClient.open(url, "m", deadline_s=20) as cloud:
            cloud.infer(X)
        process.send_signal(sign)
        rest, _ = process.communicate(timeout=15)
        assert rest.strip() == "ended" and process.returncode == 0
    finally:
        process.kill()
        process.wait()
