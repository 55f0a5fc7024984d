"""run: stream the test split through the board, send what it queries to the cloud, make the table.

Thresholds come from the export (its calibration split); the test split is only measured. The pass
is live: the board decides at the deployed threshold, and what it queries goes to the server at
once. For the table's other rows the same board scores are held against their thresholds, and the
remaining answers of the cloud (the "cloud only" row needs all) are fetched afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mcu_hybrid import manifest, routers
from mcu_hybrid.cloud.client import CloudClient
from mcu_hybrid.errors import InputError
from mcu_hybrid.graph.images import to_int8
from mcu_hybrid.harness import route_eval
from mcu_hybrid.harness.device import Device
from mcu_hybrid.pipeline.build import Build, untuned_sha256
from mcu_hybrid.pipeline.cloud import RunOptions, payload_form, require_classes
from mcu_hybrid.pipeline.flash import on_board
from mcu_hybrid.pipeline.live import Pass, ask_the_rest, outcomes_of, stream
from mcu_hybrid.pipeline.run_pictures import PICTURES, save_pictures
from mcu_hybrid.pipeline.split import TestSplit
from mcu_hybrid.tuning.outcomes import Outcomes
from mcu_hybrid.wire.messages import Router

OnEvent = Callable[[str, int, int], None]
RESULT = "run.json"
OUTCOMES, CALIBRATION = "results.npz", "calibration.npz"  # per image, of the test and other split
# The table's names in its order -> routers: "router" is the one that was trained.
METHODS = {name: name for name in routers.SIMPLE} | {"router": routers.learned.NAME}


def run_step(
    build: Build,
    data: TestSplit,
    cloud: CloudClient,
    options: RunOptions,
    *,
    calibration_samples: int = 0,
    calibration: TestSplit | None = None,
    out: Path | None = None,
    on_event: OnEvent | None = None,
) -> dict[str, Any]:
    """Run the whole split; return (and write) the table, its curves and what they rest on.

    ``calibration`` is streamed too, for ``tune``; nothing of it is in the table.

    Raises:
        InputError: the build has no such router, or the images have another shape than its input.
        LinkError: the board does not answer. (A cloud that fails does not fail the run.)
    """
    metadata = require_hybrid(build)
    route = _route(build, metadata, options.router)
    if out is not None:
        manifest.check_target(out, "run")
    tell = on_event or (lambda label, done, total: None)
    data = _first(data, options.limit)
    tensors = to_int8(build.model.graph, data.x)
    payload = payload_form(cloud, data.x.shape[1:])
    require_classes(build, cloud)
    board = on_board(build, port=options.port, probe=options.probe, on_event=on_event)
    with board as device, _routed(device, route):
        seen = stream(build, device, cloud, data, tensors, payload, options, tell)
        failed = ask_the_rest(cloud, data, payload, seen, tell)
        splits = {OUTCOMES: outcomes_of(seen, data, f"board {build.board.name}")}
        if calibration is not None and out is not None:
            splits[CALIBRATION] = _calibrate(build, device, cloud, calibration, options, tell)
    metadata = metadata | {"deployed": route}
    result = _result(build, data, seen, metadata, options, calibration_samples)
    result["cloud_failed"] = failed
    if out is not None:
        with manifest.writing(out, "run") as draft:
            draft.sources["build"] = build.folder
            (draft.folder / RESULT).write_text(json.dumps(result, indent=1) + "\n")
            for name, outcomes in splits.items():
                outcomes.save(draft.folder / name)
            _keep_pictures(draft.folder / PICTURES, data, splits[OUTCOMES], route)
            draft.facts.update(exact=result["exact"], rows=result["rows"])
    return result


def _keep_pictures(
    path: Path, data: TestSplit, outcomes: Outcomes, route: Mapping[str, Any]
) -> None:
    """A few of the images that were queried or answered wrongly, for the report."""
    name = routers.router_name(route["router"])
    queried = np.zeros(outcomes.count, bool)
    if name in outcomes.scores:
        queried = routers.queries(outcomes.score(name), route["threshold"])
    right = np.where(queried, outcomes.cloud_right, outcomes.device_right)
    save_pictures(path, data.x, queried, ~right)


def _first(data: TestSplit, limit: int) -> TestSplit:
    return TestSplit(data.name, data.x[:limit], data.y[:limit]) if limit else data


def _calibrate(
    build: Build,
    device: Device,
    cloud: CloudClient,
    data: TestSplit,
    options: RunOptions,
    tell: OnEvent,
) -> Outcomes:
    """What board and cloud say about the calibration split."""
    if options.limit:  # not the first ones: folders come class by class
        some = np.random.default_rng(0).permutation(len(data.y))[: options.limit]
        data = TestSplit(data.name, data.x[some], data.y[some])
    payload = payload_form(cloud, data.x.shape[1:])
    tensors = to_int8(build.model.graph, data.x)

    def said(label: str, done: int, total: int) -> None:
        tell(f"calibration: {label}", done, total)

    unjudged = replace(options, check=False)
    seen = stream(build, device, cloud, data, tensors, payload, unjudged, said)
    failed = sum(ask_the_rest(cloud, data, payload, seen, said).values())
    lost = f", {failed} images without an answer of the cloud" if failed else ""
    return outcomes_of(seen, data, f"board {build.board.name}{lost}")


def require_hybrid(build: Build) -> dict[str, Any]:
    """The metadata of a model with a router; raises InputError for any other model."""
    metadata = build.model.file.metadata
    if metadata is None or not metadata.get("thresholds"):
        raise InputError(
            "the model has no router: nothing decides what goes to the cloud",
            "train and export one: mcu-hybrid train, mcu-hybrid export",
            path=build.folder,
        )
    return metadata


def _route(build: Build, metadata: dict[str, Any], router: str) -> dict[str, Any]:
    """The build's own route, or that of another router at the coverage of the build's own."""
    deployed: dict[str, Any] = metadata["deployed"]
    if not router:
        return deployed
    number = routers.router_id(router)
    if number == routers.NONE_ID:
        return {"router": number, "coverage": 1.0, "threshold": 0}
    known = metadata["thresholds"].get(router)
    # A build that keeps everything has no coverage of its own: that of its usual table.
    wanted = deployed["coverage"] if deployed["router"] else 0.8
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
    return {"router": number, "coverage": float(coverage), "threshold": known[coverage]}


@contextmanager
def _routed(device: Device, route: dict[str, Any]) -> Iterator[None]:
    """The board decides by ``route`` meanwhile, and by what it had before afterwards."""
    before = device.get_route()
    device.set_route(Router(route["router"]), route["threshold"])
    try:
        yield
    finally:
        device.set_route(before.router, before.threshold)


def _result(
    build: Build,
    data: TestSplit,
    seen: Pass,
    metadata: dict[str, Any],
    options: RunOptions,
    calibration_samples: int,
) -> dict[str, Any]:
    count = len(data.x)
    cloud = np.array([seen.cloud[i] for i in range(count)])
    labels = route_eval.Labels(np.array(seen.device), cloud, np.asarray(data.y))
    edge_ms, low_ms, high_ms = seen.edge.board_ms()
    cloud_ms = float(np.median(seen.cloud_us)) / 1e3 if seen.cloud_us else 0.0
    query_ms = options.link.query_ms(seen.query_bytes, seen.answer_bytes, cloud_ms)
    costs = route_eval.Costs(edge_ms, query_ms, seen.query_bytes, low_ms, high_ms)
    scores = {
        method: np.array(seen.scores[name])
        for method, name in METHODS.items()
        if name in metadata["thresholds"]
    }
    scored = {method: _scores(s, metadata, METHODS[method]) for method, s in scores.items()}
    return {
        "rows": route_eval.table(labels, scored, costs),
        "curves": {name: route_eval.curve(labels, s, costs) for name, s in scores.items()},
        "oracles": route_eval.oracles(labels, costs),
        "link": options.link.to_json(),
        "edge_ms": edge_ms,
        "edge_low_ms": low_ms,
        "edge_high_ms": high_ms,
        "cloud_ms": cloud_ms,
        "query_ms": query_ms,
        "query_bytes": seen.query_bytes,
        "answer_bytes": seen.answer_bytes,
        "latency_kind": seen.edge.kind,
        "latency_is_estimate": seen.edge.kind == "estimate",
        "latency_basis": seen.edge.basis,
        "dataset": data.name,
        "samples": count,
        "calibration_samples": calibration_samples,
        "deployed": metadata["deployed"],
        "router": routers.router_name(metadata["deployed"]["router"]),
        "counters": seen.counters,
        "board": build.board.name,
        "build_id": build.image.build_id,
        "model_sha256": untuned_sha256(build.model, build),
        "labels": list(metadata.get("labels") or ()),
        "exact": seen.differing == 0 if options.check else None,
        "differing_outputs": seen.differing if options.check else None,
    }


def _scores(test: np.ndarray, metadata: dict[str, Any], name: str) -> route_eval.Scores:
    thresholds = {float(c): int(t) for c, t in metadata["thresholds"][name].items()}
    return route_eval.Scores(np.zeros(0), test, thresholds)


def table_rows(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with the keys that ``demo --json`` promises."""
    keys = ("method", "coverage_target", "coverage", "coverage_ci", "accuracy", "latency_ms")
    return [{key: row[key] for key in keys} | {"bytes_sent": row["bytes_sent"]} for row in rows]
