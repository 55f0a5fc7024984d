"""train: a data set to base, router and global network; writes the train folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mcu_hybrid import manifest
from mcu_hybrid.errors import MissingTool
from mcu_hybrid.training.config import HybridConfig

OnEvent = Callable[[str, int, int], None]


def train_step(
    data_spec: str,
    config: HybridConfig,
    out: Path,
    *,
    size: tuple[int, int] | None = None,
    on_event: OnEvent | None = None,
) -> dict[str, Any]:
    """Train into the folder ``out``; returns the manifest's facts.

    Args:
        data_spec: ``digits``, an image folder, a zip of one, an .npz, or module:function.
        size: height and width to resize images of a folder or zip to.
    """
    try:
        from mcu_hybrid.training.data import load_data
        from mcu_hybrid.training.train import train
    except ImportError as error:
        raise MissingTool(
            f"training needs a Python package that is not installed ({error.name})",
            "pip install 'mcu-hybrid[train]'",
        ) from error
    config.check()
    manifest.check_target(out, "train")
    data = load_data(data_spec, size=size, on_event=on_event)
    with manifest.writing(out, "train") as draft:
        facts = train(config, data, draft.folder, on_event)
        draft.facts.update(facts)
        draft.facts["data"] = dict(facts["data"]) | {
            "spec": data_spec,
            "size": list(size) if size else None,
            "digest": data.digest,
        }
    return draft.facts
