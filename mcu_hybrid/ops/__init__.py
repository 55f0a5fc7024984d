"""The operators that the engine runs, found by their files: one ``ops/x.py`` each.

To add one: write ops/<name>.py, which ends with an ``Operator`` (see ops/base.py), and its kernel
kernels/ref/<name>_s8.c. Nothing here lists it.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from types import ModuleType
from typing import Any

from mcu_hybrid.errors import UnsupportedOp
from mcu_hybrid.graph.types import Op
from mcu_hybrid.ops.base import Operator, Traits


def _operators(module: ModuleType) -> dict[str, Operator[Any]]:
    """The operators that a module holds, by kind."""
    return {found.kind: found for found in vars(module).values() if isinstance(found, Operator)}


OPS: dict[str, Operator[Any]] = {}
for _file in pkgutil.iter_modules(__path__, f"{__name__}."):
    OPS.update(_operators(import_module(_file.name)))


def operator(kind: str) -> Operator[Any]:
    """Return the operator of this kind; raises UnsupportedOp."""
    try:
        return OPS[kind]
    except KeyError:
        raise UnsupportedOp(
            f"operator {kind} is not supported",
            f"replace it in the network and export again; supported: {', '.join(sorted(OPS))}",
        ) from None


def traits(op: Op[Any]) -> Traits:
    """What may be known of an operator of a graph."""
    return operator(op.kind).traits
