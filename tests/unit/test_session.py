"""HybridSession: who answers, what is counted, and that no cloud failure fails a query."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from mcu_hybrid.errors import CloudError, CloudTimeout, LinkTimeout
from mcu_hybrid.routing.policy import Direct, NoCloud, Resting
from mcu_hybrid.routing.session import DeviceClock, HybridSession
from tests.support.session_rig import Board, Cloud, Ran, query


def session(cloud: Cloud | None, **rest: object) -> HybridSession:
    clock = DeviceClock(us_per_tick=2.5, is_estimate=True)
    policy = NoCloud() if cloud is None else Resting(Direct(cloud), **rest)  # type: ignore[arg-type]
    return HybridSession(Board(), policy, clock=clock)


def test_a_sure_board_keeps_its_answer() -> None:
    cloud = Cloud()
    hybrid = session(cloud)
    answer = hybrid.ask(query(10))  # at the threshold: kept
    assert (answer.label, answer.origin, answer.reason) == (1, "device", "kept")
    assert answer.latency.device_us == 250.0 and answer.latency.device_is_estimate
    assert (answer.decision.score, answer.decision.threshold) == (10, 10)
    assert cloud.asked == 0 and hybrid.counters.kept == 1


def test_an_unsure_board_gets_the_clouds_answer() -> None:
    hybrid = session(Cloud())
    answer = hybrid.ask(query(11))
    assert (answer.label, answer.origin, answer.reason) == (2, "cloud", "queried")
    assert answer.bytes_sent == 40 and answer.latency.cloud_us > 0
    assert answer.latency.total_us == answer.latency.device_us + answer.latency.cloud_us
    assert answer.to_json()["scores"] == [0.1, 0.2, 0.7]
    assert hybrid.counters.to_json() == {
        "asked": 1,
        "kept": 0,
        "queried": 1,
        "fallbacks": {},
        "coverage": 0.0,
        "bytes_sent": 40,
    }


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (CloudTimeout("slow"), "timeout"),
        (CloudError("down", reason="unreachable"), "unreachable"),
        (CloudError("?"), "failed"),
    ],
)
def test_a_failing_cloud_leaves_the_boards_answer(failure: Exception, reason: str) -> None:
    hybrid = session(Cloud([failure]))
    answer = hybrid.ask(query(11))
    assert (answer.label, answer.origin) == (1, "device")
    assert answer.reason == f"fallback: {reason}" and answer.is_fallback
    assert hybrid.counters.fallbacks == {reason: 1}
    assert hybrid.counters.coverage == 0.0  # it was not kept by decision
    assert hybrid.ask(query(11)).origin == "cloud"


@pytest.mark.parametrize(
    "values",
    [np.zeros((2, 3)), np.zeros((1, 0)), np.array([[np.nan, 1]]), np.array([[b"a", b"b"]], object)],
    ids=["a batch", "nothing", "NaN", "text"],
)
def test_scores_that_are_no_answer(values: np.ndarray) -> None:
    answer = session(Cloud(values=values)).ask(query(11))
    assert answer.reason == "fallback: bad_answer" and answer.label == 1


def test_without_a_cloud_or_a_payload() -> None:
    assert session(None).ask(query(11)).reason == "fallback: no_cloud"
    assert session(Cloud()).ask(query(11, None)).reason == "fallback: no_payload"


def test_a_dead_cloud_rests_and_is_tried_again() -> None:
    now = [0.0]
    cloud = Cloud([CloudTimeout("slow")] * 4)
    hybrid = session(cloud, break_after=3, rest_s=5.0, now=lambda: now[0])
    reasons = [hybrid.ask(query(11)).reason for _ in range(10)]
    assert reasons == ["fallback: timeout"] * 3 + ["fallback: resting"] * 7
    assert cloud.asked == 3
    now[0] = 6.0  # one try, which fails: resting again
    assert hybrid.ask(query(11)).reason == "fallback: timeout"
    assert hybrid.ask(query(11)).reason == "fallback: resting"
    now[0] = 12.0  # it is back
    assert [hybrid.ask(query(11)).reason for _ in range(2)] == ["queried", "queried"]
    assert hybrid.counters.to_json()["fallbacks"] == {"resting": 8, "timeout": 4}
    assert hybrid.counters.asked == 14


def test_a_dead_board_is_an_error() -> None:
    class Dead:
        def infer(self, inputs: Sequence[np.ndarray]) -> Ran:
            raise LinkTimeout("no answer")

    hybrid = HybridSession(Dead(), Direct(Cloud()), clock=DeviceClock(1.0))
    with pytest.raises(LinkTimeout):
        hybrid.ask(query(0))
    assert hybrid.counters.asked == 0


def test_a_board_without_a_router_keeps_everything() -> None:
    class Unrouted:
        def infer(self, inputs: Sequence[np.ndarray]) -> Ran:
            return Ran(None)

    answer = HybridSession(Unrouted(), NoCloud(), clock=DeviceClock(1.0)).ask(query(0))
    assert answer.origin == "device" and answer.decision.score == 0
