"""Is what runs on a board the build, byte for byte, and does it compute as it should?

A build id says what was flashed, not what is in the flash today. Asked by ``flash``, and at the
start of whatever measures or answers with a board.
"""

from __future__ import annotations

from mcu_hybrid.device.client import Device
from mcu_hybrid.errors import ProtocolError
from mcu_hybrid.image.parts import image_parts
from mcu_hybrid.steps.build import Build

# A known answer takes an inference: asked for where that is a matter of seconds on any board, with
# the reference kernels, too (tens of instructions a MAC).
QUICK_MACS = 5_000_000
_FLASH_AGAIN = "flash it again: mcu-hybrid flash DIR; where it comes back, the flash is worn out"


def require_sound(build: Build, device: Device) -> None:
    """Compare the board's flash with the build, and its known answers with what they should be.

    The device knows the layers' names from then on.

    Raises:
        ProtocolError: a byte differs, or an answer does.
    """
    rows = build.facts.layers
    device.name_layers([row.name for row in rows], [row.macs for row in rows])
    for part in image_parts(build.image.elf, build.board):
        found = device.image_crc(part.address, part.bytes)
        if found != part.crc32:
            raise ProtocolError(
                f"the flash of {build.board.name} differs from build {build.image.build_id} within "
                f"0x{part.address:08x}..0x{part.address + part.bytes:08x} (crc32 {found:08x}, "
                f"built {part.crc32:08x})",
                _FLASH_AGAIN,
            )
    if device.hello().init_status == 0 and build.facts.macs <= QUICK_MACS:
        answers = device.self_test()
        if answers.first_failing is not None:
            raise ProtocolError(
                f"{build.board.name} passes {answers.passed} of {answers.total} known answers of "
                f"build {build.image.build_id}; first wrong: {answers.first_failing}",
                _FLASH_AGAIN,
            )
