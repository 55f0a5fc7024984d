"""serve: the global model of an export folder, or any ONNX file, behind the model server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mcu_hybrid import extras, manifest
from mcu_hybrid.errors import ManifestError

GLOBAL = "global.onnx"


def global_model(source: Path) -> Path:
    """The ONNX file of ``source``: itself, or that of an export folder (checked).

    Raises:
        ManifestError: the folder is no export folder, is stale, or has no global model.
    """
    if not source.is_dir():
        return source
    if GLOBAL not in manifest.load(source, "export").files:
        raise ManifestError(
            "was exported without a global model",
            "export it again with --global-onnx FILE, or give an ONNX file",
            path=source,
        )
    return source / GLOBAL


def serve(
    model: Path,
    name: str,
    *,
    host: str,
    port: int,
    token: str | None,
    max_body_bytes: int,
    max_batch: int,
    threads: int,
    on_ready: Callable[[str], None],
) -> None:
    """Serve until Ctrl-C or SIGTERM. Raises MissingTool where the web framework is not there."""
    server_module().serve(
        model,
        name,
        host=host,
        port=port,
        token=token,
        max_body_bytes=max_body_bytes,
        max_batch=max_batch,
        threads=threads,
        on_ready=on_ready,
    )


def server_module() -> Any:
    """The server's code; raises MissingTool where a package that it needs is not installed."""
    extras.require("serving a model", "cloud")
    from mcu_hybrid.cloud import server

    return server
