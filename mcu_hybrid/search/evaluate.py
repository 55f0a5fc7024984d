"""The short training that ranks candidates, and the cache of what they predict.

Why short trainings and not a weight-sharing supernet: a supernet must itself be trained for as long
as many candidates before its ranking means anything (hours on a CPU), its shared weights need their
batch norms calibrated again for every sub-network, and it ranks the small end of a space, where
microcontrollers live, worst. Candidates here take seconds to minutes, an infeasible one is never
trained, a hopeless one is pruned after an epoch, and what is ranked is the network that is
deployed. The price is one training per candidate; the cache keeps it at one, whatever pairs
are scored from it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mcu_hybrid import nets
from mcu_hybrid.errors import DataError
from mcu_hybrid.nets import checkpoint
from mcu_hybrid.training import data as data_module
from mcu_hybrid.training.augment import usual_views
from mcu_hybrid.training.config import HybridConfig
from mcu_hybrid.training.data import Dataset
from mcu_hybrid.training.fit import fit_classifier, predict
from mcu_hybrid.training.image_decode import resized

_TINY = 12  # pixels of a side, as in train
_REFERENCE_WIDTHS = {(False, True): 8, (False, False): 16, (True, True): 16, (True, False): 24}

OnEpoch = Callable[[int, np.ndarray], None]  # (epochs done, validation logits)


@dataclass(frozen=True)
class Short:
    """How candidates are trained; ``images`` of the fit split (0: all of it)."""

    epochs: int = 2
    global_epochs: int = 2
    images: int = 0
    seed: int = 0
    threads: int = 0  # 0: torch's choice


@dataclass(frozen=True)
class Pool:
    """Images uint8 NHWC to fit and to validate on; the router, calibration and test splits of
    ``train`` never meet the fit images, and only the router's serves for validation here."""

    x: np.ndarray
    y: np.ndarray
    x_val: np.ndarray
    y_val: np.ndarray
    shape: tuple[int, int, int]
    classes: int
    digest: str
    sizes: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    def at(self, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Fit and validation images of this height and width, resized as ``--size`` does."""
        if size == self.shape[:2]:
            return self.x, self.x_val
        if size not in self.sizes:
            self.sizes[size] = resized(self.x, size), resized(self.x_val, size)
        return self.sizes[size]


@dataclass(frozen=True)
class Candidate:
    """A network specification (nets.build) and the size of the images that it takes."""

    spec: str
    size: tuple[int, int]
    large: bool


@dataclass(frozen=True)
class Predicted:
    """What a trained candidate says of the validation images, and what it costs."""

    key: str
    logits: np.ndarray
    macs: int
    parameters: int


def pool_of(data: Dataset, short: Short) -> Pool:
    """The splits that ``train`` makes with the same seed; a subset of the fit split."""
    config = HybridConfig(seed=short.seed)
    shares = config.fit_share, config.router_share, config.calibration_share, config.test_share
    splits = data_module.split(data, shares, short.seed)
    fit, val = splits["fit"], splits["router"]
    if short.images and short.images < len(fit):
        fit = np.random.default_rng(short.seed).permutation(fit)[: short.images]
    if len(np.unique(data.y[fit])) < data.classes:
        raise DataError(
            f"{len(fit)} images do not hold all {data.classes} classes",
            "give more --images",
            path=data.name,
        )
    parts = data.x[fit], data.y[fit], data.x[val], data.y[val]
    return Pool(*parts, data.shape, data.classes, data.digest)


def key_of(candidate: Candidate, pool: Pool, short: Short) -> str:
    """Names the cache's files: network, data and training decide what is predicted."""
    said = asdict(candidate), pool.digest, asdict(short) | {"threads": 0}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:20]


def cached(folder: Path, key: str) -> Predicted | None:
    """What an earlier training predicted; None where there was none (or its file is damaged)."""
    try:
        with (folder / f"{key}.npz").open("rb") as stream, np.load(stream) as file:
            return Predicted(key, file["logits"], int(file["macs"]), int(file["parameters"]))
    except Exception:  # missing, cut or foreign: it is trained again
        return None


def train_short(
    candidate: Candidate,
    pool: Pool,
    short: Short,
    folder: Path,
    on_epoch: OnEpoch | None = None,
) -> Predicted:
    """Predictions of a candidate after the short training, from the cache where it is there.

    Args:
        folder: the cache; gets KEY.npz and KEY.pt (the weights).
        on_epoch: may raise to give a candidate up; not called for cached ones.

    Raises:
        InputError: the network cannot be built for these images.
    """
    key = key_of(candidate, pool, short)
    found = cached(folder, key)
    if found is not None:
        return found
    import torch

    threads = torch.get_num_threads()
    tiny = min(candidate.size) <= _TINY  # gains nothing from more, as in train
    torch.set_num_threads(short.threads or (1 if tiny else threads))
    try:
        torch.manual_seed(int(key[:8], 16))
        shape = (*candidate.size, pool.shape[2])
        wide = _REFERENCE_WIDTHS[candidate.large, tiny]
        net = nets.build(candidate.spec, shape, pool.classes, wide, large=candidate.large)
        _fit(net, candidate, pool, short, on_epoch)
        logits = predict(net, pool.at(candidate.size)[1])
    finally:
        torch.set_num_threads(threads)
    parameters = sum(p.numel() for p in net.parameters())
    made = Predicted(key, logits, nets.count_macs(net, shape), parameters)
    _keep(folder, made, net.state_dict())
    return made


def _fit(
    net: Any, candidate: Candidate, pool: Pool, short: Short, on_epoch: OnEpoch | None
) -> None:
    """Train in place, with the usual rates of ``train``."""
    x, x_val = pool.at(candidate.size)
    config = HybridConfig()
    fit_classifier(
        net,
        x,
        pool.y,
        epochs=short.global_epochs if candidate.large else short.epochs,
        batch=min(config.batch, len(x)),
        lr=config.global_lr if candidate.large else config.base_lr,
        weight_decay=config.weight_decay,
        smoothing=0.1 if candidate.large else 0.0,
        views=usual_views(pool.shape),
        seed=short.seed,
        label="",
        on_event=_epochs(net, x_val, on_epoch),
    )


def _epochs(net: Any, x_val: np.ndarray, on_epoch: OnEpoch | None) -> Any:
    """The training's events as calls of ``on_epoch``; the last epoch is the caller's."""
    if on_epoch is None:
        return None

    def tell(label: str, done: int, total: int) -> None:
        if done < total:
            on_epoch(done, predict(net, x_val))

    return tell


def _keep(folder: Path, made: Predicted, state: Any) -> None:
    """Write both files whole or not at all; the predictions last, since they are looked for."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / f"{made.key}.pt", checkpoint.saved(state))
    counts = {"macs": np.array(made.macs), "parameters": np.array(made.parameters)}
    arrays = io.BytesIO()
    np.savez(arrays, logits=made.logits, **counts)
    _write(folder / f"{made.key}.npz", arrays.getvalue())


def _write(path: Path, whole: bytes) -> None:
    handle, name = tempfile.mkstemp(prefix=".", suffix=path.suffix, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(whole)
        Path(name).chmod(0o644)  # the folder may be shared
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
