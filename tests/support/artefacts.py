"""An example of every artefact, made from its types; for tests that need any one of a kind."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from mcu_hybrid.artifacts.bench import BenchFacts, BenchResult
from mcu_hybrid.artifacts.build import BuildFacts, Plan
from mcu_hybrid.artifacts.codec import Artefact, keys_of, types_of
from mcu_hybrid.artifacts.demo import DemoOutput
from mcu_hybrid.artifacts.export import Agreement, ExportFacts
from mcu_hybrid.artifacts.run import RunFacts, RunResult
from mcu_hybrid.artifacts.search import SearchResult
from mcu_hybrid.artifacts.train import History, TrainFacts
from mcu_hybrid.artifacts.tune import TuneFacts, TuneResult

KINDS: tuple[type[Artefact], ...] = (
    TrainFacts,
    History,
    ExportFacts,
    Agreement,
    BuildFacts,
    Plan,
    BenchFacts,
    BenchResult,
    RunFacts,
    RunResult,
    TuneFacts,
    TuneResult,
    SearchResult,
    DemoOutput,
)
_SCALARS: Mapping[Any, Any] = {str: "text", int: 3, float: 0.5, bool: True, object: {"a": [1]}}
T = TypeVar("T")


def example(kind: type[T], **values: Any) -> T:
    """One with every field set: the first kind of a union, one item in a list."""
    found = {one.name: _value(types_of(kind)[one.name]) for one in keys_of(kind)}
    return kind(**found | values)


def _value(kind: Any) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _value(inner[0])
    if origin is Literal:
        return inner[0]
    if origin is tuple:
        return tuple(_value(part) for part in inner if part is not Ellipsis)
    if origin is not None:
        return {"key": _value(inner[1])}
    return example(kind) if is_dataclass(kind) else _SCALARS[kind]
