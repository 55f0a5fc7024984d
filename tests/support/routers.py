"""The built-in routers' numbers by their names, as wire and firmware know them (no tests)."""

from __future__ import annotations

from enum import IntEnum

from mcu_hybrid import mechanisms

Router = IntEnum(  # type: ignore[misc]
    "Router",
    {"NONE": mechanisms.NONE_ID}
    | {one.name.upper().replace("-", "_"): one.id for one in mechanisms.every()},
)
SIMPLE = tuple(one.name for one in mechanisms.of_logits())
