"""The HTTP transport: the Open Inference Protocol v2 as Triton, KServe, MLServer and we speak it.

Binary tensors are tried first; a server that refuses them gets JSON from then on. The exchange
itself (deadline, retries, bytes) is http_exchange.py's.
"""

from __future__ import annotations

import json
import time
from urllib.parse import quote

import httpx

from mcu_hybrid import json_text
from mcu_hybrid.cloud.oip import (
    HEADER_LENGTH,
    InferRequest,
    InferResponse,
    Message,
    ModelMetadata,
    OipError,
    decode_response,
    encode_request,
)
from mcu_hybrid.cloud.transports.base import CloudResult, Open, Reach, bad_answer, wrong_input
from mcu_hybrid.cloud.transports.http_exchange import Exchange, Reply
from mcu_hybrid.errors import CloudError

# What servers answer when they do not know binary tensors: the body is not JSON to them.
NO_BINARY = frozenset({400, 415, 422, 500, 501})


class HttpTransport:
    """HTTP/1.1 to one base URL."""

    def __init__(self, reach: Reach, wire: httpx.AsyncBaseTransport | None = None) -> None:
        """``wire`` takes httpx.MockTransport in tests."""
        self._http = Exchange(reach, wire)
        self._binary: bool | None = None  # None: not known yet

    @property
    def url(self) -> str:
        """The server's base address."""
        return self._http.url

    @property
    def deadline_s(self) -> float:
        """The total time of a call."""
        return self._http.deadline_s

    def close(self) -> None:
        """Close connections; the transport may be used again."""
        self._http.close()

    def is_live(self) -> bool:
        """True where the server runs."""
        return self._http.call("GET", "/v2/health/live").status == 200

    def is_ready(self, model: str, version: str) -> bool:
        """True where the model can be asked."""
        return self._http.call("GET", f"{_path(model, version)}/ready").status == 200

    def models(self, until: float | None = None) -> tuple[str, ...]:
        """Names of the models, by Triton's list or by ours; empty where there is neither."""
        nothing = Message(b"{}", {"Content-Type": "application/json"})  # MLServer wants a body
        index = (("POST", "/v2/repository/index", nothing), ("GET", "/v2/models", None))
        for method, path, message in index:
            try:
                reply = self._http.call(method, path, message, until)
                listed = json_text.loads(reply.body) if reply.status == 200 else []
            except (CloudError, ValueError):
                continue
            entries = listed.get("models", []) if isinstance(listed, dict) else listed
            if isinstance(entries, list) and entries:
                names = (e.get("name", "") if isinstance(e, dict) else e for e in entries)
                return tuple(str(name) for name in names if name)
        return ()

    def metadata(self, model: str, version: str, until: float | None = None) -> ModelMetadata:
        """What the model takes and gives."""
        reply = self._http.call("GET", _path(model, version), until=until)
        if reply.status != 200:
            raise self._refused(reply, model)
        try:
            return ModelMetadata.parse(reply.body)
        except OipError as error:
            raise bad_answer(self.url, model, error.message) from error

    def request_bytes(self, request: InferRequest) -> int:
        """The body's bytes."""
        binary = self._binary is not False
        return len(encode_request(request.inputs, binary=binary, id=request.id).body)

    def infer(self, request: InferRequest, until: float | None = None) -> CloudResult:
        """Run the model; in binary as long as the server may know it."""
        until = time.monotonic() + self.deadline_s if until is None else until
        binary = self._binary is not False
        reply = self._ask(request, binary, until)
        if binary and self._binary is None and reply.status in NO_BINARY:
            plain = self._ask(request, False, until)
            if plain.status == 200:
                binary, reply = False, plain
        if reply.status != 200:
            raise self._refused(reply, request.model)
        response = self._response(reply, request.model)
        self._binary = binary
        return CloudResult(
            response.outputs,
            reply.elapsed_us,
            reply.bytes_sent,
            reply.bytes_received,
            reply.header_bytes_sent,
            reply.header_bytes_received,
            reply.attempts,
            binary,
        )

    def _ask(self, request: InferRequest, binary: bool, until: float) -> Reply:
        message = encode_request(request.inputs, binary=binary, id=request.id)
        path = f"{_path(request.model, request.version)}/infer"
        return self._http.call("POST", path, message, until)

    def _response(self, reply: Reply, model: str) -> InferResponse:
        try:
            return decode_response(reply.body, reply.headers.get(HEADER_LENGTH))
        except OipError as error:
            raise bad_answer(self.url, model, error.message) from error

    def _refused(self, reply: Reply, model: str) -> CloudError:
        said = _error_text(reply)
        where = f"{self.url}, model '{model}': HTTP {reply.status}"
        fact = f"{where}: {said}" if said else where
        unknown = any(word in said.lower() for word in ("unknown model", "not found"))
        if reply.status == 404 or (reply.status == 400 and unknown):  # Triton says 400
            return CloudError(fact, reason="unknown_model")
        if reply.status in (401, 403):
            return CloudError(fact, "give the server's token (--token)", reason="unauthorized")
        if reply.status == 413:
            hint = "send a smaller tensor, or raise the server's limit"
            return CloudError(fact, hint, reason="too_large")
        if reply.status in (400, 415, 422):
            return wrong_input(self.url, model, said or f"HTTP {reply.status}")
        if 300 <= reply.status < 400:
            hint = f"use the address it points to: {reply.headers.get('location', '?')}"
            return CloudError(fact, hint, reason="unreachable")
        return CloudError(fact, "see the server's log", reason="server_error")


def _path(model: str, version: str) -> str:
    path = f"/v2/models/{quote(model, safe='')}"
    return f"{path}/versions/{quote(version, safe='')}" if version else path


def _error_text(reply: Reply) -> str:
    """The server's own words: {"error": ...}, FastAPI's {"detail": ...}, or the start of a text."""
    try:
        data = json_text.loads(reply.body)
    except ValueError:
        data = None
    if isinstance(data, dict):
        said = data.get("error", data.get("detail", ""))
        return (said if isinstance(said, str) else json.dumps(said))[:500]
    return reply.body[:200].decode("utf-8", "replace").strip()


OPEN: Open = HttpTransport
