"""What a bench needs to know of the build."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mcu_hybrid.artifacts.build import LayerRow, RouterRow
from mcu_hybrid.machines.price import AOT


@dataclass(frozen=True)
class BenchModel:
    """What the bench must know of the build.

    ``predicted`` are the layers' instructions as the build has them (None where it does not know
    one), ``code`` says whose they are (price.py). ``macs`` are those of the model as given; None:
    of the layers, which were not changed.
    """

    sha256: str
    layers: Sequence[LayerRow]
    code_bytes: int
    weights_bytes: int
    routers: Sequence[RouterRow] = ()
    predicted: Sequence[int | None] | None = None
    code: str = AOT
    macs: int | None = None
