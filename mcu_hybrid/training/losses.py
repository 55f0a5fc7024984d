"""Losses of router, base and global, and the labels they rest on: hybrid 1 to 2.3.

Marks as ``hybrid 2.1`` name a formula of docs/papers.md. Convention here: the head gives (G_keep,
G_query), gate = G_query - G_keep; o = 1 means that the cloud is worth asking. [N] images, [N, K]
logits of K classes.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from mcu_hybrid.training.config import HybridConfig

# All three are the published code's (hybrid 2.1), in units of the gate; none was tuned here.
_MARGIN = -0.1  # the boost of a sample begins this far on the wrong side of gate 0
_CLIP = 0.4  # and ends at 1.4 times the weight: hopeless samples must not outweigh all others
_RAMP = 0.1  # steep enough to count inputs as an indicator does, and still with a gradient


def proxy_labels(
    base: torch.Tensor, global_: torch.Tensor, y: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (o, both wrong) as booleans [N]: o = 1{b != g = y}, base wrong and global right.

    The proxy label of Kag et al. (hybrid 2). Where both are wrong either choice scores nothing; the
    label resolves it in favour of the edge.

    Args:
        base, global_: logits [N, K].
        y: true classes [N].
    """
    base_right = base.argmax(1) == y
    global_right = global_.argmax(1) == y
    return ~base_right & global_right, ~base_right & ~global_right


def router_labels(
    base: torch.Tensor, global_: torch.Tensor, y: torch.Tensor, label: str = "proxy"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (label, both wrong), [N]: "proxy" is o, "naive" is 1{base wrong} ("hardness only").

    The two strategies of hybrid 2.1. The naive label also sends what the global gets wrong; the two
    differ in that cell alone.
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

    The surrogate of hybrid 2, E[l(r, o)] + lambda (c - E[1{r = 0}])_+, lambda = ``coverage_weight``
    (100 in the published code), l by hybrid 2.1 ("balanced") or 2.2 ("focal").

    Args:
        gates: [N, 2], (keep, query).
        query: the label, booleans [N].
        both_wrong: booleans [N]; these samples are multiplied by ``both_wrong_weight`` (0.1 in
            the published code, 1 by default here: see docs/hybrid.md, what each part buys).
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
    """Class-balanced, confidence-modulated cross-entropy per sample [N]: hybrid 2.1.

    Each class gets weight max(n0, n1) / n of this batch (the published code's g_denom = 1); a
    sample on the wrong side of the gate weighs up to 1.4 times as much.
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
    """w (1 - p)^gamma (-log p) per sample [N], p of the label; w = ``keep_weight`` for keep, 1.

    Focal loss (Lin et al., ICCV 2017) with the weights of hybrid 2.2: gamma 2, w 2 for keep, and
    the same clamp of p, so that its logarithm is finite in float32.
    """
    p = torch.softmax(gates, dim=1).clamp(1e-7, 1 - 1e-7)
    p = torch.where(query, p[:, 1], p[:, 0])
    weight = torch.where(query, 1.0, keep_weight)
    return weight * (1 - p) ** gamma * -p.log()


def coverage_penalty(
    gates: torch.Tensor, coverage: float, most_coverage: float = 1.0
) -> torch.Tensor:
    """relu(routed mass - (1 - coverage)) + relu(kept mass - most_coverage), a scalar.

    The hinge of hybrid 2 in its meaningful direction (the poster prints the other sign): coverage
    below its target is what costs. A ramp of the gate, clipped at 0.1, stands in for the indicator
    (hybrid 2.1), and the whole is in units of that ramp: 0.1 for "everything". ``most_coverage``
    1 leaves the penalty one-sided; below 1 it is the two-sided one of hybrid 2.2.

    Args:
        coverage, most_coverage: shares 0..1 of the batch.
    """
    wish = gates[:, 1] - gates[:, 0]
    routed, kept = (side.relu().clamp(max=_RAMP).mean() for side in (wish, -wish))
    below = (routed - _RAMP * (1 - coverage)).relu()
    return below + (kept - _RAMP * most_coverage).relu()


def sample_weights(queried: torch.Tensor, kept: float, routed: float) -> torch.Tensor:
    """Weights [N] of base or global: ``kept`` where the router keeps, ``routed`` where it asks.

    With (kept, routed) = (2, 1) this is the base's 2 - r, with (1, 2) the global's 1 + r of
    hybrid 2.3.

    Args:
        queried: r [N], the router's hard decision, 0 or 1, or the share of such images that it
            sends.
    """
    return kept + (routed - kept) * queried


def weighted_cross_entropy(
    logits: torch.Tensor, y: torch.Tensor, weight: torch.Tensor, smoothing: float = 0.0
) -> torch.Tensor:
    """sum(w l) / sum(w) with one weight per sample, a scalar: L_base and L_global of hybrid 2.3.

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
