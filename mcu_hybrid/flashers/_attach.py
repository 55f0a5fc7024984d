"""How a flashing tool gets at the chip: data only; what the tools make of it is in their files."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Attach:
    """How a tool gets at the chip; by default the only probe, and a chip that runs.

    Args:
        probe: serial number of the debug probe.
        under_reset: hold the chip in reset meanwhile, where its firmware shuts the debugger out.
        recover: first open a locked chip, which erases all of it.
    """

    probe: str = ""
    under_reset: bool = False
    recover: bool = False


DEFAULT_ATTACH = Attach()
