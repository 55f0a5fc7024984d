"""HybridConfig: every default of a training run, visible on one screen. No file access here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from mcu_hybrid.errors import InputError


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
    # Router (spec sections 2 to 4).
    router_hidden: int = 32
    router_steps: int = 700
    router_batch: int = 256
    router_lr: float = 3e-3
    router_weight_decay: float = 1e-2
    router_views: int = 0  # random views per router image, the plain one included; 0: by the data
    coverage: float = 0.8  # target of the penalty, and of the deployed threshold
    coverage_weight: float = 100.0
    both_wrong_weight: float = 1.0  # of samples that neither network gets right
    threads: int = 0  # 0: by image size, one thread or torch's own choice

    def check(self) -> HybridConfig:
        """Return self; raise InputError naming the first value out of its range."""
        shares = self.fit_share, self.router_share, self.calibration_share, self.test_share
        rules = (
            ("fit_share", min(shares) > 0 and abs(sum(shares) - 1) < 1e-6, "shares must sum to 1"),
            ("coverage", 0.0 < self.coverage < 1.0, "must lie between 0 and 1"),
            ("router_hidden", 1 <= self.router_hidden <= 1024, "must be 1..1024"),
            ("router_views", self.router_views >= 0, "must not be negative"),
            ("batch", self.batch >= 2 and self.router_batch >= 2, "must be at least 2"),
            ("flip", self.flip in ("yes", "no", "auto"), "must be yes, no or auto"),
            ("epochs", min(self.base_epochs, self.global_epochs) >= 0, "must not be negative"),
            ("router_steps", self.router_steps >= 1, "must be at least 1"),
            ("seed", 0 <= self.seed < 2**31, "must be 0..2147483647"),
            ("threads", self.threads >= 0, "must not be negative"),
            ("width", min(self.base_width, self.global_width) >= 0, "must not be negative"),
            ("lr", min(self.base_lr, self.global_lr, self.router_lr) > 0, "must be positive"),
        )
        for key, good, message in rules:
            if not good:
                raise InputError(message, "see mcu-hybrid train --help", key=f"config.{key}")
        return self

    def to_json(self) -> dict[str, Any]:
        """The config as a dictionary for history.json and the checkpoint."""
        return asdict(self)


def from_json(data: Mapping[str, Any]) -> HybridConfig:
    """Read ``to_json`` back; an unknown key is an InputError."""
    known = {f.name for f in fields(HybridConfig)}
    for key in data:
        if key not in known:
            raise InputError("is not an option of this version", key=f"config.{key}")
    return HybridConfig(**data).check()
