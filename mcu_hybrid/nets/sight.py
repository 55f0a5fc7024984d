"""What a router sees of a float base; the int8 form of it is ops/route_features.py."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from mcu_hybrid.nets.checkpoint import RouterParts
from mcu_hybrid.nets.penultimate import with_features
from mcu_hybrid.ops import route_features

_BATCH = 512  # memory against speed; results do not depend on it


class Sight(nn.Module):
    """A base as the router sees it: images -> (logits, [entropy in nats; top probabilities; z])."""

    def __init__(self, base: nn.Module, shape: tuple[int, int, int], features: bool) -> None:
        """Args: shape: image (height, width, channels); features: z, the base's features, too."""
        super().__init__()
        self.tapped = with_features(base, shape) if features else None
        self.base = base

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if self.tapped is None:
            logits, z = self.base(images), None
        else:
            logits, z = self.tapped(images)
        p = torch.softmax(logits, 1)
        entropy = -(p * torch.log_softmax(logits, 1)).sum(1, keepdim=True)
        top = p.topk(route_features.top_of(logits.shape[1]), 1).values
        return logits, torch.cat([entropy, top] if z is None else [entropy, top, z], 1)

    def read(self, x: np.ndarray) -> np.ndarray:
        """[N, K + 1 + k + C] of uint8 NHWC images: both outputs side by side."""
        self.eval()
        parts = []
        where = next((p.device for p in self.parameters()), torch.device("cpu"))
        with torch.no_grad():
            for start in range(0, len(x), _BATCH):
                images = torch.as_tensor(x[start : start + _BATCH]).permute(0, 3, 1, 2)
                images = images.contiguous().to(where).float().div_(255)
                parts.append(torch.cat(self(images), 1).cpu().numpy())
        return np.concatenate(parts)


def float_scores(parts: RouterParts, inputs: np.ndarray) -> np.ndarray:
    """Scores [N] of the float router for what ``Sight`` gives behind the logits, [N, 1 + k + C]."""
    n = len(parts.centers)
    features = (inputs[:, :n] - np.array(parts.centers)) / np.array(parts.widths)
    return parts.head(np.concatenate([np.clip(features, -1, 1), inputs[:, n:]], axis=1))
