"""Split computation (BranchyNet, Teerapittayanon et al., ICPR 2016; hybrid 7 of docs/papers.md).

The cloud's own network begins on the device.

Its first blocks run there and an early-exit branch answers where its entropy is small; else the
FEATURES travel and the cloud goes on from them. The backbone stays as it was trained; only the
branch is fitted. Head of the paper-era code: 1x1 convolution to 64, batch norm, h-swish, mean,
1x1 convolution to 64, h-swish, dropout, linear.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from mcu_hybrid.errors import InputError
from mcu_hybrid.training.baselines.loop import freeze

_WIDTH, _DROPOUT = 64, 0.2  # of the published head (hybrid 7)
BLOCKS = 4  # of the reference global: convolution, batch norm, ReLU, first residual block


class Branched(nn.Module):
    """The device's part: images -> branch logits, or with ``with_cut`` (logits, features)."""

    def __init__(self, stem: nn.Module, channels: int, side: tuple[int, int], classes: int) -> None:
        super().__init__()
        self.stem = freeze(stem)
        self.with_cut = False
        self.branch = nn.Sequential(
            nn.Conv2d(channels, _WIDTH, 1, bias=False),
            nn.BatchNorm2d(_WIDTH),
            nn.Hardswish(),
            nn.AvgPool2d(side),
            nn.Conv2d(_WIDTH, _WIDTH, 1),
            nn.Hardswish(),
            nn.Flatten(),
            nn.Dropout(_DROPOUT),
            nn.Linear(_WIDTH, classes),
        )

    def forward(self, image: Any) -> Any:
        """Logits [N, K], and the map [N, C, H, W] that a query would carry."""
        cut = self.stem(image)
        return (self.branch(cut), cut) if self.with_cut else self.branch(cut)


def split(
    global_: nn.Module, shape: tuple[int, int, int], classes: int, blocks: int = BLOCKS
) -> tuple[Branched, nn.Module]:
    """(device part with an untrained branch, cloud part from the features on).

    Args:
        shape: image (height, width, channels).
        blocks: how many of the network's children run on the device.

    Raises:
        InputError: the network is no sequence, or has no map of features after ``blocks``.
    """
    layers = list(global_.children())
    if not isinstance(global_, nn.Sequential) or not 0 < blocks < len(layers):
        raise InputError(
            f"cannot be cut after {blocks} of its {len(layers)} parts",
            "give an nn.Sequential and a cut inside it",
            key="global",
        )
    stem, rest = nn.Sequential(*layers[:blocks]), nn.Sequential(*layers[blocks:])
    height, width, channels = shape
    was_training = stem.training
    with torch.no_grad():
        seen = stem.eval()(torch.full((1, channels, height, width), 0.5))
    stem.train(was_training)
    if seen.ndim != 4:
        raise InputError("has no map of features at the cut", "cut earlier", key="global")
    side = int(seen.shape[2]), int(seen.shape[3])
    return Branched(stem, int(seen.shape[1]), side, classes), rest


class BranchLoss:
    """Cross-entropy of the branch over the fit split, one term of BranchyNet's joint loss."""

    def __init__(self, y: torch.Tensor) -> None:
        self.y = y

    def __call__(self, logits: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        """The mean loss of the images ``at``."""
        return functional.cross_entropy(logits, self.y[at])
