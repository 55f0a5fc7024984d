"""What goes wrong between host and board, as errors that name the layer where there is one.

When a request is given up is channel.py's; the codes are wire/messages.py's.
"""

from __future__ import annotations

from collections.abc import Sequence

from mcu_hybrid.errors import LinkTimeout, ProtocolError
from mcu_hybrid.wire.messages import MEANING, Code, Fault, Type
from mcu_hybrid.wire.payloads import ErrorFrame, FaultFrame


class DeviceError(ProtocolError):
    """The board refused a request with an error frame."""

    def __init__(self, request: Type, error: ErrorFrame, layer_names: Sequence[str] = ()) -> None:
        known = error.code in set(Code)
        meaning = MEANING[Code(error.code)] if known else "of a kind unknown to this host"
        hint = ""
        detail = f"detail {error.detail}"
        if error.code == Code.ARENA_OVERRUN:
            detail = layer_text(error.detail, layer_names) or "in a layer that is not known"
            hint = "a fault of a kernel or of the memory plan: report it with the model"
        super().__init__(
            f"the board refused {request.name}: {meaning} (code {error.code}, {detail})", hint
        )
        self.code = error.code
        self.detail = error.detail


class DeviceFault(ProtocolError):
    """The board's processor faulted; the board has restarted itself."""

    def __init__(
        self, fault: FaultFrame, layer_names: Sequence[str] = (), where: str = "outside the model"
    ) -> None:
        if fault.layer is not None:
            where = layer_text(fault.layer, layer_names)
        what = f"address 0x{fault.address:08x}"
        if fault.code == Fault.WATCHDOG:
            what = f"for {fault.address:,} ms"
        super().__init__(
            f"{fault.kind} on the board {where}, at pc 0x{fault.pc:08x}, {what}",
            "arm-none-eabi-addr2line -fe firmware.elf PC names the source line",
        )
        self.fault = fault


class Damaged(LinkTimeout):
    """Frames are damaged on their way, in either direction, again and again."""


class TooLarge(Damaged):
    """The same for a frame that a smaller one could replace; ``piece_bytes`` is smaller now."""


def layer_text(layer: int, names: Sequence[str]) -> str:
    """ "in layer 3 'conv'", or "" for a number that is none of the model's."""
    if names and layer >= len(names):
        return ""
    return f"in layer {layer}" + (f" '{names[layer]}'" if names else "")
