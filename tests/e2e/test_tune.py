"""tune through the command line: the board's answers, a target, the running board, a rebuild."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mcu_hybrid import mechanisms
from mcu_hybrid.device.client import Device
from mcu_hybrid.reference.images import to_int8
from mcu_hybrid.routing.cascade import board_to_cloud
from mcu_hybrid.routing.outcomes import load_outcomes
from mcu_hybrid.routing.tune.settings import measure
from mcu_hybrid.steps.build import open_build
from mcu_hybrid.steps.split import calibration_split
from mcu_hybrid.steps.tune_costs import costs_of
from mcu_hybrid.steps.tune_inputs import CostOptions, gather
from tests.support.cli_rig import (  # noqa: F401 (own_state is used by all)
    call,
    fail,
    own_state,
    text,
)
from tests.support.routers import Router

for package in ("torch", "sklearn", "onnxruntime", "fastapi", "tflite_micro", "PIL"):
    pytest.importorskip(package)
for program in ("arm-none-eabi-gcc", "qemu-system-arm"):
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed", allow_module_level=True)

BOARD = "mps2-an500"
SMALL = (
    *("--base-epochs", 8, "--global-epochs", 8, "--base-width", 4, "--global-width", 8),
    *("--router-hidden", 4, "--threads", 1),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders train, export, build and run, made once."""
    root = tmp_path_factory.mktemp("runs")
    call("train", *SMALL, "--out", root / "train")
    call("export", root / "train", "--out", root / "export")
    call("build", root / "export", "--board", BOARD, "--out", root / "build")
    call("run", root / "build", "--link", "lte", "--out", root / "run")
    return root


@pytest.fixture
def board(made: Path) -> Iterator[str]:
    """The virtual board with the build on it; its console's URL."""
    yield call("flash", made / "build")["url"]
    call("flash", "--board", BOARD, "--stop")


def test_the_board_says_what_the_reference_says(made: Path) -> None:
    """So that tuning an export folder is tuning the board."""
    board = load_outcomes(made / "run" / "calibration.npz")
    host = gather(made / "export", CostOptions()).outcomes
    assert (board.basis, host.basis) == (f"board {BOARD}", "int8 reference on this machine")
    assert board.count == host.count == 272
    assert set(board.scores) == set(host.scores) == set(mechanisms.names())
    for name in board.scores:
        assert (board.score(name) == host.score(name)).all()
    assert (board.device == host.device).all() and (board.truth == host.truth).all()
    assert (board.cloud == host.cloud).mean() > 0.99  # float, maybe in another order of sums


def test_the_costs_are_those_of_the_runs_own_table(made: Path) -> None:
    run = json.loads((made / "run" / "run.json").read_text())
    evidence = gather(made / "run", CostOptions())
    known = costs_of(evidence, CostOptions()).known
    assert evidence.test is not None
    routers = {one.title: one.name for one in mechanisms.every()}
    rows = [row for row in run["rows"] if row["method"] in routers]
    assert len(rows) >= 8
    for row in rows:
        got = measure(
            evidence.test, board_to_cloud(routers[row["method"]], row["threshold"]), known
        )
        assert got["accuracy"].value == pytest.approx(row["accuracy"])
        assert got["coverage"].value == pytest.approx(row["coverage"])
        assert got["latency"].value == pytest.approx(row["latency_ms"])
        assert got["bytes"].value == pytest.approx(row["bytes_per_sample"])
        assert [got["accuracy"].low, got["accuracy"].high] == pytest.approx(row["accuracy_ci"])


def test_a_target_reaches_the_running_board(made: Path, board: str, tmp_path: Path) -> None:
    args = ("--max-query-rate", "30%", "--router", "entropy", "--apply")
    told = call("tune", made / "run", *args, "--out", tmp_path / "t")
    assert told["applied"]["url"] == board
    assert told["applied"]["before"]["router"] == Router.LEARNED
    assert told["expected"]["query_rate"]["value"] <= 0.3
    assert told["targets"][0]["least_coverage"] == pytest.approx(0.7)
    split = calibration_split(made / "export")
    assert split is not None
    build = open_build(made / "build")
    outcomes = load_outcomes(made / "run" / "calibration.npz")
    with Device.open(board, build_id=build.image.build_id) as device:
        route = device.get_route()
        assert (int(route.router), route.threshold) == (
            Router.ENTROPY,
            told["threshold"],
        )
        for i, image in enumerate(to_int8(build.model.graph, split.x[:40])):
            queried = device.infer([image[None]]).escalate
            assert queried == (outcomes.score("entropy")[i] > told["threshold"])
    stored = json.loads((tmp_path / "t" / "tune.json").read_text())
    assert stored["deploy"]["router"] == Router.ENTROPY
    assert stored["curve"]["coverage"] == sorted(stored["curve"]["coverage"])
    assert set(stored["curve"]) >= {"threshold", "accuracy", "latency", "energy", "bytes"}
    assert "applied to" in text("tune", made / "run", *args, "--out", tmp_path / "t")


def test_the_report_shows_the_threshold(made: Path, tmp_path: Path) -> None:
    told = call("tune", made / "run", "--max-query-rate", "20%", "--out", made / "tune")
    page = Path(call("report", made, "--out", tmp_path / "report")["report"]).read_text("utf-8")
    section = page.partition('<section id="tuned">')[2].partition("</section>")[0]
    assert f"keeps what scores at most {told['threshold']:,}" in " ".join(section.split())
    assert "query rate &lt;= 20 %" in section and ">on test</th>" in section
    alone = call("report", made / "tune", "--out", tmp_path / "alone")["report"]
    assert '<section id="tuned">' in Path(alone).read_text("utf-8")


def test_a_build_can_start_with_the_tuned_threshold(made: Path, tmp_path: Path) -> None:
    tuned, build = tmp_path / "tune", tmp_path / "build"
    args = ("tune", made / "build", "--max-query-rate", "10%", "--router", "margin", "--out", tuned)
    told = call(*args)
    assert told["answers_of"] == "int8 reference on this machine" and told["test"] is None
    call("build", made / "export", "--tuned", tuned, "--out", build)
    url = call("flash", build)["url"]
    try:
        with Device.open(url) as device:
            route = device.get_route()
    finally:
        call("flash", "--board", BOARD, "--stop")
    assert (int(route.router), route.threshold) == (
        Router.MARGIN,
        told["threshold"],
    )
    # Tuning the tuned build, into the same folder, leaves the build as good as it was.
    ran = call("run", build, "--limit", 20, "--out", tmp_path / "run")
    assert (ran["router"], ran["deployed"]["threshold"]) == ("margin", told["threshold"])
    assert call("run", build, "--limit", 5, "--router", "learned", "--out", tmp_path / "run")
    call("tune", tmp_path / "run", "--max-query-rate", "50%", "--out", tuned)
    assert open_build(build).facts.untuned_sha256 == open_build(made / "build").model.file.sha256
    call("build", made / "export", "--tuned", tuned, "--out", build)


def test_what_cannot_be_met_is_an_error_that_names_what_can(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "t"
    args = ("tune", made / "run", "--min-accuracy", "100%", "--max-latency", "20ms", "--out", out)
    told = fail(*args)
    assert told["error"] == "TargetError"
    assert "nearest feasible within the budget: accuracy" in told["message"]
    option, value = told["hint"].split(",")[0].split(" ")
    assert option == "--min-accuracy"
    assert not out.exists()
    call("tune", made / "run", option, value, "--max-latency", "20ms", "--out", out)
    assert "accuracy >= " in text("tune", made / "run", option, value, "--out", out)
    told = fail("tune", made / "run", "--max-latency", "1us", "--out", out)
    assert "an input costs that without any query" in told["message"]


def test_settings_and_payloads(made: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "t")
    both = call("tune", made / "run", "--max-macs", "300k", "--setting", "same-device", *out)
    train = json.loads((made / "train" / "manifest.json").read_text())["facts"]
    build = open_build(made / "build").facts
    assert both["costs"]["macs"] == {
        "unit": "MACs",
        "edge": build.macs,
        "query": train["global_macs"],
    }
    assert both["expected"]["macs"]["value"] <= 300e3 and "bytes" not in both["expected"]
    given = ("--global-macs", "215M", "--setting", "same-device", "--max-query-rate", "50%")
    assert call("tune", made / "run", *given, *out)["costs"]["macs"]["query"] == 215e6
    alone = call("tune", made / "run", "--max-query-rate", "20%", "--setting", "abstain", *out)
    assert alone["costs"]["latency"]["query"] == 0.0
    assert alone["accuracy_of"] == "of kept inputs"
    sizes = {}
    for form in ("raw", "png", "jpeg", "features", "logits"):
        told = call("tune", made / "run", "--max-query-rate", "20%", "--payload", form, *out)
        sizes[form] = told["costs"]["bytes"]["query"]
        assert any(form in note for note in told["notes"]) == (form not in ("raw", "png"))
    assert (sizes["raw"], sizes["logits"]) == (64, 10)  # 8 x 8 grey, ten classes
    assert sizes["jpeg"] > sizes["png"] > 60  # headers outweigh so small an image
    assert sizes["features"] >= 4
    other = call("tune", made / "run", "--max-query-rate", "20%", "--link", "lora", *out)
    assert other["costs"]["latency"]["query"] > 1100 and "assumption" in str(other["basis"])


def test_an_export_takes_its_costs_from_a_bench(made: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "t")
    missing = fail("tune", made / "export", "--max-latency", "30ms", *out)
    assert "latency: the time of an input on the device is not known" in missing["message"]
    bench = call("bench", made / "build", "--runs", 1, "--out", tmp_path / "bench")
    args = ("--bench", tmp_path / "bench", "--power", "500,100", "--max-energy", "60mJ")
    told = call("tune", made / "export", *args, "--link", "wifi", *out)
    assert told["costs"]["latency"]["edge"] == pytest.approx(bench["latency_us"] / 1e3)
    assert told["costs"]["latency"]["edge_low"] == pytest.approx(bench["latency_low_us"] / 1e3)
    assert told["costs"]["energy"]["edge_high"] == pytest.approx(bench["latency_high_us"] / 2e3)
    assert any("not measured on this board" in note for note in told["notes"])
    assert told["costs"]["energy"]["edge"] == pytest.approx(0.5 * bench["latency_us"] / 1e3)
    assert told["basis"]["power"]["basis"] == "given by the user"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("run", "--max-macs", "1M"), "MACs: is that of both networks on one device"),
        (("run", "--max-bytes", "5", "--setting", "abstain"), "bytes sent: nothing is sent"),
        (("run", "--max-query-rate", "20%", "--router", "oracle"), "no 'oracle' score"),
        (("run", "--max-query-rate", "20%", "--apply"), "is not running"),
        (("run", "--max-energy", "5mJ", "--link", "paper"), "no energy figures"),
        (("run", "--max-query-rate", "20%", "--board", "stm32f4"), "not for stm32f4"),
        (("export", "--max-query-rate", "20%", "--apply"), "there is no board to set"),
        (("train", "--max-query-rate", "20%"), "is a 'train' folder"),
        (("none", "--max-query-rate", "20%"), "does not exist"),
    ],
)
def test_what_is_not_there_is_said(
    made: Path, tmp_path: Path, args: tuple[str, ...], message: str
) -> None:
    source, *rest = args
    told = fail("tune", made / source, *rest, "--out", tmp_path / "t")
    assert message in told["message"]
    assert told["hint"]
    assert not (tmp_path / "t").exists()


def test_a_run_without_calibration_is_tuned_by_the_reference(made: Path, tmp_path: Path) -> None:
    call("run", made / "build", "--limit", 5, "--no-calibration", "--out", tmp_path / "run")
    told = call("tune", tmp_path / "run", "--max-query-rate", "20%", "--out", tmp_path / "t")
    assert told["answers_of"] == "int8 reference on this machine"
    assert (told["calibration_samples"], told["test_samples"]) == (272, 5)
    outcomes = load_outcomes(tmp_path / "run" / "results.npz")
    whole = load_outcomes(made / "run" / "results.npz")
    assert np.array_equal(outcomes.device, whole.device[:5])


def test_a_board_without_a_time_runs_and_refuses_latency_targets(
    made: Path, tmp_path: Path
) -> None:
    build, ran = tmp_path / "build", tmp_path / "run"
    call("build", made / "export", "--board", "mps2-an385", "--out", build)
    told = call("run", build, "--limit", 12, "--out", ran)
    assert told["exact"] is True and told["edge_ms"] is None and told["latency_kind"] is None
    assert all(row["latency_ms"] is None for row in told["rows"])
    printed = text("run", build, "--limit", 5, "--no-calibration", "--out", tmp_path / "again")
    assert "latency: none (no cycles per instruction are known for cortex-m3" in printed
    refused = fail("tune", ran, "--max-latency", "90ms", "--out", tmp_path / "t")
    assert "the time of an input on the device is not known: run: no cycles" in refused["message"]
    assert "--max-query-rate" in refused["hint"]
    tuned = call("tune", ran, "--max-query-rate", "30%", "--out", tmp_path / "t")
    assert "latency" not in tuned["expected"] and "latency" not in tuned["costs"]
    page = Path(call("report", ran, "--out", tmp_path / "report")["report"]).read_text("utf-8")
    assert "no cycles per instruction are known" in page
    assert 'id="figure-accuracy-latency"' not in page


def test_what_the_upper_end_of_an_estimate_would_break_is_said(made: Path, tmp_path: Path) -> None:
    edge = call("tune", made / "run", "--max-query-rate", "50%", "--out", tmp_path / "t")
    cost = edge["costs"]["latency"]
    bound = cost["edge"] + 0.2 * cost["query"]
    told = call("tune", made / "run", "--max-latency", f"{bound}ms", "--out", tmp_path / "t")
    value = told["expected"]["latency"]["value"]
    at_the_end = value + cost["edge_high"] - cost["edge"]
    said = any("upper end of its range" in note for note in told["notes"])
    assert value <= bound and said == (at_the_end > bound)
    assert "latency <= " in text(
        "tune", made / "run", "--max-latency", "1s", "--out", tmp_path / "t"
    )
