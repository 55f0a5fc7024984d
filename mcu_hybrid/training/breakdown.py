"""Float against int8 of a trained hybrid: what quantisation and routing cost (simulated int8)."""

from __future__ import annotations

import numpy as np

from mcu_hybrid.artifacts.table import Losses
from mcu_hybrid.nets.checkpoint import Hybrid
from mcu_hybrid.nets.int8_sim import Int8Sim
from mcu_hybrid.nets.sight import Sight, float_scores
from mcu_hybrid.routing.breakdown import breakdown, side
from mcu_hybrid.training.fit import predict
from mcu_hybrid.training.qat import HeadSim
from mcu_hybrid.training.router_train import device_features, quantise_logits


def breakdown_of(hybrid: Hybrid, sim: Int8Sim, x: np.ndarray, y: np.ndarray) -> Losses:
    """``routing.breakdown.breakdown`` at the config's coverage; ``sim`` is the hybrid's base.

    The export states the same of the exact int8 network.

    Args:
        x, y: images uint8 NHWC and classes of a split that nothing was fitted on.
    """
    parts, classes = hybrid.router, len(hybrid.labels)
    seen = [Sight(net, hybrid.shape, parts.features > 0).read(x) for net in (hybrid.base, sim)]
    logits, inputs = [rows[:, :classes] for rows in seen], [rows[:, classes:] for rows in seen]
    q, scale = quantise_logits(logits[1], sim.logits_range)
    device = device_features(q, scale, parts.centers, parts.widths)
    device = np.concatenate([device, inputs[1][:, len(parts.centers) :]], axis=1)
    cloud = predict(hybrid.global_, x).argmax(1)
    return breakdown(
        side(logits[0].argmax(1), float_scores(parts, inputs[0]), cloud, y),
        side(logits[1].argmax(1), HeadSim(parts).scores(device), cloud, y),
        float(hybrid.config["coverage"]),
        split="calibration",
        exact=False,
    )
