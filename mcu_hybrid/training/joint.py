"""Alternating training of a hybrid: rounds of router -> global -> base (hybrid 3, docs/papers.md).

One part trains the router alone, two parts router and base, three all. In a phase the other two
networks stand still, in eval mode; each phase has its own optimiser, schedule, cap of iterations
and averaged weights (phase.py). Which images teach whom:

- The router learns from images that the networks were not fitted on: its own split, with labels
  from the current base and global, batch by batch. With ``folds`` and both networks frozen (one
  part), also from the fit split, through the networks of the other folds. In two and three parts
  those are left out: they describe networks that no longer exist.
- Base and global learn from the fit split, weighted (2 - r) and (1 + r) by the router's hard
  decision r at the target coverage, as deployed (hybrid 2.3). An image's r must not rest on a base
  that learned that image by heart. With ``folds`` it is the router's answer to the base of the
  fold that did not see the image. Without, it is the share of held-out images of the same class
  that the router sends: coarse, but honest.
- Which round is best, and whether plain or averaged weights, is said by the hybrid accuracy on the
  select split, which nothing else uses: its mean over coverages around the target, since a single
  one of few images is noise. Round 0 is the router alone for the networks as they came: the start
  that the rounds must beat.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from mcu_hybrid.artifacts.codec import plain_to, to_json
from mcu_hybrid.artifacts.train import EpochTold, OnTold, Round, RoundFigures
from mcu_hybrid.events import OnEvent
from mcu_hybrid.nets import router_head
from mcu_hybrid.nets.penultimate import feature_count
from mcu_hybrid.nets.sight import Sight
from mcu_hybrid.ops import route_features
from mcu_hybrid.routing import breakdown
from mcu_hybrid.routing.thresholds import threshold_for
from mcu_hybrid.training import accelerate, finite, losses
from mcu_hybrid.training.augment import Views, random_view, to_float
from mcu_hybrid.training.config import HybridConfig
from mcu_hybrid.training.crossfit import Fold, held_out_logits
from mcu_hybrid.training.fit import predict
from mcu_hybrid.training.phase import ORDER, phases_of
from mcu_hybrid.training.state import Journal, copied

SECTION = "rounds"  # of the journal
_AROUND = (-0.2, -0.1, 0.0, 0.1, 0.2)  # the target coverage: what selects a round; docstring
GLOBAL_SMOOTHING = 0.1  # of the labels, as the published code's CE_ls; also in the bootstrap


@dataclass(frozen=True)
class Material:
    """Images uint8 NHWC and classes of the three splits, and the folds of the first one."""

    x_fit: np.ndarray
    y_fit: np.ndarray
    x_router: np.ndarray
    y_router: np.ndarray
    x_select: np.ndarray
    y_select: np.ndarray
    folds: tuple[Fold, ...] = ()


class Rounds:
    """The three networks in training. ``run`` leaves the best round's weights in them."""

    def __init__(
        self,
        base: nn.Module,
        global_: nn.Module,
        material: Material,
        config: HybridConfig,
        views: Views,
        journal: Journal,
    ) -> None:
        """Raises InputError where the router wants features that the base has not."""
        torch.manual_seed(config.seed + 2)
        self.material, self.config, self.views, self.journal = material, config, views, journal
        height, width, channels = material.x_fit.shape[1:]
        self.shape, self.features = (height, width, channels), config.router_inputs == "features"
        self.classes = int(material.y_fit.max()) + 1
        self.head = router_head.build_head(
            route_features.top_of(self.classes),
            config.router_hidden,
            feature_count(base, self.shape) if self.features else 0,
            config.router_dropout,
        )
        placed = (accelerate.channels_last(accelerate.place(net)) for net in (global_, base))
        counts = len(material.y_router), len(material.y_fit)
        self.phases = phases_of(config, (self.head, *placed), *counts)
        self.sight = self._sight(self.phases["base"].net)
        self.fold_sight: np.ndarray | None = None
        self.fold_global: np.ndarray | None = None
        if material.folds:
            self._read_folds(material.folds)
        self.best: dict[str, Any] = {"mean_accuracy": -1.0}

    def run(
        self, on_event: OnEvent | None = None, on_told: OnTold | None = None
    ) -> tuple[nn.Module, list[Round]]:
        """All rounds, or those that a resumed journal has left; returns the head and a row each."""
        rows = self._resume()
        order = ORDER[self.config.parts]
        first, started = len(rows), time.monotonic()
        for number in range(first, self.config.rounds + 1):
            told = {name: self.turn(name) for name in (order if number else ("router",))}
            found = self._judge(number)
            rows.append(
                Round(
                    round=number,
                    loss=told,
                    plain=found["plain"],
                    average=found.get("average"),
                    best_round=self.best["round"],
                    best_kind=self.best["kind"],
                )
            )
            self._keep(rows)
            if on_event:
                on_event("round", number, self.config.rounds)
            if on_told:
                pace_s = (time.monotonic() - started) / (number + 1 - first)
                on_told(self._told(rows[-1], pace_s))
        for name, phase in self.phases.items():
            phase.net.load_state_dict(self.best[name])
            phase.net.cpu().eval()
        return self.head, rows

    def _told(self, row: Round, pace_s: float) -> EpochTold:
        """A round's figures as those of an epoch: the last phase's loss, the hybrid's accuracy."""
        return EpochTold(
            label="round",
            epoch=row.round,
            epochs=self.config.rounds,
            loss=list(row.loss.values())[-1],
            accuracy=row.plain.hybrid_accuracy,
            seconds_left=pace_s * (self.config.rounds - row.round),
        )

    def turn(self, name: str) -> float:
        """One phase, the other two networks in eval mode and unchanged; the mean loss."""
        for phase in self.phases.values():
            phase.net.eval()
        return self._router() if name == "router" else self._classifier(name)

    def _router(self) -> float:
        """The router's phase: labels from the current base and global, on images new to both."""
        config, phase, sources = self.config, self.phases["router"], self.material
        own, folded = len(sources.y_router), self._fold_examples()
        count = own + (len(sources.y_fit) if folded else 0)
        phase.start()
        total: list[float] = []
        for part in phase.batches(count, config.router_batch):
            held, other = part[part < own], part[part >= own] - own
            logits, rows, cloud, y = self._look(held, phase.generator)
            if folded and len(other):
                more = (folded[0][other], folded[1][other], folded[2][other])
                logits, rows = torch.cat([logits, more[0]]), torch.cat([rows, more[1]])
                cloud = torch.cat([cloud, more[2]])
                y = torch.cat([y, torch.as_tensor(sources.y_fit)[other]])
            query, both_wrong = losses.router_labels(logits, cloud, y, config.router_label)
            gates = self.head(rows)
            total.append(phase.step(losses.router_objective(gates, query, both_wrong, config)))
        return float(np.mean(total))

    def _classifier(self, name: str) -> float:
        """The phase of base or global: cross-entropy weighted by what the router does."""
        config, phase, sources = self.config, self.phases[name], self.material
        smoothing = 0.0 if name == "base" else GLOBAL_SMOOTHING
        weights = self.weights(name)
        y = torch.as_tensor(sources.y_fit)
        phase.start()
        total: list[float] = []
        for part in phase.batches(len(y), config.batch):
            images = to_float(sources.x_fit[part.numpy()])
            if config.augment:
                images = random_view(images, self.views, phase.generator)
            logits = accelerate.forward(phase.net, accelerate.channels_last(images))
            loss = losses.weighted_cross_entropy(logits, y[part], weights[part], smoothing)
            total.append(phase.step(loss))
        finite.check_net(phase.net, sources.x_fit, name, f"round_{name}_lr", phase.lr)
        return float(np.mean(total))

    def queried(self) -> torch.Tensor:
        """Per fit image the router's hard decision (0 or 1), or without folds its class's share.

        Float32 [N]. The threshold is the one that keeps the target coverage of the router split.
        """
        held = self._scores(self.sight.read(self.material.x_router), self.head)
        ranked = breakdown.integer_scores(held)
        keeps = ranked <= threshold_for(ranked, self.config.coverage)
        threshold = held[keeps].max(initial=-np.inf)
        if self.fold_sight is not None:
            sent = self._scores(self.fold_sight, self.head) > threshold
            return torch.as_tensor(sent, dtype=torch.float32)
        asked = held > threshold
        share = np.array(
            [asked[self.material.y_router == label].mean() for label in range(self.classes)]
        )
        return torch.as_tensor(share[self.material.y_fit], dtype=torch.float32)

    def weights(self, name: str) -> torch.Tensor:
        """Of the fit images in the loss of "base" or "global", float32 [N]: hybrid 2.3."""
        config = self.config
        kept, routed = config.base_kept_weight, config.base_routed_weight
        if name == "global":
            kept, routed = config.global_kept_weight, config.global_routed_weight
        return losses.sample_weights(self.queried(), kept, routed)

    def _judge(self, number: int) -> dict[str, RoundFigures]:
        """Measure plain and averaged weights on the select split; remember the best ever."""
        found: dict[str, RoundFigures] = {}
        for kind in ("plain", "average") if self.config.ema else ("plain",):
            nets = {n: p.net if kind == "plain" else p.average for n, p in self.phases.items()}
            found[kind] = self._measure(nets)
            if found[kind].mean_accuracy > self.best["mean_accuracy"]:
                self.best = {n: copied(net.state_dict()) for n, net in nets.items()}
                self.best |= {"round": number, "kind": kind}
                self.best["mean_accuracy"] = found[kind].mean_accuracy
        return found

    def _measure(self, nets: dict[str, nn.Module]) -> RoundFigures:
        x, y = self.material.x_select, self.material.y_select
        seen = self._sight(nets["base"]).read(x)
        scores = self._scores(seen, nets["router"])
        base = seen[:, : self.classes].argmax(1) == y
        cloud = predict(nets["global"], x).argmax(1) == y
        accuracy, coverage = breakdown.hybrid_accuracy(scores, base, cloud, self.config.coverage)
        asked = scores > 0
        around = [
            breakdown.hybrid_accuracy(scores, base, cloud, min(max(coverage, 0.05), 0.95))[0]
            for coverage in (self.config.coverage + step for step in _AROUND)
        ]
        return RoundFigures(
            hybrid_accuracy=accuracy,
            mean_accuracy=float(np.mean(around)),
            coverage=coverage,
            base_accuracy=float(base.mean()),
            global_accuracy=float(cloud.mean()),
            gate_coverage=float((~asked).mean()),  # at the router's own zero
            both_wrong_asked=float((~base & ~cloud)[asked].mean()) if asked.any() else 0.0,
        )

    def _look(self, part: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
        """Base logits, the router's inputs, global logits and classes of router images' views."""
        images = to_float(self.material.x_router[part.numpy()])
        if self.config.augment:
            images = random_view(images, self.views, generator)
        with torch.no_grad():
            logits, rows = accelerate.forward(self.sight, images, exact=True)
            cloud = accelerate.forward(self.phases["global"].net, images, exact=True)
        return logits, rows, cloud, torch.as_tensor(self.material.y_router)[part]

    def _read_folds(self, folds: tuple[Fold, ...]) -> None:
        x = self.material.x_fit
        self.fold_sight = held_out_logits(
            x, folds, lambda fold: self._sight(fold.base), lambda sight, part: sight.read(part)
        )
        if all(fold.global_ is not None for fold in folds):
            self.fold_global = held_out_logits(x, folds, lambda fold: fold.global_ or fold.base)

    def _fold_examples(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None:
        """Base logits, the router's inputs and global logits of the fit split, cross-fitted."""
        if self.config.parts != 1 or self.fold_sight is None or self.fold_global is None:
            return None
        seen = torch.as_tensor(self.fold_sight)
        return seen[:, : self.classes], seen[:, self.classes :], torch.as_tensor(self.fold_global)

    def _sight(self, base: nn.Module) -> Sight:
        return Sight(base, self.shape, self.features)

    def _scores(self, seen: np.ndarray, head: nn.Module) -> np.ndarray:
        """G_query - G_keep [N] of what ``Sight.read`` gives."""
        head.eval()
        with torch.no_grad():
            gates = head(torch.as_tensor(seen[:, self.classes :])).numpy()
        return np.asarray(gates[:, 1] - gates[:, 0])

    def _keep(self, rows: list[Round]) -> None:
        phases = {name: phase.state() for name, phase in self.phases.items()}
        self.journal.put(SECTION, {"phases": phases, "best": self.best, "rows": to_json(rows)})

    def _resume(self) -> list[Round]:
        kept = self.journal.get(SECTION)
        if kept is None:
            return []
        for name, phase in self.phases.items():
            phase.load(kept["phases"][name])
        self.best = kept["best"]
        return [plain_to(Round, row) for row in kept["rows"]]
