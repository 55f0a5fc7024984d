"""HybridConfig: every default of a training run, visible on one screen. No file access here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from math import isfinite
from typing import Any

from mcu_hybrid.artifacts.train import Config
from mcu_hybrid.errors import InputError

INPUTS = ("top_k", "features")  # of the router
CHOICES = {
    "flip": ("yes", "no", "auto"),
    "router_inputs": INPUTS,
    "router_label": ("proxy", "naive"),
    "router_loss": ("balanced", "focal"),
    "fold_global": ("yes", "no", "auto"),
    "qat": ("yes", "no", "auto"),
}


@dataclass(frozen=True)
class HybridConfig:
    """What to train and how; the same config, data and machine give the same hybrid."""

    seed: int = 0
    # Networks: "reference" or the user's module:function, with optional weights (a state dict).
    base: str = "reference"
    base_weights: str = ""
    base_width: int = 0  # 0: by image size
    global_: str = "reference"
    global_weights: str = ""
    global_width: int = 0
    # Shares of the data: the router never sees what the networks were fitted on. Where the data set
    # brings its own test split, the first three share the rest in proportion.
    split_seed: int = -1  # -1: the seed; else runs with other seeds share their splits
    fit_share: float = 0.40
    router_share: float = 0.20
    calibration_share: float = 0.15
    test_share: float = 0.25
    # Base and global. 0 epochs: by the size of the data; with weights given, none.
    base_epochs: int = 0
    global_epochs: int = 0
    batch: int = 64
    base_lr: float = 4e-3
    global_lr: float = 2e-3
    weight_decay: float = 1e-2
    augment: bool = True
    flip: str = "auto"  # mirrored copies: "yes", "no", "auto" (colour images only)
    # Router (hybrid 2 to 4 of docs/papers.md).
    router_inputs: str = "top_k"  # [entropy; top probabilities], or "features": and z of the base
    router_hidden: int = 32
    router_steps: int = 700
    router_batch: int = 256
    router_lr: float = 3e-3
    router_weight_decay: float = 1e-2
    router_dropout: float = 0.5  # of z: it tells single images apart
    router_views: int = 0  # random views per router image, the plain one included; 0: by the data
    coverage: float = 0.8  # target of the penalty, and of the deployed threshold
    coverage_weight: float = 100.0
    most_coverage: float = 1.0  # below 1: a penalty on coverage above it too
    router_label: str = "proxy"  # base wrong and global right; "naive": base wrong
    router_loss: str = "balanced"  # cross-entropy with balanced classes, or "focal"
    focal_gamma: float = 2.0
    focal_keep_weight: float = 2.0  # of the samples to keep; those to send weigh 1
    both_wrong_weight: float = 1.0  # of samples that neither network gets right
    # Labels of images that base and global were fitted on come from networks that did not see them.
    folds: int = 1  # 1: no cross-fitting, the router learns from its own split alone
    fold_global: str = "auto"  # the global too; "auto": in one-part training, where labels need it
    # Alternating rounds (training/joint.py): 1 trains the router alone, 2 router and base,
    # 3 router, global and base; each phase has its own optimiser, schedule and averaged weights.
    parts: int = 1
    rounds: int = 0  # 0: none with one part, else 6
    select_share: float = 0.25  # of the router split: tells which round is best, trains nothing
    # Batches of a phase; 0: as many as see the images once, for the router 50 at least.
    router_iterations: int = 0
    base_iterations: int = 0
    global_iterations: int = 0
    round_router_lr: float = 3e-3
    round_base_lr: float = 4e-4
    round_global_lr: float = 2e-4
    warm_up: float = 0.1  # share of a schedule's steps; then a cosine
    ema: float = 0.99  # of the averaged weights, reached gradually; 0: no average
    base_kept_weight: float = 2.0  # 2 - r
    base_routed_weight: float = 1.0
    global_kept_weight: float = 1.0  # 1 + r
    global_routed_weight: float = 2.0
    # Partial freezing, in rounds and in QAT: only the last convolutions or linear layers learn.
    base_last_layers: int = 0  # 0: all
    global_last_layers: int = 0
    freeze_batch_norm: bool = False  # its statistics, gain and offset
    # Quantisation-aware training of base and router head. "auto": where int8 loses more than this.
    qat: str = "auto"
    qat_points: float = 0.5  # percentage points, on the router split
    qat_epochs: int = 8
    qat_lr: float = 4e-4
    threads: int = 0  # 0: by image size, one thread or torch's own choice

    def check(self) -> HybridConfig:
        """Return self; raise InputError naming the first value out of its range."""
        for key, allowed in CHOICES.items():
            if getattr(self, key) not in allowed:
                raise _wrong(key, f"must be one of {', '.join(allowed)}")
        for key in _POSITIVE:
            if not getattr(self, key) > 0:
                raise _wrong(key, "must be positive")
        for key in _NOT_NEGATIVE:
            if not getattr(self, key) >= 0:
                raise _wrong(key, "must not be negative")
        for field in fields(self):
            value, most = getattr(self, field.name), _most(field.name, type(field.default))
            if most is not None and value > most:
                raise _wrong(field.name, f"is {value:g}, must be at most {most:g}")
        for key, good, message in self._rules():
            if not good:
                raise _wrong(key, message)
        return self

    def _rules(self) -> tuple[tuple[str, bool, str], ...]:
        shares = self.fit_share, self.router_share, self.calibration_share, self.test_share
        return (
            ("fit_share", min(shares) > 0 and abs(sum(shares) - 1) < 1e-6, "shares must sum to 1"),
            ("coverage", 0.0 < self.coverage < 1.0, "must lie between 0 and 1"),
            (
                "most_coverage",
                self.coverage <= self.most_coverage <= 1.0,
                "must lie between coverage and 1",
            ),
            ("router_dropout", 0.0 <= self.router_dropout < 1.0, "must be 0 or more, below 1"),
            ("router_hidden", 1 <= self.router_hidden <= 1024, "must be 1..1024"),
            ("batch", self.batch >= 2 and self.router_batch >= 2, "must be at least 2"),
            ("seed", 0 <= self.seed < 2**31, "must be 0..2147483647"),
            ("split_seed", -1 <= self.split_seed < 2**31, "must be -1..2147483647"),
            ("parts", self.parts in (1, 2, 3), "must be 1, 2 or 3"),
            ("folds", 1 <= self.folds <= 20, "must be 1..20"),
            ("select_share", 0.0 < self.select_share < 1.0, "must lie between 0 and 1"),
            ("warm_up", 0.0 <= self.warm_up < 1.0, "must be 0 or more, below 1"),
            ("ema", 0.0 <= self.ema < 1.0, "must be 0 or more, below 1"),
        )

    @property
    def splits_from(self) -> int:
        """The seed that the splits are drawn with."""
        return self.seed if self.split_seed < 0 else self.split_seed

    def to_json(self) -> Config:
        """The config as a dictionary for history.json and the checkpoint."""
        return asdict(self)


_POSITIVE = (
    *("base_lr", "global_lr", "router_lr", "round_router_lr", "round_base_lr", "round_global_lr"),
    *("base_kept_weight", "base_routed_weight", "global_kept_weight", "global_routed_weight"),
    *("router_steps", "qat_lr", "qat_epochs", "focal_keep_weight"),
)
_NOT_NEGATIVE = (
    *("base_epochs", "global_epochs", "base_width", "global_width", "threads", "router_views"),
    *("rounds", "router_iterations", "base_iterations", "global_iterations"),
    *("base_last_layers", "global_last_layers", "weight_decay", "router_weight_decay"),
    *("coverage_weight", "both_wrong_weight", "focal_gamma", "qat_points"),
)


# Beyond these torch cannot say what it lacks: floats overflow, memory or threads run out.
_MOST: dict[str, float] = {
    **dict.fromkeys(("base_width", "global_width"), 4096),
    **dict.fromkeys(("batch", "router_batch"), 1 << 20),
    **dict.fromkeys(("threads", "router_views"), 1024),
    "weight_decay": 1e6,
    "router_weight_decay": 1e6,
}
_MOST_OF_TYPE = {int: 1 << 31, float: 1e30}


def _most(key: str, kind: type) -> float | None:
    return _MOST.get(key, _MOST_OF_TYPE.get(kind))


def from_json(data: Mapping[str, Any]) -> HybridConfig:
    """Read ``to_json`` back; an unknown key or a value of another type is an InputError."""
    return HybridConfig(**{key: typed(key, value) for key, value in data.items()}).check()


def typed(key: str, value: Any) -> Any:
    """The value as the option's type (a whole number may stand for a float); else an InputError."""
    kinds: dict[str, type] = {f.name: type(f.default) for f in fields(HybridConfig)}
    if key not in kinds:
        near = get_close_matches(key, kinds, 1)
        hint = f"did you mean {near[0]}?" if near else f"one of: {', '.join(kinds)}"
        raise InputError("is not an option of this version", hint, key=f"config.{key}")
    kind = kinds[key]
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind or (isinstance(value, float) and not isfinite(value)):
        raise _wrong(key, f"must be {kind.__name__}, is {value!r}")
    return value


def _wrong(key: str, message: str) -> InputError:
    return InputError(message, "see mcu-hybrid train --help", key=f"config.{key}")
