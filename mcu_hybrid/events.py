"""How the library tells what it is doing: it calls back, and only the CLI prints.

The types of the callbacks, each defined once. Results are no events: they are returned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

OnEvent = Callable[[str, int, int], None]  # (what is done, steps done, steps in all)
OnTold = Callable[[str, Mapping[str, Any]], None]  # ("data" or "epoch", figures)
