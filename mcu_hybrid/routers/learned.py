"""The learned router: trained with batch norms and margins, deployed as two small layers.

Trained form: BN - Linear(h) - BN - ReLU - Linear(64) - BN - Linear(2) over [entropy; all pairwise
differences of the top-k probabilities]. Every batch norm is affine at inference, nothing non-linear
lies between the last two layers, and the differences are linear in the probabilities: so it equals
Linear(1+k -> h) - ReLU - Linear(h -> 1) on [entropy; top-k] exactly. Only that form is exported;
its score is G_query - G_keep.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mcu_hybrid import ops
from mcu_hybrid.graph.types import ABSENT, Graph

if TYPE_CHECKING:
    from torch import nn

NAME = "learned"
ID = 1
OUTPUT = "route_score"  # the graph output that holds the score on the device
_MIDDLE = 64


@dataclass(frozen=True)
class Collapsed:
    """score(x) = w2 . relu(w1 x + b1) + b2 on x = [entropy in nats; top-k probabilities]."""

    w1: np.ndarray  # [h, 1 + k]
    b1: np.ndarray  # [h]
    w2: np.ndarray  # [h]
    b2: float

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Scores [N] of x [N, 1 + k]."""
        hidden = np.maximum(x @ self.w1.T + self.b1, 0)
        return np.asarray(hidden @ self.w2 + self.b2)

    def on_features(self, centers: Sequence[float], widths: Sequence[float]) -> Collapsed:
        """The same scores, for inputs (x - centers) / widths as the int8 features hold them."""
        w1 = self.w1 * np.asarray(widths)
        return Collapsed(w1, self.b1 + self.w1 @ np.asarray(centers), self.w2, self.b2)

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


def margins(top: int) -> np.ndarray:
    """The matrix [1 + k*k, 1 + k] from [entropy; p] to [entropy; all differences p_i - p_j]."""
    matrix = np.zeros((1 + top * top, 1 + top))
    matrix[0, 0] = 1
    for i in range(top):
        for j in range(top):
            matrix[1 + i * top + j, 1 + i] += 1
            matrix[1 + i * top + j, 1 + j] -= 1
    return matrix


def build_head(top: int, hidden: int) -> nn.Module:
    """The trained form (torch): [N, 1 + k] -> gates [N, 2] = (keep, query)."""
    import torch
    from torch import nn

    class Head(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("margins", torch.as_tensor(margins(top), dtype=torch.float32))
            size = 1 + top * top
            self.bn0, self.fc1 = nn.BatchNorm1d(size), nn.Linear(size, hidden)
            self.bn1, self.fc2 = nn.BatchNorm1d(hidden), nn.Linear(hidden, _MIDDLE)
            self.bn2, self.fc3 = nn.BatchNorm1d(_MIDDLE), nn.Linear(_MIDDLE, 2)
            for layer in (self.fc1, self.fc2, self.fc3):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.constant_(layer.bias, 0.01)

        def forward(self, x: Any) -> Any:
            hidden = torch.relu(self.bn1(self.fc1(self.bn0(x @ self.margins.T))))
            return self.fc3(self.bn2(self.fc2(hidden)))

    return Head()


def collapse(head: nn.Module) -> Collapsed:
    """Fold a trained head into its two layers, in float64."""
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
    return Collapsed(w1 * g1[:, None], b1 * g1 + o1, w2, float(b2))


def score(graph: Graph, features: np.ndarray) -> np.ndarray:
    """Scores int32 [N] of int8 features [N, 1 + k]: the integers that the device computes.

    Args:
        graph: the linked graph; its second output is the score.
    """
    start = next(op.outputs[0] for op in graph.ops if op.kind == "ROUTE_FEATURES")
    rows = []
    for row in np.asarray(features, np.int8):
        values = {start: row.reshape(graph.tensor(start).shape)}
        for op in graph.ops:
            operands = [
                None if i == ABSENT else values.get(i, graph.tensor(i).data) for i in op.inputs
            ]
            absent = [i for i, v in zip(op.inputs, operands, strict=True) if v is None]
            if start in op.outputs or any(i != ABSENT for i in absent):
                continue  # belongs to the base
            results = ops.module(op.kind).reference(graph, op, operands)
            values.update(zip(op.outputs, results, strict=True))
        rows.append(int(values[graph.outputs[1]].ravel()[0]))
    return np.array(rows, np.int32)
