"""What a model server may answer instead of class scores: refused in both passes, never a class.

The board's answers stand, reasons are counted, and the table says what it rests on.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcu_hybrid.cli import main
from mcu_hybrid.cloud.client import CloudClient
from mcu_hybrid.errors import CloudError
from mcu_hybrid.routing.outcomes import MISSING, load_outcomes
from mcu_hybrid.steps.cloud import CloudModel
from tests.support.bad_rig import CLASSES, SIDE, Refused, Steps
from tests.support.cloud_rig import GOOD, OUTPUT, Server, answer, answering, binary, tensor

NAN, INF = float("nan"), float("inf")
MALFORMED = {
    "NaN": binary([NAN] * CLASSES, [1, CLASSES]),
    "one NaN": binary([0.0, NAN, 1.0], [1, CLASSES]),
    "infinity": binary([0.0, INF, 1.0], [1, CLASSES]),
    "NaN in JSON": (200, GOOD[1].replace(b"0.5", b"NaN")),
    "fewer classes": answer(tensor([0.0, 1.0], [1, 2])),
    "more classes": answer(tensor([0.0] * 999 + [1.0], [1, 1000])),
    "a batch": answer(tensor([0.0, 0.5, 1.0] * 2, [2, CLASSES])),
    "a batch of scores": answer(tensor([0.0, 0.5, 1.0], [CLASSES, 1])),
    "nothing": answer(tensor([], [1, 0])),
    "one number": answer(tensor([2.0], [1])),
    "a class number": answer(tensor([2], [1], "INT64")),
    "whole numbers": answer(tensor([0, 1, 2], [1, CLASSES], "INT64")),
    "true and false": answer(tensor([False, False, True], [1, CLASSES], "BOOL")),
    "text": answer(tensor(["a", "b", "c"], [1, CLASSES], "BYTES")),
    "another type's text": answer(tensor(["0", "1", "2"], [1, CLASSES])),
    "no outputs": answer(),
    "twice the same name": answer(*[tensor([0.0, 0.5, 1.0], [1, CLASSES])] * 2),
    "a page": (200, b"<html>welcome</html>"),
    "a list": (200, b"[]"),
    "null": (200, b"null"),
    "a long number": (200, GOOD[1].replace(b"0.5", b"9" * 5000)),
}


def run(steps: Steps, server: Server, *more: object) -> dict[str, Any]:
    """A run at the server, which must end well; what it has written."""
    with answering(server) as url, pytest.raises(SystemExit) as ended:
        args = ("run", steps.build, "--cloud", url, "--out", "table", "--json", *more)
        main([*map(str, args)])
    assert not ended.value.code
    written: dict[str, Any] = json.loads(Path("table/run.json").read_text())
    return written


def rows_of(result: dict[str, Any], method: str) -> list[dict[str, Any]]:
    return [row for row in result["rows"] if row["method"] == method]


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_answer_is_none(kind: str) -> None:
    """Asked as both passes and tune ask."""
    payload = np.zeros((1, 1, SIDE, SIDE), np.float32)
    says = [MALFORMED[kind], GOOD]
    with (
        answering(Server(lambda asked: says[asked - 1])) as url,
        CloudClient.open(url, "global") as one,
    ):
        model = CloudModel(one, lambda x: x, CLASSES, "logits")
        with pytest.raises(CloudError) as refused:
            model.infer(payload)
        assert refused.value.reason == "bad_answer" and refused.value.hint
        assert model.infer(payload).label == 2


def test_both_passes_take_good_answers_alone(steps: Steps, work: Path) -> None:
    kinds = list(MALFORMED.values())
    server = Server(lambda asked: GOOD if asked % 3 else kinds[asked // 3 % len(kinds)])
    result = run(steps, server, "--no-calibration", "--no-check")
    outcomes = load_outcomes(work / "table" / "results.npz")
    missing = int((outcomes.cloud == MISSING).sum())
    assert set(np.unique(outcomes.cloud)) == {MISSING, 2}
    assert result["cloud_missing"] == missing == sum(result["cloud_failed"].values()) > 0
    assert {*result["cloud_failed"], *result["counters"]["fallbacks"]} == {"bad_answer"}
    assert server.asked > result["samples"]  # none was left out: it goes on answering
    (alone,) = rows_of(result, "cloud only")
    known = outcomes.answered
    assert alone["accuracy"] == pytest.approx(np.mean(outcomes.truth[known] == 2))
    assert alone["cloud_missing"] == missing


@pytest.mark.parametrize(
    ("says", "reasons"),
    [
        (MALFORMED["NaN"], {"bad_answer"}),
        ((500, b'{"error": "boom"}'), {"server_error"}),
        ((401, b""), {"unauthorized"}),
    ],
    ids=["NaN", "500", "401"],
)
def test_a_cloud_without_one_good_answer_costs_none_of_the_boards(
    says: Any, reasons: set[str], steps: Steps, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = run(steps, Server(lambda asked: GOOD))
    device = load_outcomes(work / "table" / "results.npz").device
    capsys.readouterr()
    result = run(steps, Server(lambda asked: says))
    told = capsys.readouterr()
    outcomes = load_outcomes(work / "table" / "results.npz")
    np.testing.assert_array_equal(outcomes.device, device)
    assert (outcomes.cloud == MISSING).all()
    assert result["exact"] is True and result["cloud_missing"] == result["samples"]
    assert result["calibration_missing"] == load_outcomes(work / "table/calibration.npz").count
    assert {*result["cloud_failed"], *result["counters"]["fallbacks"]} - reasons <= {
        "resting",
        "not_asked",
    }
    assert f"the cloud answered 0 of {result['samples']} inputs" in told.err
    assert json.loads(told.out)["cloud_missing"] == result["samples"]
    (alone,) = rows_of(result, "cloud only")
    assert alone["accuracy"] is None and alone["latency_ms"] is None
    assert result["query_bytes"] == good["query_bytes"]  # what a query weighs is known without
    (device_only,) = rows_of(result, "on-device only")
    assert device_only == rows_of(good, "on-device only")[0]
    for row in rows_of(result, "entropy"):
        assert row["accuracy"] == device_only["accuracy"]
        assert row["cloud_missing"] == row["queried"]


def test_what_is_printed_counts_by_reason(steps: Steps, capsys: pytest.CaptureFixture[str]) -> None:
    server = Server(lambda asked: GOOD if asked > 2 else MALFORMED["NaN"])
    with answering(server) as url, pytest.raises(SystemExit) as ended:
        main(["run", str(steps.build), "--cloud", url, "--out", "table"])
    assert not ended.value.code
    told = capsys.readouterr()
    assert "fell back 2 (2 bad_answer)" in told.out
    assert "no answer of the cloud: bad_answer ..." in told.err  # while it runs
    warned = [line for line in told.err.splitlines() if line.startswith("warning")]
    assert "no answer " not in told.out  # asked again, and answered
    # Always the same class is no more than guessing.
    assert len(warned) == 1 and "no more than guessing" in warned[0]


def test_the_report_of_a_run_without_the_cloud(steps: Steps, work: Path) -> None:
    run(steps, Server(lambda asked: MALFORMED["NaN"]))
    with pytest.raises(SystemExit) as ended:
        main(["report", "table", "--out", "page"])
    assert not ended.value.code
    page = (work / "page" / "report.html").read_text()
    assert "no answer of the cloud" in page and "nan" not in page.lower().split()


def test_tune_leaves_out_what_the_cloud_has_not_answered(steps: Steps, refused: Refused) -> None:
    args = ("tune", "table", "--max-query-rate", "50%", "--export", steps.export)
    run(steps, Server(lambda asked: MALFORMED["NaN"] if asked % 3 == 0 else GOOD))
    with pytest.raises(SystemExit) as ended:
        main([*map(str, args), "--out", "tuned"])
    assert not ended.value.code
    tuned = json.loads(Path("tuned/tune.json").read_text())
    outcomes = load_outcomes(Path("table/calibration.npz"))
    missing = int((~outcomes.answered).sum())
    assert tuned["calibration_samples"] == outcomes.count - missing < outcomes.count
    said = f"no answer on {missing} of {outcomes.count} calibration inputs"
    assert any(said in note for note in tuned["notes"])
    run(steps, Server(lambda asked: MALFORMED["NaN"]))
    told = refused(*args)
    assert f"the cloud answered none of the {outcomes.count} calibration inputs" in told.message
    assert "--resume" in told.hint
    with pytest.raises(SystemExit) as ended:
        main([*map(str, args), "--setting", "abstain"])
    assert not ended.value.code


EMBEDDING = {"name": "embedding", "datatype": "FP32", "shape": [-1, 8]}
NUMBER = {"name": "class", "datatype": "INT64", "shape": [-1]}


@pytest.mark.parametrize("outputs", [[EMBEDDING, NUMBER, OUTPUT], []], ids=["told", "not told"])
def test_the_output_with_the_scores_is_found(outputs: list[Any], steps: Steps, work: Path) -> None:
    """By what the metadata tells; a server that tells nothing must answer scores first."""
    embedding = tensor([9.0] * 8, [1, 8], name="embedding")
    scores = tensor([0.0, 0.5, 1.0], [1, CLASSES])
    said = answer(embedding, scores) if outputs else answer(scores, embedding)
    run(steps, Server(lambda asked: said, outputs), "--no-calibration", "--no-check")
    assert set(load_outcomes(work / "table" / "results.npz").cloud) == {2}


@pytest.mark.parametrize("outputs", [[NUMBER], [EMBEDDING], [EMBEDDING, NUMBER]])
def test_a_model_without_class_scores_is_refused_early(
    outputs: list[Any], steps: Steps, refused: Refused
) -> None:
    server = Server(lambda asked: GOOD, outputs)
    with answering(server) as url:
        told = refused("run", steps.build, "--cloud", url, "--out", "table")
    assert f"the board's model has {CLASSES} classes" in told.message
    assert server.asked == 0


def test_tune_asks_a_cloud_that_answers_something_else(steps: Steps, refused: Refused) -> None:
    """Without a run, tune asks the cloud itself."""
    says: Callable[[int], Any] = lambda asked: MALFORMED["more classes"]  # noqa: E731
    with answering(Server(says)) as url:
        told = refused("tune", steps.export, "--max-query-rate", "50%", "--cloud", url)
    assert told.kind == "CloudError" and "[1, 1000], need [1, 3]" in told.message
