"""What a front is: it carries requests to a Service and its answers back. No wire is spoken here.

What a request means, and what is refused, is the Service's (service.py); a front owns the address,
the limits of what it reads, and how a refusal is said on its wire.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from mcu_hybrid.cloud.service import Service

MAX_BODY_BYTES = 16 << 20  # MAX_BATCH colour images of 256 x 256, uint8, are 12 MiB


@dataclass(frozen=True)
class Listen:
    """Where a front listens, and what it takes there.

    ``port`` 0 is a free one; larger requests than ``max_body_bytes`` are refused, whatever they
    say of their size; ``token`` is a bearer token that every request but health must carry.
    """

    host: str = "127.0.0.1"
    port: int = 0
    token: str | None = None
    max_body_bytes: int = MAX_BODY_BYTES
    log_level: str = "warning"


class Front(Protocol):
    """A Service on a wire; both methods raise CloudError where the address cannot be had."""

    def serve(
        self, service: Service, listen: Listen, on_ready: Callable[[str], None] | None = None
    ) -> None:
        """Serve until SIGINT or SIGTERM; requests in work are finished first.

        ``on_ready`` gets the URL once connections are taken.
        """

    def serving(self, service: Service, listen: Listen) -> AbstractContextManager[str]:
        """Serve on a thread of this process meanwhile; yields the URL, which a client takes."""
