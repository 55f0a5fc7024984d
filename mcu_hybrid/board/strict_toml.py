"""A TOML table read key by key: a wrong, missing or unknown key is an error naming file and key.

What the keys mean is the business of ``board.py``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from mcu_hybrid.errors import BoardError

T = TypeVar("T")


class Table:
    """One TOML table read key by key; ``finish`` refuses what nobody asked for."""

    def __init__(self, data: Mapping[str, Any], path: Path, prefix: str = "") -> None:
        self.data, self.path, self.prefix = data, path, prefix
        self.seen: list[str] = []

    def error(self, key: str, message: str, hint: str = "") -> BoardError:
        return BoardError(message, hint, path=self.path, key=self.prefix + key)

    def take(self, key: str, kind: type[T], default: T | None = None) -> T:
        """The value of ``key``; without a default the key is required."""
        self.seen.append(key)
        value = self.data.get(key, default)
        if value is None:
            raise self.error(key, "the key is missing", f"add {key} = <{kind.__name__}>")
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise self.error(key, f"must be {kind.__name__}, is {value!r}")
        return value

    def positive(self, key: str, default: int | None = None) -> int:
        value = self.take(key, int, default)
        if value <= 0 and value != default:
            raise self.error(key, f"must be > 0, is {value}")
        return value

    def choice(self, key: str, allowed: Iterable[str], default: str | None = None) -> str:
        value, names = self.take(key, str, default), sorted(allowed)
        if value not in names:
            raise self.error(key, f"'{value}' is unknown", f"one of: {', '.join(names)}")
        return value

    def strings(self, key: str, default: list[str] | None = None) -> tuple[str, ...]:
        values = self.take(key, list, default)
        if not all(isinstance(value, str) for value in values):
            raise self.error(key, f"must be a list of strings, is {values!r}")
        return tuple(values)

    def table(self, key: str, default: Mapping[str, object] | None = None) -> Table:
        return Table(self.take(key, dict, default), self.path, f"{self.prefix}{key}.")

    def tables(self, key: str) -> list[Table]:
        entries = self.take(key, list, [])
        for n, entry in enumerate(entries):
            if not isinstance(entry, dict):
                raise self.error(f"{key}[{n}]", f"must be a table, is {entry!r}")
        return [
            Table(entry, self.path, f"{self.prefix}{key}[{n}].") for n, entry in enumerate(entries)
        ]

    def finish(self) -> None:
        for key in self.data:
            if key not in self.seen:
                raise self.error(key, "unknown key", f"known keys: {', '.join(self.seen)}")


def read(path: Path) -> Table:
    """Read one file; raises BoardError where it is not TOML."""
    try:
        return Table(tomllib.loads(path.read_text("utf-8")), path)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BoardError(
            f"not valid TOML: {error}", "see boards/ of mcu-hybrid for examples", path=path
        ) from error
