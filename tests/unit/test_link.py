"""Links: URLs, and what a user reads where a port cannot be opened."""

from __future__ import annotations

import errno
import os
import socket
import threading

import pytest
import serial

from mcu_hybrid.errors import LinkError
from mcu_hybrid.link import MemoryLink, open_link
from mcu_hybrid.link import uart as uart_module


@pytest.mark.parametrize(
    "url", ["", "uart:", "socket:127.0.0.1:1", "tcp://x:1", "child:", "/dev/ttyACM0"]
)
def test_unknown_forms_are_explained(url: str) -> None:
    with pytest.raises(LinkError, match=r"is not a link\n.*uart:/dev/ttyACM0\?baud=921600"):
        open_link(url)


@pytest.mark.parametrize("url", ["uart:/dev/x?baud=fast", "socket://127.0.0.1:", "socket://h:p"])
def test_numbers_are_checked(url: str) -> None:
    with pytest.raises(LinkError, match="is not a number"):
        open_link(url)


def test_no_such_port_lists_those_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uart_module, "list_ports", lambda: ["/dev/ttyACM1 (ST-Link)"])
    with pytest.raises(LinkError, match=r"no port /dev/nothing; .*ttyACM1 \(ST-Link\)"):
        open_link("uart:/dev/nothing")
    monkeypatch.setattr(uart_module, "list_ports", list)
    with pytest.raises(LinkError, match="no serial port was found"):
        open_link("uart:/dev/nothing")


def test_permission_names_the_group_and_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise serial.SerialException(errno.EACCES, "could not open port: Permission denied")

    monkeypatch.setattr(serial, "Serial", refuse)
    monkeypatch.setattr(uart_module.getpass, "getuser", lambda: "ada")
    with pytest.raises(LinkError, match="no permission") as refused:
        open_link("uart:/dev/ttyACM0")
    assert "sudo usermod -a -G dialout ada" in refused.value.hint


@pytest.fixture
def terminal() -> tuple[int, str]:
    """A pseudo-terminal: our end, and the name of the other."""
    ours, theirs = os.openpty()
    name = os.ttyname(theirs)
    yield ours, name  # type: ignore[misc]
    os.close(ours)
    os.close(theirs)


def test_uart_carries_all_bytes_both_ways(terminal: tuple[int, str]) -> None:
    ours, name = terminal
    every = bytes(range(256))
    link = open_link(f"uart:{name}?baud=115200")
    link.write(every)
    got = b""
    while len(got) < len(every):
        got += os.read(ours, 999)
    assert got == every
    os.write(ours, every)
    back = b""
    while len(back) < len(every):
        part = link.read(100, 1.0)
        assert 0 < len(part) <= 100
        back += part
    assert back == every and link.read(1, 0.01) == b""
    link.close()


def test_a_port_in_use_is_named(terminal: tuple[int, str]) -> None:
    _, name = terminal
    first = open_link(f"uart:{name}")
    try:
        with pytest.raises(LinkError, match=r"in use by another program\n.*fuser -v"):
            open_link(f"uart:{name}")
    finally:
        first.close()


def test_a_socket_that_closes_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def serve() -> None:
            client, _ = server.accept()
            with client:
                client.sendall(client.recv(9)[::-1])

        thread = threading.Thread(target=serve)
        thread.start()
        link = open_link(f"socket://127.0.0.1:{port}")
        assert link.read(1, 0.01) == b""
        link.write(b"abc")
        assert link.read(9, 2.0) == b"cba"
        with pytest.raises(LinkError, match="closed by the other side"):
            link.read(1, 2.0)
        link.close()
        thread.join()


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(LinkError, match=r"cannot start /nothing: No such file"):
        open_link("child:/nothing")


def test_memory_link() -> None:
    link = MemoryLink(lambda data: data.upper())
    link.write(b"abcd")
    assert (link.read(3, 0.0), link.read(3, 0.0), link.read(3, 0.0)) == (b"ABC", b"D", b"")
    link.close()
    with pytest.raises(LinkError, match="closed"):
        link.write(b"x")
