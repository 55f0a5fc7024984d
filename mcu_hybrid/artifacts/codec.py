"""Dataclass to JSON and back: exact types, no unknown key, no missing one.

Fields may be str, int, float, bool, None, Literal, dataclasses, ``tuple[X, ...]``, tuples of a
fixed length, ``Mapping[str, X]``, unions of these, and ``object`` for plain data that is somebody
else's to read. numpy has no place here: what is written is what is read back.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from mcu_hybrid.errors import ManifestError

SCHEMA = "schema"
_LEFT_OUT, _INLINED, _UNWRITTEN = "left_out", "inlined", "unwritten"
_SCALARS = (str, int, float, bool, type(None))


@dataclass(frozen=True, kw_only=True)
class Artefact:
    """A whole file, or a manifest's facts; its JSON says ``schema``, the version of its keys.

    ``step`` is the verb that makes it anew, ``file`` its name in the folder ("": the manifest).
    """

    schema: ClassVar[int] = 1
    step: ClassVar[str]
    file: ClassVar[str] = ""

    def to_json(self) -> dict[str, Any]:
        """Plain data, keys in the order of the fields."""
        return dict(to_json(self))


A = TypeVar("A")


def left_out() -> Any:
    """A field whose key is not there where its value is None."""
    return field(default=None, metadata={_LEFT_OUT: True})


def inlined() -> Any:
    """A dataclass (or None) whose keys stand among those around it, or are not there at all."""
    return field(default=None, metadata={_INLINED: True})


def always_inlined() -> Any:
    """A dataclass whose keys stand among those around it."""
    return field(metadata={_INLINED: True})


def unwritten() -> Any:
    """A field without a key: what is at hand only where the artefact was made."""
    return field(default=(), repr=False, compare=False, metadata={_UNWRITTEN: True})


def keys_of(kind: Any) -> list[Field[Any]]:
    """The fields that have a key (an inlined one: keys), of a dataclass or of its type."""
    return [one for one in fields(kind) if not one.metadata.get(_UNWRITTEN)]


def key_of(one: Field[Any]) -> str:
    """The key of a field: Python's own words get an underscore, which JSON does not need."""
    return one.name.removesuffix("_")


def is_left_out(one: Field[Any]) -> bool:
    """Whether the key is not there where the value is None."""
    return bool(one.metadata.get(_LEFT_OUT))


def is_inlined(one: Field[Any]) -> bool:
    """Whether the keys of the value stand among those around it."""
    return bool(one.metadata.get(_INLINED))


def inlined_kind(kind: Any, one: Field[Any]) -> Any:
    """The dataclass of an inlined field."""
    found = types_of(kind)[one.name]
    return next(part for part in (*get_args(found), found) if is_dataclass(part))


def may_be_missing(one: Field[Any]) -> bool:
    """Whether a file without this key is read: it has a default."""
    return one.default is not MISSING or one.default_factory is not MISSING


@cache
def types_of(kind: Any) -> Mapping[str, Any]:
    """The fields' types by their names, with the strings of annotations resolved."""
    return get_type_hints(kind)


def to_json(value: object) -> Any:
    """Plain data of a dataclass (or of what may stand in one), keys in the order of the fields.

    Raises:
        TypeError: it holds something else: a fault of ours.
    """
    if type(value) in _SCALARS:
        return value
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if not is_dataclass(value) or isinstance(value, type):
        raise TypeError(f"{value!r} ({type(value).__name__}) is no plain data")
    found: dict[str, object] = {SCHEMA: value.schema} if isinstance(value, Artefact) else {}
    for one in keys_of(value):
        inner = getattr(value, one.name)
        if is_inlined(one):
            found |= {} if inner is None else to_json(inner)
        elif inner is not None or not is_left_out(one):
            found[key_of(one)] = to_json(inner)
    return found


def from_json(kind: type[A], data: object, path: Path, again: str) -> A:
    """The dataclass that plain data describes.

    Args:
        path: where it was read, for the message.
        again: the command that makes it anew.

    Raises:
        ManifestError: a key is missing, unknown, or of another type; it names the key.
    """
    try:
        made: A = _made(kind, data, "")
        return made
    except _Wrong as wrong:
        raise ManifestError(str(wrong), f"run again: {again}", path=path, key=wrong.key) from None


def plain_to(kind: type[A], data: object) -> A:
    """The dataclass of plain data that ``to_json`` made in a file that somebody else checks."""
    made: A = _made(kind, data, "")
    return made


class _Wrong(Exception):
    """What does not fit, and the key that it stands at (``rows.0.coverage``)."""

    def __init__(self, key: str, what: str) -> None:
        super().__init__(what)
        self.key = key


def _made(kind: Any, data: object, at: str) -> Any:
    if not isinstance(data, Mapping):
        raise _Wrong(at, f"is {_told(data)}, not an object")
    rest = dict(data)
    if issubclass(kind, Artefact) and rest.pop(SCHEMA, kind.schema) != kind.schema:
        raise _Wrong(SCHEMA, f"is {data[SCHEMA]!r}, this version reads {kind.schema}")
    made = _taken(kind, rest, at)
    if rest:
        raise _Wrong(_below(at, next(iter(rest))), "is not known to this version")
    return made


def _taken(kind: Any, rest: dict[str, object], at: str) -> Any:
    """The dataclass of its keys in ``rest``, which are taken out of it."""
    values: dict[str, object] = {}
    for one in keys_of(kind):
        key = key_of(one)
        if is_inlined(one):
            inner = inlined_kind(kind, one)
            there = any(key_of(part) in rest for part in keys_of(inner))
            if there or not may_be_missing(one):
                values[one.name] = _taken(inner, rest, at)
        elif key in rest:
            values[one.name] = _read(types_of(kind)[one.name], rest.pop(key), _below(at, key))
        elif not may_be_missing(one):
            raise _Wrong(_below(at, key), "is missing")
    return kind(**values)


def _below(at: str, key: object) -> str:
    return f"{at}.{key}" if at else str(key)


def _told(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _read(kind: Any, value: object, at: str) -> Any:
    """A value of one type; raises _Wrong."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _one_of(inner, value, at)
    if origin is Literal:
        if value in inner:
            return value
    elif origin is tuple:
        return _tuple(inner, value, at)
    elif origin is not None:  # Mapping[str, X]
        if isinstance(value, Mapping):
            return {key: _read(inner[1], item, _below(at, key)) for key, item in value.items()}
    elif kind is object:
        return value
    elif is_dataclass(kind):
        return _made(kind, value, at)
    elif type(value) is kind:
        return value
    elif kind is float and type(value) is int:
        return float(value)
    raise _Wrong(at, f"is {_told(value)}, not {_name(kind)}")


def _one_of(kinds: tuple[Any, ...], value: object, at: str) -> Any:
    """The only kind that can take the value, so that what is wrong in it is told."""
    if value is None and type(None) in kinds:
        return None
    there = [kind for kind in kinds if kind is not type(None)]
    if len(there) == 1:
        return _read(there[0], value, at)
    for kind in sorted(there, key=lambda kind: kind is float):  # an int stays one
        try:
            return _read(kind, value, at)
        except _Wrong:
            continue
    raise _Wrong(at, f"is {_told(value)}, not {' or '.join(map(_name, there))}")


def _tuple(inner: tuple[Any, ...], value: object, at: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise _Wrong(at, f"is {_told(value)}, not a list")
    kinds = [inner[0]] * len(value) if inner[-1] is Ellipsis else list(inner)
    if len(kinds) != len(value):
        raise _Wrong(at, f"has {len(value)} values, not {len(kinds)}")
    pairs = zip(kinds, value, strict=True)
    return tuple(_read(kind, item, _below(at, n)) for n, (kind, item) in enumerate(pairs))


def _name(kind: Any) -> str:
    names = {str: "text", int: "an integer", float: "a number", bool: "true or false"}
    if get_origin(kind) is Literal:
        return " or ".join(map(repr, get_args(kind)))
    return names.get(kind, "an object")
