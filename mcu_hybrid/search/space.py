"""What may be chosen: resolution, stem, and per stage depth, width, kernel and expansion.

A space is plain data with its choices; Optuna proposes an index into each of them. Strides are
fixed by the space, so that all genomes halve their maps at the same places.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, TypeVar

from mcu_hybrid import json_text
from mcu_hybrid.artifacts.codec import to_json
from mcu_hybrid.errors import InputError
from mcu_hybrid.nets.genome import KERNELS, Genome, Stage
from mcu_hybrid.nets.genome import from_json as genome_from_json

T = TypeVar("T")
Choose = Callable[[str, Sequence[int]], int]  # (name, choices) -> one of them
_HINT = "take the space in search.json as an example"
_LEAST_MAP = 4  # stages halve a map of more than this many rows
_LEAST_SIDE = 8  # of a smaller resolution


@dataclass(frozen=True)
class StageSpace:
    """Choices of one stage, and its stride."""

    depths: tuple[int, ...]
    widths: tuple[int, ...]
    kernels: tuple[int, ...]
    expansions: tuple[int, ...]
    stride: int


@dataclass(frozen=True)
class Space:
    """Choices of a network; ``sizes`` are image sizes (height, width)."""

    sizes: tuple[tuple[int, int], ...]
    stems: tuple[int, ...]
    stem_stride: int
    stages: tuple[StageSpace, ...]
    heads: tuple[int, ...] = (0,)
    activation: str = "relu6"

    def to_json(self) -> dict[str, object]:
        """Plain data; ``from_json`` reads it back."""
        data: dict[str, object] = to_json(self)
        return data

    @property
    def count(self) -> int:
        """How many genomes there are."""
        stages = [
            len(s.depths) * len(s.widths) * len(s.kernels) * len(s.expansions) for s in self.stages
        ]
        return prod(stages) * len(self.sizes) * len(self.stems) * len(self.heads)


def sample(space: Space, choose: Choose) -> Genome:
    """The genome that ``choose`` picks by name: ``size``, ``stem``, ``head``, ``s0.depth`` ..."""
    sizes = {height: (height, width) for height, width in space.sizes}
    stages = tuple(
        Stage(
            choose(f"s{n}.depth", stage.depths),
            choose(f"s{n}.width", stage.widths),
            choose(f"s{n}.kernel", stage.kernels),
            choose(f"s{n}.expansion", stage.expansions),
            stage.stride,
        )
        for n, stage in enumerate(space.stages)
    )
    return Genome(
        sizes[choose("size", tuple(sizes))],
        choose("stem", space.stems),
        space.stem_stride,
        stages,
        choose("head", space.heads),
        space.activation,
    )


def space_for(shape: tuple[int, int, int], *, large: bool) -> Space:
    """The space for images of this shape (height, width, channels).

    Bases: MCUNet's choices at widths that a microcontroller holds, at the full resolution, three
    quarters and a half of it. Globals: twice as wide, deeper, full resolution only.
    """
    height, width = shape[:2]
    sizes = {height: (height, width)}  # by height: different ones
    for scale in () if large else (0.75, 0.5):
        smaller = _fourfold(height * scale), _fourfold(width * scale)
        if min(smaller) >= _LEAST_SIDE:
            sizes.setdefault(smaller[0], smaller)
    stem_stride = 2 if min(height, width) >= 64 else 1
    rows = min(height, width) // stem_stride
    factor = 2 if large else 1
    stages = [StageSpace((1,), tuple(factor * w for w in (8, 16)), (3,), (1,), 1)]
    now = 16
    while rows > _LEAST_MAP or len(stages) < 2:
        widths = tuple(factor * w for w in (now, now * 3 // 2, now * 2))
        depths = (2, 3, 4) if large else (1, 2, 3)
        stages.append(StageSpace(depths, widths, KERNELS, (3, 4, 6), 2 if rows > _LEAST_MAP else 1))
        rows, now = -(-rows // 2), min(now * 3 // 2 // 8 * 8, 96)
    return Space(
        tuple(sizes.values()), tuple(factor * w for w in (8, 16)), stem_stride, tuple(stages)
    )


def read_space(path: Path) -> Space:
    """Read a space from JSON (also one of a search.json: ``{"space": ...}``); raises InputError."""
    try:
        data = json_text.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", _HINT, path=path) from error
    except ValueError as error:
        raise InputError(f"is not JSON: {error}", _HINT, path=path) from error
    return from_json(data.get("space", data) if isinstance(data, Mapping) else data, path)


def from_json(data: Any, where: object = "") -> Space:
    """Read ``Space.to_json`` back; raises InputError naming the file and the key."""
    try:
        stages = tuple(
            StageSpace(
                stride=int(s["stride"]),
                **{key: _choices(s[key], key, where) for key in s if key != "stride"},
            )
            for s in data["stages"]
        )
        sizes = tuple((int(height), int(width)) for height, width in data["sizes"])
        space = Space(
            **{
                **data,
                "sizes": sizes,
                "stems": _choices(data["stems"], "stems", where),
                "heads": _choices(data.get("heads", [0]), "heads", where),
                "stages": stages,
            }
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"is no space of genomes: {error or type(error).__name__}", _HINT, path=where
        ) from error
    if not sizes or len({height for height, _ in sizes}) < len(sizes):
        raise InputError("needs image sizes of different heights", _HINT, path=where, key="sizes")
    for pick in (min, max):  # the rules of genomes hold for every choice
        made = sample(space, lambda name, choices, pick=pick: pick(choices))  # type: ignore[misc]
        genome_from_json(made.to_json(), where)
    return space


def _choices(values: Any, key: str, where: object) -> tuple[int, ...]:
    """Different integers, at least one."""
    if not isinstance(values, list) or not values or any(type(v) is not int for v in values):
        raise InputError("needs a list of integers", _HINT, path=where, key=key)
    if len(set(values)) < len(values):
        raise InputError("names a choice twice", _HINT, path=where, key=key)
    return tuple(values)


def _fourfold(side: float) -> int:
    """The nearest multiple of 4."""
    return 4 * round(side / 4)
