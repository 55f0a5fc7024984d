"""The operators that the engine runs, found by their files: one ``ops/x.py`` each.

To add one: write ops/<name>.py, which ends with an ``Operator`` (see ops/base.py), and its kernel
kernels/ref/<name>_s8.c. Nothing here lists it. A user's own lies in a folder of his (plugins.py):
ops/<name>.py, and kernels/<name>_s8.c with the header <name>_s8.h that declares it.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache, wraps
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from mcu_hybrid import plugins
from mcu_hybrid.errors import InputError, McuHybridError, UnsupportedOp
from mcu_hybrid.graph.types import Op
from mcu_hybrid.ops.base import Operator, Traits

# What runs when the file of a model is read already, and no fault of it can be meant.
_RUN_LATER = ("reference", "lower", "ties", "macs", "scratch_bytes", "inplace")


def known() -> Mapping[str, Operator[Any]]:
    """All operators, by kind.

    Raises:
        InputError: a file of the user's cannot be loaded, or serves what another one serves.
    """
    return _known(plugins.stamp())


def operator(kind: str) -> Operator[Any]:
    """Return the operator of this kind; raises UnsupportedOp."""
    try:
        return known()[kind]
    except KeyError:
        raise UnsupportedOp(
            f"operator {kind} is not supported",
            f"replace it in the network and export again; supported: {', '.join(sorted(known()))}",
        ) from None


def traits(op: Op[Any]) -> Traits:
    """What may be known of an operator of a graph."""
    return operator(op.kind).traits


@lru_cache(maxsize=1)
def _known(stamp: tuple[str, ...]) -> Mapping[str, Operator[Any]]:
    found: dict[str, Operator[Any]] = {}
    for file in pkgutil.iter_modules(__path__, f"{__name__}."):
        found.update(_operators(import_module(file.name)))
    for path, module in plugins.modules("ops", "end with KIND = Operator(...)"):
        own = _operators(module)
        if not own:
            raise InputError(
                "holds no Operator",
                "end the file with KIND = Operator(...), as mcu_hybrid/ops/tanh.py does",
                path=path,
            )
        for kind, made in own.items():
            if found.get(kind) is made:
                continue  # one of ours that the file imports
            if kind in found:
                raise InputError(
                    f"serves {kind}, which another file serves already",
                    "take the file away, or give its operator another kind",
                    path=path,
                )
            told: dict[str, Any] = {n: _told(path, getattr(made, n)) for n in _RUN_LATER}
            found[kind] = replace(made, **told)
    return found


def _told(path: Path, function: Callable[..., Any]) -> Callable[..., Any]:
    """The user's function; what it raises by a fault of its own names its file."""

    @wraps(function)
    def run(*args: Any) -> Any:
        try:
            return function(*args)
        except McuHybridError:
            raise
        except Exception as error:
            raise InputError(
                f"{function.__name__} fails: {type(error).__name__}: {error}",
                "mend the operator's file; -v says what led to it",
                path=path,
            ) from error

    return run


def _operators(module: ModuleType) -> dict[str, Operator[Any]]:
    """The operators that a module holds, by kind."""
    return {found.kind: found for found in vars(module).values() if isinstance(found, Operator)}
