"""The report: valid figures, one file that loads nothing, honest texts, any subset of sections."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from report_sample import LAYERS, bench, plan, routing, sample, schedules

from mcu_hybrid.codegen import requant
from mcu_hybrid.codegen.fast import dw_forms, mve_requant
from mcu_hybrid.report import html
from mcu_hybrid.report.forms import FORMS
from mcu_hybrid.report.schedule_figure import schedules_figure
from mcu_hybrid.report.svg import accuracy_coverage_svg, write_accuracy_coverage_svg

graph_objects = pytest.importorskip("plotly.graph_objects")
FIGURES = (
    "accuracy-coverage",
    "accuracy-latency",
    "layers",
    "memory",
    "schedules",
    "sqnr",
    "capacity",
)


class Page(HTMLParser):
    """Visible text, ids, links and every attribute that could load something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = ""
        self.ids: list[str] = []
        self.loads: list[str] = []
        self.csv: dict[str, str] = {}
        self._skip = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("id"):
            self.ids.append(given["id"] or "")
        if tag in ("link", "img", "iframe", "object", "embed", "base") or given.get("src"):
            self.loads.append(tag)
        href = given.get("href") or ""
        if given.get("download"):
            self.csv[given["download"] or ""] = href
        elif tag == "a" and not href.startswith("#"):
            self.loads.append(href)
        if tag in ("script", "style"):
            self._skip = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == self._skip:
            self._skip = ""

    def handle_data(self, data: str) -> None:
        if not self._skip:
            self.text += " " + data

    @property
    def words(self) -> str:
        return " ".join(self.text.split())


@pytest.fixture(scope="module")
def page_text() -> str:
    return html.render(sample())


@pytest.fixture(scope="module")
def page(page_text: str) -> Page:
    return Page(page_text)


def specs(text: str) -> list[dict[str, Any]]:
    found = re.search(r'<script type="application/json" id="figures">(.*?)</script>', text, re.S)
    assert found is not None
    result: list[dict[str, Any]] = json.loads(found.group(1))
    return result


def test_every_figure_is_valid_plotly(page_text: str) -> None:
    found = specs(page_text)
    assert tuple(figure["name"] for figure in found) == FIGURES
    for figure in found:
        graph_objects.Figure({"data": figure["data"], "layout": figure["layout"]})  # raises


def test_the_page_is_one_file_and_loads_nothing(page: Page, page_text: str) -> None:
    assert page.loads == []
    own = page_text.replace(html.plotly_script(), "")
    assert page_text.count(html.plotly_script()) == 1 and len(own) < 1_500_000
    assert "http://" not in own and "https://" not in own and "@import" not in own
    assert {f"figure-{name}" for name in FIGURES} < set(page.ids)


def test_the_table_shows_the_rows(page: Page) -> None:
    rows = routing()["rows"]
    for row in rows:
        assert row["method"] in page.words
        assert f" {100 * row['accuracy']:.2f} " in page.words
    row = rows[-1]
    low, high = row["coverage_ci"]
    assert f"{100 * row['coverage']:.1f} {100 * low:.1f}–{100 * high:.1f}" in page.words
    assert f"{row['bytes_sent'] / 1024:,.1f}" in page.words


def test_estimates_are_marked_and_measured_times_are_not() -> None:
    words = Page(html.render(sample())).words
    assert re.search(r"latency estimate 4\.47 ms", words)
    assert "mean latency estimate ms" in words
    data = sample()
    data["bench"] |= {"latency_is_estimate": False, "latency_basis": "DWT cycles"}
    data["routing"]["latency_is_estimate"] = False
    words = Page(html.render(data)).words
    assert "latency measured 4.47 ms DWT cycles" in words
    assert "mean latency ms" in words


def test_an_inexact_or_uncompared_model_is_not_called_exact() -> None:
    data = {"bench": bench() | {"exact": False, "differing_outputs": 12}}
    words = Page(html.render(data)).words  # type: ignore[arg-type]
    assert "bit for bit 12 output values differ from TFLM's interpreter on 200 inputs" in words
    data = {"bench": bench() | {"exact": None, "differing_outputs": None}}
    assert "not compared" in Page(html.render(data)).words  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("keys", "figures"),
    [
        (["bench"], ["layers"]),
        (["plan"], ["memory"]),
        (["bench", "plan", "capacity"], ["layers", "memory", "capacity"]),
        (["routing"], ["accuracy-coverage", "accuracy-latency"]),
        (["quantisation"], ["sqnr"]),
        (["capacity"], []),
        (["provenance"], []),
        ([], []),
    ],
)
def test_any_subset_of_sections_makes_a_page(keys: list[str], figures: list[str]) -> None:
    text = html.render({key: sample()[key] for key in keys})  # type: ignore[literal-required, misc]
    page = Page(text)
    assert [i.removeprefix("figure-") for i in page.ids if i.startswith("figure-")] == figures
    assert ("Plotly.newPlot" in text) is bool(figures)
    assert "None" not in page.words and "nan" not in page.words.split()


def test_the_tuned_threshold_is_a_section_of_its_own() -> None:
    share = {"value": 0.2, "low": 0.15, "high": 0.25}
    tuned = {
        "router": "margin",
        "threshold": 12345,
        "coverage": 0.8,
        "accuracy_of": "all inputs",
        "calibration_samples": 300,
        "targets": [{"metric": "query_rate", "text": "query rate <= 20 %", "guarantee": "mean"}],
        "expected": {"accuracy": share, "query_rate": share},
        "test": {"accuracy": share, "query_rate": share},
        "notes": ["a note"],
        "applied": None,
    }
    text = html.render({"tuned": tuned})
    page = Page(text)
    assert "tuned" in page.ids and 'href="#tuned"' in text
    for words in ("12,345", "300 calibration inputs", "query rate <= 20 %", "15.0 % .. 25.0 %"):
        assert words in page.words
    assert "a note" in page.words and "Plotly.newPlot" not in text


@pytest.mark.parametrize("section", ["routing", "quantisation", "provenance"])
def test_any_field_of_a_section_may_be_missing(section: str) -> None:
    whole = sample()[section]  # type: ignore[literal-required]
    for key in whole:
        part = {k: v for k, v in whole.items() if k != key}
        words = Page(html.render({section: part})).words  # type: ignore[misc]
        assert "None" not in words, key


def test_names_from_models_cannot_break_out_of_the_page() -> None:
    evil = '</script><img src=x onerror="alert(1)">'
    data = sample()
    data["title"] = data["subtitle"] = evil
    data["bench"]["layers"][0]["name"] = evil
    data["plan"]["buffers"][0]["name"] = evil
    data["quantisation"]["first_hurt"] = evil
    data["provenance"]["commands"] = [evil]
    text = html.render(data)
    assert Page(text).loads == []
    layers = next(figure for figure in specs(text) if figure["name"] == "layers")
    assert (
        "<img" not in json.dumps(layers) and "&lt;/script&gt;" not in text.split("<body>")[0][:99]
    )


def test_the_csv_files_hold_the_data(page: Page) -> None:
    assert sorted(page.csv) == sorted(f"{name}.csv" for name in FIGURES)
    tables = {}
    for name, uri in page.csv.items():
        head, _, body = uri.partition(",")
        assert head == "data:text/csv;charset=utf-8;base64"
        tables[name] = list(csv.DictReader(io.StringIO(base64.b64decode(body).decode())))
    layers = tables["layers.csv"]
    assert [row["name"] for row in layers] == [layer[0] for layer in LAYERS]
    assert sum(int(row["instructions"]) for row in layers) == bench()["instructions"]
    assert len(tables["memory.csv"]) == len(plan()["buffers"])
    series = {row["series"] for row in tables["accuracy-coverage.csv"]}
    assert {"router", "entropy", "best", "random", "router (table)"} <= series
    assert {row["part"] for row in tables["capacity.csv"]} == {
        "weights",
        "code",
        "arena",
        "other statics",
        "stack used",
    }


def test_the_forms_of_requantisation(page_text: str) -> None:
    """Most channels first, every form explained; nothing where the build tells of none."""
    table = page_text.split('id="requantisation"')[1].split("</table>")[0]
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in table.split("<tr>")[2:]]
    assert [(row[0], *row[2:]) for row in rows] == [
        ("slope", "1,268", "79.2"),
        ("line", "320", "20.0"),
        ("exact", "12", "0.8"),
    ]
    assert all(row[1] for row in rows)
    data = sample()
    data["requantise_forms"] = {}
    assert "requantisation" not in html.render(data)


def test_every_form_of_the_code_generator_is_explained() -> None:
    own = {dw_forms.SLOPE, dw_forms.EXACT, requant.LINE, requant.FINE, requant.EXACT}
    helium = {f"mve {form}" for form in (mve_requant.UP, mve_requant.AWAY, mve_requant.ANY)}
    assert set(FORMS) == own | helium


def test_schedules_are_drawn_with_the_one_that_was_built() -> None:
    figure = schedules_figure(schedules())
    front, built = figure.data
    assert front["x"] == [84.48, 41.088, 27.072]
    assert (built["x"], built["y"]) == ([41.088], [11.95836])
    assert front["text"][2] == "4 streams, +1.5 %"
    assert figure.csv.splitlines()[2] == "41088,11958360,1,1"


def test_the_memory_map_is_the_plan(page_text: str) -> None:
    figure = next(figure for figure in specs(page_text) if figure["name"] == "memory")
    boxes = {
        (x - width / 2, x + width / 2, base, base + size)
        for trace in figure["data"]
        if trace["type"] == "bar"
        for x, width, base, size in zip(
            trace["x"], trace["width"], trace["base"], trace["y"], strict=True
        )
    }
    wanted = {
        (b["first_op"] - 0.5, b["last_op"] + 0.5, b["offset"], b["offset"] + b["bytes"])
        for b in plan()["buffers"]
    }
    assert boxes == wanted
    note = figure["layout"]["annotations"][0]
    assert note["x"] == plan()["peak_op"] and "12,720 B" in note["text"]


def test_boards_that_count_ticks_get_ticks() -> None:
    data = bench() | {"instructions": None}
    data["layers"] = [row | {"instructions": None} for row in data["layers"]]
    text = html.render({"bench": data})
    layers = specs(text)[0]
    assert layers["data"][0]["x"] == [row["ticks"] for row in data["layers"]]
    assert layers["layout"]["xaxis"]["title"]["text"] == "ticks"
    assert "instructions exact" not in Page(text).words


def test_the_first_layer_that_hurts_is_marked(page_text: str, page: Page) -> None:
    figure = next(figure for figure in specs(page_text) if figure["name"] == "sqnr")
    colors = figure["data"][0]["marker"]["color"]
    assert [i for i, color in enumerate(colors) if color != colors[0]] == [6]
    assert "The first layer that hurts is base/block3/pointwise (below 25.0 dB)" in page.words
    layers = [{"name": "a", "op": "ADD", "sqnr_db": None}]
    words = Page(
        html.render(
            {"quantisation": {"layers": layers, "float_accuracy": 0.5, "int8_accuracy": 0.5}}
        )
    ).words
    assert "No layer falls below the limit" in words


def test_infinite_values_are_no_numbers_in_the_page() -> None:
    layers = [{"name": n, "op": "ADD", "sqnr_db": v} for n, v in (("a", math.inf), ("b", 3.0))]
    figure = specs(html.render({"quantisation": {"layers": layers}}))[0]
    assert figure["data"][0]["x"] == [None, 3.0]
    assert figure["data"][0]["text"] == ["no noise", "3.0"]


def test_the_same_data_gives_the_same_page(page_text: str, tmp_path: Path) -> None:
    html.write(sample(), tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page_text


def test_the_readme_figure(tmp_path: Path) -> None:
    data = routing()
    write_accuracy_coverage_svg(data, tmp_path / "a.svg", "Demo <1>")
    root = ET.parse(tmp_path / "a.svg").getroot()
    space = "{http://www.w3.org/2000/svg}"
    texts = [node.text for node in root.iter(f"{space}text")]
    assert {"Demo <1>", "router", "entropy", "on-device only", "0 %", "100 %"} <= set(texts)
    lines = list(root.iter(f"{space}polyline"))
    assert len(lines) == 4  # oracle, blind, entropy, router
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    for line in lines:
        for pair in line.get("points", "").split():
            x, y = map(float, pair.split(","))
            assert 0 <= x <= width and 0 <= y <= height
    marks = [n for tag in ("circle", "rect", "path") for n in root.iter(space + tag)]
    assert len(marks) == len(data["rows"]) + 2 + 1  # two in the legend, and the ground
    assert len((tmp_path / "a.svg").read_bytes()) < 30_000


def test_the_readme_figure_copes_with_a_flat_line() -> None:
    flat = {"coverage": [0.0, 1.0], "accuracy": [0.9, 0.9], "latency_ms": [1.0, 2.0]}
    ET.fromstring(accuracy_coverage_svg({"curves": {"router": flat}}))


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_a_browser_draws_every_figure(page_text: str, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(page_text, encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command = ["chromium", *flags, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    done = subprocess.run([*command, path.as_uri()], capture_output=True, timeout=120, check=True)
    drawn = done.stdout.decode("utf-8", "replace")
    assert drawn.count('class="main-svg"') >= len(FIGURES)
    for name in FIGURES:
        assert re.search(
            rf'id="figure-{name}"[^>]*js-plotly-plot|js-plotly-plot[^>]*id="figure-{name}"', drawn
        )
    assert "first layer that hurts" in drawn and "peak at operator 2" in drawn
