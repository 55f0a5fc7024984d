"""Entropy thresholding: the score is the entropy of the softmax of the int8 logits, Q16 nats."""

from __future__ import annotations

import numpy as np

from mcu_hybrid.ops import route_features

NAME = "entropy"
ID = 2
OUTPUT = "route_scores"  # the graph output that holds the simple scores on the device
COLUMN = route_features.SCORES.index(NAME)


def score(attrs: route_features.Attrs, logits: np.ndarray) -> np.ndarray:
    """Scores int32 [N] of int8 logits [N, K], the integers that the device computes."""
    return route_features.compute(attrs, logits)[1][:, COLUMN]
