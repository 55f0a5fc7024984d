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
from mcu_hybrid.errors import CloudError, McuHybridError
from mcu_hybrid.harness import bench
from mcu_hybrid.harness.device import Device
from mcu_hybrid.harness.judge import Judge
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
    edge_us: list[float]
    estimate: bool
    basis: str
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
    clock = _clock(build, device)
    session = HybridSession(recorder, recorder, clock=clock[0], logits=hello.logits)
    judge = Judge(build.model.data, build.model.file.metadata) if options.check else None
    seen = Pass([], {}, {}, 0, [], clock[0].is_estimate, clock[1], {}, [], 0, 0)
    device.reset_stats()
    for i, tensor in enumerate(tensors):
        answer = session.ask(Query(str(i), tensor[None], payload(data.x[i : i + 1])))
        ran = recorder.inference
        seen.device.append(int(np.argmax(ran.int8(hello.logits))))
        for name, router in routers.ROUTERS.items():
            if router.ID in ran.scores:
                seen.scores.setdefault(name, []).append(ran.scores[router.ID])
        seen.edge_us.append(answer.latency.device_us)
        if answer.origin == "cloud":
            seen.cloud[i] = answer.label
            seen.cloud_us.append(answer.latency.cloud_us)
        if judge is not None:
            seen.differing += bench.count_differences(ran.outputs, judge.run([tensor[None]]))
        tell("board + cloud", i + 1, len(tensors))
    stats = device.stats()
    seen.counters = session.counters.to_json() | {
        "device_kept": stats.kept,
        "device_queried": stats.queried,
    }
    seen.query_bytes, seen.answer_bytes = recorder.query_bytes, recorder.answer_bytes
    return seen


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


def _clock(build: Build, device: Device) -> tuple[DeviceClock, str]:
    """Microseconds per tick of this board, whether they are an estimate, and what they rest on."""
    hello = device.hello()
    ticks = 1_000_000
    per_tick = hello.tick_instructions
    us, estimate, basis = bench.latency(build.board, hello, ticks, ticks * per_tick)
    if us is None:
        raise McuHybridError(
            f"{build.board.name} has no time: {basis}",
            "use a board whose core has cycles per instruction, or a real one",
        )
    return DeviceClock(us / ticks, estimate), basis


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
