"""Artefacts: what is written is read back; what does not fit is refused by its key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest

from mcu_hybrid import manifest
from mcu_hybrid.artifacts import store
from mcu_hybrid.artifacts.codec import Artefact, from_json, inlined, left_out, to_json
from mcu_hybrid.errors import ManifestError


@dataclass(frozen=True, kw_only=True)
class Inner:
    """Keys that stand among those around them."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Thing(Artefact):
    """One of everything."""

    schema: ClassVar[int] = 3
    step: ClassVar[str] = "train"
    file: ClassVar[str] = "thing.json"

    name: str
    count: int | None
    share: float
    global_: bool
    pair: tuple[float, float]
    rows: tuple[Inner, ...]
    by_name: Mapping[str, tuple[int, ...]]
    kind: Literal["a", "b"] | None
    mixed: Mapping[str, str | int | float | bool]
    range: Inner | None = inlined()
    note: str | None = left_out()
    old: int = 7


def thing(**changes: Any) -> Thing:
    whole: dict[str, Any] = {
        "name": "x",
        "count": None,
        "share": 0.5,
        "global_": True,
        "pair": (1.0, 2.0),
        "rows": (Inner(low=0.0, high=1.0),),
        "by_name": {"k": (1, 2)},
        "kind": "a",
        "mixed": {"a": 1, "b": 1.0, "c": True, "d": "1"},
    }
    return Thing(**whole | changes)


def back(data: object) -> Thing:
    return from_json(Thing, data, Path("thing.json"), "mcu-hybrid train")


@pytest.mark.parametrize(
    "value",
    [thing(), thing(range=Inner(low=1.0, high=2.0), note="n", count=3, kind=None, rows=())],
)
def test_what_is_written_is_read_back_with_its_types(value: Thing) -> None:
    text = json.dumps(to_json(value))
    again = back(json.loads(text))
    assert again == value and json.dumps(to_json(again)) == text
    kinds = {key: type(item) for key, item in again.mixed.items()}
    assert kinds == {"a": int, "b": float, "c": bool, "d": str}


def test_keys_are_the_fields_in_their_order() -> None:
    data = to_json(thing(range=Inner(low=1.0, high=2.0)))
    assert list(data)[:6] == ["schema", "name", "count", "share", "global", "pair"]
    assert data["schema"] == 3 and data["low"] == 1.0 and "range" not in data
    assert "note" not in data and "low" not in to_json(thing())


def test_a_file_of_version_0_1_says_no_schema_and_may_lack_what_has_a_default() -> None:
    data = to_json(thing())
    del data["schema"], data["old"]
    assert back(data) == thing()


@pytest.mark.parametrize(
    ("change", "key", "fact"),
    [
        ({"schema": 4}, "schema", "is 4, this version reads 3"),
        ({"name": 1}, "name", "is 1, not text"),
        ({"count": 1.5}, "count", "is 1.5, not an integer"),
        ({"count": True}, "count", "is True, not an integer"),
        ({"share": "0.5"}, "share", "is '0.5', not a number"),
        ({"share": None}, "share", "is None, not a number"),
        ({"pair": [1.0]}, "pair", "has 1 values, not 2"),
        ({"rows": {}}, "rows", "is {}, not a list"),
        ({"rows": [{"low": 1.0}]}, "rows.0.high", "is missing"),
        ({"rows": [{"low": 1.0, "high": 2.0, "mid": 3.0}]}, "rows.0.mid", "is not known"),
        ({"by_name": {"k": [1, "2"]}}, "by_name.k.1", "is '2', not an integer"),
        ({"kind": "c"}, "kind", "is 'c', not 'a' or 'b'"),
        ({"mixed": {"a": []}}, "mixed.a", "not text or an integer or a number or true or false"),
        ({"low": 1.0}, "high", "is missing"),
        ({"range": None}, "range", "is not known to this version"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_key(change: Any, key: str, fact: str) -> None:
    with pytest.raises(ManifestError) as told:
        back(to_json(thing()) | change)
    assert told.value.key == key and fact in told.value.message
    assert str(told.value.path) == "thing.json"
    assert told.value.hint == "run again: mcu-hybrid train"


@pytest.mark.parametrize("data", [None, [], "text", 3])
def test_what_is_no_object_is_refused(data: object) -> None:
    with pytest.raises(ManifestError, match="not an object"):
        back(data)


@pytest.mark.parametrize("value", [np.float32(1), np.int64(1), np.zeros(2), {1}, Path("x")])
def test_what_json_has_no_word_for_is_a_fault_of_ours(value: object) -> None:
    with pytest.raises(TypeError, match="no plain data"):
        to_json(thing(share=value))


def test_facts_and_results_of_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "train"
    with manifest.writing(folder, "train") as draft:
        draft.facts.update(to_json(thing()))
        store.write(thing(count=1), draft.folder)
    assert store.facts(Thing, folder) == thing()
    assert store.result(Thing, folder) == thing(count=1)
    (folder / "thing.json").write_text("[]")
    with pytest.raises(ManifestError, match="is no result"):
        store.result(Thing, folder)
    (folder / "thing.json").write_text("{")
    with pytest.raises(ManifestError, match="cannot be read"):
        store.result(Thing, folder)


def test_every_field_of_every_artefact_is_of_a_kind_that_is_read() -> None:
    """A type that the codec does not know would be refused at the first file, not here."""
    from tests.support.artefacts import KINDS, example

    for kind in KINDS:
        made = example(kind)
        assert from_json(kind, json.loads(json.dumps(to_json(made))), Path(), "x") == made
        assert {one.name for one in fields(made)}
