"""train: a data set to base, router and global network; writes the train folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from mcu_hybrid import extras, manifest, nets
from mcu_hybrid.training.config import HybridConfig

OnEvent = Callable[[str, int, int], None]


def train_step(
    data_spec: str,
    config: HybridConfig,
    out: Path,
    *,
    size: tuple[int, int] | None = None,
    resume: bool = False,
    on_event: OnEvent | None = None,
) -> dict[str, Any]:
    """Train into the folder ``out``; returns the manifest's facts.

    While it trains, ``state_file(out)`` beside the folder holds all that is needed to go on.

    Args:
        data_spec: ``digits``, an image folder, a zip of one, an .npz, or module:function.
        size: height and width to resize images of a folder or zip to.
        resume: go on with the run that was ended; data and config must be the same.
    """
    extras.require("train", "train")
    from mcu_hybrid.training.data import load_data
    from mcu_hybrid.training.train import train

    config = _self_contained(config.check())
    manifest.check_target(out, "train")
    data = load_data(data_spec, size=size, on_event=on_event)
    with manifest.writing(out, "train") as draft:
        facts = train(
            config, data, draft.folder, on_event, state_file=state_file(out), resume=resume
        )
        draft.facts.update(facts)
        draft.facts["data"] = dict(facts["data"]) | {
            "spec": data_spec,
            "size": list(size) if size else None,
            "digest": data.digest,
        }
    state_file(out).unlink(missing_ok=True)
    return draft.facts


def state_file(out: Path) -> Path:
    """Where a training run into ``out`` keeps what it can be resumed from."""
    return out.with_name(f"{out.name}.resume.pt")


def _self_contained(config: HybridConfig) -> HybridConfig:
    """Genomes' files replaced by what they hold: the checkpoint must not depend on them."""
    base, global_ = (
        nets.canonical(config.base, large=False),
        nets.canonical(config.global_, large=True),
    )
    return replace(config, base=base, global_=global_)
