"""One self-contained HTML page from plain data: tables, figures, provenance; nothing is measured.

The page loads nothing, and needs no script to be read. Every section is optional, so that a bench
alone makes a page too. What was made with different builds stands in different parts, each under
its own heading. Numbers get their text here, not in the template.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mcu_hybrid import __version__, mechanisms
from mcu_hybrid.report import bar_tables
from mcu_hybrid.report.board_figures import memory_figure, memory_legend
from mcu_hybrid.report.data import Methods, Report, ReportPart, Routing
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

View = dict[str, Any]  # what a template reads, by name


def render(data: Report) -> str:
    """The page as text."""
    environment = page_environment(Path(__file__).parent)
    environment.filters |= {
        "count": lambda n: f"{n:,}",
        "percent": lambda share: f"{share:.1%}".replace("%", " %"),
        "ms": ms_text,
    }
    parts = [_view(part, "" if n == 0 else f"-{n + 1}") for n, part in enumerate(data.parts)]
    return environment.get_template("report.html.j2").render(
        title=data.title or "mcu-hybrid report",
        subtitle=data.subtitle,
        parts=parts,
        css=color_css() + FIGURE_CSS,
        has_methods=any(part["methods"] for part in parts),
        version=__version__,
        of_logits=_listed([one.title for one in mechanisms.of_logits()]),
    )


def write(data: Report, path: Path) -> None:
    """Write the page."""
    path.write_text(render(data), encoding="utf-8")


def _view(data: ReportPart, suffix: str) -> View:
    """What the template of one part reads; ``suffix`` makes its ids unique in the page."""
    routing, plan, quantisation = data.routing or Routing(), data.plan, data.quantisation
    time = bench_time(data)
    edge = edge_time(routing, is_virtual=is_virtual(data))
    view: View = {
        "s": suffix,
        "title": data.title,
        "subtitle": data.subtitle,
        "tiles": tiles(data),
        "where": where(data),
        "routing": data.routing,
        "edge": edge.text() if edge else "",
        "legend": legend(routing),
        "methods": _methods(data.methods),
        "table": routing_table(routing, is_virtual=is_virtual(data)),
        "tuned": data.tuned,
        "tuned_columns": COLUMNS,
        "tuned_rows": table_rows(data.tuned) if data.tuned else [],
        "bench": data.bench,
        "time": time.text() if time else "",
        "plan": plan,
        "plan_legend": memory_legend(plan) if plan and plan.buffers else [],
        "forms": form_rows(data.requantise_forms),
        "quantisation": quantisation,
        "losses": loss_rows(quantisation.losses if quantisation else None),
        "provenance": data.provenance,
        "notes": data.notes,
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


def _figures(data: ReportPart) -> list[Figure]:
    figures: list[Figure] = []
    routing, plan = data.routing, data.plan
    if routing and (routing.curves or routing.rows):
        figures += routing_figures(routing)
    if data.methods:
        figures += method_figures(data.methods)
    if plan and plan.buffers:
        figures.append(memory_figure(plan))
    if data.schedules:
        figures.append(schedules_figure(data.schedules))
    return figures


def _bar_tables(data: ReportPart, kind: str) -> dict[str, bar_tables.BarTable]:
    bench, quantisation = data.bench, data.quantisation
    found = []
    if bench and bench.layers:
        found.append(bar_tables.layers_table(bench.layers, kind))
    if quantisation and quantisation.layers:
        found.append(bar_tables.sqnr_table(quantisation))
    return {table.name: table for table in found}


def _rooms(data: ReportPart) -> list[bar_tables.Room]:
    """Room on the boards, for the build of this part: as it ran, else as it was linked."""
    if not data.capacity:
        return []
    if data.bench is not None:
        return bar_tables.rooms(bar_tables.usage_of_bench(data.bench), data.capacity)
    if data.built is not None:
        return bar_tables.rooms(bar_tables.usage_of_build(data.built), data.capacity)
    return []


def _methods(section: Methods | None) -> View | None:
    """The comparison with its legend; None for what is left out: the template is strict."""
    if not section:
        return None
    filled: View = {key: section.get(key) for key in Methods.__annotations__}
    return filled | {"legend": styles(filled)}


def _listed(names: Sequence[str]) -> str:
    """a, b and c."""
    return f"{', '.join(names[:-1])} and {names[-1]}"
