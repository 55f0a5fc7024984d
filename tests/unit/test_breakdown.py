"""What quantisation and routing cost: by hand, and as the report's table."""

from __future__ import annotations

import numpy as np
import pytest

from mcu_hybrid.report import html
from mcu_hybrid.report.data import Quantisation, Report, ReportPart
from mcu_hybrid.report.losses import loss_rows
from mcu_hybrid.routing.breakdown import breakdown, hybrid_accuracy, integer_scores, side

Y = np.zeros(10, int)
# Float base: right but for 0, 1, 2; int8 base: 3 too. The global is wrong at 2 alone.
FLOAT = np.array([1, 1, 1, 0, 0, 0, 0, 0, 0, 0])
INT8 = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
CLOUD = np.array([0, 0, 1, 0, 0, 0, 0, 0, 0, 0])


def told():
    float_ = side(FLOAT, np.array([0.9, 0.8, 0.1, 0.3, 0.2, 0, 0, 0, 0, 0]), CLOUD, Y)
    int8 = side(INT8, np.array([9, 0, 8, 1, 1, 0, 0, 0, 0, 0]), CLOUD, Y)
    return breakdown(float_, int8, 0.8, split="test", exact=True)


def test_by_hand():
    got = told()
    assert got.images == 10 and got.global_accuracy == 0.9
    assert vars(got.float_) == pytest.approx(
        {"base_accuracy": 0.7, "coverage": 0.8, "hybrid_accuracy": 0.9, "oracle_accuracy": 0.9}
    )
    # int8 sends 0 and 2: gains the first one only; three would be worth a query, two are sent.
    assert vars(got.int8) == pytest.approx(
        {"base_accuracy": 0.6, "coverage": 0.8, "hybrid_accuracy": 0.7, "oracle_accuracy": 0.8}
    )
    assert vars(got.quantisation_loss) == pytest.approx({"base": 0.1, "hybrid": 0.2})
    assert vars(got.routing_loss) == pytest.approx({"float_": 0.0, "int8": 0.1})


def test_scores_keep_their_order_as_integers():
    scores = np.array([1e-5, -3e-5, 2e-5, 0.0])
    assert np.argsort(integer_scores(scores)).tolist() == np.argsort(scores).tolist()
    assert integer_scores(np.array([-(2**31), 2**31 - 1])).tolist() == [-(2**31), 2**31 - 1]
    assert (integer_scores(np.zeros(3)) == 0).all()


def test_routing_never_beats_its_oracle():
    rng = np.random.default_rng(0)
    for _ in range(20):
        base, cloud = (rng.random(50) < p for p in (0.7, 0.9))
        for coverage in (0.5, 0.8, 0.9):
            accuracy, kept = hybrid_accuracy(rng.random(50), base, cloud, coverage)
            worth = (~base & cloud).mean()
            assert accuracy <= base.mean() + min(1 - kept, worth) + 1e-9
            assert kept == pytest.approx(coverage)


def test_the_report_shows_the_table():
    rows = loss_rows(told())
    assert [(r["what"], r["float"], r["int8"], r["difference"]) for r in rows] == [
        ("base alone", "70.00", "60.00", "-10.00"),
        ("hybrid", "90.00", "70.00", "-20.00"),
        ("best possible, as many queries", "90.00", "80.00", "-10.00"),
        ("lost by routing", "0.00 points", "10.00 points", ""),
    ]
    page = html.render(
        Report(parts=(ReportPart(quantisation=Quantisation(losses=told(), float_accuracy=0.7)),))
    )
    assert "lost by routing" in page and "80.0 % coverage, on 10 calibration inputs" in page
    assert loss_rows(None) == []
