"""Options of a training run from a file and from ``key=value`` texts; what they mean: config.py."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from mcu_hybrid import json_text
from mcu_hybrid.errors import InputError
from mcu_hybrid.training.config import HybridConfig, from_json, typed

Option = str | int | float | bool
_ALIASES = {"global": "global_"}  # a word of Python's
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def build_config(
    path: Path | None, given: Mapping[str, Any], settings: Sequence[str] = ()
) -> HybridConfig:
    """The defaults, then the file, then ``given``, then the settings; the later one wins.

    Args:
        path: TOML, or JSON (the "config" of a history.json, or its keys alone).
        given: options with values of their own type.
        settings: "key=value" texts.

    Raises:
        InputError: unreadable, an unknown key, a value of another type or out of its range.
    """
    values = read_file(path) if path else {}
    values |= {_ALIASES.get(key, key): value for key, value in given.items()}
    for text in settings:
        key, value = parse_setting(text)
        values[key] = value
    return from_json(values)


def read_file(path: Path) -> dict[str, Option]:
    """Options of a TOML or JSON file, checked one by one; InputErrors name the file and the key."""
    try:
        text = path.read_text("utf-8")
        found = json_text.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise InputError(
            f"cannot be read: {error.strerror}", "check the path of --config", path=path
        ) from error
    except ValueError as error:  # both parsers' errors, and text that is not UTF-8
        kind = "JSON" if path.suffix == ".json" else "TOML"
        raise InputError(
            f"is not {kind}: {error}", "write lines such as: base_epochs = 20", path=path
        ) from error
    if isinstance(found, dict) and isinstance(found.get("config"), dict):
        found = found["config"]
    if not isinstance(found, dict):
        raise InputError("holds no table of options", 'write: {"base_epochs": 20}', path=path)
    values = {}
    for raw, value in found.items():
        key = _ALIASES.get(raw, raw)
        try:
            values[key] = typed(key, value)
        except InputError as error:
            raise InputError(str(error).partition("\n")[0], error.hint, path=path) from error
    return values


def parse_setting(text: str) -> tuple[str, Any]:
    """``key=value`` with the value in the option's type; raises InputError."""
    raw, found, value = text.partition("=")
    if not found:
        raise InputError(f"'{text}' is not key=value", "for example --set ema=0.995", key="--set")
    key = _ALIASES.get(raw.strip(), raw.strip())
    kinds: dict[str, type] = {f.name: type(f.default) for f in fields(HybridConfig)}
    return key, typed(key, _parse(value.strip(), kinds.get(key, str)))


def _parse(text: str, kind: type) -> Any:
    """The text as a value of this kind, or the text itself where it is none."""
    try:
        if kind is bool:
            return _TRUTH[text.lower()]
        return int(text) if kind is int else float(text) if kind is float else text
    except (KeyError, ValueError):
        return text
