"""Genomes as torch networks: inverted-residual blocks with batch norm, for training and export."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcu_hybrid.errors import InputError
from mcu_hybrid.nets.genome import Block, Genome, blocks, last_width, map_size

if TYPE_CHECKING:
    from torch import nn


def build_mobile(genome: Genome, shape: tuple[int, int, int], classes: int) -> nn.Module:
    """The network of a genome: images [N, C, H, W] in [0, 1] -> logits [N, classes].

    Args:
        shape: image (height, width, channels).

    Raises:
        InputError: the genome is made for images of another size.
    """
    from torch import nn

    height, width = genome.size
    if shape[:2] != genome.size:
        raise InputError(
            f"the network is made for images of {height} x {width}, these have "
            f"{shape[0]} x {shape[1]}",
            f"give --size {height}x{width}, or a genome of the images' size",
            key=genome.describe(),
        )
    layers = _conv(genome, shape[2], genome.stem, 3, genome.stem_stride)
    layers += [_block(genome, block) for block in blocks(genome)]
    if genome.head:
        layers += _conv(genome, genome.stages[-1].width, genome.head, 1)
    if map_size(genome) != (1, 1):
        layers.append(nn.AvgPool2d(map_size(genome)))
    layers += [nn.Flatten(), nn.Linear(last_width(genome), classes)]
    return nn.Sequential(*layers)


def _conv(
    genome: Genome, channels: int, after: int, kernel: int, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    """Convolution, batch norm, activation."""
    from torch import nn

    made = nn.Conv2d(channels, after, kernel, stride, kernel // 2, groups=groups, bias=False)
    activation = nn.ReLU6() if genome.activation == "relu6" else nn.ReLU()
    return [made, nn.BatchNorm2d(after), activation]


def _block(genome: Genome, block: Block) -> nn.Module:
    """Widen by 1x1, depthwise, narrow by 1x1 without activation; the input added where it fits."""
    from torch import nn

    class InvertedResidual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            layers = _conv(genome, block.in_c, block.hidden, 1) if block.expands else []
            hidden, kernel = block.hidden, block.kernel
            layers += _conv(genome, hidden, hidden, kernel, block.stride, groups=hidden)
            layers += _conv(genome, hidden, block.out_c, 1)[:2]
            self.body = nn.Sequential(*layers)

        def forward(self, x: Any) -> Any:
            return x + self.body(x) if block.residual else self.body(x)

    return InvertedResidual()
