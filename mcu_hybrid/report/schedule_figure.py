"""The report's figure of schedules: RAM against instructions, as a plotly specification."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mcu_hybrid.report.figures import BLUE, INK, ORANGE, Figure, axis, csv_text, layout


def schedules_figure(front: Sequence[Mapping[str, Any]]) -> Figure:
    """Each schedule that was compared: arena in kB against predicted instructions, as a front.

    Args:
        front: ``arena_bytes``, ``instructions``, ``streams``, ``is_chosen``; fastest first.
    """
    fastest = int(front[0]["instructions"])
    x = [point["arena_bytes"] / 1000 for point in front]
    y = [point["instructions"] / 1e6 for point in front]
    more = [point["instructions"] / fastest - 1 for point in front]
    chosen = [n for n, point in enumerate(front) if point["is_chosen"]]
    texts = [f"{p['streams']} streams, +{100 * m:.1f} %" for p, m in zip(front, more, strict=True)]
    data = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": "schedules",
            "x": x,
            "y": y,
            "text": texts,
            # A schedule serves every arena from its own up to the next faster one's.
            "line": {"color": BLUE, "width": 2, "shape": "vh"},
            "marker": {"color": BLUE, "size": 8},
            "hovertemplate": "<b>%{x:.1f} kB</b><br>%{y:.3f} M instructions<br>%{text}"
            "<extra></extra>",
        },
        {
            "type": "scatter",
            "mode": "markers",
            "name": "built",
            "x": [x[n] for n in chosen],
            "y": [y[n] for n in chosen],
            "text": [texts[n] for n in chosen],
            "marker": {
                "color": ORANGE,
                "size": 14,
                "symbol": "diamond",
                "line": {"color": INK, "width": 1},
            },
            "hovertemplate": "<b>built</b>: %{x:.1f} kB, %{y:.3f} M<br>%{text}<extra></extra>",
        },
    ]
    rows = [(p["arena_bytes"], p["instructions"], p["streams"], int(p["is_chosen"])) for p in front]
    return Figure(
        "schedules",
        data,
        layout(
            xaxis=axis("arena, kB", rangemode="tozero"),
            yaxis=axis("predicted instructions per inference, millions"),
            margin={"l": 64, "r": 16, "t": 40, "b": 48},
        ),
        340,
        csv_text(("arena_bytes", "instructions", "streams", "is_chosen"), rows),
        "Predicted instructions of each schedule over the arena that it needs.",
    )
