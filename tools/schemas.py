"""JSON schemas of what the steps write and print, made from mcu_hybrid/artifacts.

    .venv/bin/python -m tools.schemas            write docs/schemas/ and docs/json.md
    .venv/bin/python -m tools.schemas --check    exit code 1 where they are not today's

A file's schema has its name (``bench.json``), that of a manifest's facts the step's
(``bench-facts.json``), and so has what is only printed (``demo-output.json``).
"""

from __future__ import annotations

import argparse
import inspect
import json
import sys
import types
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, Literal, Union, get_args, get_origin

from mcu_hybrid import artifacts
from mcu_hybrid.artifacts.codec import (
    SCHEMA,
    Artefact,
    inlined_kind,
    is_inlined,
    is_left_out,
    key_of,
    keys_of,
    may_be_missing,
    types_of,
)

DOCS = Path(__file__).resolve().parent.parent / "docs"
FOLDER, PAGE = DOCS / "schemas", DOCS / "json.md"
DRAFT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]
_PAGE = """# JSON: what the steps write and print

Every step's result is a frozen dataclass in `mcu_hybrid/artifacts`. Its JSON says `schema`, the
version of its keys; a key is renamed or taken away only with a new version. What a verb prints with
`--json` has the same keys, and `out` beside them where it wrote a folder. A file is refused by name
where a key is missing, unknown or of another type, with the command that makes it anew.

| where | what | schema | JSON Schema |
|---|---|---:|---|
"""
_SCALARS: Mapping[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
}


def kinds() -> Iterator[type[Artefact]]:
    """Every artefact, by the names of their modules."""
    for module in sorted(info.name for info in iter_modules(artifacts.__path__)):
        found = import_module(f"mcu_hybrid.artifacts.{module}")
        for kind in vars(found).values():
            is_ours = isinstance(kind, type) and kind.__module__ == found.__name__
            if is_ours and issubclass(kind, Artefact) and hasattr(kind, "step"):
                yield kind


def name_of(kind: type[Artefact]) -> str:
    """The schema's file."""
    return kind.file or f"{kind.step}-{'facts' if _is_facts(kind) else 'output'}.json"


def _is_facts(kind: type[Artefact]) -> bool:
    return kind.__name__.endswith("Facts")


def _place(kind: type[Artefact]) -> str:
    if kind.file:
        return f"`{kind.file}` in the folder of `{kind.step}`"
    if _is_facts(kind):
        return f"`facts` in the `manifest.json` of `{kind.step}`"
    return f"what `mcu-hybrid {kind.step} --json` prints"


def page() -> str:
    """The documentation's page: where each artefact is found, and its schema."""
    rows = [
        f"| {_place(kind)} | {_told(kind).splitlines()[0]} | {kind.schema} "
        f"| [{name_of(kind)}](schemas/{name_of(kind)}) |"
        for kind in kinds()
    ]
    return _PAGE + "\n".join(rows) + "\n"


def schema_of(kind: type[Artefact]) -> Schema:
    """The JSON schema of an artefact; nested dataclasses are its ``$defs``."""
    defs: dict[str, Schema] = {}
    body = _object(kind, defs)
    body["properties"] = {SCHEMA: {"const": kind.schema}} | body["properties"]
    head = {"$schema": DRAFT, "title": kind.__name__, "description": _told(kind)}
    return head | body | ({"$defs": dict(sorted(defs.items()))} if defs else {})


def _told(kind: Any) -> str:
    return inspect.cleandoc(kind.__doc__ or "").replace("``", "")


def _object(kind: Any, defs: dict[str, Schema]) -> Schema:
    properties: dict[str, Schema] = {}
    required: list[str] = []
    _add(kind, properties, required, defs)
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _add(
    kind: Any, properties: dict[str, Schema], required: list[str], defs: dict[str, Schema]
) -> None:
    """The keys of a dataclass, those of its inlined ones among them."""
    for one in keys_of(kind):
        if is_inlined(one):
            sometimes = may_be_missing(one)
            _add(inlined_kind(kind, one), properties, [] if sometimes else required, defs)
            continue
        properties[key_of(one)] = _schema(types_of(kind)[one.name], defs, is_left_out(one))
        if not may_be_missing(one):
            required.append(key_of(one))


def _schema(kind: Any, defs: dict[str, Schema], never_null: bool = False) -> Schema:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        parts = [part for part in inner if not (never_null and part is type(None))]
        made = [_schema(part, defs) for part in parts]
        return made[0] if len(made) == 1 else _any_of(made)
    if origin is Literal:
        return {"enum": list(inner)}
    if origin is tuple:
        if inner[-1] is Ellipsis:
            return {"type": "array", "items": _schema(inner[0], defs)}
        return {"type": "array", "prefixItems": [_schema(part, defs) for part in inner]}
    if origin is not None:
        return {"type": "object", "additionalProperties": _schema(inner[1], defs)}
    if is_dataclass(kind):
        name = kind.__name__
        if name not in defs:
            defs[name] = {}
            defs[name] = {"description": _told(kind), **_object(kind, defs)}
        return {"$ref": f"#/$defs/{name}"}
    return {"type": _SCALARS[kind]} if kind in _SCALARS else {}


def _any_of(made: list[Schema]) -> Schema:
    """Plain types as one list, as most readers like it."""
    if all(set(part) == {"type"} and isinstance(part["type"], str) for part in made):
        return {"type": [part["type"] for part in made]}
    return {"anyOf": made}


def texts() -> dict[str, str]:
    """File name -> content, of all schemas."""
    return {name_of(kind): json.dumps(schema_of(kind), indent=1) + "\n" for kind in kinds()}


def is_current() -> bool:
    """Whether the files are what the dataclasses say."""
    there = {path.name: path.read_text("utf-8") for path in FOLDER.glob("*.json")}
    return there == texts() and PAGE.is_file() and PAGE.read_text("utf-8") == page()


def main() -> int:
    """Write the schemas, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    made = texts()
    if parser.parse_args().check:
        return int(not is_current())
    PAGE.write_text(page(), "utf-8")
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path in FOLDER.glob("*.json"):
        path.unlink()
    for name, text in made.items():
        (FOLDER / name).write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
