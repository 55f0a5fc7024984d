"""CloudClient: asks any Open Inference Protocol v2 server (ours, Triton, KServe, MLServer, ...).

Only what the protocol states is relied on. Binary tensors are tried first; a server that refuses
them gets JSON from then on. Whether to ask at all, and what to do without an answer, is session.py.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import quote

import httpx
import numpy as np

from mcu_hybrid import json_text
from mcu_hybrid.cloud.exchange import Exchange, Reply
from mcu_hybrid.cloud.oip import (
    DTYPES,
    HEADER_LENGTH,
    Message,
    ModelMetadata,
    OipError,
    decode_response,
    encode_request,
)
from mcu_hybrid.cloud.oip_tensors import datatype_of
from mcu_hybrid.errors import CloudError

# What servers answer when they do not know binary tensors: the body is not JSON to them.
NO_BINARY = frozenset({400, 415, 422, 500, 501})


@dataclass(frozen=True)
class CloudResult:
    """Outputs by name and what they cost; ``bytes_sent`` is the request's body, exactly."""

    outputs: dict[str, np.ndarray]
    elapsed_us: float
    bytes_sent: int
    bytes_received: int
    header_bytes_sent: int
    header_bytes_received: int
    attempts: int
    binary: bool

    def scores(self, output: str | None = None) -> np.ndarray:
        """The class scores: the named output, else the first float output (else the first)."""
        if output is not None:
            if output not in self.outputs:
                raise CloudError(
                    f"the server's answer has no output '{output}'",
                    f"it has: {', '.join(self.outputs)}",
                    reason="bad_answer",
                )
            return self.outputs[output]
        floats = [array for array in self.outputs.values() if array.dtype.kind == "f"]
        for array in [*floats, *self.outputs.values()]:
            return array
        raise CloudError(
            "the server's answer has no output", "see the server's log", reason="bad_answer"
        )


class CloudClient:
    """One model of one server. ``deadline_s`` is the total time of a call, retries included.

    Usable from several threads. ``transport`` takes httpx.MockTransport in tests.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        version: str = "",
        token: str | None = None,
        deadline_s: float = 2.0,
        retries: int = 2,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.model = model
        self._path = f"/v2/models/{quote(model, safe='')}"
        if version:
            self._path += f"/versions/{quote(version, safe='')}"
        self._http = Exchange(
            url, token=token, deadline_s=deadline_s, retries=retries, transport=transport
        )
        self._metadata: ModelMetadata | None = None
        self._binary: bool | None = None  # None: not known yet

    @property
    def url(self) -> str:
        """The server's base address."""
        return self._http.url

    @property
    def deadline_s(self) -> float:
        """The total time of a call."""
        return self._http.deadline_s

    def __enter__(self) -> CloudClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close connections; the client may be used again."""
        self._http.close()

    def is_live(self) -> bool:
        """True where the server runs; raises CloudError where nothing answers."""
        return self._http.call("GET", "/v2/health/live").status == 200

    def is_ready(self) -> bool:
        """True where the model can be asked; raises CloudError where nothing answers."""
        return self._http.call("GET", f"{self._path}/ready").status == 200

    def metadata(self, until: float | None = None) -> ModelMetadata:
        """The model's inputs and outputs, asked once; raises CloudError (unknown model, ...)."""
        if self._metadata is None:
            reply = self._http.call("GET", self._path, until=until)
            if reply.status != 200:
                raise self._refused(reply)
            try:
                self._metadata = ModelMetadata.parse(reply.body)
            except OipError as error:
                raise self._bad_answer(error.message) from error
        return self._metadata

    def models(self, until: float | None = None) -> tuple[str, ...]:
        """Names of the models that the server offers; empty where it has no such list."""
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

    def request_bytes(self, inputs: np.ndarray) -> int:
        """What a request for the model's only input weighs; raises CloudError as ``infer``."""
        tensors = self._fit(inputs, self.metadata())
        return len(encode_request(tensors, binary=self._binary is not False).body)

    def infer(self, inputs: np.ndarray | Mapping[str, np.ndarray]) -> CloudResult:
        """Run the model once; a single array goes to the model's only input.

        Raises CloudTimeout at the deadline, CloudError on refusal, with the expected shape where
        that is what is wrong.
        """
        until = time.monotonic() + self._http.deadline_s
        tensors = self._fit(inputs, self.metadata(until))
        binary = self._binary is not False
        reply = self._ask(tensors, binary, until)
        if binary and self._binary is None and reply.status in NO_BINARY:
            plain = self._ask(tensors, False, until)
            if plain.status == 200:
                binary, reply = False, plain
        if reply.status != 200:
            raise self._refused(reply)
        try:
            outputs = decode_response(reply.body, reply.headers.get(HEADER_LENGTH)).outputs
        except OipError as error:
            raise self._bad_answer(error.message) from error
        self._check_types(outputs)
        self._binary = binary
        return CloudResult(
            outputs,
            reply.elapsed_us,
            reply.bytes_sent,
            reply.bytes_received,
            reply.header_bytes_sent,
            reply.header_bytes_received,
            reply.attempts,
            binary,
        )

    def _ask(self, tensors: Mapping[str, np.ndarray], binary: bool, until: float) -> Reply:
        message = encode_request(tensors, binary=binary)
        return self._http.call("POST", f"{self._path}/infer", message, until)

    def _fit(
        self, inputs: np.ndarray | Mapping[str, np.ndarray], metadata: ModelMetadata
    ) -> dict[str, np.ndarray]:
        """Check names, dtypes and shapes here, so that a mistake costs no transfer."""
        specs = {spec.name: spec for spec in metadata.inputs}
        if isinstance(inputs, np.ndarray):
            if len(specs) != 1:
                raise self._wrong_input(f"the model has {len(specs)} inputs: name them")
            inputs = {next(iter(specs)): inputs}
        if specs and set(inputs) != set(specs):
            raise self._wrong_input(f"inputs given: {', '.join(inputs)}")
        tensors = {}
        for name, array in inputs.items():
            spec = specs.get(name)
            if spec is not None:
                if not spec.accepts(array.shape):
                    raise self._wrong_input(f"'{name}' has shape {list(array.shape)}")
                # float64 to FP32 and the like loses nothing that matters; int to float may be a
                # forgotten scaling, so that is refused.
                if array.dtype.kind == "f" and spec.datatype in ("FP16", "FP32", "FP64"):
                    array = array.astype(DTYPES[spec.datatype], copy=False)
                if datatype_of(array) != spec.datatype:
                    raise self._wrong_input(f"'{name}' is {datatype_of(array)}")
            tensors[name] = array
        return tensors

    def _check_types(self, outputs: Mapping[str, np.ndarray]) -> None:
        """Refuse an output of another kind of type than the metadata tells."""
        told = {spec.name: spec.datatype for spec in self.metadata().outputs}
        for name, array in outputs.items():
            has, wanted = datatype_of(array), told.get(name, "")
            if wanted and has.strip("0123456789") != wanted.strip("0123456789"):
                raise self._bad_answer(f"'{name}' is {has}, its metadata says {wanted}")

    def _refused(self, reply: Reply) -> CloudError:
        said = _error_text(reply)
        where = f"{self.url}, model '{self.model}': HTTP {reply.status}"
        fact = f"{where}: {said}" if said else where
        unknown = any(word in said.lower() for word in ("unknown model", "not found"))
        if reply.status == 404 or (reply.status == 400 and unknown):  # Triton says 400
            offered = self.models(time.monotonic() + 1.0)
            hint = f"it offers: {', '.join(offered)}" if offered else "look up the model's name"
            return CloudError(fact, hint, reason="unknown_model")
        if reply.status in (401, 403):
            return CloudError(fact, "give the server's token (--token)", reason="unauthorized")
        if reply.status == 413:
            hint = "send a smaller tensor, or raise the server's limit"
            return CloudError(fact, hint, reason="too_large")
        if reply.status in (400, 415, 422):
            return self._wrong_input(said or f"HTTP {reply.status}")
        if 300 <= reply.status < 400:
            hint = f"use the address it points to: {reply.headers.get('location', '?')}"
            return CloudError(fact, hint, reason="unreachable")
        return CloudError(fact, "see the server's log", reason="server_error")

    def _wrong_input(self, fact: str) -> CloudError:
        known = self._metadata.inputs if self._metadata else ()
        hint = f"the model takes {'; '.join(str(spec) for spec in known)}" if known else ""
        message = f"{self.url}, model '{self.model}': {fact}"
        return CloudError(message, hint or "see the model's documentation", reason="wrong_input")

    def _bad_answer(self, fact: str) -> CloudError:
        message = f"{self.url}, model '{self.model}': {fact}"
        hint = "is it an Open Inference Protocol v2 server?"
        return CloudError(message, hint, reason="bad_answer")


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
