"""Every transport to every front that speaks its scheme: the same answers and the same refusals.

A new transport or front is a file and its name; it is tested here without an edit.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import ClassVar

import numpy as np
import pytest

from mcu_hybrid.cloud import fronts, transports
from mcu_hybrid.cloud.client import CloudClient
from mcu_hybrid.cloud.fronts import Listen, front
from mcu_hybrid.cloud.oip import InferRequest, InferResponse, ModelMetadata
from mcu_hybrid.cloud.oip_tensors import OipError, TensorSpec
from mcu_hybrid.cloud.service import Offered, Service
from mcu_hybrid.cloud.transports import Reach, Transport, open_transport
from mcu_hybrid.cloud.transports.base import CloudResult, wrong_input
from mcu_hybrid.errors import CloudError, InputError

pytest.importorskip("fastapi")

X = np.array([[1, 2], [3, 4]], "f4")
SPECS = TensorSpec("x", "FP32", (-1, 2)), TensorSpec("y", "FP32", (-1, 2))


class Doubling:
    """y = 2 x, under the name "m"; 13 breaks the model."""

    def index(self) -> tuple[Offered, ...]:
        return (Offered("m", "3"),)

    def metadata(self, model: str, version: str = "") -> ModelMetadata:
        if (model, version or "3") != ("m", "3"):
            raise OipError(f"unknown model '{model}' in version '{version}'", 404)
        return ModelMetadata("m", "test", ("3",), SPECS[:1], SPECS[1:])

    def raw(self, body: bytes, model: str, version: str = "") -> InferRequest:
        self.metadata(model, version)
        inputs = {"x": np.frombuffer(body, "<f4").reshape(-1, 2)}
        return InferRequest(inputs, binary_default=True, model=model, version=version)

    def infer(self, request: InferRequest) -> InferResponse:
        self.metadata(request.model, request.version)
        array = request.inputs["x"]
        if len(array) > 4:
            raise OipError("more than 4 at once")
        if (array == 13).any():
            raise OipError("the model failed: 13", 500)
        return InferResponse({"y": array * 2}, "m", "3", request.id)


# --- a front and a transport of the test's own: no wire at all


class Here:
    """A front that offers its service to this process under an address."""

    offered: ClassVar[dict[str, tuple[Service, Listen]]] = {}

    def serve(
        self, service: Service, listen: Listen, on_ready: Callable[[str], None] | None = None
    ) -> None:
        raise NotImplementedError

    @contextmanager
    def serving(self, service: Service, listen: Listen) -> Iterator[str]:
        url = f"here://{len(self.offered) + 1}"
        self.offered[url] = (service, listen)
        yield url


class HereTransport:
    """Calls the service of such an address."""

    def __init__(self, reach: Reach) -> None:
        self.url, self.deadline_s = reach.url, reach.deadline_s
        self._token = reach.token
        self._service, self._listen = Here.offered[reach.url]

    def close(self) -> None:
        pass

    def is_live(self) -> bool:
        return True

    def is_ready(self, model: str, version: str) -> bool:
        return model in self.models()

    def models(self, until: float | None = None) -> tuple[str, ...]:
        return tuple(offered.name for offered in self._service.index())

    def metadata(self, model: str, version: str, until: float | None = None) -> ModelMetadata:
        return self._asked(model, lambda: self._service.metadata(model, version))

    def request_bytes(self, request: InferRequest) -> int:
        return sum(array.nbytes for array in request.inputs.values())

    def infer(self, request: InferRequest, until: float | None = None) -> CloudResult:
        response = self._asked(request.model, lambda: self._service.infer(request))
        return CloudResult(response.outputs, 1.0, self.request_bytes(request), 1, 0, 0, 1, True)

    def _asked(self, model: str, ask: Callable):  # type: ignore[no-untyped-def,type-arg]
        if self._listen.token not in (None, self._token):
            raise CloudError("a token is needed", "(--token)", reason="unauthorized")
        try:
            return ask()
        except OipError as error:
            if error.status == 404:
                raise CloudError(error.message, reason="unknown_model") from error
            if error.status == 400:
                raise wrong_input(self.url, model, error.message) from error
            raise CloudError(error.message, "see the log", reason="server_error") from error


def _module(package: ModuleType, name: str, **content: object) -> None:
    """A file of a package, as import finds it."""
    made = ModuleType(f"{package.__name__}.{name}")
    vars(made).update(content)
    sys.modules[made.__name__] = made


@pytest.fixture(scope="module", autouse=True)
def here() -> Iterator[None]:
    """Adding a front and a transport takes a file each, and its name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fronts, "FRONTS", (*fronts.FRONTS, "here"))
        patch.setitem(transports.TRANSPORTS, "here", "here")
        _module(fronts, "here", FRONT=Here())
        _module(transports, "here", OPEN=HereTransport)
        yield
        for package in (fronts, transports):
            del sys.modules[f"{package.__name__}.here"]


# --- the conformance tests


@pytest.fixture(scope="module", params=[*fronts.FRONTS, "here"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def url(name: str, here: None) -> Iterator[str]:
    with front(name).serving(Doubling(), Listen()) as address:
        yield address


@pytest.fixture
def transport(url: str) -> Iterator[Transport]:
    made = open_transport(Reach(url, deadline_s=20.0))
    yield made
    made.close()


def test_a_fronts_address_has_a_transport(url: str) -> None:
    assert url.partition("://")[0] in transports.TRANSPORTS


def test_every_transport_has_a_front() -> None:
    """Or nothing here tests it: a scheme without one is that of another's encryption."""
    with_front = {transports.TRANSPORTS[name] for name in (*fronts.FRONTS, "here")}
    assert with_front == set(transports.TRANSPORTS.values())


def test_what_a_server_tells(transport: Transport) -> None:
    assert transport.is_live()
    assert transport.models() == ("m",)
    assert transport.is_ready("m", "") and not transport.is_ready("other", "")
    for version in ("", "3"):
        told = transport.metadata("m", version)
        assert (told.name, told.platform, told.versions) == ("m", "test", ("3",))
        assert (told.inputs, told.outputs) == (SPECS[:1], SPECS[1:])


def test_an_inference_and_what_it_cost(transport: Transport) -> None:
    request = InferRequest({"x": X}, model="m", version="3", id="a7")
    weighs = transport.request_bytes(request)
    for _ in range(2):
        result = transport.infer(request)
        assert result.outputs["y"].tolist() == (X * 2).tolist()
        assert result.outputs["y"].dtype == X.dtype
        assert result.bytes_sent == weighs >= X.nbytes
        assert result.bytes_received > 0 and result.elapsed_us > 0 and result.attempts == 1


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (InferRequest({"x": X}, model="other"), "unknown_model"),
        (InferRequest({"x": X}, model="m", version="9"), "unknown_model"),
        (InferRequest({"x": np.zeros((5, 2), "f4")}, model="m"), "wrong_input"),
        (InferRequest({"x": X * 13}, model="m"), "server_error"),
    ],
    ids=["model", "version", "batch", "failure"],
)
def test_refusals_have_one_reason_on_each_wire(
    transport: Transport, request_: InferRequest, reason: str
) -> None:
    with pytest.raises(CloudError) as refused:
        transport.infer(request_)
    assert refused.value.reason == reason
    assert transport.infer(InferRequest({"x": X}, model="m")).outputs  # and the next one is served


def test_a_client_explains_what_its_transport_cannot(url: str) -> None:
    with CloudClient.open(url, "m", deadline_s=20.0) as cloud:
        with pytest.raises(CloudError, match="more than 4 at once") as refused:
            cloud.infer(np.zeros((5, 2), "f4"))
        assert refused.value.hint == "the model takes x: FP32 [-1, 2]"
    with CloudClient.open(url, "other", deadline_s=20.0) as cloud:
        with pytest.raises(CloudError) as refused:
            cloud.metadata()
        assert refused.value.hint == "it offers: m"


def test_a_token_is_asked_for(name: str) -> None:
    with front(name).serving(Doubling(), Listen(token="secret")) as url:
        with CloudClient.open(url, "m", token="secret", deadline_s=20.0) as cloud:
            assert cloud.infer(X).scores().shape == (2, 2)
        with CloudClient.open(url, "m", token="guess", deadline_s=20.0) as cloud:
            with pytest.raises(CloudError, match="token") as refused:
                cloud.infer(X)
            assert refused.value.reason == "unauthorized"


def test_many_threads_ask_at_once(transport: Transport) -> None:
    wrong: list[int] = []

    def work(n: int) -> None:
        for _ in range(3):
            result = transport.infer(InferRequest({"x": X * n}, model="m"))
            if not np.array_equal(result.outputs["y"], X * n * 2):
                wrong.append(n)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(14, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_transport_is_used_again_after_close(transport: Transport) -> None:
    for _ in range(2):
        assert transport.infer(InferRequest({"x": X}, model="m")).outputs
        transport.close()


# --- the registries


@pytest.mark.parametrize("url", ["grpc://cloud:8001", "ftp://x"])
def test_a_scheme_without_a_transport_is_told_which_there_are(url: str) -> None:
    with pytest.raises(CloudError, match="not a server's address: there is no transport") as told:
        CloudClient.open(url, "m")
    assert "http://, https://" in told.value.message and told.value.hint


def test_a_front_that_there_is_not() -> None:
    with pytest.raises(InputError, match="no front 'pigeon'") as told:
        front("pigeon")
    assert "http" in told.value.hint


def test_a_service_takes_no_web_framework() -> None:
    """Nor does a client, before its transport is chosen."""
    code = (
        "import sys, mcu_hybrid.cloud.service, mcu_hybrid.cloud.client, mcu_hybrid.cloud.fronts\n"
        "print(sorted({'fastapi', 'uvicorn', 'httpx', 'onnxruntime'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
