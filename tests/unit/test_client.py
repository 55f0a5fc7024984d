"""CloudClient against scripted servers: interop quirks, retries, deadlines, and its error texts."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import httpx
import numpy as np
import pytest

from mcu_hybrid.cloud.client import CloudClient
from mcu_hybrid.cloud.oip import HEADER_LENGTH, decode_request, encode_response
from mcu_hybrid.cloud.transports.base import Reach, Retries
from mcu_hybrid.cloud.transports.http import HttpTransport
from mcu_hybrid.errors import CloudError, CloudTimeout

META = {
    "name": "m",
    "platform": "test",
    "versions": ["3"],
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 2]}],
}
X = np.array([[1, 2]], "f4")
Handler = Callable[[httpx.Request], httpx.Response | Awaitable[httpx.Response]]


def doubling(request: httpx.Request) -> httpx.Response:
    """A server as the specification has it: y = 2 x, binary if asked for."""
    if request.url.path == "/v2/models/m":
        return httpx.Response(200, json=META)
    asked = decode_request(request.content, request.headers.get(HEADER_LENGTH))
    outputs = {"y": asked.inputs["x"] * 2}
    message = encode_response(outputs, {"y": asked.binary_default}, model_name="m")
    return httpx.Response(200, content=message.body, headers=message.headers)


def mocked(
    url: str, handler: Handler, token: str | None = None, retries: int = 2, deadline_s: float = 2.0
) -> HttpTransport:
    """The HTTP transport to a server that is a function."""
    reach = Reach(url, token, deadline_s, Retries(retries))
    return HttpTransport(reach, httpx.MockTransport(handler))  # type: ignore[arg-type]


@contextmanager
def client(handler: Handler, **options: float) -> Iterator[CloudClient]:
    with CloudClient(mocked("http://cloud.test", handler, **options), "m") as made:
        yield made


def failing(status: int, text: str, times: int = 99) -> tuple[Handler, list[str]]:
    """A server that refuses infer this often, and the list of bodies' types that it saw."""
    seen: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/infer"):
            return doubling(request)
        seen.append(request.headers["content-type"])
        if len(seen) <= times:
            return httpx.Response(status, json={"error": text})
        return doubling(request)

    return handle, seen


def test_binary_tensors_and_exact_byte_counts() -> None:
    sent: list[httpx.Request] = []

    def record(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return doubling(request)

    with client(record) as cloud:
        result = cloud.infer(X)
        cloud.infer(X)
    np.testing.assert_array_equal(result.outputs["y"], X * 2)
    assert [r.url.path for r in sent] == ["/v2/models/m", *["/v2/models/m/infer"] * 2]
    assert result.bytes_sent == len(sent[1].content)
    assert result.binary and result.attempts == 1
    assert sent[1].content.endswith(X.tobytes())
    raw = sum(len(k) + len(v) + 4 for k, v in sent[1].headers.raw)
    assert result.header_bytes_sent == raw + len("POST /v2/models/m/infer HTTP/1.1\r\n\r\n")


@pytest.mark.parametrize("status", [400, 415, 422, 500])  # MLServer answers 500
def test_a_server_without_binary_tensors_gets_json_from_then_on(status: int) -> None:
    seen: list[bool] = []

    def json_only(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/infer"):
            binary = HEADER_LENGTH in request.headers
            seen.append(binary)
            if binary:
                return httpx.Response(status, json={"detail": [{"msg": "not JSON"}]})
            head = json.loads(request.content)
            head["outputs"] = [dict(head["inputs"][0], name="y")]
            return httpx.Response(200, json=head)
        return doubling(request)

    with client(json_only) as cloud:
        for _ in range(3):
            result = cloud.infer(X)
            assert result.outputs["y"].tolist() == [[1, 2]] and not result.binary
    assert seen == [True, False, False, False]


def test_a_refused_request_after_binary_worked_is_not_repeated_as_json() -> None:
    answers = iter([200, 500])

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/infer") and next(answers) == 500:
            return httpx.Response(500, json={"error": "out of memory"})
        return doubling(request)

    with client(handle) as cloud:
        cloud.infer(X)
        with pytest.raises(CloudError, match="HTTP 500: out of memory") as caught:
            cloud.infer(X)
    assert caught.value.reason == "server_error"


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_busy_server_is_asked_again(status: int) -> None:
    handler, seen = failing(status, "busy", times=2)
    with client(handler, retries=2, deadline_s=5.0) as cloud:
        assert cloud.infer(X).attempts == 3
    assert len(seen) == 3


def test_retries_are_bounded() -> None:
    handler, seen = failing(503, "busy")
    with (
        client(handler, retries=1, deadline_s=5.0) as cloud,
        pytest.raises(CloudError, match="busy"),
    ):
        cloud.infer(X)
    assert len(seen) == 2


@pytest.mark.parametrize("status", [400, 401, 404, 413, 500])
def test_other_failures_are_not_retried(status: int) -> None:
    handler, seen = failing(status, "no")
    with client(handler, retries=5) as cloud, pytest.raises(CloudError):
        cloud.infer(X)
    assert seen.count("application/octet-stream") == 1


def test_connect_errors_are_retried_then_named() -> None:
    tries: list[int] = []

    def down(request: httpx.Request) -> httpx.Response:
        tries.append(1)
        raise httpx.ConnectError("Connection refused", request=request)

    with client(down, retries=2, deadline_s=5.0) as cloud, pytest.raises(CloudError) as caught:
        cloud.infer(X)
    assert len(tries) == 3
    assert caught.value.reason == "unreachable"
    assert "no answer from http://cloud.test (3 attempts): Connection refused" in str(caught.value)
    assert "mcu-hybrid serve" in caught.value.hint


def test_backoff_stops_at_the_deadline() -> None:
    handler, _ = failing(503, "busy")
    started = time.monotonic()
    with client(handler, retries=1000, deadline_s=0.5) as cloud, pytest.raises(CloudTimeout) as e:
        cloud.infer(X)
    assert time.monotonic() - started < 2.0
    assert "within 0.5 s" in e.value.message and "HTTP 503" in e.value.message


@contextmanager
def dripping_server(first: bytes) -> Iterator[str]:
    """Takes connections, sends ``first`` and then a space every 50 ms, for ever."""
    listener = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def serve() -> None:
        listener.settimeout(5)
        try:
            peer, _ = listener.accept()
        except OSError:
            return
        with peer:
            try:
                peer.sendall(first)
                while not done.wait(0.05):
                    peer.sendall(b" ")
            except OSError:
                pass

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        done.set()
        thread.join()
        listener.close()


@pytest.mark.parametrize(
    "first",
    [b"", b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n{"],
    ids=["silent", "drips headers", "drips the body"],
)
def test_the_deadline_is_a_total_also_for_a_server_that_drips(first: bytes) -> None:
    with dripping_server(first) as url, CloudClient.open(url, "m", deadline_s=0.4) as cloud:
        started = time.monotonic()
        with pytest.raises(CloudTimeout) as caught:
            cloud.infer(X)
        assert 0.3 < time.monotonic() - started < 1.5
    assert caught.value.reason == "timeout" and url in caught.value.message


def test_metadata_and_inference_share_one_deadline() -> None:
    async def slow(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.3)
        return doubling(request)

    with client(slow, deadline_s=0.45) as cloud, pytest.raises(CloudTimeout):
        cloud.infer(X)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (np.zeros((1, 3), "f4"), "'x' has shape [1, 3]"),
        (np.zeros(2, "f4"), "'x' has shape [2]"),
        (np.zeros((1, 2), "i1"), "'x' is INT8"),
        ({"z": X}, "inputs given: z"),
    ],
)
def test_a_misfit_names_what_the_model_takes_and_sends_nothing(given: object, text: str) -> None:
    handler, seen = failing(200, "")
    with client(handler) as cloud, pytest.raises(CloudError) as caught:
        cloud.infer(given)  # type: ignore[arg-type]
    assert text in caught.value.message
    assert caught.value.hint == "the model takes x: FP32 [-1, 2]"
    assert caught.value.reason == "wrong_input" and not seen


def test_float64_goes_as_fp32() -> None:
    with client(doubling) as cloud:
        assert cloud.infer(np.array([[0.5, 4.0]])).outputs["y"].dtype == np.dtype("f4")


@pytest.mark.parametrize(
    ("status", "text"),
    [(404, "Model m not found"), (400, "Request for unknown model: 'm' is not found")],
    ids=["KServe", "Triton"],
)
@pytest.mark.parametrize("index", ["repository", "models", "none"])
def test_an_unknown_model_lists_what_is_offered(status: int, text: str, index: str) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v2/repository/index" and index == "repository":
            assert json.loads(request.content) == {}  # MLServer refuses an empty body
            return httpx.Response(200, json=[{"name": "resnet"}, {"name": "other"}])
        if request.url.path == "/v2/models" and index == "models":
            return httpx.Response(200, json={"models": ["resnet", "other"]})
        return httpx.Response(status, json={"error": text})

    with client(handle) as cloud, pytest.raises(CloudError) as caught:
        cloud.infer(X)
    assert caught.value.reason == "unknown_model" and text in caught.value.message
    expected = "look up the model's name" if index == "none" else "it offers: resnet, other"
    assert caught.value.hint == expected


def test_a_token_is_sent_and_a_refusal_says_so() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        if request.headers.get("authorization") != "Bearer secret":
            return httpx.Response(401, json={"error": "no"})
        return doubling(request)

    with CloudClient(mocked("http://c", handle, "secret"), "m") as cloud:
        cloud.infer(X)
    with CloudClient(mocked("http://c", handle), "m") as cloud:
        with pytest.raises(CloudError, match="token") as caught:
            cloud.infer(X)
        assert caught.value.reason == "unauthorized"


@pytest.mark.parametrize(
    "reply",
    [
        httpx.Response(200, text="<html>welcome</html>"),
        httpx.Response(200, json={"name": "m", "inputs": [{"name": "x"}]}),
        httpx.Response(200, json=[1]),
    ],
)
def test_a_server_of_another_kind(reply: httpx.Response) -> None:
    with client(lambda _: reply) as cloud, pytest.raises(CloudError) as caught:
        cloud.infer(X)
    assert caught.value.reason == "bad_answer" and "Inference Protocol" in caught.value.hint


def test_a_broken_answer_is_not_taken() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/infer"):
            entry = {"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [1.0]}
            return httpx.Response(200, json={"outputs": [entry]})
        return doubling(request)

    with client(handle) as cloud, pytest.raises(CloudError, match="needs 2") as caught:
        cloud.infer(X)
    assert caught.value.reason == "bad_answer"


def test_a_redirect_is_named_not_followed() -> None:
    moved = httpx.Response(308, headers={"location": "https://cloud.test/v2"})
    with (
        client(lambda _: moved) as cloud,
        pytest.raises(CloudError, match=r"points to: https://cloud\.test/v2"),
    ):
        cloud.infer(X)


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x", "http://", "", "http://[::1"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(CloudError, match="not a server's address"):
        CloudClient.open(url, "m")


@pytest.mark.parametrize("tail", ["", "/", "/v2", "/v2/"])
def test_address_forms_and_names_are_normalised(tail: str) -> None:
    seen: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.raw_path.decode())
        return httpx.Response(200, json=META)

    with CloudClient(mocked(f"http://c/pre{tail}", handle), "a b/c", version="2") as cloud:
        assert cloud.metadata().versions == ("3",)
    assert seen == ["/pre/v2/models/a%20b%2Fc/versions/2"]


def test_scores_are_the_named_or_the_first_float_output() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/infer"):
            return doubling(request)
        outputs = {"label": np.array([1]), "p": np.array([[0.2, 0.8]], "f4")}
        message = encode_response(outputs, dict.fromkeys(outputs, True), model_name="m")
        return httpx.Response(200, content=message.body, headers=message.headers)

    with client(handle) as cloud:
        result = cloud.infer(X)
    assert result.scores().shape == (1, 2)
    assert result.scores("label").tolist() == [1]
    with pytest.raises(CloudError, match="no output 'q'"):
        result.scores("q")


def test_many_threads_use_one_client() -> None:
    wrong: list[int] = []
    with client(doubling, deadline_s=20.0) as cloud:

        def work(n: int) -> None:
            for _ in range(5):
                if cloud.infer(X * n).outputs["y"].tolist() != (X * n * 2).tolist():
                    wrong.append(n)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong
