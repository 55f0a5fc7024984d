"""The doctor's look at plugged-in boards: serial ports, who may open them and who holds them.

On Linux the answers come from /sys and /proc; elsewhere only what pyserial tells is checked.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator
from pathlib import Path

from mcu_hybrid.board import list_boards
from mcu_hybrid.errors import McuHybridError
from mcu_hybrid.harness.doctor import Check

PROBE_VENDORS = {0x0483: "ST-LINK", 0x1366: "J-Link", 0x0D28: "CMSIS-DAP"}
UDEV_RULE = "/etc/udev/rules.d/70-mcu-hybrid.rules"


def check_ports() -> Iterator[Check]:
    """Every serial port: the board it belongs to, whether we may open it, who holds it."""
    from serial.tools import list_ports

    names = _board_names()
    ports = sorted(list_ports.comports())
    if not ports:
        yield Check("serial ports", True, "none (no board is plugged in)", "")
    for port in ports:
        board = names.get((port.vid, port.pid), "")
        label = f"{port.description}" + (f", board {board}" if board else "")
        yield check_port(port.device, label)


def check_port(device: str, label: str) -> Check:
    """One port: permission first, then whether another program has it open."""
    name = f"port {device}"
    if not os.access(device, os.R_OK | os.W_OK):
        fix = f"sudo usermod -a -G {_group(device)} {getpass.getuser()}, then log out and in again"
        return Check(name, False, f"{label}: no permission", fix)
    holders = list(_holders(device))
    if holders:
        who = ", ".join(f"{program} (pid {pid})" for pid, program in holders)
        fix = f"close it, or: kill {' '.join(str(pid) for pid, _ in holders)}"
        return Check(name, False, f"{label}: in use by {who}", fix)
    return Check(name, True, f"{label}: free", "")


def check_probes(sysfs: Path = Path("/sys/bus/usb/devices")) -> Iterator[Check]:
    """Every debug probe on USB: whether its device file may be opened for flashing."""
    for folder in sorted(sysfs.glob("*")) if sysfs.is_dir() else []:
        vendor = _hex(folder / "idVendor")
        if vendor not in PROBE_VENDORS:
            continue
        node = "/dev/bus/usb/{:03d}/{:03d}".format(
            *(_int(folder / n) for n in ("busnum", "devnum"))
        )
        name = f"{PROBE_VENDORS[vendor]} probe"
        if os.access(node, os.R_OK | os.W_OK):
            yield Check(name, True, f"{node}: may be opened", "")
        else:
            yield Check(name, False, f"{node}: no permission", _udev_fix(vendor))


def _udev_fix(vendor: int) -> str:
    rule = f'SUBSYSTEM=="usb", ATTR{{idVendor}}=="{vendor:04x}", MODE="0660", TAG+="uaccess"'
    return (
        f"echo '{rule}' | sudo tee -a {UDEV_RULE} && sudo udevadm control --reload "
        "&& sudo udevadm trigger, then plug the board in again"
    )


def _board_names() -> dict[tuple[int, int], str]:
    """Boards by USB id; those that share an adapter are listed together."""
    names: dict[tuple[int, int], str] = {}
    try:
        boards = list_boards()
    except McuHybridError:  # a broken board file is the business of 'boards', not of the doctor
        return names
    for board in boards:
        for ids in board.console.usb:
            names[ids] = f"{names[ids]} or {board.name}" if ids in names else board.name
    return names


def _holders(device: str) -> Iterator[tuple[int, str]]:
    """(pid, program) of the processes that have the device open, as far as we may look."""
    target = os.path.realpath(device)
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.path.realpath(link) != target:
                continue
            pid = int(link.parts[2])
            yield pid, (Path("/proc") / str(pid) / "comm").read_text().strip()
        except OSError:
            continue


def _group(device: str) -> str:
    import grp

    try:
        name = grp.getgrgid(os.stat(device).st_gid).gr_name
    except (OSError, KeyError):
        return "dialout"
    return "dialout" if name == "root" else name


def _hex(path: Path) -> int:
    return _int(path, 16)


def _int(path: Path, base: int = 10) -> int:
    try:
        return int(path.read_text(), base)
    except (OSError, ValueError):
        return 0
