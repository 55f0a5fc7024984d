"""Trials on a Ray cluster: compiling and training are Ray tasks, the study stays with the driver.

Workers need this package and the cache folder only; they never open the study. What they report
on the way goes through a small actor, from which the driver takes it and to which it says who is
to stop.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from mcu_hybrid import extras
from mcu_hybrid.errors import InputError, McuHybridError, ToolError
from mcu_hybrid.nets.genome import Genome
from mcu_hybrid.search.run import Proposal, Search
from mcu_hybrid.search.task import Fit, GivenUp, PairScores, Task, fit_of, score_of

LOCAL = "local"
_POLL_S = 0.1  # between two looks at what workers have done: a candidate takes seconds at least
_CONNECT_S = 5.0  # to a cluster that is there
_VERDICT_S = 10.0  # a worker waits this long to be told to stop, and goes on without an answer


def require_ray() -> Any:
    """The module; raises MissingTool with the install line where Ray is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    extras.require("search --ray", "ray")
    import ray

    return ray


@contextlib.contextmanager
def cluster(address: str, workers: int = 0) -> Iterator[Any]:
    """Connect to a cluster (``host:port``, ``auto``, ``ray://...``), or start one here (``local``).

    Args:
        workers: CPUs of a local cluster; 0: those of the machine.

    Raises:
        InputError: nothing answers at the address.
    """
    ray = require_ray()
    _require_answer(address)
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address == LOCAL:
            ray.init(num_cpus=workers or None, include_dashboard=False, **quiet)
        else:
            ray.init(address=address, **quiet)
    except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
        raise _unreachable(address, error) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _require_answer(address: str) -> None:
    """Raise InputError where nothing listens at ``host:port``: Ray itself tries for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), _CONNECT_S).close()
    except OSError as error:
        raise _unreachable(address, error) from error


def _unreachable(address: str, error: Exception) -> InputError:
    fact = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return InputError(
        f"no Ray cluster at '{address}': {fact}",
        "start one with: ray start --head; or give --ray local",
        key="--ray",
    )


class _Mail:
    """The actor: reports of workers, and the driver's verdicts on them."""

    def __init__(self) -> None:
        self.reports: list[tuple[int, int, float]] = []
        self.verdicts: dict[tuple[int, int], bool] = {}

    def post(self, number: int, done: int, score: float) -> None:
        self.reports.append((number, done, score))

    def take(self) -> list[tuple[int, int, float]]:
        taken, self.reports = self.reports, []
        return taken

    def decide(self, number: int, done: int, go_on: bool) -> None:
        self.verdicts[number, done] = go_on

    def verdict(self, number: int, done: int) -> bool | None:
        return self.verdicts.get((number, done))


def _train(
    task: Task, base: Genome, global_: Genome | None, fit: Fit, number: int, mail: Any
) -> PairScores | None:
    """The Ray task: scores of a pair, or None where its training was given up."""
    import ray

    def report(done: int, score: float) -> None:
        ray.get(mail.post.remote(number, done, score))
        end = time.monotonic() + _VERDICT_S
        while time.monotonic() < end:
            answer = ray.get(mail.verdict.remote(number, done))
            if answer is not None:
                if not answer:
                    raise GivenUp
                return
            time.sleep(_POLL_S / 2)

    try:
        return score_of(task, base, global_, fit, report)
    except GivenUp:
        return None


@dataclass(frozen=True)
class _Job:
    """A Ray task under way; ``fit`` is None while the proposal is being compiled."""

    proposal: Proposal
    fit: Fit | None


class Spread:
    """A search whose proposals are worked on by a cluster."""

    def __init__(self, search: Search, ray: Any) -> None:
        self.search, self.ray = search, ray
        self.jobs: dict[Any, _Job] = {}
        self.mail = ray.remote(num_cpus=0)(_Mail).remote()
        short = search.task.short
        single = replace(short, threads=short.threads or 1)  # one task a CPU
        self.task = ray.put(replace(search.task, short=single))
        self.fit, self.train = ray.remote(fit_of), ray.remote(_train)
        self.width = max(1, int(ray.cluster_resources().get("CPU", 1)))

    def run(self) -> None:
        """Work until every place is taken; as ``Search.run``."""
        self.search.tell()
        while self.fill():
            done, _ = self.ray.wait(list(self.jobs), timeout=_POLL_S)
            self.judge()
            for ref in done:
                self.take(ref)
                self.search.tell()

    def fill(self) -> bool:
        """Give the cluster new proposals; False where nothing is under way or to be done."""
        book = self.search.book
        while len(self.jobs) < self.width:
            compiling = sum(job.fit is None for job in self.jobs.values())
            if len(book.taken()) + compiling >= book.places:
                break
            proposal = self.search.propose()
            if proposal is None:
                break
            self.jobs[self.fit.remote(self.task, proposal.base)] = _Job(proposal, None)
        return bool(self.jobs)

    def judge(self) -> None:
        """Answer the reports that have come in."""
        trials = {job.proposal.trial.number: job.proposal.trial for job in self.jobs.values()}
        for number, done, score in self.ray.get(self.mail.take.remote()):
            if number in trials:
                go_on = self.search.go_on(trials[number], done, score)
                self.mail.decide.remote(number, done, go_on)

    def take(self, ref: Any) -> None:
        """What a task returned: begin the training of what fits, record what is trained."""
        job = self.jobs.pop(ref)
        found = self._result(ref)
        trial = job.proposal.trial
        if job.fit is not None:
            self.search.finish(trial, found)
        elif self.search.accept(job.proposal, found):
            pair = job.proposal.base, job.proposal.global_
            again = self.train.remote(self.task, *pair, found, trial.number, self.mail)
            self.jobs[again] = _Job(job.proposal, found)

    def _result(self, ref: Any) -> Any:
        """The task's result; Ray has tried again already where a worker was lost."""
        try:
            return self.ray.get(ref)
        except McuHybridError:
            raise
        except self.ray.exceptions.RayError as error:
            fact = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            raise ToolError(
                f"a Ray task failed: {fact}",
                "check that every node has this version of mcu-hybrid with its extra [search], "
                "and the --cache folder; then run again with --resume",
            ) from error
