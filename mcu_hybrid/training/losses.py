"""Losses of the router: proxy label, class balance, coverage penalty (spec sections 2 and 2.1).

Convention here: the head gives (G_keep, G_query); o = 1 means that the cloud is worth asking.
"""

from __future__ import annotations

import torch
from torch.nn import functional

_MARGIN = -0.1  # the threshold and clip of the paper-era code
_CLIP = 0.4
_ROUTED_CLIP = 0.1


def proxy_labels(
    base: torch.Tensor, global_: torch.Tensor, y: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (o, both wrong) as booleans [N]: o = base wrong and global right.

    Where both are wrong either choice scores nothing; the label resolves it in favour of the edge.

    Args:
        base, global_: logits [N, K].
    """
    base_right = base.argmax(1) == y
    global_right = global_.argmax(1) == y
    return ~base_right & global_right, ~base_right & ~global_right


def router_loss(
    gates: torch.Tensor,
    query: torch.Tensor,
    both_wrong: torch.Tensor,
    *,
    coverage: float,
    coverage_weight: float,
    both_wrong_weight: float,
) -> torch.Tensor:
    """Class-balanced cross-entropy against o, plus the penalty on coverage below its target.

    Each class gets weight max(n0, n1) / n; a sample on the wrong side of the gate weighs up to 1.4
    times as much. The penalty is the meaningful direction of the paper's hinge:
    ``coverage_weight * relu(routed mass - (1 - coverage))``, where a clipped ramp of the gate
    stands in for the indicator of "routed".

    Args:
        gates: [N, 2], (keep, query).
        query: o, booleans [N].
        both_wrong: booleans [N]; these samples are multiplied by ``both_wrong_weight``.
    """
    ones = query.sum().clamp(min=1).float()
    zeros = (~query).sum().clamp(min=1).float()
    most = torch.maximum(ones, zeros)
    wish = (gates[:, 1] - gates[:, 0]).detach()
    late = (_MARGIN - wish).relu().clamp(max=_CLIP)  # should query, does not yet
    early = (wish + _MARGIN).relu().clamp(max=_CLIP)
    weight = torch.where(query, most / ones * (1 + late), most / zeros * (1 + early))
    weight = torch.where(both_wrong, weight * both_wrong_weight, weight)
    fit = (weight * functional.cross_entropy(gates, query.long(), reduction="none")).mean()
    ramp = (gates[:, 1] - gates[:, 0]).relu().clamp(max=_ROUTED_CLIP)
    penalty = (ramp.mean() - _ROUTED_CLIP * (1 - coverage)).relu()
    return fit + coverage_weight * penalty
