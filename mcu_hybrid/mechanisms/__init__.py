"""The one registry of mechanisms: the files of this folder, then those of plug-ins.

A plug-in's file (mcu_hybrid/plugins.py: ``mechanisms/x.py``) declares MECHANISM as the files here
do, and has the C function beside it in ``x.c``. ``none`` is no mechanism: it always keeps, and is
the number 0 of wire, firmware and metadata.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from mcu_hybrid import plugins
from mcu_hybrid.errors import InputError
from mcu_hybrid.mechanisms.base import Mechanism

NONE, NONE_ID = "none", 0
ROOM, _DECLARED = "mechanisms", "MECHANISM"
_BUILT_IN = tuple(
    getattr(importlib.import_module(f"{__name__}.{module.name}"), _DECLARED)
    for module in pkgutil.iter_modules(__path__)
    if module.name != "base"
)


def every() -> tuple[Mechanism, ...]:
    """All mechanisms by their ids; raises InputError where two of them cannot be together."""
    return tuple(_known(plugins.stamp()))


def of_logits() -> tuple[Mechanism, ...]:
    """Those whose scores the layer behind the logits computes, in the order of its scores."""
    return tuple(one for one in every() if one.scope == "logits")


def of_model() -> Mechanism:
    """The one whose score is an output of the model's own layers."""
    return next(one for one in every() if one.scope == "model")


def c_files() -> dict[str, Path]:
    """C function -> its file, of the scores of the logits that plug-ins add, in their order."""
    known = _known(plugins.stamp())
    return {one.c_function: path for one, path in known.items() if path is not None}


def by_name(name: str) -> Mechanism:
    """The mechanism of this name; raises InputError where there is none."""
    for one in every():
        if one.name == name:
            return one
    raise InputError(f"no router '{name}'", f"one of: {', '.join((NONE, *names()))}", key="router")


def names() -> tuple[str, ...]:
    """The names of all mechanisms."""
    return tuple(one.name for one in every())


def router_id(name: str) -> int:
    """The number that the firmware knows a router by; raises InputError for an unknown name."""
    return NONE_ID if name == NONE else by_name(name).id


def router_name(number: int) -> str:
    """The inverse of ``router_id``; raises InputError for an unknown number."""
    found = names_by_id().get(number)
    if found is not None:
        return found
    raise InputError(
        f"no router has the number {number}",
        f"load the plug-in that declares it: {plugins.VARIABLE}=FOLDER",
        key="router",
    )


def names_by_id() -> dict[int, str]:
    """Number -> name, none ahead of the mechanisms."""
    return {NONE_ID: NONE} | {one.id: one.name for one in every()}


@lru_cache(maxsize=1)
def _known(stamp: tuple[str, ...]) -> dict[Mechanism, Path | None]:
    """Mechanism -> the file of its C function (None of ours), by their ids."""
    found: dict[Mechanism, Path | None] = dict.fromkeys(sorted(_BUILT_IN, key=lambda one: one.id))
    for path, one in sorted(_added(), key=lambda entry: entry[1].id):
        beside = path.with_suffix(".c")
        refused = _refused(one, beside, tuple(found))
        if refused:
            raise InputError(f"its mechanism {refused[0]}", refused[1], path=path)
        found[one] = beside
    return found


def _added() -> Iterator[tuple[Path, Mechanism]]:
    """The mechanisms of plug-ins and their files; raises InputError where a file has none."""
    for path, module in plugins.modules(ROOM, f"set {_DECLARED}"):
        one = getattr(module, _DECLARED, None)
        if not isinstance(one, Mechanism):
            hint = "see mechanisms/base.py of mcu-hybrid"
            raise InputError(f"its {_DECLARED} is no Mechanism", hint, path=path)
        yield path, one


def _refused(one: Mechanism, beside: Path, others: tuple[Mechanism, ...]) -> tuple[str, str] | None:
    """Why a plug-in's mechanism cannot stand beside the others, and what to do; None: it can."""
    following = others[-1].id + 1
    if one.scope != "logits" or not one.c_function:
        return "is no score of the logits with a C function", "give it a c_function"
    if one.name in {NONE, *(other.name for other in others)}:
        return f"has the name '{one.name}' of another", "choose another name"
    if one.id != following:
        return f"has the id {one.id}", f"the next free id is {following}"
    if not beside.is_file():
        return f"has no {beside.name} beside it", f"write {one.c_function} there"
    return None


__all__ = [
    "NONE",
    "NONE_ID",
    "Mechanism",
    "by_name",
    "c_files",
    "every",
    "names",
    "names_by_id",
    "of_logits",
    "of_model",
    "router_id",
    "router_name",
]
