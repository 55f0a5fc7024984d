"""How long an inference takes, as every artefact says it: microseconds and what they rest on."""

from __future__ import annotations

from typing import Literal, Protocol

Kind = Literal["measured", "estimate"]
# None: no board's time is known; "": a result of version 0.1, which does not say.
Said = Kind | Literal[""] | None


class Latency(Protocol):
    """The keys of a time; ``latency_low_us`` and ``latency_high_us`` are an estimate's range."""

    @property
    def latency_us(self) -> float | None: ...
    @property
    def latency_low_us(self) -> float | None: ...
    @property
    def latency_high_us(self) -> float | None: ...
    @property
    def latency_kind(self) -> Said: ...
    @property
    def latency_is_estimate(self) -> bool: ...
    @property
    def latency_basis(self) -> str: ...
