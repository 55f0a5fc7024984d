"""Losses of router, base and global (spec sections 2, 2.1 to 2.3), and the labels they rest on.

Convention here: the head gives (G_keep, G_query); o = 1 means that the cloud is worth asking.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from mcu_hybrid.training.config import HybridConfig

_MARGIN = -0.1  # the threshold and clip of the paper-era code
_CLIP = 0.4
_RAMP = 0.1


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


def router_labels(
    base: torch.Tensor, global_: torch.Tensor, y: torch.Tensor, label: str = "proxy"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (label, both wrong): "proxy" is o, "naive" is 1{base wrong} ("hardness only").

    The naive label also sends what the global gets wrong; the two differ in that cell alone.
    """
    query, both_wrong = proxy_labels(base, global_, y)
    return (query | both_wrong if label == "naive" else query), both_wrong


def router_objective(
    gates: torch.Tensor, query: torch.Tensor, both_wrong: torch.Tensor, config: HybridConfig
) -> torch.Tensor:
    """``router_loss`` with everything that the config says of it."""
    return router_loss(
        gates,
        query,
        both_wrong,
        coverage=config.coverage,
        coverage_weight=config.coverage_weight,
        both_wrong_weight=config.both_wrong_weight,
        kind=config.router_loss,
        focal_gamma=config.focal_gamma,
        focal_keep_weight=config.focal_keep_weight,
        most_coverage=config.most_coverage,
    )


def router_loss(
    gates: torch.Tensor,
    query: torch.Tensor,
    both_wrong: torch.Tensor,
    *,
    coverage: float,
    coverage_weight: float,
    both_wrong_weight: float,
    kind: str = "balanced",
    focal_gamma: float = 2.0,
    focal_keep_weight: float = 2.0,
    most_coverage: float = 1.0,
) -> torch.Tensor:
    """Mean weighted loss against the label, plus the coverage penalty; a scalar.

    Args:
        gates: [N, 2], (keep, query).
        query: the label, booleans [N].
        both_wrong: booleans [N]; these samples are multiplied by ``both_wrong_weight``.
        kind: "balanced" or "focal".
        coverage, most_coverage: see ``coverage_penalty``.
    """
    if kind == "focal":
        each = focal(gates, query, focal_gamma, focal_keep_weight)
    else:
        each = balanced(gates, query)
    each = torch.where(both_wrong, each * both_wrong_weight, each)
    return each.mean() + coverage_weight * coverage_penalty(gates, coverage, most_coverage)


def balanced(gates: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
    """Class-balanced, confidence-modulated cross-entropy per sample [N].

    Each class gets weight max(n0, n1) / n of this batch; a sample on the wrong side of the gate
    weighs up to 1.4 times as much.
    """
    ones = query.sum().clamp(min=1).float()
    zeros = (~query).sum().clamp(min=1).float()
    most = torch.maximum(ones, zeros)
    wish = (gates[:, 1] - gates[:, 0]).detach()
    late = (_MARGIN - wish).relu().clamp(max=_CLIP)  # should query, does not yet
    early = (wish + _MARGIN).relu().clamp(max=_CLIP)
    weight = torch.where(query, most / ones * (1 + late), most / zeros * (1 + early))
    return weight * functional.cross_entropy(gates, query.long(), reduction="none")


def focal(
    gates: torch.Tensor, query: torch.Tensor, gamma: float, keep_weight: float
) -> torch.Tensor:
    """w (1 - p)^gamma (-log p) per sample [N], p of the label; w = ``keep_weight`` for keep, 1."""
    p = torch.softmax(gates, dim=1).clamp(1e-7, 1 - 1e-7)
    p = torch.where(query, p[:, 1], p[:, 0])
    weight = torch.where(query, 1.0, keep_weight)
    return weight * (1 - p) ** gamma * -p.log()


def coverage_penalty(
    gates: torch.Tensor, coverage: float, most_coverage: float = 1.0
) -> torch.Tensor:
    """relu(routed mass - (1 - coverage)) + relu(kept mass - most_coverage), a scalar.

    The meaningful direction of the paper's hinge: coverage below its target is what costs. A ramp
    of the gate, clipped at 0.1, stands in for the indicator, and the whole is in units of that
    ramp: 0.1 for "everything". ``most_coverage`` 1 leaves the penalty one-sided.
    """
    wish = gates[:, 1] - gates[:, 0]
    routed, kept = (side.relu().clamp(max=_RAMP).mean() for side in (wish, -wish))
    below = (routed - _RAMP * (1 - coverage)).relu()
    return below + (kept - _RAMP * most_coverage).relu()


def sample_weights(queried: torch.Tensor, kept: float, routed: float) -> torch.Tensor:
    """Weights [N] of base or global: ``kept`` where the router keeps, ``routed`` where it asks.

    Args:
        queried: the router's hard decision, 0 or 1, or the share of such images that it sends.
    """
    return kept + (routed - kept) * queried


def weighted_cross_entropy(
    logits: torch.Tensor, y: torch.Tensor, weight: torch.Tensor, smoothing: float = 0.0
) -> torch.Tensor:
    """sum(w l) / sum(w) with one weight per sample, a scalar.

    Args:
        logits: [N, K].
        y: classes [N], or probabilities [N, K].
        weight: [N]. Any other shape is refused: [N, 1] would broadcast with the losses to [N, N],
            and the mean of that weighs nothing.
    """
    each = functional.cross_entropy(logits, y, reduction="none", label_smoothing=smoothing)
    if weight.shape != each.shape:
        raise ValueError(f"weights have shape {tuple(weight.shape)}, losses {tuple(each.shape)}")
    return (weight * each).sum() / weight.sum()
