"""HTTP exchanges under a total deadline with bounded retries; knows nothing of models or tensors.

httpx bounds each read and write, not the whole: a server that drips one byte a second would hold a
caller for ever. So requests run on an event loop of their own thread, where a deadline cuts an
exchange off at any byte, and the caller's side stays plain synchronous calls (also in a notebook).
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from mcu_hybrid.cloud.oip import Message
from mcu_hybrid.cloud.transports.base import Reach, no_address
from mcu_hybrid.errors import CloudError, CloudTimeout

T = TypeVar("T")
RETRY_STATUS = frozenset({502, 503, 504})
# Inference has no side effects, so a connection that breaks half-way may be asked again too.
RETRY_ERRORS = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.ReadError,
    httpx.WriteError,
    httpx.RemoteProtocolError,
)
MAX_RESPONSE_BYTES = 64 << 20  # far above any answer: a wrong server must not fill the memory


@dataclass(frozen=True)
class Reply:
    """An answered exchange. Bytes are those of the attempt that was answered: bodies exactly,
    headers as their text length (HTTP/1.1; a connection's handshake is not counted)."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    bytes_sent: int
    bytes_received: int
    header_bytes_sent: int
    header_bytes_received: int
    attempts: int
    elapsed_us: float


class LoopThread:
    """An event loop on a daemon thread, started at the first call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run to the end from any thread; an interrupt of the caller cancels it."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=_run_loop, args=(self._loop,), daemon=True).start()
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def stop(self) -> None:
        """End the thread; a later call starts another."""
        with self._lock:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._loop = None


def _run_loop(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()


class Exchange:
    """Requests to one base URL, each within ``deadline_s`` in total."""

    def __init__(self, reach: Reach, wire: httpx.AsyncBaseTransport | None = None) -> None:
        self.url = _base_url(reach.url)
        self.deadline_s = reach.deadline_s
        self._retries = reach.retries
        # identity: a compressed answer would make the count of received bytes a lie.
        self._headers = {"Accept-Encoding": "identity"}
        if reach.token:
            self._headers["Authorization"] = f"Bearer {reach.token}"
        self._wire = wire
        self._client: httpx.AsyncClient | None = None
        self._thread = LoopThread()

    def call(
        self, method: str, path: str, message: Message | None = None, until: float | None = None
    ) -> Reply:
        """Send and return the reply of any status; ``until`` is a ``time.monotonic()`` moment.

        Raises CloudTimeout at the deadline and CloudError(reason "unreachable") without an answer.
        """
        until = time.monotonic() + self.deadline_s if until is None else until
        return self._thread.run(self._call(method, path, message or Message(b""), until))

    def close(self) -> None:
        """Close connections and the thread."""
        if self._client is not None:
            self._thread.run(self._client.aclose())
            self._client = None
        self._thread.stop()

    async def _call(self, method: str, path: str, message: Message, until: float) -> Reply:
        started = time.monotonic()
        attempt, failure = 0, "no answer yet"
        try:
            async with asyncio.timeout(max(0.0, until - started)):
                while True:
                    attempt += 1
                    try:
                        reply = await self._once(method, path, message, attempt, started)
                        if reply.status not in RETRY_STATUS or attempt > self._retries.most:
                            return reply
                        failure = f"HTTP {reply.status}"
                    except RETRY_ERRORS as error:
                        failure = str(error) or type(error).__name__
                        if attempt > self._retries.most:
                            raise self._unreachable(failure, attempt) from error
                    await asyncio.sleep(self._retries.pause_s(attempt))
        except TimeoutError as error:
            raise CloudTimeout(
                f"{self.url}{path} did not answer within {self.deadline_s:g} s "
                f"(attempt {attempt}: {failure})",
                "give it more time (deadline), or look whether the server is overloaded",
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._unreachable(str(error) or type(error).__name__, attempt) from error

    async def _once(
        self, method: str, path: str, message: Message, attempt: int, started: float
    ) -> Reply:
        if self._client is None:  # built here so that it belongs to the thread's loop
            # Only connecting has a timeout of its own: a lost packet there is worth another try,
            # while asking a slow server twice makes nothing faster.
            connect_s = min(1.0, self.deadline_s / 2)
            self._client = httpx.AsyncClient(
                transport=self._wire,
                timeout=httpx.Timeout(None, connect=connect_s),
                trust_env=not _is_loopback(self.url),  # a proxy cannot reach this machine
            )
        headers = {**self._headers, **message.headers}
        request = self._client.build_request(
            method, self.url + path, content=message.body or None, headers=headers
        )
        response = await self._client.send(request, stream=True)
        body = bytearray()
        try:
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_RESPONSE_BYTES:
                    limit = f"more than {MAX_RESPONSE_BYTES >> 20} MiB"
                    raise CloudError(f"{self.url}{path} answered {limit}", reason="bad_answer")
        finally:
            await response.aclose()
        line = len(f"{method} {request.url.raw_path.decode()} HTTP/1.1\r\n\r\n")
        return Reply(
            status=response.status_code,
            headers=response.headers,
            body=bytes(body),
            bytes_sent=len(message.body),
            bytes_received=len(body),
            header_bytes_sent=line + _header_bytes(request.headers),
            header_bytes_received=19 + _header_bytes(response.headers),  # "HTTP/1.1 200 OK\r\n\r\n"
            attempts=attempt,
            elapsed_us=(time.monotonic() - started) * 1e6,
        )

    def _unreachable(self, fact: str, attempts: int) -> CloudError:
        tries = f" ({attempts} attempts)" if attempts > 1 else ""
        return CloudError(
            f"no answer from {self.url}{tries}: {fact}",
            "is the server running and the address right? mcu-hybrid serve --help",
            reason="unreachable",
        )


def _header_bytes(headers: httpx.Headers) -> int:
    return sum(len(key) + len(value) + 4 for key, value in headers.raw)  # ": " and CRLF


def _is_loopback(url: str) -> bool:
    host = httpx.URL(url).host
    return host in ("localhost", "::1") or host.startswith("127.")


def _base_url(url: str) -> str:
    base = url.strip().rstrip("/").removesuffix("/v2")
    try:
        parsed = httpx.URL(base)
        usable = parsed.scheme in ("http", "https") and bool(parsed.host)
    except httpx.InvalidURL:
        usable = False
    if not usable:
        raise no_address(url)
    return base
