"""Open Inference Protocol v2: requests and responses as bytes, for client and server.

No I/O and no HTTP library here: functions turn arrays into (headers, body) and back, in JSON or
with the binary tensor extension. Reference: the KServe "Open Inference Protocol" REST specification
and its "binary tensor data" extension. Anything malformed raises OipError with an HTTP status.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from mcu_hybrid import json_text
from mcu_hybrid.cloud.oip_tensors import (
    DTYPES,
    MAX_DIMS,
    OipError,
    TensorSpec,
    datatype_of,
    from_binary,
    from_json_data,
    to_binary,
    to_json_data,
)

MAX_DEPTH = json_text.MAX_DEPTH  # a tensor needs two levels more than it has dimensions
HEADER_LENGTH = "Inference-Header-Content-Length"


@dataclass(frozen=True)
class ModelMetadata:
    """What a server tells of a model; ``inputs`` may be empty where a server does not say.

    ``limits`` are what it takes at most, by its own names for them.
    """

    name: str
    platform: str
    versions: tuple[str, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    limits: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """The answer to a request for it."""
        return {
            "name": self.name,
            "versions": list(self.versions),
            "platform": self.platform,
            "inputs": [spec.to_json() for spec in self.inputs],
            "outputs": [spec.to_json() for spec in self.outputs],
            "parameters": dict(self.limits),
        }

    @classmethod
    def parse(cls, body: bytes) -> ModelMetadata:
        """Read such an answer, of any server; raises OipError where it is none."""
        try:
            data = json_text.loads(body)
            inputs, outputs = (
                tuple(TensorSpec.parse(entry) for entry in data.get(side) or [])
                for side in ("inputs", "outputs")
            )
            versions = tuple(str(version) for version in data.get("versions") or [])
            return cls(str(data["name"]), str(data.get("platform", "")), versions, inputs, outputs)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise OipError(f"metadata cannot be read: {error!r}") from error


@dataclass(frozen=True)
class InferRequest:
    """A request; ``outputs`` maps each wanted output to "as binary", None wants all.

    ``model`` and ``version`` ("" = any) are not part of an HTTP body: its path has them.
    """

    inputs: dict[str, np.ndarray]
    outputs: dict[str, bool] | None = None
    binary_default: bool = False
    id: str = ""
    model: str = ""
    version: str = ""

    def binary(self, outputs: Iterable[str]) -> dict[str, bool]:
        """How each output of the answer is to be sent, where the wire has a choice."""
        return self.outputs or dict.fromkeys(outputs, self.binary_default)


@dataclass(frozen=True)
class InferResponse:
    """A response."""

    outputs: dict[str, np.ndarray]
    model_name: str = ""
    model_version: str = ""
    id: str = ""


@dataclass(frozen=True)
class Message:
    """An HTTP message: the headers that the protocol needs, and the body."""

    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def encode_request(
    inputs: Mapping[str, np.ndarray], *, binary: bool = True, id: str = ""
) -> Message:
    """A request for all outputs, as binary tensors or as plain JSON."""
    entries, blobs = _encode_tensors(inputs, dict.fromkeys(inputs, binary))
    head: dict[str, object] = {"id": id} if id else {}
    head["inputs"] = entries
    if binary:
        head["parameters"] = {"binary_data_output": True}
    return _message(head, blobs if binary else None)


def encode_response(
    outputs: Mapping[str, np.ndarray],
    binary: Mapping[str, bool],
    *,
    model_name: str,
    model_version: str = "1",
    id: str = "",
) -> Message:
    """A response; ``binary`` says for each output how it is sent."""
    entries, blobs = _encode_tensors(outputs, binary)
    head: dict[str, object] = {"model_name": model_name, "model_version": model_version}
    if id:
        head["id"] = id
    head["outputs"] = entries
    return _message(head, blobs if any(binary[name] for name in outputs) else None)


def _encode_tensors(
    tensors: Mapping[str, np.ndarray], binary: Mapping[str, bool]
) -> tuple[list[dict[str, object]], list[bytes]]:
    entries, blobs = [], []
    for name, array in tensors.items():
        entry: dict[str, object] = {
            "name": name,
            "shape": list(array.shape),
            "datatype": datatype_of(array),
        }
        if binary[name]:
            blobs.append(to_binary(array))
            entry["parameters"] = {"binary_data_size": len(blobs[-1])}
        else:
            entry["data"] = to_json_data(array, name)
        entries.append(entry)
    return entries, blobs


def _message(head: dict[str, object], blobs: list[bytes] | None) -> Message:
    text = json.dumps(head, separators=(",", ":"), allow_nan=False).encode()
    if blobs is None:
        return Message(text, {"Content-Type": "application/json"})
    headers = {"Content-Type": "application/octet-stream", HEADER_LENGTH: str(len(text))}
    return Message(b"".join([text, *blobs]), headers)


def decode_request(body: bytes, header_length: str | None) -> InferRequest:
    """Decode an infer request; ``header_length`` is the extension's header, None for plain JSON."""
    head, rest = _split(body, header_length)
    parameters = _object(head.get("parameters", {}), "parameters")
    default = parameters.get("binary_data_output", False) is True
    inputs = _decode_tensors(head.get("inputs"), rest, "inputs")
    if not inputs:
        raise OipError("the request has no 'inputs'")
    request_id = head.get("id", "")
    if not isinstance(request_id, str):
        raise OipError("'id' must be a string")
    if head.get("outputs") is None:
        return InferRequest(inputs, None, default, request_id)
    outputs: dict[str, bool] = {}
    for entry in _list(head["outputs"], "outputs"):
        wanted = _object(entry, "outputs")
        own = _object(wanted.get("parameters", {}), "parameters").get("binary_data", default)
        outputs[_name(wanted, "outputs")] = own is True
    return InferRequest(inputs, outputs or None, default, request_id)


def decode_response(body: bytes, header_length: str | None) -> InferResponse:
    """Decode an infer response, JSON or binary, whatever the server chose."""
    head, rest = _split(body, header_length)
    outputs = _decode_tensors(head.get("outputs"), rest, "outputs")
    texts = (str(head.get(key) or "") for key in ("model_name", "model_version", "id"))
    return InferResponse(outputs, *texts)


def _split(body: bytes, header_length: str | None) -> tuple[dict[str, object], bytes]:
    length = len(body)
    if header_length is not None:
        if not (header_length.isascii() and header_length.isdigit()):
            raise OipError(f"{HEADER_LENGTH} is not a number: {header_length[:40]!r}")
        if len(header_length) > 18:  # int() refuses thousands of digits in its own way
            raise OipError(f"{HEADER_LENGTH} has {len(header_length)} digits")
        length = int(header_length)
        if length > len(body):
            raise OipError(f"{HEADER_LENGTH} is {length}, but the body has {len(body)} bytes")
    if json_text.depth(body[:length]) > MAX_DEPTH:
        raise OipError(f"the JSON part cannot be read: nested deeper than {MAX_DEPTH} levels")
    try:
        head = json.loads(body[:length])
    except (ValueError, RecursionError) as error:
        raise OipError(f"the JSON part cannot be read: {error}") from error
    return _object(head, "the JSON part"), body[length:]


def _decode_tensors(entries: object, rest: bytes, key: str) -> dict[str, np.ndarray]:
    tensors: dict[str, np.ndarray] = {}
    at = 0
    for item in _list(entries, key):
        entry = _object(item, key)
        name = _name(entry, key)
        if name in tensors:
            raise OipError(f"tensor '{name}' is given twice")
        datatype = entry.get("datatype")
        if not isinstance(datatype, str) or datatype not in DTYPES:
            known = ", ".join(DTYPES)
            raise OipError(f"tensor '{name}': datatype {datatype!r} is not one of {known}")
        shape = _shape(entry.get("shape"), name)
        size = _object(entry.get("parameters", {}), "parameters").get("binary_data_size")
        if size is None:
            tensors[name] = from_json_data(entry.get("data"), datatype, shape, name)
            continue
        if type(size) is not int or size < 0 or at + size > len(rest):
            raise OipError(f"tensor '{name}': binary_data_size {size!r} is more than was sent")
        tensors[name] = from_binary(rest[at : at + size], datatype, shape, name)
        at += size
    if at != len(rest):
        raise OipError(f"{len(rest) - at} bytes of binary data belong to no tensor")
    return tensors


def _shape(shape: object, name: str) -> tuple[int, ...]:
    given = _list(shape, f"shape of '{name}'")
    sizes = tuple(n for n in given if type(n) is int and n >= 0)
    if len(given) > MAX_DIMS or len(sizes) != len(given):
        raise OipError(f"tensor '{name}': shape {shape!r} is not a list of sizes")
    return sizes


def _name(entry: dict[str, object], key: str) -> str:
    name = entry.get("name")
    if not isinstance(name, str) or not name:
        raise OipError(f"an entry of '{key}' has no name")
    return name


def _object(value: object, key: str) -> dict[str, object]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise OipError(f"{key} must be a JSON object")
    return value


def _list(value: object, key: str) -> list[object]:
    if not isinstance(value, list):
        raise OipError(f"'{key}' is missing or not a list")
    return value
