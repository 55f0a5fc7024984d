"""The FastAPI application: the Open Inference Protocol v2 over HTTP, in front of a Service.

Routes, limits and error replies. What is answered is service.py's, tensors and messages are
oip.py's, running it on a port is http.py's.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace

import anyio
from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from mcu_hybrid import __version__
from mcu_hybrid.cloud.fronts.base import Listen
from mcu_hybrid.cloud.oip import HEADER_LENGTH, Message, decode_request, encode_response
from mcu_hybrid.cloud.oip_tensors import OipError
from mcu_hybrid.cloud.service import Service

BODY_TIMEOUT_S = 30.0  # 1 MB over 250 kbit/s; a slower link should send less
OPEN_PATHS = ("/v2/health/live", "/v2/health/ready")  # probes of a supervisor carry no token


def create_app(service: Service, listen: Listen) -> FastAPI:
    """The application of a service."""
    app = FastAPI(
        dependencies=[Depends(_token_check(listen.token))],
        docs_url=None,  # the pages would load scripts from the network
        redoc_url=None,
        openapi_url=None,
    )
    app.add_exception_handler(OipError, _oip_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _internal_error)
    _add_metadata_routes(app, service, listen.max_body_bytes)
    _add_infer_routes(app, service, listen.max_body_bytes)
    return app


def _token_check(token: str | None) -> Callable[[Request], None]:
    def check(request: Request) -> None:
        if token is None or request.url.path in OPEN_PATHS:
            return
        given = request.headers.get("authorization", "")
        if not secrets.compare_digest(given.encode(), f"Bearer {token}".encode()):
            raise OipError("a valid bearer token is needed", 401)

    return check


def _add_metadata_routes(app: FastAPI, service: Service, max_body_bytes: int) -> None:
    @app.get("/v2")
    async def server_metadata() -> dict[str, object]:
        return {"name": "mcu-hybrid", "version": __version__, "extensions": ["binary_tensor_data"]}

    @app.get("/v2/health/live")
    async def live() -> dict[str, bool]:
        return {"live": True}

    @app.get("/v2/health/ready")
    async def ready() -> dict[str, bool]:
        return {"ready": True}

    @app.get("/v2/models")
    async def models() -> dict[str, list[str]]:
        return {"models": [offered.name for offered in service.index()]}

    @app.post("/v2/repository/index")
    async def index() -> list[dict[str, str]]:
        return [
            {"name": offered.name, "version": offered.version, "state": "READY"}
            for offered in service.index()
        ]

    @app.get("/v2/models/{model}")
    @app.get("/v2/models/{model}/versions/{version}")
    async def metadata(model: str, version: str = "") -> dict[str, object]:
        told = service.metadata(model, version)
        limits = {**told.limits, "max_body_bytes": max_body_bytes}
        return replace(told, limits=limits).to_json()

    @app.get("/v2/models/{model}/ready")
    @app.get("/v2/models/{model}/versions/{version}/ready")
    async def model_ready(model: str, version: str = "") -> dict[str, object]:
        return {"name": service.metadata(model, version).name, "ready": True}


def _add_infer_routes(app: FastAPI, service: Service, max_body_bytes: int) -> None:
    @app.post("/v2/models/{model}/infer")
    @app.post("/v2/models/{model}/versions/{version}/infer")
    async def infer(request: Request, model: str, version: str = "") -> Response:
        service.metadata(model, version)  # one that is not offered is said before the body is read
        body = await _read_body(request, max_body_bytes)
        length = request.headers.get(HEADER_LENGTH)
        # Parsing and inference both take time that the event loop must not lose.
        message = await anyio.to_thread.run_sync(_answer, service, body, length, model, version)
        return Response(message.body, headers=message.headers)


def _answer(service: Service, body: bytes, length: str | None, model: str, version: str) -> Message:
    if length == "0":
        request = service.raw(body, model, version)
    else:
        request = replace(decode_request(body, length), model=model, version=version)
    response = service.infer(request)
    return encode_response(
        response.outputs,
        request.binary(response.outputs),
        model_name=response.model_name,
        model_version=response.model_version,
        id=response.id,
    )


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
    except ClientDisconnect as error:  # nobody reads this; a traceback each would hold up others
        raise OipError("the client left before its body was complete") from error
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
