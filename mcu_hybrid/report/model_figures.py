"""The report's figures of what a model needs: precision of each layer, and room on the boards.

Plotly specifications as plain dicts, like figures.py, whose style they share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mcu_hybrid.report.board_figures import ROW_PX, layer_label
from mcu_hybrid.report.figures import (
    BLUE,
    FAINT,
    GREEN,
    MUTED,
    ORANGE,
    PINK,
    RED,
    SKY,
    Figure,
    axis,
    csv_text,
    finite,
    layout,
    text,
)


def sqnr_figure(quantisation: Mapping[str, Any]) -> Figure:
    """Signal to quantisation noise of each layer's output; the first layer that hurts is marked.

    A layer without any noise has sqnr_db None or infinity.
    """
    layers = quantisation["layers"]
    hurt = [row["name"] == quantisation.get("first_hurt") for row in layers]
    value = [finite(row["sqnr_db"]) for row in layers]
    known = [v for v in value if v is not None] or [0.0]
    data = {
        "type": "bar",
        "orientation": "h",
        "y": [layer_label(i, row) for i, row in enumerate(layers)],
        "x": value,
        "marker": {"color": [RED if h else SKY for h in hurt]},
        "text": [
            ("no noise" if v is None else f"{v:.1f}") + (" · first layer that hurts" if h else "")
            for h, v in zip(hurt, value, strict=True)
        ],
        "textposition": "outside",
        "textfont": {"size": 11, "color": [RED if h else MUTED for h in hurt]},
        "cliponaxis": False,
        "hovertemplate": "<b>%{y}</b><br>SQNR %{x:.2f} dB<extra></extra>",
    }
    room = [min(0.0, *known) * 1.15, max(1.0, *known) * 1.15]
    rows = [(i, row["name"], value[i]) for i, row in enumerate(layers)]
    return Figure(
        "sqnr",
        [data],
        layout(
            showlegend=False,
            bargap=0.3,
            margin={"l": 60, "r": 24, "t": 76, "b": 8},
            yaxis=axis("", autorange="reversed", showgrid=False, tickfont={"size": 11.5}),
            xaxis=axis(
                "signal to quantisation noise, dB (higher is better)", side="top", range=room
            ),
        ),
        90 + ROW_PX * len(layers),
        csv_text(("layer", "name", "sqnr_db"), rows),
        "Signal to quantisation noise ratio of each layer's int8 output against float.",
    )


def capacity_figure(bench: Mapping[str, Any], boards: Sequence[Mapping[str, Any]]) -> Figure:
    """Flash and RAM in use as a share of what each board has."""
    parts = _parts(bench)
    used = {kind: sum(p[2] for p in parts if p[1] == kind) for kind in ("flash", "ram")}
    regions = [(board, kind) for board in boards for kind in ("flash", "ram")]
    notes = [
        {
            "x": used[kind] / board[f"{kind}_bytes"],
            "y": _region(board, kind),
            "text": f" {used[kind]:,} of {board[f'{kind}_bytes']:,} B",
            "showarrow": False,
            "xanchor": "left",
            "font": {"size": 12, "color": MUTED},
        }
        for board, kind in regions
    ]
    table = [
        (board["name"], kind, name, size, board[f"{kind}_bytes"])
        for board in boards
        for name, kind, size, _ in parts
    ]
    fullest = max(used[kind] / board[f"{kind}_bytes"] for board, kind in regions)
    return Figure(
        "capacity",
        [_stack(boards, *part) for part in parts],
        _capacity_layout([_region(*region) for region in regions], notes, fullest),
        120 + 40 * len(regions),
        csv_text(("board", "memory", "part", "bytes", "capacity_bytes"), table),
        "Flash and RAM in use against the capacity of each board.",
    )


def _parts(bench: Mapping[str, Any]) -> list[tuple[str, str, int, str]]:
    """(name, memory, bytes, colour) of what takes room."""
    flash = bench["flash"]
    stack = int(bench.get("stack_bytes") or 0)
    other = max(0, bench["sram_bytes"] - bench["arena_bytes"] - stack)
    return [
        ("weights", "flash", flash["weights_bytes"], BLUE),
        ("code", "flash", flash["code_bytes"], SKY),
        ("arena", "ram", bench["arena_bytes"], GREEN),
        ("other statics", "ram", other, PINK),
        ("stack used", "ram", stack, ORANGE),
    ]


def _stack(
    boards: Sequence[Mapping[str, Any]], name: str, kind: str, used: int, color: str
) -> dict[str, Any]:
    have = [board[f"{kind}_bytes"] for board in boards]
    return {
        "type": "bar",
        "orientation": "h",
        "name": name,
        "y": [_region(board, kind) for board in boards],
        "x": [used / size for size in have],
        "customdata": [[f"{used:,}", f"{size:,}"] for size in have],
        "marker": {"color": color, "line": {"color": "#ffffff", "width": 1}},
        "hovertemplate": f"<b>{name}</b><br>%{{customdata[0]}} of %{{customdata[1]}} bytes "
        "(%{x:.2%})<extra></extra>",
    }


def _capacity_layout(
    labels: list[str], notes: list[dict[str, Any]], fullest: float
) -> dict[str, Any]:
    limit = {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": 1, "x1": 1}
    order = {"categoryorder": "array", "categoryarray": labels, "autorange": "reversed"}
    return layout(
        barmode="stack",
        bargap=0.35,
        annotations=notes,
        shapes=[limit | {"line": {"color": FAINT, "width": 1.5, "dash": "dash"}}],
        yaxis=axis("", showgrid=False, **order),
        # Room behind the longest bar for its figures.
        xaxis=axis(
            "share of the board's memory", tickformat=".0%", range=[0, max(1.02, fullest * 1.35)]
        ),
        margin={"l": 60, "r": 16, "t": 48, "b": 48},
    )


def _region(board: Mapping[str, Any], kind: str) -> str:
    return text(f"{board['name']} · {'RAM' if kind == 'ram' else 'flash'}")
