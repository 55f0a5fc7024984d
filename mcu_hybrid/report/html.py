"""One self-contained HTML page from plain data: tables, figures, provenance; nothing is measured.

The page loads nothing, and needs no script to be read. Every section is optional, so that a bench
alone makes a page too. What was made with different builds stands in different parts, each under
its own heading. Numbers get their text here, not in the template.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

from mcu_hybrid import __version__, mechanisms
from mcu_hybrid.report import bar_tables
from mcu_hybrid.report.board_figures import memory_figure, memory_legend
from mcu_hybrid.report.figures import Figure
from mcu_hybrid.report.forms import form_rows
from mcu_hybrid.report.losses import loss_rows
from mcu_hybrid.report.method_figures import method_figures, styles
from mcu_hybrid.report.page_texts import cells, ms_text, sections
from mcu_hybrid.report.palette import FIGURE_CSS, color_css
from mcu_hybrid.report.routing_figures import legend, routing_figures
from mcu_hybrid.report.routing_table import routing_table
from mcu_hybrid.report.schedule_figure import schedules_figure
from mcu_hybrid.report.tiles import bench_time, is_virtual, tiles, where
from mcu_hybrid.report.times import ESTIMATE, edge_time
from mcu_hybrid.routing.tune.table import COLUMNS, table_rows
from mcu_hybrid.templates import page_environment


class Routing(TypedDict, total=False):
    """The headline table and its curves (routing.evaluate), and what they rest on."""

    rows: list[dict[str, Any]]  # route_eval.table
    curves: dict[str, dict[str, list[float]]]  # method -> route_eval.curve
    oracles: dict[str, Any]  # route_eval.oracles
    link: dict[str, Any]  # LinkModel.to_json
    edge_ms: float | None
    query_ms: float | None
    query_bytes: int
    latency_is_estimate: bool
    latency_basis: str  # what the device's time rests on, or why there is none
    dataset: str
    samples: int
    calibration_samples: int
    deployed: dict[str, Any]  # router, coverage, threshold
    operating: dict[str, Any] | None  # router, threshold, coverage, accuracy, latency_ms: on test
    confusion: list[dict[str, Any]]  # report.answers.confusion
    pictures: list[dict[str, Any]]  # report.answers.pictures
    counters: dict[str, Any]  # session.Counters.to_json
    cloud_missing: int  # inputs that the cloud never answered


class Methods(TypedDict, total=False):
    """Ways to route, compared over several seeds: experiments/hybrid, routing.methods."""

    series: list[dict[str, Any]]  # title, first (shown at once), curve: methods.curve
    bound: dict[str, Any] | None  # title, curve: methods.oracle_curve
    single: list[dict[str, Any]]  # title and a row of methods.table: one answer for all inputs
    dataset: str
    samples: int
    calibration_samples: int
    seeds: int
    link: dict[str, Any]  # LinkModel.to_json
    energy: str  # what the energy figure is made of


class Quantisation(TypedDict, total=False):
    """Float against int8, of the exported model."""

    float_accuracy: float
    int8_accuracy: float
    samples: int
    layers: list[dict[str, Any]]  # name, op, sqnr_db
    first_hurt: str | None
    threshold_db: float
    losses: dict[str, Any]  # routing.breakdown.breakdown of the learned router


class BoardFacts(TypedDict, total=False):
    """The board of a part; ``is_known``: its file was found, so the rest of this is true."""

    name: str
    title: str
    is_known: bool
    is_virtual: bool
    is_host: bool


class BoardMemory(TypedDict):
    """What a board has, in bytes."""

    name: str
    flash_bytes: int
    ram_bytes: int


class Provenance(TypedDict, total=False):
    """Where it all comes from."""

    tool_version: str
    board: str
    build_id: str
    steps: list[dict[str, str]]  # step, folder, sha256
    facts: dict[str, str]
    commands: list[str]


class ReportData(TypedDict, total=False):
    """All that a report can show; leave out what there is none of.

    ``parts``: several builds, each with the keys below ``parts`` and a ``title`` of its own;
    without it, these keys stand in the data itself.
    """

    title: str
    subtitle: str
    parts: list[ReportData]
    board: BoardFacts
    routing: Routing
    methods: Methods
    tuned: dict[str, Any]  # steps.tune.tune_step
    bench: dict[str, Any]  # bench.result.BenchResult.to_json
    built: dict[str, Any]  # the facts of a build's manifest
    plan: dict[str, Any]  # compiler.report.memory_map
    schedules: list[dict[str, Any]]  # AotFacts.front
    requantise_forms: dict[str, int]  # Program.requantise_forms
    quantisation: Quantisation
    capacity: list[BoardMemory]
    provenance: Provenance
    notes: list[str]


def render(data: ReportData) -> str:
    """The page as text."""
    environment = page_environment(Path(__file__).parent)
    environment.filters |= {
        "count": lambda n: f"{n:,}",
        "percent": lambda share: f"{share:.1%}".replace("%", " %"),
        "ms": ms_text,
    }
    parts = [
        _view(part, "" if n == 0 else f"-{n + 1}")
        for n, part in enumerate(data.get("parts") or [data])
    ]
    return environment.get_template("report.html.j2").render(
        title=data.get("title") or "mcu-hybrid report",
        subtitle=data.get("subtitle", ""),
        parts=parts,
        css=color_css() + FIGURE_CSS,
        has_methods=any(part["methods"] for part in parts),
        version=__version__,
        of_logits=_listed([one.title for one in mechanisms.of_logits()]),
    )


def _listed(names: Sequence[str]) -> str:
    """a, b and c."""
    return f"{', '.join(names[:-1])} and {names[-1]}"


def write(data: ReportData, path: Path) -> None:
    """Write the page."""
    path.write_text(render(data), encoding="utf-8")


def _view(data: ReportData, suffix: str) -> dict[str, Any]:
    """What the template of one part reads; ``suffix`` makes its ids unique in the page."""
    routing = _filled(data.get("routing"), Routing)
    plan = data.get("plan")
    time = bench_time(data)
    edge = edge_time(data.get("routing") or {}, is_virtual=is_virtual(data))
    view = {
        "s": suffix,
        "title": data.get("title", ""),
        "subtitle": data.get("subtitle", ""),
        "tiles": tiles(data),
        "where": where(data),
        "routing": routing,
        "edge": edge.text() if edge else "",
        "legend": legend(data.get("routing") or {}),
        "methods": _methods(data.get("methods")),
        "table": routing_table(data.get("routing") or {}, is_virtual=is_virtual(data)),
        "tuned": data.get("tuned"),
        "tuned_columns": COLUMNS,
        "tuned_rows": table_rows(data["tuned"]) if data.get("tuned") else [],
        "bench": data.get("bench"),
        "time": time.text() if time else "",
        "plan": plan,
        "plan_legend": memory_legend(plan) if plan and plan.get("buffers") else [],
        "forms": form_rows(data.get("requantise_forms")),
        "quantisation": _filled(data.get("quantisation"), Quantisation),
        "losses": loss_rows((data.get("quantisation") or {}).get("losses")),
        "provenance": _filled(data.get("provenance"), Provenance),
        "notes": data.get("notes", []),
        "bars": _bar_tables(data, time.kind if time else ESTIMATE),
        "rooms": _rooms(data),
        "rooms_csv": bar_tables.rooms_csv(_rooms(data)),
        "figures": {figure.name: _drawn(figure, suffix) for figure in _figures(data)},
    }
    return view | {"sections": sections(view), **cells(view)}


def _drawn(figure: Figure, suffix: str) -> dict[str, str]:
    return {
        "wide": figure.wide(suffix),
        "narrow": figure.narrow(suffix),
        "csv": figure.csv_uri,
    }


def _figures(data: ReportData) -> list[Figure]:
    figures: list[Figure] = []
    routing, plan = data.get("routing"), data.get("plan")
    if routing and (routing.get("curves") or routing.get("rows")):
        figures += routing_figures(routing)
    if data.get("methods"):
        figures += method_figures(data["methods"])
    if plan and plan.get("buffers"):
        figures.append(memory_figure(plan))
    if data.get("schedules"):
        figures.append(schedules_figure(data["schedules"]))
    return figures


def _bar_tables(data: ReportData, kind: str) -> dict[str, bar_tables.BarTable]:
    bench, quantisation = data.get("bench"), data.get("quantisation")
    found = []
    if bench and bench.get("layers"):
        found.append(bar_tables.layers_table(bench["layers"], kind))
    if quantisation and quantisation.get("layers"):
        found.append(bar_tables.sqnr_table(quantisation))
    return {table.name: table for table in found}


def _rooms(data: ReportData) -> list[bar_tables.Room]:
    """Room on the boards, for the build of this part: as it ran, else as it was linked."""
    bench, built = data.get("bench"), data.get("built")
    if not data.get("capacity") or not (bench or built):
        return []
    usage = bar_tables.usage_of_bench(bench) if bench else bar_tables.usage_of_build(built or {})
    return bar_tables.rooms(usage, data["capacity"])


def _filled(section: Any, kind: type) -> dict[str, Any] | None:
    """The section with None for what is left out, so that the template can be strict."""
    return None if not section else {key: section.get(key) for key in kind.__annotations__}


def _methods(section: Methods | None) -> dict[str, Any] | None:
    """The comparison with its legend."""
    filled = _filled(section, Methods)
    return filled and filled | {"legend": styles(filled)}
