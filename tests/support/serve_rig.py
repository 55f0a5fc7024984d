"""A model server on a thread, for tests that ask one (no tests)."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from mcu_hybrid.cloud.fronts import Listen, front
from mcu_hybrid.cloud.model import MAX_BATCH
from mcu_hybrid.cloud.service import open_service


def serving(
    model: Path, name: str, *, max_batch: int = MAX_BATCH, **listen: Any
) -> AbstractContextManager[str]:
    """The model behind the HTTP front; yields its URL."""
    service = open_service(model, name, threads=1, max_batch=max_batch)
    return front("http").serving(service, Listen(**listen))
