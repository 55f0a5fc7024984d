"""The table of a run, its curves, and what they rest on: from what was heard to plain data.

Not here: who is asked (run.py, live.py), and the arithmetic of a row (routing/evaluate.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from mcu_hybrid import mechanisms
from mcu_hybrid.artifacts.demo import DemoRow
from mcu_hybrid.artifacts.run import EXPECTED_ANSWER_BYTES, Pixels, RunData, RunResult
from mcu_hybrid.artifacts.table import Deployed, Row
from mcu_hybrid.artifacts.times import Rests
from mcu_hybrid.routing import evaluate
from mcu_hybrid.routing.outcomes import MISSING, Outcomes
from mcu_hybrid.steps.build import Build, untuned_sha256
from mcu_hybrid.steps.cloud import CloudModel, RunOptions, cloud_warnings
from mcu_hybrid.steps.heard import Pass
from mcu_hybrid.steps.split import TestSplit

OUTCOMES, CALIBRATION = "results.npz", "calibration.npz"  # per image, of the test and other split


@dataclass(frozen=True)
class Job:
    """What is streamed to whom: each split by its file's name, and as the board takes it."""

    build: Build
    model: CloudModel
    splits: Mapping[str, TestSplit]
    tensors: Mapping[str, np.ndarray]
    options: RunOptions
    route: Deployed

    @property
    def test(self) -> TestSplit:
        """The split that is measured."""
        return self.splits[OUTCOMES]

    @property
    def inputs(self) -> int:
        """How many there are, of all splits."""
        return sum(len(split.y) for split in self.splits.values())


def result_of(
    job: Job, passes: Mapping[str, Pass], metadata: Mapping[str, Any], calibration_samples: int
) -> RunResult:
    """What run.json holds. ``cloud_missing`` counts test inputs without the cloud's answer.

    ``cloud_failed`` has the second pass's failures by reason, ``counters`` the live pass's.
    """
    seen, data, build = passes[OUTCOMES], job.test, job.build
    count = len(data.x)
    edge_ms, low_ms, high_ms = seen.edge.board_ms()
    cloud_ms, sent, received = _query(job, passes)
    query_ms = None if cloud_ms is None else job.options.link.query_ms(sent, received, cloud_ms)
    costs = evaluate.Costs(edge_ms, query_ms, sent, low_ms, high_ms)
    rows = (*mechanisms.of_logits(), mechanisms.of_model())  # the table's order
    routers = {one.title: one.name for one in rows if one.name in metadata["thresholds"]}
    scores = {title: seen.scores[name] for title, name in routers.items()}
    outcomes = Outcomes.of_two(seen.device, seen.cloud, np.asarray(data.y), scores)
    thresholds = {title: _thresholds(metadata, name) for title, name in routers.items()}
    return RunResult(
        rows=tuple(evaluate.table(outcomes, thresholds, costs)),
        curves={name: evaluate.curve(outcomes, name, costs) for name in scores},
        oracles=evaluate.oracles(outcomes, costs),
        link=job.options.link.facts(),
        edge_ms=edge_ms,
        edge_low_ms=low_ms,
        edge_high_ms=high_ms,
        cloud_ms=cloud_ms,
        query_ms=query_ms,
        query_bytes=sent,
        answer_bytes=received,
        rests=Rests(
            latency_kind=seen.edge.kind,
            latency_is_estimate=seen.edge.kind == "estimate",
            latency_basis=seen.edge.basis,
        ),
        dataset=data.name,
        data=RunData(remarks=data.remarks),
        samples=count,
        calibration_samples=calibration_samples,
        deployed=job.route,
        router=mechanisms.router_name(job.route.router),
        counters=seen.counters,
        cloud_missing=_missing(seen),
        cloud_failed=dict(sorted(seen.failed.items())),
        calibration_missing=_missing(passes.get(CALIBRATION)),
        board=build.board.name,
        build_id=build.image.build_id,
        model_sha256=untuned_sha256(build.model, build),
        labels=tuple(metadata.get("labels") or ()),
        exact=None if seen.differing is None else seen.differing == 0,
        differing_outputs=seen.differing,
        unjudged=seen.unjudged,
        cloud_pixels=Pixels(**vars(job.model.pixels)) if job.model.pixels else None,
        cloud_is_own=not job.options.cloud,
        warnings=tuple(
            cloud_warnings(
                job.model.pixels,
                outcomes.cloud,
                outcomes.device,
                outcomes.truth,
                is_own=not job.options.cloud,
            )
        ),
    )


def _missing(seen: Pass | None) -> int:
    return 0 if seen is None else int((seen.cloud == MISSING).sum())


def _query(job: Job, passes: Mapping[str, Pass]) -> tuple[float | None, int, int]:
    """The cloud's own time (None where it never answered), and the bytes to it and from it."""
    answers = next((found for one in passes.values() if (found := one.answers)), [])
    if not answers:
        sent = job.model.client.request_bytes(job.model.payload(job.test.x[:1]))
        return None, sent, EXPECTED_ANSWER_BYTES
    cloud_ms = float(np.median([one.cloud_us for one in answers])) / 1e3
    return cloud_ms, answers[-1].bytes_sent, answers[-1].bytes_received


def _thresholds(metadata: Mapping[str, Any], name: str) -> dict[float, int]:
    """Coverage -> threshold of a router, as the export chose them."""
    return {float(c): int(t) for c, t in metadata["thresholds"][name].items()}


def table_rows(rows: Sequence[Row]) -> tuple[DemoRow, ...]:
    """The rows with the keys that ``demo --json`` promises."""
    names = [one.name for one in fields(DemoRow)]
    return tuple(DemoRow(**{name: getattr(row, name) for name in names}) for row in rows)
