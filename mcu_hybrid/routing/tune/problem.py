"""What thresholds are sought for, and what was found: a problem and its solution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mcu_hybrid.errors import InputError
from mcu_hybrid.routing.cascade import Cascade, Rule, cascade_of
from mcu_hybrid.routing.costs import QUERY_RATE, Cost
from mcu_hybrid.routing.outcomes import Outcomes
from mcu_hybrid.routing.tune.settings import ABSTAIN, EDGE_CLOUD, Estimate
from mcu_hybrid.routing.tune.units import METRICS

LTT, CRC, NONE = "ltt", "crc", "none"
GUARANTEES = (LTT, CRC, NONE)


@dataclass(frozen=True)
class Problem:
    """What thresholds are sought for, one a hop.

    ``routers``: the mechanism of each hop. ``costs``: metric name -> its cost. ``guarantee`` is
    what accuracy targets get: ltt (learn-then-test), crc (conformal risk control) or none (expected
    value alone). ``confidence`` is that of ltt and of strict budgets, for all of them together.
    ``strict``: budgets too hold with that confidence, not only on average. More than one hop has no
    bound yet (vectors.py): guarantee none, not strict.
    """

    outcomes: Outcomes
    routers: tuple[str, ...]
    costs: Mapping[str, Cost] = field(default_factory=dict)
    setting: str = EDGE_CLOUD
    guarantee: str = LTT
    confidence: float = 0.95
    strict: bool = False

    def __post_init__(self) -> None:
        if self.guarantee not in GUARANTEES:
            raise InputError(f"no guarantee '{self.guarantee}'", f"one of: {', '.join(GUARANTEES)}")
        if not 0.0 < self.confidence < 1.0:
            raise InputError(
                f"{self.confidence:g} is not between 0 and 1", "for example 95%", key="confidence"
            )
        if self.guarantee == CRC and self.setting == ABSTAIN:
            raise InputError(
                "conformal risk control bounds the risk over all inputs, not over the kept ones",
                "choose --guarantee ltt",
                key="guarantee",
            )
        if len(self.routers) != self.outcomes.hops:
            raise InputError(
                f"{len(self.routers)} routers for {self.outcomes.hops} hops", "name one a hop"
            )
        if self.hops > 1 and (self.guarantee != NONE or self.strict):
            raise InputError(
                f"no bound is known for {self.hops} thresholds together",
                "choose --guarantee none, and budgets on average",
                key="guarantee",
            )

    @property
    def hops(self) -> int:
        """How many thresholds are sought."""
        return len(self.routers)

    def cost(self, metric: str) -> Cost:
        """The cost behind a budget; raises InputError where it is not known."""
        if metric == "query_rate":
            return QUERY_RATE
        if metric not in self.costs:
            known = ", ".join(["query_rate", *self.costs])
            raise InputError(
                f"the {METRICS[metric].title} of an input is not known here", f"known: {known}"
            )
        return self.costs[metric]

    def cascade(self, thresholds: tuple[int, ...]) -> Cascade:
        """The cascade that these thresholds make."""
        pairs = zip(self.routers, thresholds, strict=True)
        return cascade_of([Rule(router, threshold) for router, threshold in pairs])


@dataclass(frozen=True)
class Solution:
    """The cascade, what to expect of it, and what is guaranteed of each target (text)."""

    cascade: Cascade
    estimates: Mapping[str, Estimate]
    guarantees: Mapping[str, str]
    notes: tuple[str, ...]

    @property
    def thresholds(self) -> tuple[int, ...]:
        """One a hop."""
        return tuple(rule.threshold for rule in self.cascade.rules)

    @property
    def threshold(self) -> int:
        """That of the hop to the cloud."""
        return self.thresholds[-1]

    @property
    def coverage(self) -> float:
        """The share of calibration images that are kept on the device."""
        return self.estimates["coverage"].value or 0.0
