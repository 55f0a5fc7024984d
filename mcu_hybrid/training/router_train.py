"""Trains the router on the proxy label, on what the device will see: int8 logits and features.

Router-only training of hybrid 3 with the loss of hybrid 2 (docs/papers.md), base and global frozen.

The base's logits are rounded to int8 with the scale that the converter will find, and go through
the same integer ROUTE_FEATURES as on the device; so rounding and clipping are part of the training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from mcu_hybrid.artifacts.train import RouterFit
from mcu_hybrid.events import OnEvent
from mcu_hybrid.mechanisms.base import ENTROPY_ONE, PROBABILITY_ONE
from mcu_hybrid.nets import router_head
from mcu_hybrid.nets.checkpoint import RouterParts
from mcu_hybrid.nets.penultimate import with_features
from mcu_hybrid.ops import route_features
from mcu_hybrid.training import finite
from mcu_hybrid.training.augment import Views, random_view, to_float
from mcu_hybrid.training.config import HybridConfig
from mcu_hybrid.training.losses import router_labels, router_objective

FEATURE_STEPS = 127  # int8 features hold -1..1
# Per cent of each feature's values clipped at either end: outliers would take the int8 levels from
# where the thresholds lie. One in 200; not tuned.
_TAIL = 0.5
_LEAST_WIDTH = 1e-3  # of a feature that hardly varies: three steps of a Q15 probability are 1e-4
_SAMPLE_ROWS = 1024  # kept in hybrid.pt for ranges of the int8 head: enough for 2 % quantiles


@dataclass(frozen=True)
class Examples:
    """What the router learns from: logits of both networks for views of its own split's images."""

    base: np.ndarray  # float32 [N, K]
    global_: np.ndarray
    y: np.ndarray
    z: np.ndarray | None = None  # float32 [N, C], the base's features


def collect(
    base: nn.Module,
    global_: nn.Module,
    x: np.ndarray,
    y: np.ndarray,
    *,
    count: int,
    views: Views,
    seed: int,
    features: bool = False,
    on_event: OnEvent | None = None,
) -> Examples:
    """Logits for the plain images and ``count - 1`` random views; labels follow from both networks.

    Even views are half as far from the image as odd ones: near views resemble the test split, far
    ones show more of what the base gets wrong. Both networks see the same view, so o is not noisy.

    Args:
        features: the base's features are wanted too.

    Raises:
        InputError: they are, and the base has no linear layer at its end.
    """
    generator = torch.Generator().manual_seed(seed)
    seen: tuple[list[np.ndarray], ...] = ([], [], [])
    base.eval()
    global_.eval()
    height, width, channels = x.shape[1:]
    tapped = with_features(base, (height, width, channels)) if features else None
    for number in range(count):
        strength = views.scaled(0.5 if number % 2 else 1.0)
        for start in range(0, len(x), 512):
            images = to_float(x[start : start + 512])
            if number:
                images = random_view(images, strength, generator)
            with torch.no_grad():
                made = tapped(images) if tapped is not None else (base(images),)
                for out, rows in zip((global_(images), *made), seen, strict=False):
                    rows.append(out.numpy())
        if on_event:
            on_event("router views", number + 1, count)
    z = np.concatenate(seen[2]) if features else None
    return Examples(np.concatenate(seen[1]), np.concatenate(seen[0]), np.tile(y, count), z)


def fit_router(
    examples: Examples,
    logits_range: tuple[float, float],
    config: HybridConfig,
    on_event: OnEvent | None = None,
    start: Mapping[str, Any] | None = None,
) -> tuple[RouterParts, RouterFit]:
    """Train and collapse the router (hybrid 2 and 4); returns it and facts for the history.

    Args:
        logits_range: least and largest logit that the base's int8 logits hold.
        start: state dict of a head to go on from.
    """
    q, scale = quantise_logits(examples.base, logits_range)
    centers, widths = feature_ranges(q, scale)
    z = _features(examples, config)
    rows = np.concatenate([device_features(q, scale, centers, widths), z], axis=1)
    x = rows.copy()
    x[:, : len(centers)] = x[:, : len(centers)] * np.array(widths) + np.array(centers)
    query, both_wrong = router_labels(
        torch.as_tensor(examples.base),
        torch.as_tensor(examples.global_),
        torch.as_tensor(examples.y),
        config.router_label,
    )
    head, losses = _fit_head(x, z.shape[1], query, both_wrong, config, on_event, start)
    collapsed = router_head.collapse(head).on_features(centers, widths).balanced(rows)
    rng = np.random.default_rng(config.seed)
    sample = rows[rng.permutation(len(rows))[:_SAMPLE_ROWS]].astype(np.float32)
    facts = RouterFit(
        examples=len(rows),
        query_share=float(query.float().mean()),
        both_wrong_share=float(both_wrong.float().mean()),
        hidden=len(collapsed.b1),
        features=z.shape[1],
        loss=tuple(losses),
    )
    return RouterParts(collapsed, centers, widths, scale, sample, z.shape[1]), facts


def device_rows(
    parts: RouterParts,
    examples: Examples,
    logits_range: tuple[float, float],
    config: HybridConfig,
) -> np.ndarray:
    """The head's inputs [N, 1 + k + C] for these examples, as the device computes them."""
    q, scale = quantise_logits(examples.base, logits_range)
    features = device_features(q, scale, parts.centers, parts.widths)
    return np.concatenate([features, _features(examples, config)], axis=1)


def device_features(
    q: np.ndarray, scale: float, centers: Sequence[float], widths: Sequence[float]
) -> np.ndarray:
    """Features in [-1, 1], float64 [N, 1 + k], of int8 logits [N, K] through the device's op."""
    attrs = route_features.make_attrs(
        q.shape[1], scale, centers, widths, 1 / FEATURE_STEPS, out_zero_point=0
    )
    features = route_features.compute(attrs, q)[0].astype(np.float64)
    return np.maximum(features / FEATURE_STEPS, -1.0)  # the device's -128 is a hair below -1


def _features(examples: Examples, config: HybridConfig) -> np.ndarray:
    """z [N, C] as int8 holds it, C = 0 for a router that does not read it."""
    if config.router_inputs != "features":
        return np.zeros((len(examples.y), 0))
    if examples.z is None:
        raise ValueError("the examples were collected without the base's features")
    low, high = float(examples.z.min()), float(examples.z.max())
    q, scale = quantise_logits(examples.z, (low, high))
    zero_point = round(-128 - min(low, 0.0) / scale)
    return np.asarray((q.astype(np.float64) - zero_point) * scale)


def quantise_logits(
    logits: np.ndarray, logits_range: tuple[float, float]
) -> tuple[np.ndarray, float]:
    """int8 logits [N, K] and their scale, as the converter chooses it: the range over 255 steps.

    real = scale (q - zero point), the affine scheme of Jacob et al. (CVPR 2018); the range holds 0.
    """
    low, high = min(logits_range[0], 0.0), max(logits_range[1], 0.0)
    scale = max((high - low) / 255, 1e-6)
    zero_point = round(-128 - low / scale)
    q = np.clip(np.round(logits / scale) + zero_point, -128, 127).astype(np.int8)
    return q, scale


def feature_ranges(q: np.ndarray, scale: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Centre and half width of [entropy in nats; top-k probabilities], each [1 + k], tails cut.

    The 1 + k inputs phi of hybrid 4, margins left out: they are linear in the probabilities.

    Args:
        q: int8 logits [N, K].
        scale: logits per step of ``q``.
    """
    top = route_features.top_of(q.shape[1])
    attrs = route_features.make_attrs(
        q.shape[1], scale, [0.0] * (top + 1), [1.0] * (top + 1), 1 / FEATURE_STEPS, 0
    )
    entropy, probabilities = route_features.entropy_and_top(attrs, q)
    x = np.concatenate(
        [
            entropy[:, None] / ENTROPY_ONE,
            probabilities / PROBABILITY_ONE,
        ],
        axis=1,
    )
    low, high = np.percentile(x, [_TAIL, 100 - _TAIL], axis=0)
    widths = np.maximum((high - low) / 2, _LEAST_WIDTH)
    return tuple(((high + low) / 2).tolist()), tuple(widths.tolist())


def _fit_head(
    x: np.ndarray,
    features: int,
    query: torch.Tensor,
    both_wrong: torch.Tensor,
    config: HybridConfig,
    on_event: OnEvent | None,
    start: Mapping[str, Any] | None,
) -> tuple[nn.Module, list[float]]:
    """AdamW with a one-cycle schedule on all examples; the mean loss per tenth of the steps.

    The learning rate rises over the first tenth: the head starts as the margin score, which large
    first steps would undo.
    """
    torch.manual_seed(config.seed)
    generator = torch.Generator().manual_seed(config.seed)
    top = x.shape[1] - 1 - features
    head = router_head.build_head(top, config.router_hidden, features, config.router_dropout)
    if start is not None:
        head.load_state_dict(dict(start))
    inputs = torch.as_tensor(x, dtype=torch.float32)
    optimiser = torch.optim.AdamW(
        head.parameters(), lr=config.router_lr, weight_decay=config.router_weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, config.router_lr, total_steps=config.router_steps + 1, pct_start=0.1
    )
    head.train()
    losses: list[float] = []
    batches: list[torch.Tensor] = []
    for step in range(config.router_steps):
        if not batches:
            order = torch.randperm(len(inputs), generator=generator)
            batches = list(order.tensor_split(max(1, len(inputs) // config.router_batch)))
        part = batches.pop()
        loss = router_objective(head(inputs[part]), query[part], both_wrong[part], config)
        value = finite.loss_value(loss, "router", "router_lr", config.router_lr)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        losses.append(value)
        if on_event and (step % 50 == 49 or step + 1 == config.router_steps):
            on_event("router", step + 1, config.router_steps)
    head.eval()
    tenths = np.array_split(np.array(losses), min(10, len(losses)))
    return head, [float(part.mean()) for part in tenths]
