"""What real number a network was trained to see for a pixel: data only, no images here.

real = (x / 255 * scale - mean) / std for a uint8 pixel x; mean and std are one for all channels or
one each. The default is the plain [0, 1]; scale 255 is the raw byte; torchvision's networks take
mean 0.485, 0.456, 0.406 and std 0.229, 0.224, 0.225.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mcu_hybrid.errors import InputError, ModelError


@dataclass(frozen=True)
class PixelForm:
    """real = (x / 255 * scale - mean) / std of a pixel x of 0..255."""

    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    @property
    def is_unit(self) -> bool:
        """True where a pixel is simply x / 255."""
        return self == UNIT

    @property
    def is_uniform(self) -> bool:
        """True where every channel has the same real numbers."""
        return len(set(self.mean)) == 1 and len(set(self.std)) == 1

    def affine(self) -> tuple[np.ndarray, np.ndarray]:
        """(gain, offset), float64 [1] or [channels]: real = x / 255 * gain + offset."""
        std = np.asarray(self.std, np.float64)
        return self.scale / std, -np.asarray(self.mean, np.float64) / std

    def real(self, x: np.ndarray) -> np.ndarray:
        """uint8 images [..., C] as the float32 numbers that the network was trained on."""
        gain, offset = self.affine()
        if self.is_unit:
            return x.astype(np.float32) / 255
        return np.asarray(x / 255.0 * gain + offset, np.float32)

    def check(self, channels: int) -> PixelForm:
        """The form itself; raises InputError where it is not one of images with these channels."""
        for key, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, channels):
                raise InputError(
                    f"has {len(values)} values, the images have {channels} channels",
                    "give one value, or one a channel: 0.485,0.456,0.406",
                    key=key,
                )
        numbers = (self.scale, *self.mean, *self.std)
        if not all(map(math.isfinite, numbers)) or self.scale <= 0 or min(self.std) <= 0:
            raise InputError(
                f"scale {self.scale:g} and std {_list(self.std)} must be above 0, and all finite",
                "a pixel becomes (pixel * scale - mean) / std, with pixel in [0, 1]",
                key="input range",
            )
        return self

    def __str__(self) -> str:
        """In words: "pixels in [0, 255]", or the formula's values."""
        if self.is_uniform:
            low, high = (float(v) for v in self.real(np.array([0, 255], np.uint8)))
            return f"pixels in [{low:.4g}, {high:.4g}]"
        scaled = "" if self.scale == 1 else f" * {self.scale:g}"
        return f"(pixels in [0, 1]{scaled} - {_list(self.mean)}) / {_list(self.std)}"

    def options(self) -> str:
        """The command line's options that say this; "" for the default."""
        said = [f"--input-scale {self.scale:g}"] if self.scale != 1 else []
        said += [f"--mean {_list(self.mean)}"] if self.mean != UNIT.mean else []
        said += [f"--std {_list(self.std)}"] if self.std != UNIT.std else []
        return " ".join(said)

    def to_json(self) -> dict[str, object]:
        """As the model's metadata holds it."""
        return {"scale": self.scale, "mean": list(self.mean), "std": list(self.std)}


UNIT = PixelForm()
# What networks are usually trained on; for telling the user which one his network knows.
USUAL: tuple[PixelForm, ...] = (
    UNIT,
    PixelForm(255.0),
    PixelForm(1.0, (0.5,), (0.5,)),
    PixelForm(255.0, (128.0,)),
    PixelForm(1.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
)


def pixels_from_json(data: Any, where: str) -> PixelForm:
    """Read ``PixelForm.to_json`` back; raises ModelError naming ``where``."""
    try:
        if not isinstance(data, Mapping):
            raise TypeError("not an object")
        form = PixelForm(float(data["scale"]), _floats(data["mean"]), _floats(data["std"]))
        return form.check(max(len(form.mean), len(form.std)))
    except (KeyError, TypeError, ValueError, InputError) as error:
        raise ModelError(
            f"the metadata's input range cannot be read: {error}",
            "export the model again",
            path=where,
            key="input",
        ) from error


def _floats(values: Sequence[Any]) -> tuple[float, ...]:
    if isinstance(values, str) or not values:
        raise ValueError("not a list of numbers")
    return tuple(float(v) for v in values)


def _list(values: Sequence[float]) -> str:
    return ",".join(f"{v:.6g}" for v in values)
