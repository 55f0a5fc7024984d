"""run: stream the test split through the board, send what it queries to the cloud, make the table.

Thresholds come from the export (its calibration split); the test split is only measured. The pass
is live: the board decides at the deployed threshold, and what it queries goes to the server at
once. For the table's other rows the same board scores are held against their thresholds, and the
remaining answers of the cloud (the "cloud only" row needs all) are fetched afterwards. What is
heard is kept as it comes (journal.py); a silent cloud costs no answer of the board.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mcu_hybrid import manifest, mechanisms
from mcu_hybrid.artifacts import store
from mcu_hybrid.artifacts.run import RunFacts, RunResult
from mcu_hybrid.artifacts.table import Deployed
from mcu_hybrid.cloud.client import CloudClient
from mcu_hybrid.device.client import Device
from mcu_hybrid.errors import InputError, LinkError
from mcu_hybrid.events import OnEvent
from mcu_hybrid.reference.images import to_int8
from mcu_hybrid.routing.cascade import of_route
from mcu_hybrid.routing.outcomes import MISSING, Outcomes
from mcu_hybrid.steps.attach import Way
from mcu_hybrid.steps.build import Build
from mcu_hybrid.steps.cloud import RunOptions, cloud_model
from mcu_hybrid.steps.flash import on_board
from mcu_hybrid.steps.heard import Pass, RouteBefore, outcomes_of
from mcu_hybrid.steps.journal import Journal, check_ended_run
from mcu_hybrid.steps.live import ask_the_rest, require_same_cloud, stream
from mcu_hybrid.steps.run_pictures import PICTURES, save_pictures
from mcu_hybrid.steps.run_table import CALIBRATION, OUTCOMES, Job, result_of
from mcu_hybrid.steps.split import TestSplit
from mcu_hybrid.wire.payloads import Route


def run_step(
    build: Build,
    data: TestSplit,
    cloud: CloudClient,
    options: RunOptions,
    *,
    calibration_samples: int = 0,
    calibration: TestSplit | None = None,
    out: Path | None = None,
    resume: bool = False,
    restart: bool = False,
    on_event: OnEvent | None = None,
) -> RunResult:
    """Run the whole split; return (and write) the table, its curves and what they rest on.

    While it runs, ``journal_file(out)`` beside the folder holds what was heard so far.

    Args:
        calibration: streamed too, for ``tune``; nothing of it is in the table.
        resume: go on with a run that was ended, or that lacks answers of the cloud; build, data
            and options must be the same.
        restart: start anew though there is an ended run to go on with; else that is refused.

    Raises:
        InputError: the build has no such router, or the images have another shape than its input.
        LinkError: the board does not answer (any more); what it has answered is kept.
        CloudError: the cloud does not answer before the first input. (Later it fails no run.)
    """
    metadata = require_hybrid(build)
    route = _route(build, metadata, options.router)
    if out is not None:
        manifest.check_target(out, "run")
        check_ended_run(out, resume, restart)
    tell = on_event or (lambda label, done, total: None)
    splits = {OUTCOMES: _first(data, options.limit)}
    if calibration is not None and out is not None:
        splits[CALIBRATION] = _some(calibration, options.limit)
    tensors = {name: to_int8(build.model.graph, split.x) for name, split in splits.items()}
    model = cloud_model(cloud, build.model, data.x.shape[1:], options.pixels)
    job = Job(build, model, splits, tensors, options, route)
    with Journal(out, _identity(job), job.inputs, resume=resume) as journal, journal.named():
        require_same_cloud(model, splits, journal)
        passes = _hear(job, journal, tell)
        result = result_of(job, passes, metadata, calibration_samples)
        if out is not None:
            _write(out, job, passes, result, journal)
            journal.remove()
    return result


def _identity(job: Job) -> dict[str, object]:
    """What the answers depend on: a run that is gone on with must have the same.

    The server's address may change, as that of our own does: what is told of its model may not.
    """
    build, options = job.build, job.options
    test, calibration = job.test, job.splits.get(CALIBRATION)
    told = job.model.client.metadata()
    specs = [str(spec) for spec in (*told.inputs, *told.outputs)]
    return {
        "build": build.image.build_id,
        "board": build.board.name,
        "data": test.name,
        "limit": options.limit,
        "test inputs": test.digest,
        "calibration inputs": calibration.digest if calibration else None,
        "router": mechanisms.router_name(job.route.router),
        "threshold": job.route.threshold,
        "check": options.check,
        "cloud": "a server" if options.cloud else "the export's global model",
        "model": {"name": options.model, "versions": list(told.versions), "tensors": specs},
        "cloud's pixels": job.model.pixels.to_json() if job.model.pixels else None,
    }


def _hear(job: Job, journal: Journal, tell: OnEvent) -> dict[str, Pass]:
    """Both passes over each split; only the test split's outputs are compared with TFLM's."""
    passes: dict[str, Pass] = {}
    options = job.options
    way = Way(options.port, options.probe, virtual=options.virtual)
    with on_board(job.build, way, on_event=tell) as device, _routed(device, job.route, journal):
        for name in job.splits:
            is_test = name == OUTCOMES
            said = tell if is_test else _prefixed("calibration: ", tell)
            check = job.options.check and is_test
            passes[name] = stream(job, device, name, check, journal, said)
            ask_the_rest(job.model, job.splits[name], passes[name], journal, name, said)
    return passes


def _prefixed(prefix: str, tell: OnEvent) -> OnEvent:
    return lambda label, done, total: tell(prefix + label, done, total)


def _write(
    out: Path,
    job: Job,
    passes: Mapping[str, Pass],
    result: RunResult,
    journal: Journal,
) -> None:
    outcomes = {n: _outcomes(job.build, passes[n], split) for n, split in job.splits.items()}
    with manifest.writing(out, "run") as draft:
        draft.sources["build"] = job.build.folder
        store.write(result, draft.folder)
        for name, one in outcomes.items():
            one.save(draft.folder / name)
        if not all(one.answered.all() for one in outcomes.values()):
            journal.copy_to(draft.folder)
        _keep_pictures(draft.folder / PICTURES, job.test, outcomes[OUTCOMES], job.route)
        draft.facts |= RunFacts(exact=result.exact, rows=result.rows).to_json()


def _outcomes(build: Build, heard: Pass, data: TestSplit) -> Outcomes:
    missing = int((heard.cloud == MISSING).sum())
    lost = f", {missing} images without an answer of the cloud" if missing else ""
    return outcomes_of(heard, data, f"board {build.board.name}{lost}")


def _keep_pictures(path: Path, data: TestSplit, outcomes: Outcomes, route: Deployed) -> None:
    """A few of the images that were queried or answered wrongly, for the report."""
    stages = outcomes.stages(of_route(route.router, route.threshold))
    save_pictures(path, data.x, stages > 0, ~outcomes.right_at(stages))


def _first(data: TestSplit, limit: int) -> TestSplit:
    return replace(data, x=data.x[:limit], y=data.y[:limit]) if limit else data


def _some(data: TestSplit, limit: int) -> TestSplit:
    """Not the first ones: folders come class by class."""
    if not limit:
        return data
    some = np.random.default_rng(0).permutation(len(data.y))[:limit]
    return replace(data, x=data.x[some], y=data.y[some])


def require_hybrid(build: Build) -> Mapping[str, Any]:
    """The metadata of a model with a router; raises InputError for any other model."""
    metadata = build.model.file.metadata
    if metadata is None or not metadata.get("thresholds"):
        raise InputError(
            "the model has no router: nothing decides what goes to the cloud",
            "train and export one: mcu-hybrid train, mcu-hybrid export",
            path=build.folder,
        )
    return metadata


def _route(build: Build, metadata: Mapping[str, Any], router: str) -> Deployed:
    """The build's own route, or that of another router at the coverage of the build's own."""
    told = metadata["deployed"]
    deployed = Deployed(
        router=int(told["router"]),
        coverage=float(told["coverage"]),
        threshold=int(told["threshold"]),
    )
    if not router:
        return deployed
    number = mechanisms.router_id(router)
    if number == mechanisms.NONE_ID:
        return Deployed(router=number, coverage=1.0, threshold=0)
    known = metadata["thresholds"].get(router)
    # A build that keeps everything has no coverage of its own: that of its usual table.
    wanted = deployed.coverage if deployed.router else 0.8
    if not known:
        has = ", ".join(metadata["thresholds"])
        raise InputError(
            f"the model has no '{router}' threshold for coverage {wanted:g}",
            f"it has: {has}; or export the model again",
            path=build.folder,
            key="router",
        )
    # A tuned build has a coverage of its own, which other routers have no threshold for.
    coverage = min(known, key=lambda text: abs(float(text) - wanted))
    return Deployed(router=number, coverage=float(coverage), threshold=known[coverage])


@contextmanager
def _routed(device: Device, route: Deployed, journal: Journal) -> Iterator[None]:
    """The board decides by ``route`` meanwhile, and by what it had before afterwards."""
    ours = Route(route.router, route.threshold)
    before = device.get_route()
    kept = journal.entries("", RouteBefore)
    if kept and before == ours:  # an earlier part of this run set it, and could not set it back
        before = Route(kept[-1].router, kept[-1].threshold)
    journal.note("", RouteBefore(int(before.router), before.threshold))
    device.set_route(ours.router, ours.threshold)
    try:
        yield
    except LinkError:  # it hears nothing any more: no second wait for it, and no second error
        raise
    except BaseException:
        device.set_route(before.router, before.threshold)
        raise
    device.set_route(before.router, before.threshold)
