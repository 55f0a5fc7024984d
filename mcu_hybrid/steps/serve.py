"""serve: the global model of an export folder, or any ONNX file, behind the model server."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from mcu_hybrid import extras, manifest
from mcu_hybrid.cloud.fronts import Listen, front
from mcu_hybrid.cloud.service import open_service
from mcu_hybrid.errors import ManifestError

GLOBAL = "global.onnx"
FRONT = "http"


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
    listen: Listen,
    *,
    max_batch: int,
    threads: int,
    on_ready: Callable[[str], None],
) -> None:
    """Serve until Ctrl-C or SIGTERM. Raises MissingTool where the web framework is not there."""
    extras.require("serving a model", "cloud")
    service = open_service(model, name, threads=threads, max_batch=max_batch)
    front(FRONT).serve(service, listen, on_ready)


def serving(model: Path, name: str) -> AbstractContextManager[str]:
    """The same on a thread, for as long as a ``with`` block; yields the URL."""
    extras.require("serving a model", "cloud")
    return front(FRONT).serving(open_service(model, name, threads=1), Listen())
