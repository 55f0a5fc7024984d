"""Selective classifiers: one-sided prediction (OSP), a minimax with one multiplier per class.

Gangrade, Kag and Saligrama, AISTATS 2021; the form is that of the published code (hybrid 7).

For class k, ``pos`` is the mean of -log p_k over its own images and ``neg`` the mean of
-log(1 - p_k) over all others. The network and the slacks eps minimise, the multipliers maximise

    sum_k [ pos_k + lam_k (neg_k - eps_k) ] + mu (sum_k eps_k - budget)     eps, lam, mu >= 0

plus a share of plain cross-entropy. At test time one threshold on max p is shared by the classes.
"""

from __future__ import annotations

import torch
from torch.nn import functional

BUDGET = 0.1  # of the slacks: the errors of commission that all classes may make together; hybrid 7
_MAIN = 0.9999  # weight of the one-sided loss; the rest is cross-entropy (hybrid 7)
# Of the slacks and multipliers: 100 batches of risk 1 nat raise a multiplier by one. Not tuned.
_RATE = 0.01
_LEAST = 1e-6  # 1 - p at least: log(1 - p) stays finite where float32 rounds p to 1


class OneSided:
    """The loss and its multipliers; each call makes one step of theirs."""

    def __init__(self, y: torch.Tensor, classes: int, budget: float = BUDGET) -> None:
        self.y, self.budget = y, budget
        self.lam = torch.ones(classes)
        self.eps = torch.full((classes,), budget / classes)
        self.mu = torch.tensor(1.0)

    def __call__(self, logits: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        """The mean loss of a batch; logits [B, K] of the images ``at``."""
        y = self.y[at]
        positive, negative = one_sided_risks(logits, y)
        main = (positive + self.lam * (negative - self.eps)).sum()
        self._step(negative.detach())
        classes = len(self.lam)
        # Divided by the classes, so that its gradient is as large as the cross-entropy's.
        return _MAIN * main / classes + (1 - _MAIN) * functional.cross_entropy(logits, y)

    def _step(self, negative: torch.Tensor) -> None:
        """Ascent of the multipliers, descent of the slacks, both kept at 0 or above."""
        lam, eps, mu = self.lam, self.eps, self.mu
        self.lam = (lam + _RATE * (negative - eps)).clamp_(min=0)
        self.eps = (eps - _RATE * (mu - lam) * self.budget).clamp_(min=0)
        self.mu = (mu + _RATE * (eps.sum() - self.budget)).clamp_(min=0)


def one_sided_risks(logits: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(pos [K], neg [K]) of a batch in nats; a class without images in it has pos 0.

    pos_k and neg_k of the module's docstring.

    Args:
        logits: [B, K].
        y: classes [B].
    """
    log_p = functional.log_softmax(logits, dim=1)
    own = functional.one_hot(y, logits.shape[1]).float()
    other = 1 - own
    log_not = torch.log1p(-log_p.exp().clamp(max=1 - _LEAST))
    positive = -(own * log_p).sum(0) / own.sum(0).clamp(min=1)
    negative = -(other * log_not).sum(0) / other.sum(0).clamp(min=1)
    return positive, negative
