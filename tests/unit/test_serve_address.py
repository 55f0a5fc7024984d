"""Where serve cannot listen, the next step is of what does not do: the address or the port."""

from __future__ import annotations

import socket

import pytest

from mcu_hybrid.cloud.fronts.http import _bind
from mcu_hybrid.errors import CloudError


@pytest.mark.parametrize(
    ("host", "shown", "way_out"),
    [
        ("no.such.name.invalid", "no.such.name.invalid:0", "--host"),
        ("192.0.2.1", "192.0.2.1:0", "--host"),  # TEST-NET-1: nobody's
        ("2001:db8::1", "[2001:db8::1]:0", "--host"),
    ],
)
def test_an_address_that_is_not_ours(host: str, shown: str, way_out: str) -> None:
    with pytest.raises(CloudError) as caught:
        _bind(host, 0)
    assert f"cannot listen on {shown}" in caught.value.message
    assert way_out in caught.value.hint and "--port" not in caught.value.hint


def test_a_port_that_another_holds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(CloudError, match="already in use") as caught:
            _bind("127.0.0.1", port)
    assert "--port" in caught.value.hint
