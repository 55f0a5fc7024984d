"""The report's figures of a model on a board: cost per layer, and memory over time.

Plotly specifications as plain dicts, like figures.py, whose style they share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mcu_hybrid.report.figures import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PINK,
    RED,
    SKY,
    Figure,
    axis,
    csv_text,
    layout,
    text,
)

ROW_PX = 22
LABEL_CHARS = 30


def short(name: str, limit: int = LABEL_CHARS) -> str:
    """The end of a long layer name: that is the part that tells layers apart."""
    return name if len(name) <= limit else "…" + name[1 - limit :]


def layer_label(index: int, row: Mapping[str, Any]) -> str:
    """An axis label: number, operator, end of the name."""
    op = str(row.get("op", "")).lower()
    return text(f"{index} · {op} · {short(str(row['name']))}" if op else f"{index} · {row['name']}")


def layers_figure(layers: Sequence[Mapping[str, Any]]) -> Figure:
    """Per layer: what it costs (instructions, else ticks), its MACs, and the ratio of both."""
    unit = "instructions" if all(row.get("instructions") is not None for row in layers) else "ticks"
    cost = [int(row[unit]) for row in layers]
    macs = [int(row["macs"]) for row in layers]
    ratio = [c / m if m else None for c, m in zip(cost, macs, strict=True)]
    labels = [layer_label(i, row) for i, row in enumerate(layers)]
    total = sum(cost) or 1
    share = [text(f"{c / total:.1%}" if c >= total / 1000 else "<0.1%") for c in cost]
    data = [
        _bars(labels, cost, share, BLUE, "x", unit),
        _bars(labels, macs, None, SKY, "x2", "MACs"),
        {
            "type": "scatter",
            "mode": "markers",
            "y": labels,
            "x": ratio,
            "xaxis": "x3",
            "marker": {"color": ORANGE, "size": 9, "line": {"color": INK, "width": 0.5}},
            "hovertemplate": "<b>%{y}</b><br>%{x:.2f} " + unit + " per MAC<extra></extra>",
        },
    ]
    rows = zip(range(len(layers)), layers, cost, macs, ratio, strict=True)
    return Figure(
        "layers",
        data,
        _layers_layout(unit, labels, cost, ratio),
        100 + ROW_PX * len(layers),
        csv_text(
            ("layer", "name", "op", unit, "macs", f"{unit}_per_mac"),
            [(i, row["name"], row.get("op", ""), c, m, r) for i, row, c, m, r in rows],
        ),
        f"Bars per layer: {unit}, multiply-accumulates, and {unit} per MAC.",
    )


def _bars(
    labels: list[str],
    values: list[int],
    share: list[str] | None,
    color: str,
    xaxis: str,
    unit: str,
) -> dict[str, Any]:
    of_all = f" {unit} (%{{text}})" if share else f" {unit}"
    return {
        "type": "bar",
        "orientation": "h",
        "y": labels,
        "x": values,
        "xaxis": xaxis,
        "marker": {"color": color},
        "text": share,
        "textposition": "outside",
        "textfont": {"size": 11, "color": MUTED},
        "cliponaxis": False,
        "hovertemplate": "<b>%{y}</b><br>%{x:,}" + of_all + "<extra></extra>",
    }


def _layers_layout(
    unit: str, labels: list[str], cost: list[int], ratio: Sequence[float | None]
) -> dict[str, Any]:
    top = {"side": "top", "nticks": 5, "fixedrange": True}
    widest = max(cost, default=1) or 1
    highest = max((r for r in ratio if r is not None), default=1.0)
    return layout(
        showlegend=False,
        margin={"l": 60, "r": 24, "t": 76, "b": 8},
        bargap=0.3,
        yaxis=axis("", autorange="reversed", showgrid=False, tickfont={"size": 11.5}),
        # Room for the share that is written behind the longest bar.
        xaxis=axis(unit, domain=[0, 0.46], range=[0, 1.14 * widest], **top),
        xaxis2=axis("MACs", domain=[0.5, 0.74], rangemode="tozero", **top),
        xaxis3=axis(f"{unit} per MAC", domain=[0.79, 1], range=[0, 1.08 * highest], **top),
        hovermode="closest",
    )


def memory_figure(plan: Mapping[str, Any]) -> Figure:
    """The arena over time: a rectangle per buffer, from its first to its last operator."""
    ops, buffers = plan["ops"], plan["buffers"]
    last = len(ops) - 1
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in buffers:
        groups.setdefault(_role(row, last), []).append(row)
    colors = {"input": GREEN, "activation": SKY, "output": PINK, "scratch": ORANGE}
    data = [_boxes(role, groups[role], colors[role]) for role in colors if role in groups]
    data.append(
        {
            "type": "scatter",
            "mode": "lines",
            "name": "bytes in use",
            "x": [edge for i in range(len(ops)) for edge in (i - 0.5, i + 0.5)],
            "y": [op["live_bytes"] for op in ops for _ in range(2)],
            "line": {"color": INK, "width": 1.5},
            "hoverinfo": "skip",
        }
    )
    header = ("name", "first_op", "last_op", "offset", "bytes")
    return Figure(
        "memory",
        data,
        _memory_layout(plan),
        440,
        csv_text(header, [[row[key] for key in header] for row in buffers]),
        f"Arena of {plan['arena_bytes']:,} bytes; fullest at operator {plan['peak_op']}.",
    )


def _role(row: Mapping[str, Any], last: int) -> str:
    if row.get("tensor") is None:
        return "scratch"
    if row["first_op"] < 0:
        return "input"
    return "output" if row["last_op"] > last else "activation"


def _boxes(role: str, rows: Sequence[Mapping[str, Any]], color: str) -> dict[str, Any]:
    return {
        "type": "bar",
        "name": role,
        "x": [(row["first_op"] + row["last_op"]) / 2 for row in rows],
        "width": [row["last_op"] - row["first_op"] + 1 for row in rows],
        "base": [row["offset"] for row in rows],
        "y": [row["bytes"] for row in rows],
        "customdata": [
            [
                text(row["name"]),
                f"{row['bytes']:,}",
                f"{row['offset']:,}",
                row["first_op"],
                row["last_op"],
            ]
            for row in rows
        ],
        "text": [text(str(row["name"]).rsplit("/", 1)[-1]) for row in rows],
        "textposition": "inside",
        "insidetextanchor": "middle",
        "textangle": 0,
        "textfont": {"color": INK},
        "marker": {"color": color, "opacity": 0.85, "line": {"color": "#ffffff", "width": 1.5}},
        "hovertemplate": "<b>%{customdata[0]}</b><br>%{customdata[1]} bytes at offset "
        "%{customdata[2]}<br>operators %{customdata[3]} to %{customdata[4]}<extra>"
        + role
        + "</extra>",
    }


def _memory_layout(plan: Mapping[str, Any]) -> dict[str, Any]:
    ops, peak, arena = plan["ops"], plan["peak_op"], plan["arena_bytes"]
    line = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": arena, "y1": arena}
    column = {"type": "rect", "yref": "paper", "y0": 0, "y1": 1, "x0": peak - 0.5, "x1": peak + 0.5}
    peak_name = str(ops[peak].get("op", "")).lower() if 0 <= peak < len(ops) else ""
    step = max(1, -(-(len(ops) + 2) // 24))
    ticks = [i for i in range(len(ops)) if i % step == 0]
    return layout(
        barmode="overlay",
        uniformtext={"mode": "hide", "minsize": 10},  # names only where they fit
        shapes=[
            column | {"fillcolor": RED, "opacity": 0.1, "line": {"width": 0}, "layer": "below"},
            line | {"line": {"color": RED, "width": 1.5, "dash": "dash"}},
        ],
        annotations=[
            {
                "x": peak,
                "y": arena,
                "text": f"peak at operator {peak} · {text(peak_name)} · {arena:,} B",
                "showarrow": False,
                "yanchor": "bottom",
                "xanchor": "left" if peak < len(ops) / 2 else "right",
                "font": {"color": RED, "size": 12.5},
            }
        ],
        xaxis=axis(
            "operator (time)",
            showgrid=False,
            tickvals=[-1, *ticks, len(ops)],
            ticktext=["in", *(str(i) for i in ticks), "out"],
            range=[-1.6, len(ops) + 0.6],
        ),
        yaxis=axis("offset in the arena, bytes", tickformat=",", range=[0, 1.12 * arena]),
        margin={"l": 64, "r": 16, "t": 40, "b": 48},
        hovermode="closest",
    )
