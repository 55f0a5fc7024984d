"""What experiments/hybrid does: settings, methods in plain words, and the plan of time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from mcu_hybrid.training.config import HybridConfig

# Learning rates: base and global from nothing, networks that are trained on, a new head on one.
LR = {"base": 4e-3, "global": 3e-3, "tune": 4e-3, "fresh": 1e-2}
BOARD = "stm32f7"  # 320 KB of SRAM, 1 MB of flash: the budget of the base
SRAM_BYTES, FLASH_BYTES, BASE_MACS = 320 * 1024, 1024 * 1024, 6_000_000
# Multiply-accumulates a second of a forward pass on 2 cores with bfloat16 (AVX-512), random views
# included; a training step is three forward passes. Measured were 120 and 46 (small networks two
# side by side, one core each); other work on the machine comes on top.
GLOBAL_RATE, BASE_RATE = 110e9, 42e9
DECODE_S = 0.5  # a thousand JPEG images
CONVERT_S = 11.0  # one conversion to int8, two side by side
INT8_RATE = 4e9  # of the integer path, experiments/host_int8.py, likewise


@dataclass(frozen=True)
class Setting:
    """Sizes of a run. ``images`` 0: all of them; ``splits``: fit, router and calibration images."""

    name: str
    splits: tuple[int, int, int]
    test_images: int
    base_width: int
    global_width: int
    base_epochs: int
    global_epochs: int
    tune_epochs: int  # of each baseline, which starts from the base as the method does
    rounds: int
    folds: int
    global_share: float  # of the fit split, that a round shows the global
    router_steps: int
    router_batches: int  # of a round
    router_views: int  # of each image that the router learns from
    betas: tuple[float, ...]  # of AppealNet; the best on the router split is kept
    batch: int = 128
    ablations: tuple[str, ...] = ()
    limits: tuple[float, float] = (4.0, 60.0)  # least points of the global over the base; minutes

    def config(self, seed: int, base: str, global_: str, **changes: Any) -> HybridConfig:
        """The whole method with this seed, from weights that lie in these files."""
        fit, router, calibration = self.splits
        total = fit + router + calibration + self.test_images
        config = HybridConfig(
            seed=seed,
            split_seed=0,
            base_weights=base,
            global_weights=global_,
            base_width=self.base_width,
            global_width=self.global_width,
            fit_share=fit / total,
            router_share=router / total,
            calibration_share=calibration / total,
            test_share=self.test_images / total,
            batch=self.batch,
            router_steps=self.router_steps,
            coverage=0.7,  # the middle of the table
            coverage_weight=0.0,  # thresholds come from the calibration split
            router_views=self.router_views,
            folds=self.folds,
            fold_global="no",
            parts=3,
            rounds=self.rounds,
            round_base_lr=LR["tune"],
            round_global_lr=LR["global"] / 6,
            router_iterations=self.router_batches,
            global_iterations=max(1, round(self.global_share * fit / self.batch)),
        )
        return replace(config, **changes).check()


# The paper weighs what the base keeps twice, (2 - r). That took accuracy from a small base at high
# coverage, on the calibration split too: the whole method is without, the weights are an ablation.
WHOLE = {"base_kept_weight": 1.0}
ROUTER_ALONE = {"parts": 1, "rounds": 0, "folds": 1}
# Runs of training/train.py: name -> changes of the setting's config.
TRAINED: dict[str, dict[str, Any]] = {
    "whole": dict(WHOLE),
    "router": dict(ROUTER_ALONE),
    "naive": ROUTER_ALONE | {"router_label": "naive"},
    # The control: as many steps for both networks, without anything that knows of routing.
    "trained on": WHOLE | {"global_routed_weight": 1.0, "folds": 1},
}
# What each part buys; with both networks left alone the whole method is the row "router".
ABLATIONS: dict[str, dict[str, Any]] = {
    "whole, base weights 2 - r": {},
    "whole, global left alone": WHOLE | {"parts": 2},
    "whole, router reads features": WHOLE | {"router_inputs": "features"},
    "whole, naive label": WHOLE | {"router_label": "naive"},
    "whole, both-wrong weight 0.1": WHOLE | {"both_wrong_weight": 0.1},
    "whole, no cross-fitting": WHOLE | {"folds": 1},
    "whole, one view per router image": WHOLE | {"router_views": 1},
}
SETTINGS = {
    setting.name: setting
    for setting in (
        Setting(
            "full",
            splits=(40_000, 5_000, 5_000),
            test_images=10_000,
            base_width=8,
            global_width=16,
            base_epochs=30,
            global_epochs=30,
            tune_epochs=10,
            rounds=10,
            folds=3,
            global_share=0.5,
            router_steps=1500,
            router_batches=50,
            router_views=8,
            betas=(0.1, 0.3, 1.0),
            ablations=tuple(ABLATIONS),
            limits=(4.0, 600.0),
        ),
        Setting(
            "reduced",
            splits=(40_000, 5_000, 5_000),
            test_images=10_000,
            base_width=8,
            global_width=16,
            base_epochs=10,
            global_epochs=12,
            tune_epochs=5,
            rounds=5,
            folds=2,
            global_share=0.2,
            router_steps=700,
            router_batches=20,
            router_views=4,
            betas=(1.0,),
            limits=(4.0, 30.0),
        ),
        Setting(
            "smoke",
            splits=(320, 160, 160),
            test_images=160,
            base_width=4,
            global_width=4,
            base_epochs=1,
            global_epochs=1,
            tune_epochs=1,
            rounds=1,
            folds=2,
            global_share=0.2,
            router_steps=20,
            router_batches=5,
            router_views=2,
            betas=(1.0,),
            batch=64,
            limits=(-100.0, 2.0),
        ),
    )
}

SIMPLE = ("entropy", "max-prob", "margin")
# What a reader who has not seen the paper needs to know of each method.
TITLES = {
    "whole": "whole method: networks trained together with a learned router",
    "router": "learned router, networks as they were",
    "naive": "learned router that learned only 'the device is wrong'",
    "entropy": "simple score: entropy of the device's answer",
    "max-prob": "simple score: probability of the device's answer",
    "margin": "simple score: lead of the first answer over the second",
    "joint margin": "networks trained together, simple score instead of the router",
    "trained on": "control: networks trained on as long without routing, then a learned router",
    "trained on, margin": "control: networks trained on as long without routing, simple score",
    "selective": "selective classifier (one-sided prediction)",
    "appealnet, white box": "AppealNet that knows the cloud's mistakes",
    "appealnet, black box": "AppealNet that knows nothing of the cloud",
    "branchynet": "split network (BranchyNet): features travel, not images",
    "oracle": "bound: a perfect router for the networks as they were",
    "on-device only": "device alone",
    "cloud only": "cloud alone",
}


def shown(setting: Setting) -> dict[str, dict[str, Any]]:
    """The trained variants of a setting."""
    return TRAINED | {name: ABLATIONS[name] for name in setting.ablations}


def plan_of_time(
    setting: Setting, seeds: int, base_macs: int, global_macs: int
) -> Iterator[tuple[str, float]]:
    """(what, seconds on 2 cores): MACs x images x epochs x 3 / rate, and the fixed parts.

    AppealNet and the selective classifier cost what the base costs; the branch runs the global's
    first blocks, a quarter of its work.
    """
    fit, router, calibration = setting.splits
    seen = calibration + setting.test_images

    def base(images: float) -> float:
        return 3 * base_macs * images / BASE_RATE

    def global_(images: float) -> float:
        return 3 * global_macs * images / GLOBAL_RATE

    variants = shown(setting).values()
    configs = [setting.config(0, "", "", **changes) for changes in variants]
    folded = sum((c.folds - 1) * fit * setting.base_epochs for c in configs if c.folds > 1)
    rounds = [c for c in configs if c.parts > 1]
    yield "data", DECODE_S * (fit + router + seen) / 1000
    yield "global", global_(fit * setting.global_epochs)
    yield "global, its answers", global_((fit + router + seen) / 3)
    yield "base", seeds * base(fit * setting.base_epochs)
    yield "branch", global_(fit * setting.base_epochs / 3 / 4) + seen * global_macs / 4 / INT8_RATE
    networks = 2 * len(setting.betas) + 1
    yield "baselines", seeds * networks * base(fit * setting.tune_epochs)
    yield "baselines in int8", seeds * (CONVERT_S + 3 * seen * base_macs / INT8_RATE)
    yield "method: folds", seeds * base(folded)
    yield "method: base in rounds", seeds * base(sum(c.rounds for c in rounds) * fit)
    routed = sum(c.rounds * c.global_iterations for c in rounds if c.parts == 3) * setting.batch
    # The router's batches, and both kinds of weights on the select split.
    looked = sum(
        (c.rounds + 1) * (c.router_iterations * c.router_batch + 2 * c.select_share * router)
        for c in rounds
    )
    yield "method: global in rounds", seeds * global_(routed + looked / 3)
    views = sum(c.router_views for c in configs) * router
    yield "method: router", seeds * global_(views / 3)
    yield (
        "method in int8",
        seeds
        * len(configs)
        * (CONVERT_S + seen * (base_macs / INT8_RATE + global_macs / GLOBAL_RATE)),
    )
