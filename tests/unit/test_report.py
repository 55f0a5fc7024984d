"""The report: valid figures, one file that loads nothing, honest texts, any subset of sections."""

from __future__ import annotations

import base64
import csv
import io
import math
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mcu_hybrid.artifacts.bench import BenchResult
from mcu_hybrid.artifacts.build import Plan, SchedulePoint
from mcu_hybrid.artifacts.codec import plain_to
from mcu_hybrid.artifacts.export import NoiseRow
from mcu_hybrid.artifacts.table import Curve
from mcu_hybrid.artifacts.tune import Estimated, TargetRow, TuneResult
from mcu_hybrid.compiler.exact import requant
from mcu_hybrid.compiler.select.dsp.depthwise import pack as dsp_depthwise
from mcu_hybrid.compiler.select.mve import requant as mve_requant
from mcu_hybrid.report import html
from mcu_hybrid.report.bar_tables import layers_table, sqnr_table
from mcu_hybrid.report.board_figures import memory_figure
from mcu_hybrid.report.chart import Box, Line, Mark
from mcu_hybrid.report.data import Quantisation, Report, ReportPart, Routing
from mcu_hybrid.report.forms import FORMS
from mcu_hybrid.report.readme_figure import accuracy_coverage_svg, write_accuracy_coverage_svg
from mcu_hybrid.report.schedule_figure import schedules_figure
from tests.support import report_folders as made
from tests.support.artefacts import example
from tests.support.report_sample import LAYERS, bench, plan, report_of, routing, sample, schedules

DRAWN = ("accuracy-coverage", "accuracy-latency", "memory", "schedules")
FIGURES = (*DRAWN, "layers", "sqnr", "capacity")


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
        source = given.get("src") or ""
        if tag in ("link", "iframe", "object", "embed", "base", "image", "use"):
            self.loads.append(tag)
        if source and not source.startswith("data:image/png;base64,"):
            self.loads.append(source)
        if tag == "img" and not (given.get("alt") and source):
            self.loads.append("an image without a text")
        href = given.get("href") or ""
        if given.get("download"):
            self.csv[given["download"] or ""] = href
        elif tag == "a" and not href.startswith("#"):  # a place in the page
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
    return html.render(report_of(sample()))


@pytest.fixture(scope="module")
def page(page_text: str) -> Page:
    return Page(page_text)


def test_every_figure_is_drawn_for_wide_and_for_narrow_pages(page_text: str) -> None:
    drawn = re.findall(r"<svg class=\"chart\".*?</svg>", page_text, re.S)
    assert len(drawn) == 2 * len(DRAWN)
    widths = []
    for text in drawn:
        root = ET.fromstring(text)  # well-formed
        assert root.get("role") == "img" and root.get("aria-label")
        widths.append(float(root.get("viewBox", "").split()[2]))
        low, high = 11.0, widths[-1]
        for line in root.iter("{http://www.w3.org/2000/svg}text"):
            assert -1 <= float(line.get("x", -1)) <= high + 1, (low, line.text)
    assert set(widths[1::2]) == {330.0}, "a phone has about 330 pixels for a figure"
    assert all(width > 330 for width in widths[::2])


def test_the_page_is_one_small_file_and_loads_nothing(page: Page, page_text: str) -> None:
    assert page.loads == []
    assert len(page_text.encode()) < 1_500_000
    own = page_text.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert "http://" not in own and "https://" not in own and "@import" not in own
    assert "url(" not in own.replace("url(#clip-", "")
    assert {f"figure-{name}" for name in FIGURES} < set(page.ids)
    assert len(page.ids) == len(set(page.ids))


def test_a_large_network_on_much_data_makes_no_large_page() -> None:
    """200 layers, 10,000 test images with as many distinct scores, a dozen noisy pictures."""
    data, count = sample(), 10_000
    x = [i / count for i in range(count + 1)]
    curve = {"coverage": x, "accuracy": [0.9 - v / 7 for v in x], "latency_ms": [9 - v for v in x]}
    data["routing"]["curves"] = dict.fromkeys(("router", "entropy", "margin", "max-prob"), curve)
    layers = data["bench"]["layers"]
    data["bench"]["layers"] = [layers[i % len(layers)] for i in range(200)]
    data["quantisation"]["layers"] *= 15
    ops, boxes = data["plan"]["ops"], data["plan"]["buffers"]
    data["plan"] |= {"ops": ops * 15, "buffers": boxes * 15}
    assert len(html.render(report_of({"parts": [data, data]})).encode()) < 1_500_000


def test_a_page_is_made_without_any_drawing_package(tmp_path: Path) -> None:
    """A bare install has none; the report must not need what no extra names."""
    blocked = (
        "import sys; sys.modules.update(dict.fromkeys(('plotly', 'matplotlib', 'PIL', 'torch')))"
    )
    program = f"{blocked}\nfrom mcu_hybrid.cli import main\nmain(sys.argv[1:])"
    made.bench(tmp_path / "bench", "one", "mps2-an500")
    argv = [sys.executable, "-c", program, "report", tmp_path / "bench", "--out", tmp_path / "page"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "page" / "report.html").is_file()


def test_tables_have_captions_and_scopes(page_text: str) -> None:
    tables = re.findall(r"<table.*?</table>", page_text, re.S)
    assert len(tables) == 7
    for table in tables:
        assert re.search(r"<caption>\s*\S", table), table[:200]
        assert not re.search(r"<th(?![^>]*scope=)[ >]", table), table[:200]
        rows = re.findall(r"<tr.*?</tr>", table.split("<tbody")[1], re.S)
        assert rows and all('scope="row"' in row for row in rows)


def test_the_page_follows_the_readers_light_and_width(page_text: str) -> None:
    style = page_text.split("<style>")[1].split("</style>")[0]
    dark = re.findall(r"prefers-color-scheme: dark\) \{(.*?)\}", style, re.S)
    assert any("--paper" in rules for rules in dark) and any("--c-blue" in rules for rules in dark)
    assert "@media (max-width: 560px)" in style
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page_text
    # A colour that is not a variable would not follow.
    body = page_text.split("<body>")[1]
    assert not re.search(r'(fill|stroke|color|background)[=:]"?\s*#', body)


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
    data = sample()
    words = Page(html.render(report_of(data))).words
    assert re.search(r"latency estimate about 4\.5 ms", words)
    assert "mean latency estimate ms" in words and "device about 4.5 ms, estimate" in words
    data["bench"] |= {"latency_low_us": 4100.0, "latency_high_us": 5300.0}
    data["bench"]["layers"] = [
        row | {"latency_us": 1000.0 + i, "latency_low_us": 900.0 + i, "latency_high_us": 1200.0}
        for i, row in enumerate(data["bench"]["layers"])
    ]
    words = Page(html.render(report_of(data))).words
    assert "layer by layer: about 4.5 ms (4.1-5.3), estimate" in words
    assert "ms, estimate" in words and "1.0 0.9-1.2" in words
    data["bench"] |= {"latency_kind": "measured", "latency_basis": "DWT cycles"}
    data["routing"]["latency_is_estimate"] = False
    words = Page(html.render(report_of(data))).words
    assert "latency measured 4.5 ms DWT cycles" in words
    assert "mean latency ms" in words and "device 4.5 ms, measured" in words


def test_a_virtual_board_measures_no_time_whatever_its_folder_says() -> None:
    data = sample()
    data["bench"] |= {"latency_kind": "measured", "latency_is_estimate": False}
    data["routing"] |= {"latency_is_estimate": False}
    data["board"] = {"name": "mps2-an500", "is_known": True, "is_virtual": True}
    words = Page(html.render(report_of(data))).words
    assert "latency estimate about 4.5 ms" in words and "measured 4.5" not in words
    assert "mean latency estimate ms" in words and "device about 4.5 ms, estimate" in words


def test_a_board_without_a_time_has_none() -> None:
    data = sample()
    data["bench"] |= {"latency_kind": None, "latency_us": None}
    routing = data["routing"]
    routing |= {"edge_ms": None, "latency_kind": None, "latency_is_estimate": False}
    routing["rows"] = [row | {"latency_ms": None} for row in routing["rows"]]
    for curve in [*routing["curves"].values(), routing["oracles"]["best"]]:
        curve["latency_ms"] = [None] * len(curve["accuracy"])
    routing["oracles"]["random"] |= {"latency_ms": [None, None]}
    routing["operating"] |= {"latency_ms": None}
    page = Page(html.render(report_of(data)))
    assert "figure-accuracy-latency" not in page.ids and "figure-accuracy-coverage" in page.ids
    assert "no time is known for this board" in page.words
    assert "None" not in page.words and "latency estimate" not in page.words


def test_an_inexact_or_uncompared_model_is_not_called_exact() -> None:
    data = {"bench": bench() | {"exact": False, "differing_outputs": 12}}
    words = Page(html.render(report_of(data))).words
    assert "bit for bit 12 output values differ from TFLM's interpreter on 200 inputs" in words
    data = {"bench": bench() | {"exact": None, "differing_outputs": None}}
    assert "not compared" in Page(html.render(report_of(data))).words


@pytest.mark.parametrize(
    ("keys", "figures"),
    [
        (["bench"], ["layers"]),
        (["plan"], ["memory"]),
        (["bench", "plan", "capacity"], ["layers", "memory", "capacity"]),
        (["bench", "capacity"], ["layers", "capacity"]),
        (["routing"], ["accuracy-coverage", "accuracy-latency"]),
        (["quantisation"], ["sqnr"]),
        (["capacity"], []),
        (["provenance"], []),
        ([], []),
    ],
)
def test_any_subset_of_sections_makes_a_page(keys: list[str], figures: list[str]) -> None:
    text = html.render(report_of({key: sample()[key] for key in keys}))
    page = Page(text)
    assert [i.removeprefix("figure-") for i in page.ids if i.startswith("figure-")] == figures
    assert "<script" not in text
    assert "None" not in page.words and "nan" not in page.words.split()


def test_the_tuned_threshold_is_a_section_of_its_own() -> None:
    share = Estimated(value=0.2, low=0.15, high=0.25)
    target = example(TargetRow, metric="query_rate", text="query rate <= 20 %", guarantee="mean")
    tuned = example(
        TuneResult,
        router="margin",
        threshold=12345,
        coverage=0.8,
        accuracy_of="all inputs",
        calibration_samples=300,
        targets=(target,),
        expected={"accuracy": share, "query_rate": share},
        test={"accuracy": share, "query_rate": share},
        costs={},
        notes=("a note",),
        applied=None,
    )
    text = html.render(Report(parts=(ReportPart(tuned=tuned),)))
    page = Page(text)
    assert "tuned" in page.ids and 'href="#tuned"' in text
    for words in ("12,345", "300 calibration inputs", "query rate <= 20 %", "15.0 % .. 25.0 %"):
        assert words in page.words
    assert "a note" in page.words


@pytest.mark.parametrize("section", ["routing", "quantisation", "provenance"])
def test_any_field_of_a_section_may_be_missing(section: str) -> None:
    whole = sample()[section]
    for key in whole:
        part = {k: v for k, v in whole.items() if k != key}
        words = Page(html.render(report_of({section: part}))).words
        assert "None" not in words, key


def test_names_from_models_cannot_break_out_of_the_page() -> None:
    evil = '</script><img src=x onerror="alert(1)">'
    data = sample()
    data["title"] = data["subtitle"] = evil
    data["bench"]["layers"][0]["name"] = evil
    data["plan"]["buffers"][0]["name"] = evil
    data["quantisation"]["first_hurt"] = evil
    data["provenance"]["commands"] = [evil]
    text = html.render(report_of(data))
    assert Page(text).loads == []
    assert "<script" not in text and 'onerror="' not in text and "<i>" not in text


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
    rows = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in table.split("<tr>")[2:]]
    assert [(row[0], *row[2:]) for row in rows] == [
        ("slope", "1,268", "79.2"),
        ("line", "320", "20.0"),
        ("exact", "12", "0.8"),
    ]
    assert all(row[1] for row in rows)
    data = sample()
    data["requantise_forms"] = {}
    assert "requantisation" not in html.render(report_of(data))


def test_every_form_of_the_code_generator_is_explained() -> None:
    own = {dsp_depthwise.SLOPE, dsp_depthwise.EXACT, requant.LINE, requant.FINE, requant.EXACT}
    helium = {f"mve {form}" for form in (mve_requant.UP, mve_requant.AWAY, mve_requant.ANY)}
    assert set(FORMS) == own | helium


def test_schedules_are_drawn_with_the_one_that_was_built() -> None:
    figure = schedules_figure([SchedulePoint(**point) for point in schedules()])
    marks = [item for item in figure.chart.items if isinstance(item, Mark)]
    assert [mark.x * 1024 for mark in marks] == [84_480, 41_088, 27_072]
    built = [mark for mark in marks if mark.label == "built"]
    assert [(mark.x, mark.y, mark.shape) for mark in built] == [(40.125, 11.95836, "diamond")]
    assert "4 streams, +1.5 %" in marks[2].tip
    assert figure.csv.splitlines()[2] == "41088,11958360,1,1"


def test_the_memory_map_is_the_plan() -> None:
    figure = memory_figure(plain_to(Plan, plan()))
    boxes = {item.x + item.y for item in figure.chart.items if isinstance(item, Box)}
    wanted = {
        (b["first_op"] - 0.5, b["last_op"] + 0.5, b["offset"], b["offset"] + b["bytes"])
        for b in plan()["buffers"]
    }
    peak = plan()["peak_op"]
    assert boxes == wanted | {(peak - 0.5, peak + 0.5, 0, plan()["arena_bytes"])}
    assert "peak at operator 2 · conv_2d · 12,720 B" in figure.wide()
    [line] = [item for item in figure.chart.items if isinstance(item, Line)]
    assert [y for _, y in line.points][::2] == [op["live_bytes"] for op in plan()["ops"]]


def test_boards_that_count_ticks_get_ticks() -> None:
    data = bench() | {"instructions": None}
    data["layers"] = [row | {"instructions": None} for row in data["layers"]]
    table = layers_table(plain_to(BenchResult, data).layers)
    assert table.head[0] == "ticks"
    assert [cells[0].text for _, _, cells in table.rows] == [
        f"{row['ticks']:,}" for row in data["layers"]
    ]
    words = Page(html.render(report_of({"bench": data}))).words
    assert "instructions exact" not in words and "Where the ticks go" in words


def test_the_first_layer_that_hurts_is_marked(page: Page) -> None:
    table = sqnr_table(plain_to(Quantisation, sample()["quantisation"]))
    colors = [cells[0].color for _, _, cells in table.rows]
    assert [i for i, color in enumerate(colors) if color != colors[0]] == [6]
    assert "The first layer that hurts is base/block3/pointwise (below 25.0 dB)" in page.words
    layers = [{"name": "a", "op": "ADD", "sqnr_db": None}]
    words = Page(
        html.render(
            report_of(
                {"quantisation": {"layers": layers, "float_accuracy": 0.5, "int8_accuracy": 0.5}}
            )
        )
    ).words
    assert "No layer falls below the limit" in words


def test_infinite_values_are_no_numbers_in_the_page() -> None:
    layers = [{"name": n, "op": "ADD", "sqnr_db": v} for n, v in (("a", math.inf), ("b", 3.0))]
    table = sqnr_table(Quantisation(layers=tuple(NoiseRow(**row) for row in layers)))
    assert [cells[0].text for _, _, cells in table.rows] == ["no noise", "3.0"]
    assert table.csv.splitlines()[1:] == ["0,a,", "1,b,3"]


def test_the_same_data_gives_the_same_page(page_text: str, tmp_path: Path) -> None:
    html.write(report_of(sample()), tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page_text


def test_the_readme_figure(tmp_path: Path) -> None:
    data = routing()
    write_accuracy_coverage_svg(plain_to(Routing, data), tmp_path / "a.svg", "Demo <1>")
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
    marks = [n for n in root.iter() if n.get("class") in ("mk", "open")]
    assert len(marks) == len(data["rows"]) + 1 + 2 + 1  # as deployed; and three in the legend
    assert len((tmp_path / "a.svg").read_bytes()) < 40_000
    assert "prefers-color-scheme: dark" in (tmp_path / "a.svg").read_text("utf-8")


def test_the_readme_figure_copes_with_a_flat_line() -> None:
    flat = {"coverage": [0.0, 1.0], "accuracy": [0.9, 0.9], "latency_ms": [1.0, 2.0]}
    ET.fromstring(accuracy_coverage_svg(Routing(curves={"router": plain_to(Curve, flat)})))


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_a_phone_has_nothing_to_scroll_sideways(page_text: str, tmp_path: Path) -> None:
    """In a real browser at 390 pixels: the page is no wider, and narrow figures are shown."""
    page = tmp_path / "report.html"
    page.write_text(page_text, encoding="utf-8")
    frame = tmp_path / "frame.html"
    frame.write_text(
        f"<iframe id=f src={page.name} style='width:390px;height:900px;border:0'></iframe><p id=p>"
        "<script>onload = () => { const d = f.contentDocument, s = (q) => getComputedStyle("
        "d.querySelector(q)).display; p.textContent = [d.documentElement.scrollWidth, "
        "s('.wide'), s('.narrow'), s('.bars td')].join(' '); }</script>",
        encoding="utf-8",
    )
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    flags += ["--allow-file-access-from-files", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run(
        ["chromium", *flags, "--dump-dom", frame.as_uri()],
        capture_output=True,
        timeout=120,
        check=True,
    )
    told = re.search(r'<p id="p">(\d+) (.*?)</p>', done.stdout.decode("utf-8", "replace"))
    assert told is not None and told[2] == "none block grid"
    assert int(told[1]) <= 390
