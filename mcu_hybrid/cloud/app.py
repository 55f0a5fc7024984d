"""The FastAPI application: Open Inference Protocol v2 over HTTP for one ONNX model.

Routes, limits and error replies. Tensors and messages are oip.py's, inference is model.py's,
running it on a port is server.py's.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from mcu_hybrid import __version__
from mcu_hybrid.cloud.model import MAX_BATCH, OnnxModel
from mcu_hybrid.cloud.oip import (
    HEADER_LENGTH,
    InferRequest,
    Message,
    decode_request,
    encode_response,
)
from mcu_hybrid.cloud.oip_tensors import OipError

MAX_BODY_BYTES = 16 << 20
BODY_TIMEOUT_S = 30.0
OPEN_PATHS = ("/v2/health/live", "/v2/health/ready")  # probes of a supervisor carry no token


def create_app(
    model_path: Path,
    name: str,
    max_body_bytes: int = MAX_BODY_BYTES,
    token: str | None = None,
    threads: int = 0,
    max_batch: int = MAX_BATCH,
) -> FastAPI:
    """The application; raises ModelError where the model cannot be opened.

    Args:
        max_body_bytes: larger requests are answered 413, whatever their Content-Length says.
        token: a bearer token that every request but health must carry.
        threads: threads per inference, 0 leaves it to onnxruntime.
        max_batch: inputs of one request, where the model takes any number; more are a 400.
    """
    model = OnnxModel(model_path, threads=threads, max_batch=max_batch)
    app = FastAPI(
        dependencies=[Depends(_token_check(token))],
        docs_url=None,  # the pages would load scripts from the network
        redoc_url=None,
        openapi_url=None,
    )
    app.add_exception_handler(OipError, _oip_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _internal_error)
    _add_metadata_routes(app, model, name, max_body_bytes)
    _add_infer_routes(app, model, name, max_body_bytes)
    return app


def _token_check(token: str | None) -> Callable[[Request], None]:
    def check(request: Request) -> None:
        if token is None or request.url.path in OPEN_PATHS:
            return
        given = request.headers.get("authorization", "")
        if not secrets.compare_digest(given.encode(), f"Bearer {token}".encode()):
            raise OipError("a valid bearer token is needed", 401)

    return check


def _add_metadata_routes(app: FastAPI, model: OnnxModel, name: str, max_body_bytes: int) -> None:
    @app.get("/v2")
    async def server_metadata() -> dict[str, Any]:
        return {"name": "mcu-hybrid", "version": __version__, "extensions": ["binary_tensor_data"]}

    @app.get("/v2/health/live")
    async def live() -> dict[str, bool]:
        return {"live": True}

    @app.get("/v2/health/ready")
    async def ready() -> dict[str, bool]:
        return {"ready": True}

    @app.get("/v2/models")
    async def models() -> dict[str, list[str]]:
        return {"models": [name]}

    @app.post("/v2/repository/index")
    async def index() -> list[dict[str, str]]:
        return [{"name": name, "version": model.version, "state": "READY"}]

    @app.get("/v2/models/{wanted}")
    @app.get("/v2/models/{wanted}/versions/{version}")
    async def metadata(wanted: str, version: str = "") -> dict[str, Any]:
        _find(model, name, wanted, version)
        return {
            "name": name,
            "versions": [model.version],
            "platform": model.platform,
            "inputs": [spec.to_json() for spec in model.inputs],
            "outputs": [spec.to_json() for spec in model.outputs],
            "parameters": {"max_batch_size": model.max_batch, "max_body_bytes": max_body_bytes},
        }

    @app.get("/v2/models/{wanted}/ready")
    @app.get("/v2/models/{wanted}/versions/{version}/ready")
    async def model_ready(wanted: str, version: str = "") -> dict[str, Any]:
        _find(model, name, wanted, version)
        return {"name": name, "ready": True}


def _add_infer_routes(app: FastAPI, model: OnnxModel, name: str, max_body_bytes: int) -> None:
    @app.post("/v2/models/{wanted}/infer")
    @app.post("/v2/models/{wanted}/versions/{version}/infer")
    async def infer(request: Request, wanted: str, version: str = "") -> Response:
        _find(model, name, wanted, version)
        body = await _read_body(request, max_body_bytes)
        length = request.headers.get(HEADER_LENGTH)
        # Parsing and inference both take time that the event loop must not lose.
        message = await anyio.to_thread.run_sync(_answer, model, name, body, length)
        return Response(message.body, headers=message.headers)


def _answer(model: OnnxModel, name: str, body: bytes, length: str | None) -> Message:
    if length == "0":
        request = InferRequest(model.raw_input(body), None, binary_default=True)
    else:
        request = decode_request(body, length)
    outputs = model.infer(request.inputs, request.outputs)
    binary = request.outputs or dict.fromkeys(outputs, request.binary_default)
    return encode_response(
        outputs, binary, model_name=name, model_version=model.version, id=request.id
    )


def _find(model: OnnxModel, name: str, wanted: str, version: str) -> None:
    if wanted != name:
        raise OipError(f"unknown model '{wanted}'; this server has '{name}'", 404)
    if version not in ("", model.version):
        raise OipError(f"model '{name}' has no version '{version}', only {model.version}", 404)


async def _read_body(request: Request, limit: int) -> bytes:
    """The body, at most ``limit`` bytes: counted as they come, Content-Length is not trusted."""
    encoding = request.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise OipError(f"Content-Encoding '{encoding}' is not supported", 415)
    body = bytearray()
    seen = 0
    try:
        with anyio.fail_after(BODY_TIMEOUT_S):
            async for chunk in request.stream():
                seen += len(chunk)
                if seen <= limit:
                    body += chunk
                    continue
                body.clear()
                # Some more is read and thrown away, so that a client that only was a bit over
                # gets the answer instead of a broken pipe.
                if seen > 2 * limit + (1 << 20):
                    break
    except TimeoutError as error:
        raise OipError(f"the body did not arrive within {BODY_TIMEOUT_S:g} s", 408) from error
    if seen > limit:
        raise OipError(f"the body is larger than {limit} bytes", 413)
    return bytes(body)


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": message}, status, headers)


async def _oip_error(_: Request, error: Exception) -> JSONResponse:
    status = error.status if isinstance(error, OipError) else 500
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    if status in (401, 404, 408, 413, 415):
        # The body may not have been read to its end, so the connection cannot be used again.
        headers["Connection"] = "close"
    return _error(status, error.message if isinstance(error, OipError) else "failed", headers)


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return _error(status, f"{request.method} {request.url.path}: {getattr(error, 'detail', '')}")


async def _internal_error(_: Request, error: Exception) -> JSONResponse:
    return _error(500, f"internal error: {type(error).__name__}")
