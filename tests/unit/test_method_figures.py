"""The page that compares methods: figures, bands around lines, data as CSV, a legend."""

from __future__ import annotations

import csv
import io
import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from mcu_hybrid.artifacts.codec import plain_to
from mcu_hybrid.report import html, method_figures
from mcu_hybrid.report.chart import Line
from mcu_hybrid.report.data import Methods, Report, ReportPart, Routing
from mcu_hybrid.report.figures import Figure
from mcu_hybrid.report.routing_figures import routing_figures
from tests.support import method_sample
from tests.support.report_sample import routing


@pytest.fixture(scope="module")
def sample() -> Methods:
    return method_sample.sample()


@pytest.fixture(scope="module")
def figures(sample: Methods) -> list[Figure]:
    return method_figures.method_figures(sample)


def lines_of(figure: Figure) -> tuple[dict[str, Line], dict[str, Line]]:
    """Bands and lines by the key of their series."""
    found = [item for item in figure.chart.items if isinstance(item, Line)]
    return ({i.group: i for i in found if i.is_area}, {i.group: i for i in found if not i.is_area})


def test_every_figure_is_drawn_twice(figures: list[Figure]) -> None:
    assert [f.name for f in figures] == [row[0] for row in method_figures.FIGURES]
    for figure in figures:
        for text in (figure.wide(), figure.narrow()):
            hidden = [n for n in ET.fromstring(text).iter() if "none" in n.get("style", "")]
            assert {n.get("data-group") for n in hidden} == {"m4", "bound"}


def test_lines_lie_in_their_bands(sample: Methods, figures: list[Figure]) -> None:
    for figure in figures:
        bands, lines = lines_of(figure)
        assert set(bands) == {f"m{i}" for i in range(len(sample["series"]))}
        assert set(lines) == {*bands, "bound"}
        for key, band in bands.items():
            points = lines[key].points
            high, low = band.points[: len(points)], band.points[len(points) :][::-1]
            for (x, y), (x_high, y_high), (x_low, y_low) in zip(points, high, low, strict=True):
                assert y_low <= y <= y_high and x == x_high == x_low
            assert band.shown == lines[key].shown


def test_costs_are_those_of_the_coverage(sample: Methods, figures: list[Figure]) -> None:
    curve = sample["series"][0]["curve"]
    by_name = {f.name: lines_of(f)[1]["m0"].points for f in figures}
    for name, key in (("latency", "latency_ms"), ("energy", "energy_mj"), ("bytes", "bytes")):
        assert [x for x, _ in by_name[f"methods-{name}"]] == curve[key]
        assert max(curve[key]) == curve[key][0]  # nothing kept costs most


def test_coverage_runs_the_same_way_on_every_page(figures: list[Figure]) -> None:
    """Left the cloud answers everything, right the device does; and the axis says what it is."""
    one, other = figures[0], routing_figures(plain_to(Routing, routing()))[0]
    assert one.chart.x == other.chart.x
    assert (one.chart.x.low, one.chart.x.high) == (0.0, 1.0)
    for figure in (one, other):
        ticks = re.findall(r'text-anchor="middle" x="([\d.]+)" [^>]*>(\d+) %<', figure.wide())
        places = [(float(x), int(share)) for x, share in ticks]
        assert places == sorted(places) and places[0][1] == 0 and places[-1][1] == 100
        assert "the device answers (coverage)" in figure.wide()


def test_the_csv_holds_what_is_drawn(sample: Methods, figures: list[Figure]) -> None:
    for figure in figures:
        rows = list(csv.DictReader(io.StringIO(figure.csv)))
        points = sum(len(s["curve"]["accuracy"]) for s in sample["series"])
        points += len(sample["bound"]["curve"]["accuracy"])  # type: ignore[index]
        assert len(rows) == points + len(sample["single"])
        assert rows[0]["method"] == sample["series"][0]["title"]
        wanted = sample["series"][0]["curve"]["accuracy"][3]
        assert float(rows[3]["accuracy"]) == pytest.approx(wanted, abs=1e-6)
        assert float(rows[3]["low"]) <= float(rows[3]["accuracy"]) <= float(rows[3]["high"])


def test_the_page_names_methods_and_says_how_to_read(sample: Methods) -> None:
    page = html.render(Report(title="t", parts=(ReportPart(title="t", methods=sample),)))
    assert "A higher line is better at the same cost" in page
    assert 'href="#methods"' in page and 'id="figure-methods-bytes"' in page
    assert (
        "split network &lt;features&gt; &amp; " in page and "split network <features>" not in page
    )
    pressed = re.findall(r'data-method="(\w+)" aria-pressed="(\w+)"', page)
    assert pressed == [(f"m{i}", str(i < 4).lower()) for i in range(5)] + [("bound", "false")]
    assert page.count('download="methods-') == 4
    assert "data-method=" not in html.render(Report(title="t", parts=(ReportPart(title="t"),)))


def test_what_was_asked_of_the_method_is_not_for_readers(sample: Methods) -> None:
    asked = [{"what": "points over entropy", "value": 1.0, "least": 1, "met": True}]
    methods: Any = {**sample, "conditions": asked}
    page = html.render(Report(title="t", parts=(ReportPart(title="t", methods=methods),)))
    assert "points over entropy" not in page and "at least" not in page
    assert not re.search(r">(must|aim|met|least)<", page)
