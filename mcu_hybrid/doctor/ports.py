"""The doctor's look at plugged-in boards: probes, ports, boards, who may open and who holds them.

On Linux the answers come from /sys and /proc; elsewhere only what pyserial tells is checked.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator
from pathlib import Path

from mcu_hybrid.board.load import list_boards
from mcu_hybrid.doctor.checks import Check
from mcu_hybrid.errors import McuHybridError
from mcu_hybrid.link import usb

UDEV_RULE = "/etc/udev/rules.d/70-mcu-hybrid.rules"


def check_ports() -> Iterator[Check]:
    """Every serial port on USB: its probe and board, whether we may open it, who holds it."""
    names = board_names()
    ports = [port for port in usb.serial_ports() if port.vid or port.description not in ("", "n/a")]
    if not ports:
        yield Check("serial ports", True, "none (no board is plugged in)", "")
    for port in ports:
        kind = usb.probe_kind(port.vid, port.pid, port.description)
        label = port.description
        label += f", {kind} {port.serial}".rstrip() if kind else ""
        board = names.get((port.vid, port.pid), "")
        yield check_port(port.device, label + (f", board {board}" if board else ""))


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


def check_probes(sysfs: Path = usb.SYSFS) -> Iterator[Check]:
    """Every debug probe: its serial number, its ports, its board, and whether it may be opened."""
    names, seen = board_names(), set[str]()
    for probe in usb.probes(sysfs):
        name = f"{probe.kind} probe {probe.serial}".rstrip()
        name += f" ({probe.node})" if name in seen else ""
        seen.add(name)
        board = names.get((probe.vid, probe.pid), "") if probe.ports or probe.pid else ""
        port = ", ".join(port.device for port in probe.ports) or "no serial port"
        about = f"{port}, board {board or 'unknown'}"
        if not probe.node:
            yield Check(name, True, about, "")
        elif os.access(probe.node, os.R_OK | os.W_OK):
            yield Check(name, True, f"{about}; {probe.node}: may be opened", "")
        else:
            found = f"{about}; {probe.node}: no permission"
            yield Check(name, False, found, _udev_fix(probe.vid))


def _udev_fix(vendor: int) -> str:
    rule = f'SUBSYSTEM=="usb", ATTR{{idVendor}}=="{vendor:04x}", MODE="0660", TAG+="uaccess"'
    return (
        f"echo '{rule}' | sudo tee -a {UDEV_RULE} && sudo udevadm control --reload "
        "&& sudo udevadm trigger, then plug the board in again"
    )


def board_names() -> dict[tuple[int, int], str]:
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
