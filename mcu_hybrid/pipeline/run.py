"""run: stream the test split through the board, send what it queries to the cloud, make the table.

Thresholds come from the export (its calibration split); the test split is only measured. The pass
is live: the board decides at the deployed threshold, and what it queries goes to the server at
once. For the table's other rows the same board scores are held against their thresholds, and the
remaining answers of the cloud (the "cloud only" row needs all) are fetched afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mcu_hybrid import manifest
from mcu_hybrid.cloud.client import CloudClient
from mcu_hybrid.errors import CloudError, InputError, ManifestError, McuHybridError
from mcu_hybrid.harness import bench, route_eval
from mcu_hybrid.harness.device import Device
from mcu_hybrid.harness.judge import Judge
from mcu_hybrid.nets.checkpoint import SPLITS, load_splits
from mcu_hybrid.pipeline.build import Build
from mcu_hybrid.pipeline.cloud import Payload, RunOptions, payload_form, require_classes
from mcu_hybrid.pipeline.flash import on_board
from mcu_hybrid.query import Query
from mcu_hybrid.session import DeviceClock, HybridSession

OnEvent = Callable[[str, int, int], None]
RESULT = "run.json"
GONE_AFTER = 3  # failed queries in a row, each with its retries
EXPECTED_ANSWER_BYTES = 200  # used for the link's way down where the server was never asked


@dataclass(frozen=True)
class TestSplit:
    """What is streamed: images uint8 [N, H, W, C], labels [N], and the data set's name."""

    name: str
    x: np.ndarray
    y: np.ndarray


@dataclass
class _Pass:
    """What the live pass collected, one entry per input."""

    device: list[int]
    learned: list[int]
    entropy: list[int]
    cloud: dict[int, int]
    differing: int
    edge_us: list[float]
    estimate: bool
    basis: str
    counters: dict[str, Any]
    cloud_us: list[float]
    query_bytes: int
    answer_bytes: int


def run_step(
    build: Build,
    data: TestSplit,
    cloud: CloudClient,
    options: RunOptions,
    *,
    calibration_samples: int = 0,
    out: Path | None = None,
    on_event: OnEvent | None = None,
) -> dict[str, Any]:
    """Run the whole split; return (and write) the table, its curves and what they rest on.

    Raises:
        InputError: the build has no router, or the images have another shape than its input.
        LinkError: the board does not answer. (A cloud that fails does not fail the run.)
    """
    metadata = require_hybrid(build)
    if out is not None:
        manifest.check_target(out, "run")
    tell = on_event or (lambda label, done, total: None)
    count = min(len(data.x), options.limit) if options.limit else len(data.x)
    data = TestSplit(data.name, data.x[:count], data.y[:count])
    tensors = to_device(build, data.x)
    payload = payload_form(cloud, data.x.shape[1:])
    require_classes(build, cloud)
    with on_board(build, port=options.port, on_event=on_event) as device:
        seen = _stream(build, device, cloud, data, tensors, payload, options, tell)
    failed = _ask_the_rest(cloud, data, payload, seen, tell)
    result = _result(build, data, seen, metadata, options, calibration_samples)
    result["cloud_failed"] = failed
    if out is not None:
        with manifest.writing(out, "run") as draft:
            draft.sources["build"] = build.folder
            (draft.folder / RESULT).write_text(json.dumps(result, indent=1) + "\n")
            draft.facts.update(exact=result["exact"], rows=result["rows"])
    return result


def _ask_the_rest(
    cloud: CloudClient, data: TestSplit, payload: Payload, seen: _Pass, tell: OnEvent
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


def to_device(build: Build, x: np.ndarray) -> np.ndarray:
    """Quantise uint8 images to the int8 input of the build's model: real = x / 255.

    Raises:
        InputError: the images have another shape than the model's input.
    """
    tensor = build.model.graph.tensor(build.model.graph.inputs[0])
    if tuple(x.shape[1:]) != tensor.shape[1:]:
        raise InputError(
            f"images are {'x'.join(map(str, x.shape[1:]))}, the model takes "
            f"{'x'.join(map(str, tensor.shape[1:]))} (height x width x channels)",
            "give the data set that the model was trained on, or --size HEIGHTxWIDTH",
        )
    quant = tensor.require_quant()
    steps = np.rint(x.astype(np.float64) / 255.0 / quant.scale) + quant.zero_point
    return np.clip(steps, -128, 127).astype(np.int8)


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


def _stream(
    build: Build,
    device: Device,
    cloud: CloudClient,
    data: TestSplit,
    tensors: np.ndarray,
    payload: Payload,
    options: RunOptions,
    tell: OnEvent,
) -> _Pass:
    hello = device.hello()
    recorder = _Recorder(device, cloud)
    clock = _clock(build, device)
    session = HybridSession(recorder, recorder, clock=clock[0], logits=hello.logits)
    judge = Judge(build.model.data, build.model.file.metadata) if options.check else None
    seen = _Pass([], [], [], {}, 0, [], clock[0].is_estimate, clock[1], {}, [], 0, 0)
    device.reset_stats()
    for i, tensor in enumerate(tensors):
        answer = session.ask(Query(str(i), tensor[None], payload(data.x[i : i + 1])))
        ran = recorder.inference
        seen.device.append(int(np.argmax(ran.int8(hello.logits))))
        seen.learned.append(ran.learned if ran.learned is not None else 0)
        seen.entropy.append(ran.entropy if ran.entropy is not None else 0)
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


def _result(
    build: Build,
    data: TestSplit,
    seen: _Pass,
    metadata: dict[str, Any],
    options: RunOptions,
    calibration_samples: int,
) -> dict[str, Any]:
    count = len(data.x)
    cloud = np.array([seen.cloud[i] for i in range(count)])
    labels = route_eval.Labels(np.array(seen.device), cloud, np.asarray(data.y))
    edge_ms = float(np.mean(seen.edge_us)) / 1e3
    cloud_ms = float(np.median(seen.cloud_us)) / 1e3 if seen.cloud_us else 0.0
    query_ms = options.link.query_ms(seen.query_bytes, seen.answer_bytes, cloud_ms)
    costs = route_eval.Costs(edge_ms, query_ms, seen.query_bytes)
    scores = {"entropy": np.array(seen.entropy), "router": np.array(seen.learned)}
    named = {"entropy": "entropy", "router": "learned"}
    scores = {name: s for name, s in scores.items() if named[name] in metadata["thresholds"]}
    routers = {name: _scores(s, metadata, named[name]) for name, s in scores.items()}
    return {
        "rows": route_eval.table(labels, routers, costs),
        "curves": {name: route_eval.curve(labels, s, costs) for name, s in scores.items()},
        "oracles": route_eval.oracles(labels, costs),
        "link": options.link.to_json(),
        "edge_ms": edge_ms,
        "cloud_ms": cloud_ms,
        "query_ms": query_ms,
        "query_bytes": seen.query_bytes,
        "latency_is_estimate": seen.estimate,
        "latency_basis": seen.basis,
        "dataset": data.name,
        "samples": count,
        "calibration_samples": calibration_samples,
        "deployed": metadata["deployed"],
        "counters": seen.counters,
        "board": build.board.name,
        "build_id": build.image.build_id,
        "exact": seen.differing == 0 if options.check else None,
        "differing_outputs": seen.differing if options.check else None,
    }


def _scores(test: np.ndarray, metadata: dict[str, Any], name: str) -> route_eval.Scores:
    thresholds = {float(c): int(t) for c, t in metadata["thresholds"][name].items()}
    return route_eval.Scores(np.zeros(0), test, thresholds)


def export_of(build: Build) -> Path:
    """The export folder that the build was made from; raises ManifestError where it is gone."""
    source = manifest.read(build.folder).sources["model"]
    folder = (build.folder / source.path).resolve()
    if not (folder / manifest.NAME).is_file():
        raise ManifestError(
            f"was built from {folder}, which is no export folder (any more)",
            "give --export DIR, and --data",
            path=build.folder,
        )
    return folder


def test_split(
    export: Path, data_spec: str | None = None, size: tuple[int, int] | None = None
) -> tuple[TestSplit, int]:
    """The images that neither training, router nor thresholds have seen; and how many calibrated.

    Args:
        data_spec: another data set: its own test split where it has one, else all of it.
        size: height and width to resize its images to; None: as in training.
    """
    facts = manifest.load(export, "export").facts
    if data_spec is None:
        splits = load_splits(export / SPLITS)
        name = (facts.get("data") or {}).get("spec", "test split")
        return TestSplit(name, splits.x_test, splits.y_test), len(splits.y_calibration)
    from mcu_hybrid.training.data import load_data

    size = size or (facts.get("data") or {}).get("size")
    data = load_data(data_spec, size=size and (size[0], size[1]))
    labels = tuple(facts.get("labels") or ())
    if labels and labels != data.labels:
        raise InputError(
            f"has the classes {', '.join(data.labels)}; the model was trained on "
            f"{', '.join(labels)}",
            "name the class folders as they were in training",
            path=data_spec,
        )
    mask = data.fixed_test_mask
    chosen = np.ones(len(data.y), bool) if mask is None else mask
    return TestSplit(data.name, data.x[chosen], data.y[chosen]), 0


def table_rows(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with the keys that ``demo --json`` promises."""
    keys = ("method", "coverage_target", "coverage", "coverage_ci", "accuracy", "latency_ms")
    return [{key: row[key] for key in keys} | {"bytes_sent": row["bytes_sent"]} for row in rows]
