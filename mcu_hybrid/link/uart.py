"""A serial port, through pyserial; says what to do where it cannot be opened."""

from __future__ import annotations

import errno
import getpass
import os
import time
from collections.abc import Sequence
from pathlib import Path

from mcu_hybrid.errors import LinkError
from mcu_hybrid.link import usb as usb_ports

# pyserial reconfigures the port whenever its timeout changes: it stays fixed, and reads add up.
_SLICE_S = 0.02  # a read ends so much late at most; shorter ones take the processor's time


def list_ports() -> list[str]:
    """The serial ports of this machine, each with its description."""
    return [f"{port.device} ({port.description})" for port in usb_ports.serial_ports()]


def find_port(usb: Sequence[tuple[int, int]], probe: str = "", interface: int = 0) -> str:
    """The console of the one board with one of these (vendor, product) ids; LinkError names all.

    Args:
        probe: serial number of the board's debug probe, "" for any.
        interface: which of the probe's serial ports is the console.
    """
    found = consoles(usb, probe, interface)
    if len(found) == 1:
        return found[0].device
    if found:
        raise LinkError(
            f"several boards are plugged in: {', '.join(named(port) for port in found)}",
            choose_hint(found),
        )
    raise no_port(usb, probe)


def consoles(
    usb: Sequence[tuple[int, int]], probe: str = "", interface: int = 0
) -> list[usb_ports.Port]:
    """The console of every board with one of these ids: the ports of one probe are one board."""
    ports = [port for port in usb_ports.serial_ports() if (port.vid, port.pid) in usb]
    groups = usb_ports.by_device([port for port in ports if same_serial(port.serial, probe)])
    return [group[min(interface, len(group) - 1)] for group in groups]


def same_serial(serial: str, wanted: str) -> bool:
    """True where ``wanted`` is "" or the serial number, leading zeros and case apart."""
    return not wanted or serial.lstrip("0").lower() == wanted.lstrip("0").lower()


def named(port: usb_ports.Port) -> str:
    """Port and probe serial, for messages."""
    return f"{port.device} (probe {port.serial})" if port.serial else port.device


def choose_hint(found: Sequence[usb_ports.Port]) -> str:
    """How to say which board is meant."""
    serial = next((port.serial for port in found if port.serial), "")
    return f"choose: --port {found[0].device}" + (f", or --probe {serial}" if serial else "")


def no_port(usb: Sequence[tuple[int, int]], probe: str = "") -> LinkError:
    """No board is plugged in, or not the one of this probe."""
    ids = ", ".join(f"{vid:04x}:{pid:04x}" for vid, pid in usb)
    there = ", ".join(named(port) for port in usb_ports.serial_ports()) or "none"
    what = f"no serial port of probe {probe}" if probe else "no serial port"
    return LinkError(
        f"{what} with the board's USB id ({ids}); ports found: {there}",
        "plug the board in, or give --port",
    )


class UartLink:
    """Opens the port exclusively on construction; raises LinkError naming the remedy."""

    def __init__(self, port: str, baud: int) -> None:
        import serial

        self.url = f"uart:{port}?baud={baud}"
        self._error = serial.SerialException
        try:
            self._serial = serial.Serial(port, baud, timeout=_SLICE_S, exclusive=True)
        except (serial.SerialException, OSError) as error:
            raise _cannot_open(port, error) from error
        except ValueError as error:
            raise LinkError(
                f"{port} cannot run at {baud} baud", "check the board's baud"
            ) from error

    def read(self, n: int, timeout: float) -> bytes:
        """Return what has arrived, at most n bytes; b"" after ``timeout`` seconds."""
        end = time.monotonic() + timeout
        try:
            while True:
                data: bytes = self._serial.read(max(1, min(n, self._serial.in_waiting)))
                if data or time.monotonic() >= end:
                    return data
        except (self._error, OSError) as error:
            raise self._broken(error) from error

    def write(self, data: bytes) -> None:
        """Send all bytes."""
        try:
            self._serial.write(data)
        except (self._error, OSError) as error:
            raise self._broken(error) from error

    def close(self) -> None:
        """Close the port."""
        self._serial.close()

    def _broken(self, error: Exception) -> LinkError:
        return LinkError(f"{self.url} broke: {error}", "is the board still plugged in?")


def _cannot_open(port: str, error: OSError) -> LinkError:
    code = error.errno or _errno_in(str(error))
    if code == errno.ENOENT:
        there = list_ports()
        found = "; ports found: " + ", ".join(there) if there else "; no serial port was found"
        return LinkError(f"there is no port {port}{found}", "plug the board in, or give --port")
    if code in (errno.EACCES, errno.EPERM):
        return LinkError(
            f"no permission to open {port}",
            f"sudo usermod -a -G {_group(port)} {getpass.getuser()}, then log out and in again",
        )
    if code in (errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK):
        return LinkError(
            f"{port} is in use by another program",
            f"close it (a terminal, another mcu-hybrid); this names it: fuser -v {port}",
        )
    return LinkError(f"cannot open {port}: {error}", "is it a serial port?")


def _errno_in(text: str) -> int:
    """pyserial puts the number of a failed lock or ioctl into its text only."""
    for code in (errno.EBUSY, errno.EAGAIN, errno.EACCES, errno.ENOENT):
        if f"[Errno {code}]" in text:
            return code
    return 0


def _group(port: str) -> str:
    import grp

    try:
        name = grp.getgrgid(os.stat(Path(port)).st_gid).gr_name
    except (OSError, KeyError):
        return "dialout"
    return "dialout" if name == "root" else name
