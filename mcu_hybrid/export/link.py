"""What joins base and router across the two inputs of the file: features, ranges, metadata.

The numbers here decide how well 256 levels are used; the arithmetic of the link itself is
ops/route_features.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mcu_hybrid.graph.pixels import UNIT, PixelForm
from mcu_hybrid.graph.types import Graph
from mcu_hybrid.nets.checkpoint import Hybrid, RouterParts
from mcu_hybrid.nets.router_head import Collapsed, score_range
from mcu_hybrid.ops import route_features
from mcu_hybrid.quant import QuantParams

INPUT = {"scale_to_real": "x/255", "layout": "NHWC", "dtype": "uint8"}


@dataclass(frozen=True)
class Band:
    """Where the features' -1..1 lie in the file: at ``middle`` - ``half`` .. ``middle`` + ``half``.

    A router that reads z concatenates both, and TFLite's CONCATENATION has one scale. So the
    features, whose scale is free, take that of z: z and with it the base stay as they are, and no
    level of either is lost.
    """

    middle: float = 0.0
    half: float = 1.0

    @classmethod
    def of(cls, quant: QuantParams) -> Band:
        """All of an int8 tensor's range but half a level at either end, where rounding may go."""
        return cls((-0.5 - quant.zero_point) * quant.scale, 127.0 * quant.scale)

    def place(self, features: np.ndarray) -> np.ndarray:
        """What the file holds for features of -1..1."""
        return self.middle + self.half * features

    def head(self, head: Collapsed, features: int) -> Collapsed:
        """The same scores, for the first ``features`` inputs as the file holds them."""
        return head.on_features([-self.middle / self.half] * features, [1 / self.half] * features)


def centre_scores(hybrid: Hybrid) -> tuple[Hybrid, float]:
    """Shift the router's score so that its useful range is -half..half; returns half too.

    The range is that of the training examples (``score_range``); a shift changes no decision.
    """
    low, high = score_range(hybrid.router.head, hybrid.router.sample)
    head = replace(hybrid.router.head, b2=hybrid.router.head.b2 - (low + high) / 2)
    shifted = replace(hybrid, router=replace(hybrid.router, head=head))
    return shifted, max((high - low) / 2, 1e-3)


def calibration_rows(hybrid: Hybrid, x_fit: np.ndarray) -> dict[str, np.ndarray]:
    """Rows for the converter: fit images with their own features, then the router's examples."""
    images = with_extremes(x_fit.astype(np.float32) / 255)
    own = float_features(hybrid.router, base_logits(hybrid.base, x_fit))
    sample = hybrid.router.sample
    return {
        "image": images,
        "route_features": np.concatenate([own, sample]).astype(np.float32),
    }


def float_features(router: RouterParts, logits: np.ndarray) -> np.ndarray:
    """Features [N, 1 + k] of float logits, clipped to [-1, 1]: the float side of the link."""
    z = logits.astype(np.float64)
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    entropy = -(p * np.log(np.maximum(p, 1e-30))).sum(axis=1)
    top = -np.sort(-p, axis=1)[:, : len(router.centers) - 1]
    x = np.concatenate([entropy[:, None], top], axis=1)
    return np.clip((x - np.array(router.centers)) / np.array(router.widths), -1, 1)


def hybrid_metadata(hybrid: Hybrid, graph: Graph, band: Band) -> dict[str, Any]:
    """The metadata entry, thresholds not yet in it; ``graph`` is the file without the link."""
    widths = np.array(hybrid.router.widths) / band.half
    centers = np.array(hybrid.router.centers) - band.middle * widths
    logits = graph.tensor(graph.outputs[0]).require_quant()
    features = graph.tensor(graph.inputs[1]).require_quant()
    attrs = route_features.make_attrs(
        len(hybrid.labels),
        float(logits.scale),
        centers.tolist(),
        widths.tolist(),
        float(features.scale),
        features.zero_point,
    )
    return {
        "version": 1,
        "logits": "logits",
        "route_features": "route_features",
        "route_score": "route_score",
        "features": attrs.to_json(),
        "labels": list(hybrid.labels),
        "input": INPUT,
    }


def plain_metadata(graph: Graph, logits: int, labels: tuple[str, ...]) -> dict[str, Any]:
    """Metadata of a classifier without a router of its own, whose logits are that tensor.

    Raises:
        ModelError: the routers cannot read such logits (their scale, or the number of classes).
    """
    tensor = graph.tensor(logits)
    n = 1 + route_features.top_of(len(labels))
    attrs = route_features.make_attrs(
        len(labels), float(tensor.require_quant().scale), [0.0] * n, [1.0] * n, 1 / 127, 0
    )
    return {
        "version": 1,
        "logits": tensor.name,
        "features": attrs.to_json(),
        "labels": list(labels),
    }


def input_metadata(form: PixelForm) -> dict[str, Any]:
    """How an image becomes the model's input."""
    if form.is_unit:
        return INPUT
    told = {"scale_to_real": "(x/255*scale-mean)/std", "pixels": form.to_json()}
    return INPUT | told


def with_extremes(images: np.ndarray, form: PixelForm = UNIT) -> np.ndarray:
    """Black and white in one corner of an extra image: the input's scale becomes exactly 1/255.

    Then a uint8 pixel x is the int8 input x - 128 whatever the brightest pixel of the data is. An
    image that is one pixel wide has no room for both and gets two.

    Args:
        images: NHWC, in the real numbers of ``form``.
    """
    channels = images.shape[-1]
    black, white = (form.real(np.full(channels, v, np.uint8)) for v in (0, 255))
    if images.shape[2] > 1:
        extra = images[:1].copy()
        extra[0, 0, 0], extra[0, 0, 1] = black, white
    else:
        extra = np.concatenate([images[:1], images[:1]])
        extra[0, 0, 0], extra[1, 0, 0] = black, white
    return np.concatenate([images, extra])


def base_logits(net: Any, x: np.ndarray) -> np.ndarray:
    """Float logits [N, K] of uint8 NHWC images, as training sees them (x / 255)."""
    import torch

    with torch.no_grad():
        parts = [
            net(torch.as_tensor(x[i : i + 512]).permute(0, 3, 1, 2).float() / 255).numpy()
            for i in range(0, len(x), 512)
        ]
    return np.concatenate(parts)
