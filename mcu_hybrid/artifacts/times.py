"""How long an inference takes, as every artefact says it: microseconds and what they rest on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["measured", "estimate"]
UNSAID: Literal[""] = ""  # a result of version 0.1 does not say what kind of time it has


@dataclass(frozen=True, kw_only=True)
class Span:
    """Microseconds, None where they are not known; the ends are an estimate's range."""

    latency_us: float | None = None
    latency_low_us: float | None = None
    latency_high_us: float | None = None


@dataclass(frozen=True, kw_only=True)
class Rests:
    """What a time is: measured, an estimate, or (None) no board's; ``latency_basis`` says why."""

    latency_kind: Kind | Literal[""] | None = UNSAID
    latency_is_estimate: bool = True
    latency_basis: str = ""


@dataclass(frozen=True, kw_only=True)
class Latency(Rests, Span):
    """A time and what it rests on."""
