"""How the library tells what it is doing: it calls back, and only the CLI prints.

Results are no events: they are returned.
"""

from __future__ import annotations

from collections.abc import Callable

OnEvent = Callable[[str, int, int], None]  # (what is done, steps done, steps in all)
