"""Fronts put a Service on a wire: each is a file of this folder that ends with its ``FRONT``.

``front(name)`` is the way in; a front's own packages are imported then, and not before.
"""

from __future__ import annotations

from importlib import import_module

from mcu_hybrid.cloud.fronts.base import Front, Listen
from mcu_hybrid.errors import InputError

__all__ = ["FRONTS", "Front", "Listen", "front"]

FRONTS = ("http",)


def front(name: str) -> Front:
    """The front of this name; raises InputError where there is none."""
    if name not in FRONTS:
        raise InputError(f"no front '{name}'", f"one of: {', '.join(FRONTS)}")
    found: Front = import_module(f"{__name__}.{name}").FRONT
    return found
