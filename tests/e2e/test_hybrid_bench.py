"""experiments/hybrid in small on the digits: every stage, its cache, and the identities."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

for package in ("torch", "sklearn", "tensorflow", "onnx2tf"):
    pytest.importorskip(package)

from experiments.hybrid import __main__ as hybrid  # noqa: E402
from experiments.hybrid import show, world  # noqa: E402
from experiments.hybrid.committed import from_record  # noqa: E402
from experiments.hybrid.plan import ABLATIONS, SETTINGS, SIMPLE, TITLES, TRAINED  # noqa: E402
from mcu_hybrid.routing import evaluate  # noqa: E402
from mcu_hybrid.routing.methods import COVERAGES  # noqa: E402
from mcu_hybrid.routing.outcomes import Outcomes  # noqa: E402

METHODS = {*SIMPLE, *TRAINED, "joint margin", "trained on, margin", "branchynet", "selective"}
METHODS |= {"appealnet, white box", "appealnet, black box"}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The smoke setting with one seed: its result, the page, and what was said."""
    folder = tmp_path_factory.mktemp("hybrid")
    argv = ["hybrid.py", "digits", "--setting", "smoke", "--seeds", "1", "--threads", "1"]
    argv += ["--cache", str(folder / "cache"), "--json", str(folder / "result.json")]
    argv += ["--report", str(folder / "page.html")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", argv)
        code = hybrid.main()
    result = from_record(folder / "result.json")
    return {"code": code, "result": result, "folder": folder, "argv": argv}


def answers(done: dict[str, Any], stage: str) -> dict[str, np.ndarray]:
    path = done["folder"] / "cache" / "smoke" / stage / "answers.npz"
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def truth(done: dict[str, Any]) -> np.ndarray:
    """The test split's classes, drawn again."""
    return world.read("digits", SETTINGS["smoke"], done["folder"] / "cache").y("test")


def test_every_method_is_in_the_one_table(done: dict[str, Any]) -> None:
    result = done["result"]
    rows = {(row["method"], row["coverage_target"]): row for row in result["rows"]}
    assert {m for m, _ in rows} == METHODS | {"on-device only", "cloud only"}
    for method in METHODS:
        for coverage in COVERAGES:
            row = rows[method, coverage]
            assert row["accuracy_ci"][0] <= row["accuracy"] <= row["accuracy_ci"][1]
            assert abs(row["coverage"] - coverage) < 0.35  # 160 images, few distinct scores
    assert set(result["gaps"]) == METHODS - {"whole"}
    assert set(result["curves"]) == METHODS
    assert set(TITLES) >= METHODS
    assert done["code"] == 0
    met = {row["what"]: row["met"] for row in result["conditions"]}
    assert met["KB of SRAM left beside the arena"] and met["M MACs of the base below the limit"]
    assert result["seeds"] == [1] and result["machine"]["cores"] >= 1
    assert set(result["seconds_of_stages"]) >= {"global", "base 1", "method 1 whole"}
    text = "\n".join(show.markdown(result))
    assert all(f"| {method}" in text for method in METHODS)
    assert not any(name in text for name in ABLATIONS)


def test_the_ends_of_the_table_are_the_two_networks(done: dict[str, Any]) -> None:
    y, seen = truth(done), answers(done, "method-1-router")
    rows = {row["method"]: row for row in done["result"]["rows"] if row["coverage"] in (0.0, 1.0)}
    base = float((seen["max-prob|test|edge"] == y).mean())
    assert rows["on-device only"]["accuracy"] == pytest.approx(base)
    assert rows["on-device only"]["bytes"] == 0
    cloud = float((seen["max-prob|test|cloud"] == y).mean())
    assert rows["cloud only"]["accuracy"] == pytest.approx(cloud)
    assert cloud == pytest.approx(done["result"]["networks"]["global_accuracy"], abs=0.02)
    for name in SIMPLE:  # one base and one global under all simple scores
        assert (seen[f"{name}|test|edge"] == seen["max-prob|test|edge"]).all()


@pytest.mark.parametrize(
    ("stage", "column"), [("method-1-whole", "learned"), ("branch", "branchynet")]
)
def test_identities_on_the_digits(done: dict[str, Any], stage: str, column: str) -> None:
    y, seen = truth(done), answers(done, stage)
    edge, cloud, score = (seen[f"{column}|test|{k}"] for k in ("edge", "cloud", "score"))
    labels = Outcomes.of_two(edge, cloud, y, {column: score})
    costs = evaluate.Costs(1.0, 1.0, 1)
    bounds = evaluate.oracles(labels, costs)
    assert bounds.agreement.accuracy == (cloud == y).mean()
    if stage.endswith("whole"):
        told = done["result"]["oracles"]["whole"]
        assert told["agreement"]["accuracy"] == pytest.approx((cloud == y).mean())
        assert told["margin"]["coverage"] == pytest.approx(bounds.margin.coverage)
    assert bounds.agreement.coverage == (edge == cloud).mean()
    either = ((edge == y) | (cloud == y)).mean()
    assert bounds.margin.accuracy == pytest.approx(either)
    assert bounds.margin_upper.accuracy == pytest.approx(either)
    curve = evaluate.curve(labels, column, costs)
    assert (curve.coverage[0], curve.coverage[-1]) == (0.0, 1.0)
    assert curve.accuracy[0] == pytest.approx((cloud == y).mean())
    assert curve.accuracy[-1] == pytest.approx((edge == y).mean())
    worth = ((edge != y) & (cloud == y)).mean()
    kept, accuracy = np.array(curve.coverage), np.array(curve.accuracy)
    assert (accuracy <= (edge == y).mean() + np.minimum(1 - kept, worth) + 1e-12).all()


def test_a_second_run_takes_everything_from_the_cache(
    done: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", done["argv"])
    assert hybrid.main() == 0
    told = [line for line in capsys.readouterr().err.splitlines() if ": " in line]
    assert len(told) >= 6 and all("from the cache" in line for line in told)
    again = from_record(done["folder"] / "result.json")
    assert again["rows"] == done["result"]["rows"]


def test_the_page_is_written(done: dict[str, Any]) -> None:
    page = (done["folder"] / "page.html").read_text()
    assert "whole method: networks trained together" in page
    assert page.count('download="methods-') == 4 and "bound: a perfect router" in page
