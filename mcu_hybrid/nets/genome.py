"""Genomes: networks of inverted-residual blocks as plain data (MobileNetV2's and MCUNet's family).

A genome says everything about a network but its weights, its input channels and its classes. Both
forms of it, torch (nets/mobile.py) and int8 graph (search/graph.py), are built from ``blocks``. No
torch here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from mcu_hybrid import json_text
from mcu_hybrid.errors import InputError

PREFIX = "search:"  # of the network specifications that name a genome
KERNELS = (3, 5, 7)
ACTIVATIONS = ("relu6", "relu")
_HINT = "give the best.json of mcu-hybrid search, or a genome of its search.json"
_MOST = 4096  # channels, or pixels of a side


@dataclass(frozen=True)
class Stage:
    """``depth`` blocks of one width; the first one has the stride."""

    depth: int
    width: int
    kernel: int
    expansion: int
    stride: int


@dataclass(frozen=True)
class Genome:
    """Image size (height, width), 3x3 stem, stages, and a last 1x1 convolution (``head``; 0: none).

    Convolutions pad by half their kernel, so stride 2 halves a map, rounded up.
    """

    size: tuple[int, int]
    stem: int
    stem_stride: int
    stages: tuple[Stage, ...]
    head: int = 0
    activation: str = "relu6"

    def to_json(self) -> dict[str, object]:
        """Plain data; ``from_json`` reads it back."""
        return asdict(self) | {
            "size": list(self.size),
            "stages": [asdict(stage) for stage in self.stages],
        }

    @property
    def digest(self) -> str:
        """16 hex digits that tell genomes apart."""
        text = json.dumps(self.to_json(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def spec(self) -> str:
        """The genome as a network specification that needs no file: ``search:{...}``."""
        return PREFIX + json.dumps(self.to_json(), separators=(",", ":"))

    def describe(self) -> str:
        """One line for people: ``32x32 stem 16 | 2x24 k3 e4 /2 | ...``."""
        parts = [f"{self.size[0]}x{self.size[1]} stem {self.stem}/{self.stem_stride}"]
        parts += [
            f"{s.depth}x{s.width} k{s.kernel} e{s.expansion} /{s.stride}" for s in self.stages
        ]
        return " | ".join([*parts, f"head {self.head}"] if self.head else parts)


@dataclass(frozen=True)
class Block:
    """One inverted-residual block; where ``hidden == in_c`` the first 1x1 is left out."""

    in_c: int
    hidden: int
    out_c: int
    kernel: int
    stride: int

    @property
    def residual(self) -> bool:
        """True where input and output have one shape and are added."""
        return self.stride == 1 and self.in_c == self.out_c

    @property
    def expands(self) -> bool:
        """True where a 1x1 convolution comes first."""
        return self.hidden != self.in_c


def blocks(genome: Genome) -> Iterator[Block]:
    """The blocks between stem and head, in order."""
    now = genome.stem
    for stage in genome.stages:
        for n in range(stage.depth):
            stride = stage.stride if n == 0 else 1
            yield Block(now, now * stage.expansion, stage.width, stage.kernel, stride)
            now = stage.width


def map_size(genome: Genome) -> tuple[int, int]:
    """Height and width of the last map, which the pool averages."""
    height, width = genome.size
    for stride in (genome.stem_stride, *(stage.stride for stage in genome.stages)):
        height, width = -(-height // stride), -(-width // stride)
    return height, width


def last_width(genome: Genome) -> int:
    """Channels that the classifier reads."""
    return genome.head or genome.stages[-1].width


def from_json(data: Any, where: object = "") -> Genome:
    """Read ``Genome.to_json`` back; raises InputError naming the file ``where`` and the key."""
    values = _fields(Genome, data, where, {"head": 0, "activation": "relu6"})
    stages = values["stages"]
    if not isinstance(stages, list) or not stages:
        raise InputError("needs a list of stages", _HINT, path=where, key="stages")
    made = tuple(Stage(**_fields(Stage, stage, where, {})) for stage in stages)
    size = values["size"]
    if not isinstance(size, list) or len(size) != 2:
        raise InputError("must be [height, width]", _HINT, path=where, key="size")
    genome = Genome(**values | {"size": tuple(size), "stages": made})
    _check(genome, where)
    return genome


def read(spec: str, *, large: bool) -> Genome:
    """The genome of ``search:FILE.json`` or ``search:{...}``.

    A file is a genome, or what search writes: then the base, or with ``large`` the global.

    Raises:
        InputError: no such file, no genome in it, or a value that no network can have.
    """
    text = spec.removeprefix(PREFIX)
    where: object = "" if text.lstrip().startswith("{") else Path(text)
    try:
        data = json_text.loads(where.read_text("utf-8") if isinstance(where, Path) else text)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", _HINT, path=where) from error
    except ValueError as error:
        raise InputError(f"is not JSON: {error}", _HINT, path=where or spec) from error
    if isinstance(data, Mapping) and "stages" not in data:
        name = "global" if large else "base"
        part = data.get(name)
        if not isinstance(part, Mapping) or "genome" not in part:
            raise InputError(f"holds no genome of a {name} network", _HINT, path=where or spec)
        data = part["genome"]
    return from_json(data, where)


def _fields(kind: type, data: Any, where: object, optional: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a dataclass; a missing or unknown key is an InputError."""
    if not isinstance(data, Mapping):
        raise InputError("is not an object", _HINT, path=where, key=kind.__name__.lower())
    names = [field.name for field in fields(kind)]
    for key in data:
        if key not in names:
            raise InputError("is no key of a genome", _HINT, path=where, key=str(key))
    for name in names:
        if name not in data and name not in optional:
            raise InputError("is missing", _HINT, path=where, key=name)
    return dict(optional) | dict(data)


def _check(genome: Genome, where: object) -> None:
    """Raise InputError for the first value that no network can have."""
    rules: list[tuple[str, Any, Any, str]] = [
        ("activation", genome.activation, ACTIVATIONS, "must be relu6 or relu"),
        ("stem_stride", genome.stem_stride, (1, 2), "must be 1 or 2"),
    ]
    widths = [("stem", genome.stem), *(("size", side) for side in genome.size)]
    for stage in genome.stages:
        rules += [
            ("kernel", stage.kernel, KERNELS, "must be 3, 5 or 7"),
            ("stride", stage.stride, (1, 2), "must be 1 or 2"),
            ("depth", stage.depth, range(1, 65), "must be 1..64"),
            ("expansion", stage.expansion, range(1, 17), "must be 1..16"),
        ]
        widths.append(("width", stage.width))
    rules += [(key, value, range(1, _MOST + 1), f"must be 1..{_MOST}") for key, value in widths]
    rules.append(("head", genome.head, range(_MOST + 1), f"must be 0..{_MOST}"))
    for key, value, good, message in rules:
        if type(value) not in (int, str) or value not in good:
            raise InputError(f"{value!r}: {message}", _HINT, path=where, key=key)
