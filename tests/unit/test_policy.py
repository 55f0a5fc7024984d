"""Policies by themselves: any of them behind a session; the board's own result in each answer."""

from __future__ import annotations

import numpy as np
import pytest

from mcu_hybrid.errors import CloudError
from mcu_hybrid.routing.policy import Direct, GivingUp, NoCloud, Policy, Resting
from mcu_hybrid.routing.query import Answer, Query
from mcu_hybrid.routing.session import DeviceClock, HybridSession
from tests.support.session_rig import Board, Cloud, query

CLOCK = DeviceClock(us_per_tick=1.0)


@pytest.mark.parametrize(
    ("policy", "origin"),
    [
        (Direct(Cloud()), "cloud"),
        (Direct(Cloud([CloudError("down")])), "device"),
        (Resting(Direct(Cloud())), "cloud"),
        (NoCloud(), "device"),
    ],
    ids=["direct", "direct, no answer", "resting", "no cloud"],
)
def test_an_answer_has_the_boards_own_result_whoever_gives_it(policy: Policy, origin: str) -> None:
    answer = HybridSession(Board(), policy, clock=CLOCK).ask(query(11))
    assert answer.origin == origin
    assert answer.device.label == 1 and answer.device.scores.tolist() == [-5, 90, 3]
    assert answer.device.ran.ticks == 100 and answer.decision.escalate
    assert answer.bytes_received == (7 if origin == "cloud" else 0)


def test_any_object_that_asks_is_a_policy() -> None:
    """A policy of a user's own: it takes the cloud's word only where the two agree."""

    class Agreed:
        def ask(self, query: Query, own: Answer) -> Answer:
            answer = Direct(Cloud()).ask(query, own)
            return answer if answer.label == own.label else own.without_cloud("no_agreement")

    session = HybridSession(Board(), Resting(Agreed(), break_after=1), clock=CLOCK)
    assert [session.ask(query(11)).reason for _ in range(2)] == [
        "fallback: no_agreement",
        "fallback: resting",
    ]


def test_what_is_not_sent_is_neither_a_failure_nor_a_sign_of_life() -> None:
    cloud = Cloud([CloudError("down")] * 3)
    session = HybridSession(Board(), Resting(Direct(cloud), break_after=2), clock=CLOCK)
    payloads = [np.zeros(1), None, None, np.zeros(1), None, np.zeros(1)]
    reasons = [session.ask(query(11, payload)).reason for payload in payloads]
    assert [reason.removeprefix("fallback: ") for reason in reasons] == [
        *("failed", "no_payload", "no_payload", "failed", "no_payload", "resting")
    ]
    assert cloud.asked == 2


def test_a_list_is_given_up_after_failures_in_a_row_sooner_where_they_are_slow() -> None:
    now = [0.0]
    giving_up = GivingUp(10.0, now=lambda: now[0])
    assert [giving_up.failed() for _ in range(9)] == [False] * 9
    giving_up.answered()
    assert [giving_up.failed() for _ in range(10)] == [False] * 9 + [True]
    giving_up.answered()
    assert not giving_up.failed()
    now[0] = 11.0
    assert [giving_up.failed() for _ in range(2)] == [False, True]
