"""AppealNet (Li et al., DAC 2021): an edge network whose second head says "I can do this".

Baseline of hybrid 7 (docs/papers.md). With class head f and accept probability q the loss is

    mean[ q CE(f, y) + (1 - q) l ] + beta mean[ -log q ]

where l is the cloud's own cross-entropy for the image (white box), or a constant (black box:
nothing is known of the cloud). Query where q is small: the score is minus the accept logit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_linear_bn_eval

from mcu_hybrid.nets.penultimate import feature_count, with_features

ACCEPT_HIDDEN = 32  # as the learned router's, so that neither has the larger head
ACCEPT = "accept"  # its parameters' names begin so


@dataclass(frozen=True)
class AppealLoss:
    """The loss over the fit split; ``cloud_loss`` [N] per image (white box) or a number.

    ``beta`` is the price of appealing in nats of cross-entropy: higher keeps more. 0.3 is the
    middle of the values that experiments/hybrid tries.
    """

    y: torch.Tensor
    cloud_loss: torch.Tensor | float
    beta: float = 0.3

    def __call__(self, out: tuple[torch.Tensor, torch.Tensor], at: torch.Tensor) -> torch.Tensor:
        """The mean loss of a batch: logits [B, K] and accept logits [B, 1] of the images ``at``.

        The formula of the module's docstring; -log sigmoid(a) = softplus(-a).
        """
        logits, accept = out[0], out[1][:, 0]
        own = functional.cross_entropy(logits, self.y[at], reduction="none")
        cloud = self.cloud_loss
        if isinstance(cloud, torch.Tensor):
            cloud = cloud[at]
        q = torch.sigmoid(accept)
        return (q * own + (1 - q) * cloud + self.beta * functional.softplus(-accept)).mean()


class TwoHeads(nn.Module):
    """Images -> (logits [N, K], accept logits [N, 1])."""

    def __init__(self, both: nn.Module, accept: nn.Module) -> None:
        """Args: both: images -> (logits, features); accept: features -> accept logits."""
        super().__init__()
        self.both, self.accept = both, accept

    def forward(self, image: Any) -> Any:
        """Both heads."""
        logits, seen = self.both(image)
        return logits, self.accept(seen)


def two_heads(base: nn.Module, shape: tuple[int, int, int]) -> TwoHeads:
    """The base with an accept head on what its classifier reads; the base itself, not a copy.

    Args:
        shape: image (height, width, channels).

    Raises:
        InputError: the base does not end in a linear layer.
    """
    # Without the batch norm, what moves all accept logits moves those of large features most, and
    # these are the images that the base is sure of.
    accept = nn.Sequential(
        nn.Linear(feature_count(base, shape), ACCEPT_HIDDEN),
        nn.BatchNorm1d(ACCEPT_HIDDEN),
        nn.ReLU(),
        nn.Linear(ACCEPT_HIDDEN, 1),
    )
    return TwoHeads(with_features(base, shape), accept)


def fused(net: TwoHeads) -> TwoHeads:
    """For export, in eval mode: the accept head's batch norm folded into its linear layer."""
    first, norm, *others = net.eval().accept.children()
    if not isinstance(first, nn.Linear) or not isinstance(norm, nn.BatchNorm1d):
        raise TypeError("not a network of two_heads")
    return TwoHeads(net.both, nn.Sequential(fuse_linear_bn_eval(first, norm), *others)).eval()


def cloud_cross_entropy(logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The white box's l: cross-entropy per image [N] of the cloud's logits [N, K]."""
    return functional.cross_entropy(logits.float(), y, reduction="none")
