"""The live pass of a run: the board decides, and what it queries goes to the cloud at once.

Not here: what is streamed (split.py) and what is made of the answers (run.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mcu_hybrid import routers
from mcu_hybrid.cloud.client import CloudClient
from mcu_hybrid.errors import CloudError
from mcu_hybrid.harness import bench, timing
from mcu_hybrid.harness.device import Device
from mcu_hybrid.harness.judge import Judge
from mcu_hybrid.latency import Time, code_of
from mcu_hybrid.pipeline.build import Build
from mcu_hybrid.pipeline.cloud import Payload, RunOptions
from mcu_hybrid.pipeline.split import TestSplit
from mcu_hybrid.query import Query
from mcu_hybrid.session import DeviceClock, HybridSession
from mcu_hybrid.tuning.outcomes import Outcomes

OnEvent = Callable[[str, int, int], None]
GONE_AFTER = 3  # failed queries in a row, each with its retries
EXPECTED_ANSWER_BYTES = 200  # used for the link's way down where the server was never asked


@dataclass
class Pass:
    """What the live pass collected, one entry per input; ``scores`` per router that there is."""

    device: list[int]
    scores: dict[str, list[int]]
    cloud: dict[int, int]
    differing: int
    edge: Time  # of the mean inference
    counters: dict[str, Any]
    cloud_us: list[float]
    query_bytes: int
    answer_bytes: int


def stream(
    build: Build,
    device: Device,
    cloud: CloudClient,
    data: TestSplit,
    tensors: np.ndarray,
    payload: Payload,
    options: RunOptions,
    tell: OnEvent,
) -> Pass:
    """Run ``data`` on the board, quantised as ``tensors``; ask the cloud where it says so."""
    hello = device.hello()
    recorder = _Recorder(device, cloud)
    timer = timer_of(build, device)
    session = HybridSession(recorder, recorder, clock=_clock(timer), logits=hello.logits)
    judge = Judge(build.model.data, build.model.file.metadata) if options.check else None
    seen = Pass([], {}, {}, 0, timer.total(0, 0), {}, [], 0, 0)
    ticks = instructions = 0
    device.reset_stats()
    for i, tensor in enumerate(tensors):
        answer = session.ask(Query(str(i), tensor[None], payload(data.x[i : i + 1])))
        ran = recorder.inference
        seen.device.append(int(np.argmax(ran.int8(hello.logits))))
        for name, router in routers.ROUTERS.items():
            if router.ID in ran.scores:
                seen.scores.setdefault(name, []).append(ran.scores[router.ID])
        ticks, instructions = ticks + ran.ticks, instructions + ran.instructions
        if answer.origin == "cloud":
            seen.cloud[i] = answer.label
            seen.cloud_us.append(answer.latency.cloud_us)
        if judge is not None:
            seen.differing += bench.count_differences(ran.outputs, judge.run([tensor[None]]))
        tell("board + cloud", i + 1, len(tensors))
    count = max(1, len(tensors))
    seen.edge = timer.total(ticks / count, instructions / count)
    seen.counters = session.counters.to_json() | _device_counters(device)
    seen.query_bytes, seen.answer_bytes = recorder.query_bytes, recorder.answer_bytes
    return seen


def _device_counters(device: Device) -> dict[str, Any]:
    """The board's own counters of this pass, over its restarts, held against its answers.

    ``device_disagrees`` says how they differ, "" where they do not.
    """
    disagrees = device.disagreement()
    stats, answered, tally = device.stats(), device.answered, device.tally
    return {
        "device_kept": answered.kept - tally.kept + stats.kept,
        "device_queried": answered.queried - tally.queried + stats.queried,
        "device_repeats": stats.repeats,
        "device_restarts": device.restarts,
        "device_disagrees": disagrees,
    }


class _Recorder:
    """Stands between session, board and cloud and keeps the last inference and the sizes."""

    def __init__(self, device: Device, cloud: CloudClient) -> None:
        self._device, self._cloud = device, cloud
        self.inference: Any = None
        self.query_bytes = 0
        self.answer_bytes = EXPECTED_ANSWER_BYTES

    def infer(self, inputs: Any) -> Any:
        """The board's inference for a list of tensors, the cloud's for one array."""
        if isinstance(inputs, list):
            self.inference = self._device.infer(inputs)
            return self.inference
        result = self._cloud.infer(inputs)
        self.query_bytes, self.answer_bytes = result.bytes_sent, result.bytes_received
        return result


def outcomes_of(seen: Pass, data: TestSplit, basis: str) -> Outcomes:
    """What device and cloud said, image by image, once the cloud has answered for all."""
    cloud = np.array([seen.cloud[i] for i in range(len(data.y))])
    scores = {name: np.array(values) for name, values in seen.scores.items()}
    return Outcomes(np.array(seen.device), cloud, np.asarray(data.y), scores, basis)


def timer_of(build: Build, device: Device) -> timing.Timer:
    """How this build's times are known on the board at the other end of the link."""
    work = timing.Work(
        build.facts["layers"], build.facts.get("predicted_instructions"), code_of(build.facts)
    )
    return timing.Timer(build.board, device.hello(), device.link.url, work)


def _clock(timer: timing.Timer) -> DeviceClock:
    """Microseconds per tick, for single answers; None where a tick has no time."""
    ticks = 1_000_000
    time = timer.total(ticks, ticks * timer.hello.tick_instructions)
    if time.kind is None or timer.source == "unproved":
        return DeviceClock(None)
    return DeviceClock((time.us or 0.0) / ticks, time.kind == "estimate")


def ask_the_rest(
    cloud: CloudClient, data: TestSplit, payload: Payload, seen: Pass, tell: OnEvent
) -> dict[str, int]:
    """Fetch the answers that the live pass has not; returns how many failed, by reason.

    Where one fails the device's answer stands in, as in the live pass.

    Raises:
        CloudError: several in a row fail, so the server is gone: the table would be of no use.
    """
    failed: dict[str, int] = {}
    in_a_row = 0
    missing = [i for i in range(len(data.x)) if i not in seen.cloud]
    for number, i in enumerate(missing):
        try:
            seen.cloud[i] = int(np.argmax(cloud.infer(payload(data.x[i : i + 1])).scores()))
            in_a_row = 0
        except CloudError as error:
            in_a_row += 1
            if in_a_row == GONE_AFTER:
                raise
            failed[error.reason] = failed.get(error.reason, 0) + 1
            seen.cloud[i] = seen.device[i]
        tell("cloud, the rest", number + 1, len(missing))
    return failed
