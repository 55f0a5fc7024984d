"""The HTTP front: a Service on a port, until a signal or behind a ``with`` block.

The application itself (routes, limits, errors) is http_app.py.
"""

from __future__ import annotations

import errno
import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from mcu_hybrid.cloud.fronts.base import Front, Listen
from mcu_hybrid.cloud.fronts.http_app import create_app
from mcu_hybrid.cloud.fronts.http_guard import MAX_CONNECTIONS, GuardedProtocol
from mcu_hybrid.cloud.service import Service
from mcu_hybrid.errors import CloudError


def _bind(host: str, port: int) -> socket.socket:
    """Bind here rather than in uvicorn, which would end the process where the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off (40 ms per answer) only where the protocol is spelled out.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        shown = f"[{host}]" if family == socket.AF_INET6 else host
        raise CloudError(
            f"cannot listen on {shown}:{port}: {error}", _way_out(error), reason="port"
        ) from error
    return listener


def _way_out(error: Exception) -> str:
    """The next step: whether the address or the port is what does not do."""
    number = getattr(error, "errno", None)
    if isinstance(error, socket.gaierror) or number in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        return "give --host an address of this machine: 127.0.0.1, or 0.0.0.0 for all of them"
    if number == errno.EACCES:
        return "ports below 1024 are the system's: choose another --port"
    return "choose another --port (0 takes a free one), or end what holds it"


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _log_to_stderr() -> None:
    """The server's log lines go to stderr, through a handler of their own.

    uvicorn's own configuration would close the handlers of all other libraries in the process, and
    some of those close the stream behind them.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    log = logging.getLogger("uvicorn")
    log.handlers, log.propagate = [handler], False


def _server(app: FastAPI, log_level: str) -> uvicorn.Server:
    _log_to_stderr()
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level=log_level,
        access_log=log_level in ("info", "debug"),
        lifespan="off",
        http=GuardedProtocol,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=5,
        server_header=False,
    )
    return uvicorn.Server(config)


@contextmanager
def _sigterm_ends(server: uvicorn.Server) -> Iterator[None]:
    """SIGTERM before and after uvicorn's own handling ends the server, not the process."""

    def end(*_: object) -> None:
        server.should_exit = True

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    previous = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


class HttpFront:
    """The Open Inference Protocol v2 over HTTP/1.1."""

    def serve(
        self, service: Service, listen: Listen, on_ready: Callable[[str], None] | None = None
    ) -> None:
        """Serve until SIGINT or SIGTERM."""
        listener = _bind(listen.host, listen.port)
        server = _server(create_app(service, listen), listen.log_level)
        listener.listen(128)
        try:
            with _sigterm_ends(server):
                if on_ready is not None:
                    on_ready(_url(listener))
                server.run(sockets=[listener])
        except KeyboardInterrupt:  # uvicorn raises the signal again after it has shut down
            pass
        finally:
            listener.close()

    @contextmanager
    def serving(self, service: Service, listen: Listen) -> Iterator[str]:
        """Serve on a thread meanwhile."""
        listener = _bind(listen.host, listen.port)
        server = _server(create_app(service, listen), "error")
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.005)
            yield _url(listener)
        finally:
            server.should_exit = True
            thread.join(timeout=10)
            listener.close()


FRONT: Front = HttpFront()
