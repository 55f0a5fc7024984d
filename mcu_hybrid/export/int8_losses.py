"""What int8 and the router cost a hybrid, exactly; and how true training's simulation was."""

from __future__ import annotations

import numpy as np

from mcu_hybrid.artifacts.export import Simulation
from mcu_hybrid.artifacts.table import Losses
from mcu_hybrid.export.agreement import Int8Run
from mcu_hybrid.export.link import base_logits
from mcu_hybrid.mechanisms import of_model
from mcu_hybrid.nets.checkpoint import Hybrid, Splits
from mcu_hybrid.quant import QuantParams
from mcu_hybrid.routing.breakdown import breakdown, side


def exact_losses(hybrid: Hybrid, splits: Splits, seen: Int8Run, coverage: float) -> Losses:
    """``routing.breakdown.breakdown`` of the learned router on the calibration split.

    Args:
        seen: what the device computes for the calibration images, bit for bit.
    """
    from mcu_hybrid.nets.sight import Sight, float_scores

    x, y, classes = splits.x_calibration, splits.y_calibration, len(hybrid.labels)
    rows = Sight(hybrid.base, hybrid.shape, hybrid.router.features > 0).read(x)
    cloud = base_logits(hybrid.global_, x).argmax(1)
    scores = float_scores(hybrid.router, rows[:, classes:])
    return breakdown(
        side(rows[:, :classes].argmax(1), scores, cloud, y),
        side(seen.logits.argmax(1), seen.scores[of_model().name], cloud, y),
        coverage,
        split="calibration",
        exact=True,
    )


def simulation(hybrid: Hybrid, splits: Splits, seen: Int8Run, quant: QuantParams) -> Simulation:
    """Training's simulated int8 logits against the exact ones, on the calibration split.

    Returns:
        Shares of equal classes and equal logits, and mean and greatest error in levels of the
        logits; ``whole_network`` False: torch.fx could not trace it, only logits were rounded.

    Args:
        quant: of the exported logits.
    """
    from mcu_hybrid.nets.int8_sim import Int8Sim

    sim = Int8Sim(hybrid.base, splits.x_fit)
    logits = base_logits(sim, splits.x_calibration)
    q = np.clip(np.round(logits / quant.scale) + quant.zero_point, -128, 127)
    error = np.abs(q - seen.logits)
    return Simulation(
        images=len(logits),
        whole_network=sim.whole,
        same_class=float((logits.argmax(1) == seen.logits.argmax(1)).mean()),
        same_logits=float((error == 0).mean()),
        mean_levels=float(error.mean()),
        max_levels=int(error.max()),
    )
