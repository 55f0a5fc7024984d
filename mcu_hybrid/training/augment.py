"""Random views of a batch of images (torch): small shifts, turns, scalings, mirror, contrast.

The recipe is ours, small enough for small images; Kag et al. use RandAugment, crops and erasing on
ImageNet (hybrid 3, docs/papers.md), and draw the views of base and global independently.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn import functional


@dataclass(frozen=True)
class Views:
    """How far a view may be from its image; shares are of the image's size.

    The defaults are for scans (digits): 8 x 8 pixels move by less than one, and a digit stays the
    digit it is. ``contrast`` is a gain of 1 +- that share.
    """

    shift: float = 0.10
    turn_degrees: float = 8.0
    zoom: float = 0.08
    contrast: float = 0.15
    flip: bool = False

    def scaled(self, factor: float) -> Views:
        """Milder or stronger views of the same kind."""
        return Views(
            self.shift * factor,
            self.turn_degrees * factor,
            self.zoom * factor,
            self.contrast * factor,
            self.flip,
        )


# What photographs of things get by default: shifts up to an eighth (4 of 32 pixels, as usual for
# CIFAR), mirrors. On CIFAR-10 a short training gains three points over turned, zoomed and re-lit
# views.
PHOTOGRAPHS = Views(shift=0.125, turn_degrees=0.0, zoom=0.0, contrast=0.0, flip=True)


def usual_views(shape: tuple[int, int, int]) -> Views:
    """The views of photographs or of scans, by the image's (height, width, channels)."""
    return PHOTOGRAPHS if shape[2] == 3 else Views()


def random_view(x: torch.Tensor, views: Views, generator: torch.Generator) -> torch.Tensor:
    """One random view of each image of a batch, float NCHW in [0, 1].

    Views that only shift and mirror move whole pixels: that blurs nothing and is cheap.
    """
    if not views.turn_degrees and not views.zoom and not views.contrast:
        return _moved(x, views, generator)
    n = len(x)

    def uniform(limit: float) -> torch.Tensor:
        return (torch.rand(n, generator=generator) * 2 - 1) * limit

    angle = uniform(views.turn_degrees) * (math.pi / 180)
    zoom = 1 + uniform(views.zoom)
    mirror = torch.ones(n)
    if views.flip:
        mirror = torch.where(torch.rand(n, generator=generator) < 0.5, -1.0, 1.0)
    matrix = torch.zeros(n, 2, 3)
    matrix[:, 0, 0] = torch.cos(angle) * zoom * mirror
    matrix[:, 0, 1] = -torch.sin(angle) * zoom
    matrix[:, 1, 0] = torch.sin(angle) * zoom * mirror
    matrix[:, 1, 1] = torch.cos(angle) * zoom
    # affine_grid's unit is half an image.
    matrix[:, 0, 2] = uniform(views.shift * 2)
    matrix[:, 1, 2] = uniform(views.shift * 2)
    grid = functional.affine_grid(matrix, list(x.shape), align_corners=False)
    border = "border" if x.shape[1] == 3 else "zeros"  # scans lie on an empty ground
    seen = functional.grid_sample(x, grid, padding_mode=border, align_corners=False)
    gain = 1 + uniform(views.contrast)
    return (seen * gain[:, None, None, None]).clamp_(0, 1)


def _moved(x: torch.Tensor, views: Views, generator: torch.Generator) -> torch.Tensor:
    """Whole-pixel shifts of a batch, the ground continued by reflection (scans: empty), mirrors."""
    n, channels, height, width = x.shape
    reach = [min(round(views.shift * size), size - 1) for size in (height, width)]
    padding = (reach[1], reach[1], reach[0], reach[0])
    ground = functional.pad(x, padding, mode="reflect" if channels == 3 else "constant")
    top, left = (torch.randint(2 * r + 1, (n, 1), generator=generator) for r in reach)
    columns = left + torch.arange(width)
    if views.flip:
        mirrored = torch.rand((n, 1), generator=generator) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    rows = (top + torch.arange(height))[:, :, None]
    # Pixels as the last axis: one look-up moves all channels of a pixel.
    pixels = ground.permute(0, 2, 3, 1)[torch.arange(n)[:, None, None], rows, columns[:, None, :]]
    return pixels.permute(0, 3, 1, 2)


def to_float(x: object) -> torch.Tensor:
    """uint8 NHWC images as float NCHW in [0, 1]: what the int8 input q means, (q + 128) / 255."""
    return torch.as_tensor(x).permute(0, 3, 1, 2).contiguous().float().div_(255)
