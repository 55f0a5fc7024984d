"""train: a data set to base, router and global network; writes the train folder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from mcu_hybrid import extras, manifest, nets
from mcu_hybrid.artifacts.train import Described, OnTold, TrainedData, TrainFacts
from mcu_hybrid.errors import InputError, ManifestError, McuHybridError
from mcu_hybrid.events import OnEvent
from mcu_hybrid.training.config import HybridConfig

_NO_MEMORY = re.compile("allocate|out of memory")


def train_step(
    data_spec: str,
    config: HybridConfig,
    out: Path,
    *,
    size: tuple[int, int] | None = None,
    resume: bool = False,
    restart: bool = False,
    on_event: OnEvent | None = None,
    on_told: OnTold | None = None,
) -> TrainFacts:
    """Train into the folder ``out``; returns the manifest's facts.

    While it trains, ``state_file(out)`` beside the folder holds all that is needed to go on.

    Args:
        data_spec: ``digits``, an image folder, a zip of one, an .npz, or module:function.
        size: height and width to resize images to.
        resume: go on with the run that was ended; data and config must be the same.
        restart: start anew though there is an ended run to go on with; else that is refused.
        on_told: is given the facts about the data, and each epoch's figures.
    """
    extras.require("train", "train")
    from mcu_hybrid.training.data import load_data
    from mcu_hybrid.training.train import train

    config = _self_contained(config.check())
    manifest.check_target(out, "train")
    _check_ended_run(out, resume, restart)
    data = load_data(data_spec, size=size, on_event=on_event)
    with _kept_or_told(out, resume), manifest.writing(out, "train") as draft:
        facts = train(
            config,
            data,
            draft.folder,
            on_event,
            state_file=state_file(out),
            resume=resume,
            on_told=on_told,
        )
        facts = replace(facts, data=_named(facts.data, data_spec, size))
        draft.facts |= facts.to_json()
    state_file(out).unlink(missing_ok=True)
    return facts


def _named(data: Described, spec: str, size: tuple[int, int] | None) -> TrainedData:
    """The data with how it was named, so that later steps find it again."""
    return TrainedData(**vars(data) | {"spec": spec, "size": size})


def state_file(out: Path) -> Path:
    """Where a training run into ``out`` keeps what it can be resumed from."""
    return out.with_name(f"{out.name}.resume.pt")


def _check_ended_run(out: Path, resume: bool, restart: bool) -> None:
    """Hours of an ended run are not thrown away because an option was forgotten."""
    if not resume and not restart and state_file(out).exists():
        raise InputError(
            "a training into this folder was ended before it was done, and can go on",
            "add --resume to go on (same options), or --restart to start anew",
            path=state_file(out),
        )
    if restart:
        state_file(out).unlink(missing_ok=True)


@contextmanager
def _kept_or_told(out: Path, resume: bool) -> Iterator[None]:
    """A full disk is named and the state kept; a run that can only fail again leaves none."""
    try:
        yield
    except ManifestError as error:
        if isinstance(error.__cause__, OSError) and state_file(out).exists():
            raise ManifestError(error.message, "make room, and go on with --resume") from error
        raise
    except InputError:
        if not resume:
            state_file(out).unlink(missing_ok=True)
        raise
    except (MemoryError, RuntimeError) as error:  # torch's allocator raises the second
        if not isinstance(error, MemoryError) and not _NO_MEMORY.search(str(error)):
            raise
        raise McuHybridError(
            f"{out}: training does not fit the memory",
            "give a smaller --size, a narrower network, or --set batch=16",
        ) from error
    except OSError as error:
        hint = "make room, or choose another --out"
        if state_file(out).exists():
            hint = "make room, and go on with --resume"
        raise McuHybridError(
            f"{error.filename or out}: cannot be written: {error.strerror or error}", hint
        ) from error


def _self_contained(config: HybridConfig) -> HybridConfig:
    """Genomes' files replaced by what they hold: the checkpoint must not depend on them."""
    base, global_ = (
        nets.canonical(config.base, large=False),
        nets.canonical(config.global_, large=True),
    )
    return replace(config, base=base, global_=global_)
