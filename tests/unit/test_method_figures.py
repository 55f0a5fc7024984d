"""The page that compares methods: valid figures, bands around lines, data as CSV, a legend."""

from __future__ import annotations

import csv
import io
import re

import method_sample
import plotly.graph_objects as go
import pytest

from mcu_hybrid.report import html, method_figures
from mcu_hybrid.report.figures import Figure
from mcu_hybrid.report.html import Methods


@pytest.fixture(scope="module")
def sample() -> Methods:
    return method_sample.sample()


@pytest.fixture(scope="module")
def figures(sample: Methods) -> list[Figure]:
    return method_figures.method_figures(sample)


def test_every_figure_is_valid_plotly(figures: list[Figure]) -> None:
    assert [f.name for f in figures] == [row[0] for row in method_figures.FIGURES]
    for figure in figures:
        go.Figure(data=figure.data, layout=figure.layout)  # raises on an unknown property


def test_lines_lie_in_their_bands(sample: Methods, figures: list[Figure]) -> None:
    for figure in figures:
        bands = {t["legendgroup"]: t for t in figure.data if t.get("fill") == "toself"}
        lines = {
            t["legendgroup"]: t for t in figure.data if t["mode"] == "lines" and "fill" not in t
        }
        assert set(bands) == {f"m{i}" for i in range(len(sample["series"]))}
        assert set(lines) == {*bands, "bound"}
        for key, band in bands.items():
            n = len(lines[key]["y"])
            high, low = band["y"][:n], band["y"][n:][::-1]
            assert all(a <= y <= b for a, y, b in zip(low, lines[key]["y"], high, strict=True))
            assert band["x"][:n] == lines[key]["x"]
            assert band["visible"] == lines[key]["visible"]


def test_costs_are_those_of_the_coverage(sample: Methods, figures: list[Figure]) -> None:
    curve = sample["series"][0]["curve"]
    by_name = {f.name: next(t for t in f.data if t.get("customdata")) for f in figures}
    for name, key in (("latency", "latency_ms"), ("energy", "energy_mj"), ("bytes", "bytes")):
        assert by_name[f"methods-{name}"]["x"] == curve[key]
        assert max(curve[key]) == curve[key][0]  # nothing kept costs most


def test_the_csv_holds_what_is_drawn(sample: Methods, figures: list[Figure]) -> None:
    for figure in figures:
        rows = list(csv.DictReader(io.StringIO(figure.csv)))
        points = sum(len(s["curve"]["accuracy"]) for s in sample["series"])
        points += len(sample["bound"]["curve"]["accuracy"])  # type: ignore[index]
        assert len(rows) == points + len(sample["single"])
        assert rows[0]["method"] == sample["series"][0]["title"]
        assert float(rows[3]["accuracy"]) == sample["series"][0]["curve"]["accuracy"][3]
        assert float(rows[3]["low"]) <= float(rows[3]["accuracy"]) <= float(rows[3]["high"])


def test_the_page_names_methods_and_says_how_to_read(sample: Methods) -> None:
    page = html.render({"title": "t", "methods": sample})
    assert "A higher line is better at the same cost" in page
    assert 'href="#methods"' in page and 'id="figure-methods-bytes"' in page
    assert (
        "split network &lt;features&gt; &amp; " in page and "split network <features>" not in page
    )
    pressed = re.findall(r'data-method="(\w+)" aria-pressed="(\w+)"', page)
    assert pressed == [(f"m{i}", str(i < 4).lower()) for i in range(5)] + [("bound", "false")]
    assert page.count('download="methods-') == 4
    assert "points over entropy" in page and "not asked of this setting" not in page
    assert "data-method=" not in html.render({"title": "t"}).partition("<script>")[0]
