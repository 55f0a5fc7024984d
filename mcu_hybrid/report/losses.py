"""The report's table of where accuracy goes: to int8, and to a router that is not the oracle."""

from __future__ import annotations

from mcu_hybrid.artifacts.table import Losses


def loss_rows(losses: Losses | None) -> list[dict[str, str]]:
    """Rows of what, float, int8 and the difference in points, as text; none without losses.

    Args:
        losses: routing.breakdown.breakdown.
    """
    if not losses:
        return []
    one, two = losses.float_, losses.int8
    rows = [
        _row("base alone", one.base_accuracy, two.base_accuracy),
        _row("hybrid", one.hybrid_accuracy, two.hybrid_accuracy),
        _row("best possible, as many queries", one.oracle_accuracy, two.oracle_accuracy),
    ]
    lost = (("float", losses.routing_loss.float_), ("int8", losses.routing_loss.int8))
    texts = {name: f"{max(0.0, 100 * value):.2f} points" for name, value in lost}
    return [*rows, {"what": "lost by routing", **texts, "difference": ""}]


def _row(what: str, float_: float, int8: float) -> dict[str, str]:
    return {
        "what": what,
        "float": f"{100 * float_:.2f}",
        "int8": f"{100 * int8:.2f}",
        "difference": f"{round(100 * (int8 - float_), 2) + 0.0:+.2f}",  # no -0.00
    }
