"""A virtual board whose host has others waiting: it is busy, not absent."""

from __future__ import annotations

import contextlib
import socket

import pytest

from mcu_hybrid.errors import LinkError
from mcu_hybrid.link import tcp


def test_a_listener_with_a_full_queue_is_not_said_to_be_absent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tcp, "_CONNECT_TIMEOUT_S", 0.2)
    with contextlib.ExitStack() as stack:
        busy = stack.enter_context(socket.socket())
        busy.bind(("127.0.0.1", 0))
        busy.listen(0)
        for _ in range(3):  # none is accepted
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(busy.getsockname())
        with pytest.raises(LinkError) as caught:
            tcp.TcpLink("127.0.0.1", busy.getsockname()[1])
    assert "takes no connection" in caught.value.message
    assert "another program" in caught.value.hint and "flash" not in caught.value.hint


def test_where_nobody_listens_the_board_is_to_be_started() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(LinkError, match=r"nothing answers at[\s\S]*mcu-hybrid flash"):
        tcp.TcpLink("127.0.0.1", port)
