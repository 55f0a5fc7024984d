"""Model servers that a test scripts: what they say of a model, and what they answer (no tests)."""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.bad_rig import CLASSES, SIDE

Answering = Callable[[str], tuple[Any, ...]]
INPUT = {"name": "image", "datatype": "FP32", "shape": [-1, 1, SIDE, SIDE]}
OUTPUT = {"name": "logits", "datatype": "FP32", "shape": [-1, CLASSES]}


@contextmanager
def answering(answer: Answering) -> Iterator[str]:
    """An HTTP server whose answers a function of the path makes: status, body and more headers."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, body, *more = answer(self.path)
            self.send_response(status)
            for name, value in [("Content-Type", "application/json"), *more]:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def tensor(data: list[Any], shape: list[int], datatype: str = "FP32", name: str = "logits") -> Any:
    """An output in JSON."""
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


def answer(*outputs: Any) -> tuple[Any, ...]:
    """A whole answer in JSON."""
    return 200, json.dumps({"model_name": "global", "outputs": outputs}).encode()


def binary(values: list[float], shape: list[int]) -> tuple[Any, ...]:
    """A whole answer in binary, which can carry NaN."""
    data = struct.pack(f"<{len(values)}f", *values)
    head = tensor([], shape) | {"parameters": {"binary_data_size": len(data)}}
    del head["data"]
    text = json.dumps({"outputs": [head]}).encode()
    return 200, text + data, ("Inference-Header-Content-Length", str(len(text)))


GOOD = answer(tensor([0.0, 0.5, 1.0], [1, CLASSES]))  # class 2


class Server:
    """A model server; ``says`` makes the answer to its query number 1, 2, ..."""

    def __init__(
        self, says: Callable[[int], tuple[Any, ...]], outputs: list[Any] | None = None
    ) -> None:
        self.says, self.asked = says, 0
        self.outputs = [OUTPUT] if outputs is None else outputs

    def __call__(self, path: str) -> tuple[Any, ...]:
        """The answer to a request for this path."""
        if not path.endswith("/infer"):
            told = {"name": "global", "platform": "test", "versions": ["1"]}
            return 200, json.dumps(told | {"inputs": [INPUT], "outputs": self.outputs}).encode()
        self.asked += 1
        return self.says(self.asked)
