"""Debug probes and serial ports on USB, and which ports belong to which probe.

Ports come from pyserial; probes without a port only from Linux's /sys. Nothing is opened here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

SYSFS = Path("/sys/bus/usb/devices")
STLINK, SEGGER, ARM, RASPBERRY = 0x0483, 0x1366, 0x0D28, 0x2E8A  # USB vendor ids
# ST's vendor id is on every STM32 that has a USB socket: only these products are ST-LINKs.
STLINK_PRODUCTS = frozenset(
    (
        *(0x3744, 0x3748, 0x374A, 0x374B, 0x374D, 0x374E, 0x374F),
        *(0x3752, 0x3753, 0x3754, 0x3755, 0x3757),
    )
)
RASPBERRY_PRODUCTS = frozenset((0x0004, 0x000C))  # picoprobe, Debug Probe


@dataclass(frozen=True)
class Port:
    """A serial port; ``serial`` is its USB device's, "" where it has none."""

    device: str
    vid: int
    pid: int
    serial: str
    description: str
    place: tuple[object, ...]


@dataclass(frozen=True)
class Probe:
    """A debug probe, its serial ports in the order of its USB interfaces, and its device file."""

    kind: str
    vid: int
    pid: int
    serial: str
    ports: tuple[Port, ...]
    node: str

    @property
    def name(self) -> str:
        """Kind and serial number, for messages."""
        return f"{self.kind} {self.serial or 'without serial number'}"


def probe_kind(vid: int, pid: int, product: str = "") -> str:
    """What a USB device is as a debug probe; "" where it is none."""
    if vid == STLINK:
        return "ST-LINK" if pid in STLINK_PRODUCTS or pid == 0 else ""  # 0: not readable
    if vid == SEGGER:
        return "J-Link"
    cmsis = vid == ARM or (vid == RASPBERRY and pid in RASPBERRY_PRODUCTS)
    return "CMSIS-DAP" if cmsis or "CMSIS-DAP" in product.upper() else ""


def serial_ports() -> list[Port]:
    """All serial ports of this machine, those of one device in the order of its interfaces."""
    from serial.tools import list_ports

    ports = [
        Port(
            str(port.device),
            getattr(port, "vid", None) or 0,
            getattr(port, "pid", None) or 0,
            str(getattr(port, "serial_number", None) or ""),
            str(getattr(port, "description", None) or ""),
            (*_natural(getattr(port, "location", None) or ""), *_natural(str(port.device))),
        )
        for port in list_ports.comports()
    ]
    return sorted(ports, key=lambda port: port.place)


def by_device(ports: Sequence[Port]) -> list[list[Port]]:
    """The ports in groups of one USB device each; a port without serial number is on its own."""
    groups: dict[tuple[object, ...], list[Port]] = {}
    for port in ports:
        key = (port.vid, port.pid, port.serial) if port.serial else (port.device,)
        groups.setdefault(key, []).append(port)
    return list(groups.values())


def port_named(device: str) -> Port | None:
    """The port of this device file, or of the one that a link such as /dev/serial/by-id/* names."""
    wanted = {device, os.path.realpath(device)}
    return next((port for port in serial_ports() if port.device in wanted), None)


def probes(sysfs: Path | None = None) -> list[Probe]:
    """All debug probes: from /sys where there is one, and by the serial ports they bring."""
    groups = by_device(serial_ports())
    found: list[Probe] = []
    for vid, pid, serial, product, node in _usb_devices(sysfs or SYSFS):
        kind = probe_kind(vid, pid, product)
        if kind:
            mine = (g for g in groups if (g[0].vid, g[0].pid, g[0].serial) == (vid, pid, serial))
            found.append(Probe(kind, vid, pid, serial, tuple(next(mine, ())), node))
    seen = {(probe.vid, probe.pid, probe.serial) for probe in found}
    for group in groups:
        first = group[0]
        kind = probe_kind(first.vid, first.pid, first.description)
        if kind and (first.vid, first.pid, first.serial) not in seen:
            found.append(Probe(kind, first.vid, first.pid, first.serial, tuple(group), ""))
    return sorted(found, key=lambda probe: (probe.kind, probe.serial))


def _usb_devices(sysfs: Path) -> Iterator[tuple[int, int, str, str, str]]:
    """(vendor, product, serial, name, device file) of what is on USB."""
    for folder in sorted(sysfs.glob("*")) if sysfs.is_dir() else []:
        vendor = _number(folder / "idVendor", 16)
        if vendor:
            node = "/dev/bus/usb/{:03d}/{:03d}".format(
                *(_number(folder / name, 10) for name in ("busnum", "devnum"))
            )
            texts = (_text(folder / "serial"), _text(folder / "product"))
            yield vendor, _number(folder / "idProduct", 16), *texts, node


def _natural(text: str) -> tuple[object, ...]:
    """For sorting: ttyACM10 comes after ttyACM9."""
    parts = re.split(r"(\d+)", text)
    return tuple((1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""


def _number(path: Path, base: int) -> int:
    try:
        return int(_text(path), base)
    except ValueError:
        return 0
