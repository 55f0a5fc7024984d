"""The live pass of a run: the board decides, and what it queries goes to the cloud at once.

Then the second pass, which fetches what the cloud was not asked. Every answer goes into the journal
as it comes. Not here: what is streamed (split.py) and what is made of the answers (run.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from mcu_hybrid.artifacts.run import DeviceCounters
from mcu_hybrid.bench import measure, timing
from mcu_hybrid.device.client import Device
from mcu_hybrid.errors import CloudError, InputError
from mcu_hybrid.events import OnEvent
from mcu_hybrid.machines.price import code_of
from mcu_hybrid.reference.judge import Judge, Unjudged
from mcu_hybrid.routing.outcomes import MISSING
from mcu_hybrid.routing.policy import Direct, GivingUp, Resting
from mcu_hybrid.routing.query import Query
from mcu_hybrid.routing.session import DeviceClock, HybridSession
from mcu_hybrid.steps.build import Build
from mcu_hybrid.steps.cloud import CloudModel
from mcu_hybrid.steps.heard import Fetched, Heard, Pass, counters_of, fallbacks_of
from mcu_hybrid.steps.journal import Journal
from mcu_hybrid.steps.run_table import Job
from mcu_hybrid.steps.split import TestSplit
from mcu_hybrid.wire.messages import Decision

NOT_ASKED = "not_asked"
# Inputs of a split, to tell whether it is still the same network. A hint, no proof: networks that
# agree on nine of ten inputs agree on all four in two of three cases. More would cost queries.
ASKED_AGAIN = 4


def stream(
    job: Job, device: Device, split: str, check: bool, journal: Journal, tell: OnEvent
) -> Pass:
    """Run a split on the board; ask the cloud where it says so, and TFLM where ``check``.

    What the journal has of the split is not asked again.
    """
    build, cloud, data, tensors = job.build, job.model, job.splits[split], job.tensors[split]
    timer = timer_of(build, device)
    session = HybridSession(
        device, Resting(Direct(cloud)), clock=_clock(timer), logits=device.hello().logits
    )
    judged = _Judged(build, check)
    heard = journal.entries(split, Heard)
    before = len(heard)
    silent = fallbacks_of(heard)
    restarts = heard[-1].restarts if heard else 0
    device.reset_stats()
    for i in range(before, len(tensors)):
        tensor = tensors[i][None]
        answer = session.ask(Query(str(i), tensor, cloud.payload(data.x[i : i + 1])))
        differing = judged.differing(answer.device.ran.outputs, tensor)
        one = Heard.of(answer, differing, restarts + device.restarts)
        heard.append(one)
        journal.add(split, one)
        tell("board + cloud", i + 1, len(tensors))
        for reason in fallbacks_of([one]):
            silent[reason] += 1
            tell(f"no answer of the cloud: {reason}", silent[reason], len(tensors))
    count = max(1, len(heard))
    edge = timer.total(
        sum(one.ticks for one in heard) / count, sum(one.instructions for one in heard) / count
    )
    counters = counters_of(heard, _device_counters(device, heard[:before]))
    fetched = {one.at: one for one in journal.entries(split, Fetched)}
    return Pass(heard, edge, counters, judged.reason, fetched)


def _device_counters(device: Device, before: list[Heard]) -> DeviceCounters:
    """The board's own counters of this pass, over its restarts, held against its answers.

    ``device_disagrees`` says how they differ, "" where they do not. Of an earlier part of the run
    its answers count; its repeats are not known.
    """
    disagrees = device.disagreement()
    stats, answered, tally = device.stats(), device.answered, device.tally
    kept = sum(one.decision == Decision.KEEP for one in before)
    queried = sum(one.decision == Decision.QUERY for one in before)
    restarts = before[-1].restarts if before else 0
    return DeviceCounters(
        device_kept=kept + answered.kept - tally.kept + stats.kept,
        device_queried=queried + answered.queried - tally.queried + stats.queried,
        device_repeats=stats.repeats,
        device_restarts=restarts + device.restarts,
        device_disagrees=disagrees,
    )


class _Judged:
    """Compares outputs with TFLM's, as long as that works: the board's answers stand without."""

    def __init__(self, build: Build, check: bool) -> None:
        self.reason = ""
        self._judge: Judge | None = None
        if check:
            try:
                self._judge = Judge(build.model.data, build.model.file.metadata)
            except Unjudged as error:
                self.reason = error.message

    def differing(self, outputs: Sequence[bytes], tensor: np.ndarray) -> int | None:
        """How many outputs of an inference differ; None where they cannot be compared."""
        if self._judge is None:
            return None
        try:
            return measure.count_differences(outputs, self._judge.run([tensor]))
        except Unjudged as error:
            self._judge, self.reason = None, error.message
            return None


def timer_of(build: Build, device: Device) -> timing.Timer:
    """How this build's times are known on the board at the other end of the link."""
    work = timing.Work(
        build.facts.layers,
        build.facts.aot.predicted_instructions if build.facts.aot else None,
        code_of(build.facts.engine, build.facts.aot.kernels if build.facts.aot else ""),
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
    cloud: CloudModel,
    data: TestSplit,
    seen: Pass,
    journal: Journal,
    split: str,
    tell: OnEvent,
) -> None:
    """Fetch the answers of the cloud that the live pass has not; failures are counted in ``seen``.

    A cloud that does not answer any more is not asked for all of them: the rest is NOT_ASKED.
    """
    missing = [int(i) for i in np.flatnonzero(seen.cloud == MISSING)]
    giving_up = GivingUp(slow_s=2 * cloud.client.deadline_s)
    for number, i in enumerate(missing):
        try:
            told = cloud.infer(cloud.payload(data.x[i : i + 1]))
        except CloudError as error:
            seen.failed[error.reason] += 1
            tell(f"no answer of the cloud: {error.reason}", seen.failed[error.reason], len(data.x))
            if giving_up.failed():
                seen.failed += Counter({NOT_ASKED: len(missing) - number - 1})
                return
            continue
        giving_up.answered()
        sizes = (told.elapsed_us, told.bytes_sent, told.bytes_received)
        seen.fetched[i] = Fetched(i, told.label, *sizes)
        journal.add(split, seen.fetched[i])
        tell("cloud, the rest", number + 1, len(missing))


def require_same_cloud(
    cloud: CloudModel, splits: Mapping[str, TestSplit], journal: Journal
) -> None:
    """Ask a few inputs again that the cloud has answered in an earlier part of the run.

    Raises:
        InputError: the answer is another now: half of the table would be another network's.
    """
    for name, data in splits.items():
        known = {i: one.cloud for i, one in enumerate(journal.entries(name, Heard))}
        known |= {one.at: one.cloud for one in journal.entries(name, Fetched)}
        answered = [i for i, label in known.items() if label != MISSING]
        for i in answered[:: max(1, len(answered) // ASKED_AGAIN)][:ASKED_AGAIN]:
            try:
                told = cloud.infer(cloud.payload(data.x[i : i + 1]))
            except CloudError:
                continue  # it says nothing of another network
            if told.label != known[i]:
                raise InputError(
                    f"the cloud's model '{cloud.client.model}' gives class {told.label} for an "
                    f"input that it gave class {known[i]} in the part that was kept",
                    "give the model of then (--cloud, --model), or --restart to start anew",
                )
