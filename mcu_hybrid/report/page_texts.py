"""Texts of a part that need no section of their own: its navigation and its plain tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcu_hybrid.artifacts.tune import Basis
from mcu_hybrid.report.data import Routing


def sections(view: Mapping[str, Any]) -> list[str]:
    """The ids of the sections that the part has, for the page's navigation."""
    routing = view["routing"] or Routing()
    there = {
        "routing": view["routing"],
        "answers": routing.confusion or routing.pictures,
        "methods": view["methods"],
        "tuned": view["tuned"],
        "layers": "layers" in view["bars"],
        "memory": "memory" in view["figures"],
        "schedules": "schedules" in view["figures"],
        "requantisation": view["forms"],
        "quantisation": view["quantisation"],
        "capacity": view["rooms"],
        "provenance": view["provenance"] or view["notes"],
    }
    return [name for name, value in there.items() if value]


def cells(view: Mapping[str, Any]) -> dict[str, object]:
    """The rows of the plain tables, cell by cell."""
    routers = view["bench"].routers if view["bench"] else ()
    colors = {name: color for room in view["rooms"] for name, _, _, color in room.parts}
    return {
        "tuned_basis": _tuned_basis(view["tuned"].basis) if view["tuned"] else [],
        "router_rows": [
            (
                row.router,
                f"{row.macs:,}",
                f"{row.constant_bytes:,}",
                "" if row.instructions is None else f"{row.instructions:,}",
                f"{100 * row.share:.2f} %",
            )
            for row in routers
        ],
        "form_rows": [
            (row["form"], row["what"], row["channels"], row["share"]) for row in view["forms"]
        ],
        "loss_rows": [
            (row["what"], row["float"], row["int8"], row["difference"]) for row in view["losses"]
        ],
        "room_legend": [
            {"name": name, "color": color, "dash": "none", "mark": "square"}
            for name, color in colors.items()
        ],
    }


def _tuned_basis(basis: Basis) -> list[tuple[str, str]]:
    """What the times and the energy of a tuned threshold are made of, in the words of tune."""
    found = []
    if basis.edge_ms is not None:
        found.append(("device", f"{ms_text(basis.edge_ms)} ms per input; {basis.edge}"))
    if basis.query:
        link = basis.query.link
        found.append(("link", f"{link.title}: {link.assumption}"))
    if basis.power:
        found.append(("power", basis.power.basis))
    return found


def ms_text(value: float) -> str:
    """Milliseconds with as many digits as they deserve."""
    digits = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{digits}f}"
