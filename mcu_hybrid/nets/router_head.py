"""The learned router's head: trained with batch norms and margins, deployed as two small layers.

Hybrid 4 of docs/papers.md; the lead of the margin and the collapse are ours. Trained form: BN -
Linear(h - 1) - BN - ReLU - Linear(64) - BN - Linear(2) over [entropy; all pairwise differences of
the top-k probabilities; z], with or without z, the base's features, minus a multiple of the margin
p_1 - p_2. The last layer begins at zero, so the router begins as the margin score and training
corrects it: few examples cannot make it worse than that score by much. Every batch norm is affine
at inference, nothing non-linear lies between the last two layers, the differences are linear in the
probabilities and the margin is never negative: so it equals Linear(1+k+C -> h) - ReLU - Linear(h ->
1) on [entropy; top-k; z] exactly. Only that form is exported; its score is G_query - G_keep.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import nn

_MIDDLE = 64  # as the published router; the collapse folds it away, so the device does not pay
_LEAD = 4.0  # of the margin in the score at the start: about the slope that training finds
_TAIL = 0.02  # the surest two per cent share the lowest level of the int8 score


@dataclass(frozen=True)
class Collapsed:
    """score(x) = w2 . relu(w1 x + b1) + b2 on x = [entropy in nats; top-k probabilities; z]."""

    w1: np.ndarray  # [h, 1 + k + C]; C = 0 without z
    b1: np.ndarray  # [h]
    w2: np.ndarray  # [h]
    b2: float

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Scores [N] of x [N, 1 + k + C]."""
        hidden = np.maximum(x @ self.w1.T + self.b1, 0)
        return np.asarray(hidden @ self.w2 + self.b2)

    def on_features(self, centers: Sequence[float], widths: Sequence[float]) -> Collapsed:
        """The same scores, for inputs (x - centers) / widths as the int8 features hold them.

        Args:
            centers, widths: of the first inputs; the others (z) stay as they are.
        """
        n = len(centers)
        w1 = self.w1.copy()
        w1[:, :n] *= np.asarray(widths)
        return Collapsed(w1, self.b1 + self.w1[:, :n] @ np.asarray(centers), self.w2, self.b2)

    def balanced(self, inputs: np.ndarray) -> Collapsed:
        """The same scores, hidden units scaled so that each spans the same range on ``inputs``.

        Per-tensor int8 activations waste levels on units with a small range; ReLU lets a unit's
        scale move into the next layer. Units that never fire are dropped.
        """
        peak = np.maximum(inputs @ self.w1.T + self.b1, 0).max(axis=0)
        alive = peak > 1e-9
        if not alive.any():
            alive[0], peak[0] = True, 1.0
        peak = peak[alive]
        w1 = self.w1[alive] / peak[:, None]
        return Collapsed(w1, self.b1[alive] / peak, self.w2[alive] * peak, self.b2)


def score_range(head: Collapsed, sample: np.ndarray) -> tuple[float, float]:
    """Least and greatest score that the int8 score holds: of the sample, its surest cut off.

    So the 256 levels are spent where thresholds lie.
    """
    scores = head(np.asarray(sample, np.float64))
    return float(np.quantile(scores, _TAIL)), float(scores.max())


def margins(top: int, features: int = 0) -> np.ndarray:
    """The matrix [1 + k*k + C, 1 + k + C] from [entropy; p; z] to [entropy; all p_i - p_j; z]."""
    rows, columns = 1 + top * top, 1 + top
    matrix = np.zeros((rows + features, columns + features))
    matrix[0, 0] = 1
    matrix[rows:, columns:] = np.eye(features)
    for i in range(top):
        for j in range(top):
            matrix[1 + i * top + j, 1 + i] += 1
            matrix[1 + i * top + j, 1 + j] -= 1
    return matrix


def build_head(top: int, hidden: int, features: int = 0, dropout: float = 0.0) -> nn.Module:
    """The trained form (torch): [N, 1 + k + C] -> gates [N, 2] = (keep, query).

    Args:
        hidden: units of the deployed form, of which one is the margin's; at least two.
        features: C, the length of z; 0 for none.
        dropout: share of the standardised z that a training step leaves out. z says a lot about
            few images, so a head that sees all of it learns the images.
    """
    import torch
    from torch import nn

    class Head(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            matrix = torch.as_tensor(margins(top, features), dtype=torch.float32)
            self.register_buffer("margins", matrix)
            size, learning = len(matrix), max(1, hidden - 1)
            self.drop = nn.Dropout(dropout)
            self.bn0, self.fc1 = nn.BatchNorm1d(size), nn.Linear(size, learning)
            self.bn1, self.fc2 = nn.BatchNorm1d(learning), nn.Linear(learning, _MIDDLE)
            self.bn2, self.fc3 = nn.BatchNorm1d(_MIDDLE), nn.Linear(_MIDDLE, 2)
            for layer in (self.fc1, self.fc2):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.constant_(layer.bias, 0.01)
            nn.init.zeros_(self.fc3.weight)
            self.lead = nn.Parameter(torch.tensor(_LEAD))
            self.fc3.bias.data = torch.tensor([-_LEAD / 4, _LEAD / 4])  # zero at half the margin

        def forward(self, x: Any) -> Any:
            phi = self.bn0(x @ self.margins.T)
            if features:
                phi = torch.cat([phi[:, :-features], self.drop(phi[:, -features:])], dim=1)
            hidden = torch.relu(self.bn1(self.fc1(phi)))
            sure = 0.5 * self.lead * (x[:, 1:2] - x[:, 2:3])
            return self.fc3(self.bn2(self.fc2(hidden))) + torch.cat([sure, -sure], dim=1)

    return Head()


def collapse(head: nn.Module) -> Collapsed:
    """Fold a trained head into its two layers, in float64; the last hidden unit is the margin."""
    state = {name: t.detach().double().numpy() for name, t in head.state_dict().items()}

    def affine(name: str) -> tuple[np.ndarray, np.ndarray]:
        eps = getattr(head, name).eps
        gain = state[f"{name}.weight"] / np.sqrt(state[f"{name}.running_var"] + eps)
        return gain, state[f"{name}.bias"] - state[f"{name}.running_mean"] * gain

    g0, o0 = affine("bn0")
    g1, o1 = affine("bn1")
    g2, o2 = affine("bn2")
    w1 = (state["fc1.weight"] * g0) @ state["margins"]
    b1 = state["fc1.weight"] @ o0 + state["fc1.bias"]
    last = state["fc3.weight"][1] - state["fc3.weight"][0]
    w2 = (last * g2) @ state["fc2.weight"]
    b2 = last @ (g2 * state["fc2.bias"] + o2) + state["fc3.bias"][1] - state["fc3.bias"][0]
    margin = np.zeros((1, w1.shape[1]))
    margin[0, 1], margin[0, 2] = 1, -1
    return Collapsed(
        np.concatenate([w1 * g1[:, None], margin]),
        np.append(b1 * g1 + o1, 0.0),
        np.append(w2, -float(state["lead"])),
        float(b2),
    )
