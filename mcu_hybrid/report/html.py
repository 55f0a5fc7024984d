"""One self-contained HTML page from plain data: tables, figures, provenance; nothing is measured.

The page loads nothing from the network: plotly's script is written into it once. Every section is
optional, so that a bench alone makes a page too. Numbers get their text here, not in the template.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, TypedDict

from mcu_hybrid import __version__
from mcu_hybrid.errors import MissingTool
from mcu_hybrid.report.board_figures import layers_figure, memory_figure
from mcu_hybrid.report.figures import METHOD_STYLE, SINGLE, Figure, legend, routing_figures
from mcu_hybrid.report.forms import form_rows
from mcu_hybrid.report.losses import loss_rows
from mcu_hybrid.report.method_figures import method_figures, styles
from mcu_hybrid.report.model_figures import capacity_figure, sqnr_figure
from mcu_hybrid.report.schedule_figure import schedules_figure
from mcu_hybrid.report.tiles import tiles
from mcu_hybrid.templates import page_environment
from mcu_hybrid.tuning.table import COLUMNS, table_rows


class Routing(TypedDict, total=False):
    """The headline table and its curves (harness.route_eval), and what they rest on."""

    rows: list[dict[str, Any]]  # route_eval.table
    curves: dict[str, dict[str, list[float]]]  # method -> route_eval.curve
    oracles: dict[str, Any]  # route_eval.oracles
    link: dict[str, Any]  # LinkModel.to_json
    edge_ms: float | None  # None: the board has no time, and no row a latency
    edge_low_ms: float | None
    edge_high_ms: float | None
    query_ms: float
    query_bytes: int
    latency_kind: str | None  # measured, estimate
    latency_is_estimate: bool
    latency_basis: str
    dataset: str
    samples: int
    calibration_samples: int
    deployed: dict[str, Any]  # router, coverage, threshold
    counters: dict[str, Any]  # session.Counters.to_json


class Methods(TypedDict, total=False):
    """Ways to route, compared over several seeds: benchmarks/hybrid.py, harness.methods."""

    series: list[dict[str, Any]]  # title, first (shown at once), curve: methods.curve
    bound: dict[str, Any] | None  # title, curve: methods.oracle_curve
    single: list[dict[str, Any]]  # title and a row of methods.table: one answer for all inputs
    dataset: str
    samples: int
    calibration_samples: int
    seeds: int
    link: dict[str, Any]  # LinkModel.to_json
    energy: str  # what the energy figure is made of
    conditions: list[dict[str, Any]]  # what, value, least, met, binding


class Quantisation(TypedDict, total=False):
    """Float against int8, of the exported model."""

    float_accuracy: float
    int8_accuracy: float
    samples: int
    layers: list[dict[str, Any]]  # name, op, sqnr_db
    first_hurt: str | None
    threshold_db: float
    losses: dict[str, Any]  # routers.breakdown.breakdown of the learned router


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
    """All that a report can show; leave out what there is none of."""

    title: str
    subtitle: str
    routing: Routing
    methods: Methods
    tuned: dict[str, Any]  # pipeline.tune.tune_step
    bench: dict[str, Any]  # harness.bench_result.BenchResult.to_json
    plan: dict[str, Any]  # codegen.report.plan_json
    schedules: list[dict[str, Any]]  # pipeline.compile.Compiled.facts, "front"
    requantise_forms: dict[str, int]  # codegen.lowering.requantise_forms
    quantisation: Quantisation
    capacity: list[BoardMemory]
    provenance: Provenance
    notes: list[str]


def render(data: ReportData) -> str:
    """The page as text."""
    figures = {figure.name: figure for figure in _figures(data)}
    environment = page_environment(Path(__file__).parent)
    environment.filters |= {
        "count": lambda n: f"{n:,}",
        "percent": lambda share: f"{share:.1%}".replace("%", " %"),
        "ms": _ms,
    }
    return environment.get_template("report.html.j2").render(
        title=data.get("title") or "mcu-hybrid report",
        subtitle=data.get("subtitle", ""),
        tiles=tiles(data),
        routing=_filled(data.get("routing"), Routing),
        legend=legend(data.get("routing") or {}),
        methods=_methods(data.get("methods")),
        table=_table(data.get("routing")),
        tuned=data.get("tuned"),
        tuned_columns=COLUMNS,
        tuned_rows=table_rows(data["tuned"]) if data.get("tuned") else [],
        bench=data.get("bench"),
        plan=data.get("plan"),
        forms=form_rows(data.get("requantise_forms")),
        quantisation=_filled(data.get("quantisation"), Quantisation),
        losses=loss_rows((data.get("quantisation") or {}).get("losses")),
        provenance=_filled(data.get("provenance"), Provenance),
        notes=data.get("notes", []),
        figures=figures,
        specs=_script_json([figure.spec() for figure in figures.values()]),
        plotly_js=plotly_script() if figures else "",
        version=__version__,
    )


def write(data: ReportData, path: Path) -> None:
    """Write the page."""
    path.write_text(render(data), encoding="utf-8")


def plotly_script() -> str:
    """The text of plotly.js from the Python package, which ships it."""
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise MissingTool("plotly is not installed", "pip install 'mcu-hybrid[report]'") from error
    script: str = get_plotlyjs()
    return script


def _figures(data: ReportData) -> list[Figure]:
    figures: list[Figure] = []
    bench, plan = data.get("bench"), data.get("plan")
    routing, quantisation = data.get("routing"), data.get("quantisation")
    if routing and (routing.get("curves") or routing.get("rows")):
        figures += routing_figures(routing)
    if data.get("methods"):
        figures += method_figures(data["methods"])
    if bench and bench.get("layers"):
        figures.append(layers_figure(bench["layers"]))
    if plan and plan.get("buffers"):
        figures.append(memory_figure(plan))
    if data.get("schedules"):
        figures.append(schedules_figure(data["schedules"]))
    if quantisation and quantisation.get("layers"):
        figures.append(sqnr_figure(quantisation))
    if bench and data.get("capacity"):
        figures.append(capacity_figure(bench, data["capacity"]))
    return figures


def _filled(section: Any, kind: type) -> dict[str, Any] | None:
    """The section with None for what is left out, so that the template can be strict."""
    return None if not section else {key: section.get(key) for key in kind.__annotations__}


def _methods(section: Methods | None) -> dict[str, Any] | None:
    """The comparison with its legend."""
    filled = _filled(section, Methods)
    return filled and filled | {"legend": styles(filled)}


def _script_json(value: object) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _table(routing: Routing | None) -> dict[str, Any]:
    """The headline rows as texts; the better router at each coverage is marked.

    Latency has as many digits as its largest value deserves, bytes one unit for the column.
    """
    rows = (routing or {}).get("rows") or []
    best: dict[float, float] = {}
    for row in rows:
        if row["method"] not in SINGLE:
            target = row["coverage_target"]
            best[target] = max(best.get(target, 0.0), row["accuracy"])
    slowest = max((row["latency_ms"] or 0.0 for row in rows), default=0.0)
    digits = 3 if slowest < 10 else 2 if slowest < 100 else 1 if slowest < 1000 else 0
    most = max((row["bytes_sent"] for row in rows), default=0)
    unit, size = next(
        ((u, s) for u, s in (("MiB", 1 << 20), ("KiB", 1 << 10)) if most >= 10 * s), ("B", 1)
    )
    texts = [
        _row_texts(row, best)
        | {
            "latency": "-" if row["latency_ms"] is None else f"{row['latency_ms']:,.{digits}f}",
            "bytes": f"{row['bytes_sent'] / size:,.{0 if size == 1 else 1}f}",
        }
        for row in rows
    ]
    for here, after in pairwise(texts):
        here["last"] = here["method"] != after["method"] and not (
            here["single"] and after["single"]
        )
    return {"rows": texts, "unit": unit}


def _row_texts(row: Mapping[str, Any], best: Mapping[float, float]) -> dict[str, Any]:
    single = row["method"] in SINGLE
    return {
        "method": row["method"],
        "color": METHOD_STYLE.get(row["method"], {}).get("color", "#9aa3ad"),
        "single": single,
        "last": False,  # of its method's rows: a line below
        "best": not single and row["accuracy"] == best[row["coverage_target"]],
        "target": "" if single else f"{100 * row['coverage_target']:.0f}",
        "coverage": f"{100 * row['coverage']:.1f}",
        "coverage_ci": "" if single else _interval(row.get("coverage_ci")),
        "accuracy": f"{100 * row['accuracy']:.2f}",
        "accuracy_ci": _interval(row.get("accuracy_ci")),
        "threshold": "" if row.get("threshold") is None else f"{row['threshold']:g}",
    }


def _interval(pair: list[float] | None) -> str:
    return f"{100 * pair[0]:.1f}–{100 * pair[1]:.1f}" if pair else ""


def _ms(value: float) -> str:
    digits = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{digits}f}"
