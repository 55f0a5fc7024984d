"""The JSON schemas in the docs: those of today's dataclasses, and true of what is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mcu_hybrid.artifacts.codec import Artefact
from tests.support.artefacts import KINDS, example
from tools import schemas

NAMES = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "object": dict}
NAMES |= {"array": list, "null": type(None)}


def faults(value: object, schema: dict[str, Any], defs: dict[str, Any], at: str = "") -> list[str]:
    """What of a value a schema does not allow; knows what tools/schemas.py makes."""
    if "$ref" in schema:
        schema = defs[schema["$ref"].rsplit("/", 1)[1]]
    if "anyOf" in schema:
        found = [faults(value, part, defs, at) for part in schema["anyOf"]]
        return [] if [] in found else [f"{at}: none of {len(found)}"]
    if "enum" in schema or "const" in schema:
        allowed = schema.get("enum", [schema.get("const")])
        return [] if value in allowed else [f"{at}: {value!r}"]
    kinds = schema.get("type")
    if kinds is None:
        return []
    named = kinds if isinstance(kinds, list) else [kinds]
    if not any(isinstance(value, NAMES[name]) for name in named):
        return [f"{at}: {value!r} is no {kinds}"]
    if isinstance(value, bool) and "boolean" not in named:
        return [f"{at}: {value!r} is no {kinds}"]
    if isinstance(value, dict):
        return _of_object(value, schema, defs, at)
    if isinstance(value, list):
        parts = schema.get("prefixItems") or [schema["items"]] * len(value)
        pairs = enumerate(zip(value, parts, strict=True))
        return [f for n, (item, part) in pairs for f in faults(item, part, defs, f"{at}.{n}")]
    return []


def _of_object(value: dict, schema: dict, defs: dict, at: str) -> list[str]:
    known, more = schema.get("properties", {}), schema.get("additionalProperties", {})
    found = [f"{at}.{key} is missing" for key in schema.get("required", ()) if key not in value]
    for key, item in value.items():
        part = known.get(key, more)
        found += (
            [f"{at}.{key} unknown"] if part is False else faults(item, part, defs, f"{at}.{key}")
        )
    return found


def test_the_docs_have_todays_schemas() -> None:
    assert schemas.is_current(), "write them: python -m tools.schemas"


def test_every_artefact_has_a_schema_of_its_own() -> None:
    found = list(schemas.kinds())
    names = [schemas.name_of(kind) for kind in found]
    assert len(set(names)) == len(names) >= 15 and set(KINDS) <= set(found)


@pytest.mark.parametrize("kind", list(schemas.kinds()), ids=schemas.name_of)
def test_a_schema_is_true_of_what_is_written(kind: type[Artefact]) -> None:
    schema = schemas.schema_of(kind)
    data = example(kind).to_json()
    defs = schema.get("$defs", {})
    assert faults(data, schema, defs) == []
    key = schema["required"][0]
    assert faults({k: v for k, v in data.items() if k != key}, schema, defs)
    assert faults(data | {"more": 1}, schema, defs) == [".more unknown"]
    assert faults(data | {"schema": 99}, schema, defs) == [".schema: 99"]


def test_the_page_names_every_schema(root: Path) -> None:
    page = (root / "docs" / "json.md").read_text("utf-8")
    for path in (root / "docs" / "schemas").glob("*.json"):
        assert f"(schemas/{path.name})" in page
