"""What training hands to export: ``hybrid.pt`` (Hybrid) and ``splits.npz`` (Splits).

Weights are plain tensors and arrays (no pickled classes): loading a checkpoint runs no code of its
author, except the user's own module:function that builds the network again.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mcu_hybrid import nets
from mcu_hybrid.errors import ModelError
from mcu_hybrid.nets.router_head import Collapsed

if TYPE_CHECKING:
    from torch import nn

CHECKPOINT = "hybrid.pt"
SPLITS = "splits.npz"
_VERSION = 1


@dataclass(frozen=True)
class RouterParts:
    """The trained router as it is deployed, and what its int8 features rest on.

    ``head`` takes (x - centers) / widths of x = [entropy in nats; top probabilities], and behind
    them the base's ``features`` z as they are (0: it does not read them); ``sample`` holds such
    rows, the part of x clipped to [-1, 1], for the converter's ranges.
    """

    head: Collapsed
    centers: tuple[float, ...]
    widths: tuple[float, ...]
    logits_scale: float
    sample: np.ndarray
    features: int = 0


@dataclass(frozen=True)
class NetSpec:
    """How a network was built: ``reference`` or module:function, and the reference's width."""

    spec: str
    width: int


@dataclass(frozen=True)
class Hybrid:
    """Base, global and router, with the image shape (H, W, C) and the labels."""

    base: nn.Module
    global_: nn.Module
    base_spec: NetSpec
    global_spec: NetSpec
    router: RouterParts
    shape: tuple[int, int, int]
    labels: tuple[str, ...]
    config: Mapping[str, Any]


@dataclass(frozen=True)
class Splits:
    """Images uint8 NHWC that later steps need, and which image of the data set went where.

    ``x_fit`` is a sample of the fit split (ranges of the converter); calibration chooses
    thresholds; test is only ever measured.
    """

    x_fit: np.ndarray
    x_calibration: np.ndarray
    y_calibration: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    indices: Mapping[str, np.ndarray]
    labels: tuple[str, ...]
    digest: str

    def save(self, path: Path) -> None:
        """Write the .npz."""
        whole = io.BytesIO()
        np.savez_compressed(
            whole,
            x_fit=self.x_fit,
            x_calibration=self.x_calibration,
            y_calibration=self.y_calibration,
            x_test=self.x_test,
            y_test=self.y_test,
            labels=np.array(self.labels),
            digest=np.array(self.digest),
            **{f"index_{name}": array for name, array in self.indices.items()},
        )
        path.write_bytes(whole.getbuffer())


def load_splits(path: Path) -> Splits:
    """Read ``splits.npz``; raises ModelError where it is missing or not ours."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            got = {name: file[name] for name in file.files}
        return Splits(
            got["x_fit"],
            got["x_calibration"],
            got["y_calibration"],
            got["x_test"],
            got["y_test"],
            indices={k.removeprefix("index_"): v for k, v in got.items() if k.startswith("index_")},
            labels=tuple(str(label) for label in got["labels"]),
            digest=str(got["digest"]),
        )
    except Exception as error:  # a missing, cut or foreign file fails in many ways
        raise ModelError(
            f"cannot be read as splits: {error}", "run mcu-hybrid train again", path=path
        ) from error


def save_hybrid(hybrid: Hybrid, path: Path) -> None:
    """Write ``hybrid.pt``."""
    import torch

    router, head = hybrid.router, hybrid.router.head
    whole = saved(
        {
            "version": _VERSION,
            "base": hybrid.base.state_dict(),
            "global": hybrid.global_.state_dict(),
            "base_spec": [hybrid.base_spec.spec, hybrid.base_spec.width],
            "global_spec": [hybrid.global_spec.spec, hybrid.global_spec.width],
            "shape": list(hybrid.shape),
            "labels": list(hybrid.labels),
            "config": dict(hybrid.config),
            "router": {
                "w1": torch.as_tensor(head.w1),
                "b1": torch.as_tensor(head.b1),
                "w2": torch.as_tensor(head.w2),
                "b2": head.b2,
                "centers": list(router.centers),
                "widths": list(router.widths),
                "logits_scale": router.logits_scale,
                "sample": torch.as_tensor(router.sample),
                "features": router.features,
            },
        }
    )
    path.write_bytes(whole)


def saved(value: Any) -> bytes:
    """What torch.save writes; torch and numpy name no cause when the disk is full, a file does."""
    import torch

    whole = io.BytesIO()
    torch.save(value, whole)
    return whole.getvalue()


def load_hybrid(path: Path) -> Hybrid:
    """Read ``hybrid.pt`` and build its networks again, in eval mode.

    Raises:
        ModelError: the file is missing, damaged or of another version.
        InputError: the user's module:function is gone or builds another network.
    """
    nets.require_torch()
    import torch

    try:
        data = torch.load(path, map_location="cpu", weights_only=True)
        if data["version"] != _VERSION:
            raise ValueError(f"version {data['version']}, this tool reads {_VERSION}")
        height, breadth, channels = (int(v) for v in data["shape"])
        shape = height, breadth, channels
        labels, raw = tuple(data["labels"]), data["router"]
        specs = [NetSpec(*data[key]) for key in ("base_spec", "global_spec")]
        states = data["base"], data["global"]
        w1, b1, w2 = (raw[key].double().numpy() for key in ("w1", "b1", "w2"))
        head = Collapsed(w1, b1, w2, float(raw["b2"]))
        router = RouterParts(
            head,
            tuple(raw["centers"]),
            tuple(raw["widths"]),
            raw["logits_scale"],
            raw["sample"].numpy(),
            raw.get("features", 0),
        )
    except FileNotFoundError as error:
        raise ModelError("does not exist", "run mcu-hybrid train first", path=path) from error
    except Exception as error:  # torch raises a different class for each way a file is wrong
        fact = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"is not a checkpoint of mcu-hybrid train: {fact}", "train again", path=path
        ) from error
    built = []
    for spec, state, large in zip(specs, states, (False, True), strict=True):
        net = nets.build(spec.spec, shape, len(labels), spec.width, large=large)
        try:
            net.load_state_dict(state)
        except RuntimeError as error:
            raise ModelError(
                f"'{spec.spec}' now builds another network than was trained",
                "train again, or restore the module",
                path=path,
            ) from error
        built.append(net.eval())
    return Hybrid(built[0], built[1], specs[0], specs[1], router, shape, labels, data["config"])
