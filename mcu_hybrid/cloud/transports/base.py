"""What a transport is: it carries a request to a model server and brings the answer. No wire here.

Also what all of them share: how a server is reached, what an answer costs, and the errors that say
which server and model they are about.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mcu_hybrid.cloud.oip import InferRequest, ModelMetadata
from mcu_hybrid.errors import CloudError


@dataclass(frozen=True)
class Retries:
    """How often a request is sent again to a server that is busy or away, and after which pause.

    The pause doubles each time; up to half of it is left out by chance, so that clients that were
    refused together do not come back together.
    """

    most: int = 2  # with pauses of 0.1 and 0.2 s they fit the deadline several times
    first_pause_s: float = 0.1

    def pause_s(self, attempt: int) -> float:
        """How long to wait behind attempt number 1, 2, ..."""
        return self.first_pause_s * 2 ** (attempt - 1) * random.uniform(0.5, 1.0)


@dataclass(frozen=True)
class Reach:
    """Where a server is, and how long a call may take in all (``deadline_s``)."""

    url: str
    token: str | None = None
    deadline_s: float = 2.0
    retries: Retries = Retries()


@dataclass(frozen=True)
class CloudResult:
    """Outputs by name and what they cost; ``bytes_sent`` is the request's body, exactly.

    ``binary`` is False where tensors had to travel as text.
    """

    outputs: dict[str, np.ndarray]
    elapsed_us: float
    bytes_sent: int
    bytes_received: int
    header_bytes_sent: int
    header_bytes_received: int
    attempts: int
    binary: bool

    def scores(self, output: str | None = None) -> np.ndarray:
        """The class scores: the named output, else the first float output (else the first)."""
        if output is not None:
            if output not in self.outputs:
                raise CloudError(
                    f"the server's answer has no output '{output}'",
                    f"it has: {', '.join(self.outputs)}",
                    reason="bad_answer",
                )
            return self.outputs[output]
        floats = [array for array in self.outputs.values() if array.dtype.kind == "f"]
        for array in [*floats, *self.outputs.values()]:
            return array
        raise CloudError(
            "the server's answer has no output", "see the server's log", reason="bad_answer"
        )


class Transport(Protocol):
    """One server; usable from several threads. ``until`` is a ``time.monotonic()`` moment.

    Methods raise CloudTimeout at their deadline, and CloudError with a reason (see errors.py) where
    the server is not there or refuses. A hint that takes knowledge of the model is the client's.
    """

    @property
    def url(self) -> str:
        """The server's base address."""

    @property
    def deadline_s(self) -> float:
        """The total time of a call that has no ``until``."""

    def is_live(self) -> bool:
        """True where the server runs."""

    def is_ready(self, model: str, version: str) -> bool:
        """True where the model can be asked."""

    def models(self, until: float | None = None) -> tuple[str, ...]:
        """Names of the models that the server offers; empty where it has no such list."""

    def metadata(self, model: str, version: str, until: float | None = None) -> ModelMetadata:
        """What the model takes and gives."""

    def request_bytes(self, request: InferRequest) -> int:
        """What the request weighs on this wire."""

    def infer(self, request: InferRequest, until: float | None = None) -> CloudResult:
        """Run the model that the request names."""

    def close(self) -> None:
        """Close connections; the transport may be used again."""


Open = Callable[[Reach], Transport]


def no_address(url: str, why: str = "") -> CloudError:
    """``url`` cannot be a server's."""
    return CloudError(
        f"'{url}' is not a server's address" + (f": {why}" if why else ""),
        "write it with scheme and port, for example http://127.0.0.1:8080",
        reason="unreachable",
    )


def wrong_input(url: str, model: str, fact: str, hint: str = "") -> CloudError:
    """The request does not fit the model."""
    return CloudError(f"{url}, model '{model}': {fact}", hint, reason="wrong_input")


def bad_answer(url: str, model: str, fact: str) -> CloudError:
    """What came is no answer of this protocol, or not of this model."""
    hint = "is it an Open Inference Protocol v2 server?"
    return CloudError(f"{url}, model '{model}': {fact}", hint, reason="bad_answer")
