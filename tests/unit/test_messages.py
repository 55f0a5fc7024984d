"""Numbers, payload layouts, and the header that is rendered from the numbers."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from mcu_hybrid.errors import ProtocolError
from mcu_hybrid.wire import messages, payloads
from mcu_hybrid.wire.messages import MEANING, Code, Decision, Engine, Type
from tests.support.routers import Router


def hello_bytes(version: int = 3, engine: int = 1) -> bytes:
    names = b"\x03abc" + b"\x02de" + b"\x00"
    return (
        struct.pack("<BH", version, 512)
        + bytes(range(16))
        + bytes(range(32))
        + names
        + struct.pack("<IIHIIBBHBBB", 1, 2, 40, 3, 4, 1, 2, 30, 0, 1, 255)
        + struct.pack("<BBHI", engine, 0, 2048, 77)
    )


def test_hello() -> None:
    hello = payloads.Hello.parse(hello_bytes())
    assert hello.build_id == bytes(range(16)).hex()
    assert hello.model_sha256 == bytes(range(32)).hex()
    assert (hello.board, hello.chip, hello.core) == ("abc", "de", "")
    assert (hello.clock_hz, hello.tick_hz, hello.tick_instructions) == (1, 2, 40)
    assert (hello.arena_bytes, hello.static_ram_bytes) == (3, 4)
    assert (hello.inputs, hello.outputs, hello.layers) == (1, 2, 30)
    assert (hello.logits, hello.route, hello.scores) == (0, 1, 255)
    assert (hello.engine, hello.init_status, hello.rx_window) == (Engine.TFLM, 0, 2048)
    assert hello.session == 77


def test_another_protocol_version_is_named() -> None:
    with pytest.raises(ProtocolError, match="protocol version 9, this host 3"):
        payloads.Hello.parse(hello_bytes(version=9))


@pytest.mark.parametrize("cut", range(1, len(hello_bytes())))
def test_a_short_hello_is_refused(cut: int) -> None:
    with pytest.raises(ProtocolError, match="layout"):
        payloads.Hello.parse(hello_bytes()[:cut])


def test_bytes_left_over_and_unknown_members_are_refused() -> None:
    with pytest.raises(ProtocolError, match="layout"):
        payloads.Hello.parse(hello_bytes() + b"\0")
    with pytest.raises(ProtocolError, match="layout"):
        payloads.Hello.parse(hello_bytes(engine=9))


def test_inference() -> None:
    data = struct.pack("<IQQBBiiI", 9, 5, 200, 1, 4, -3, 70_000, 11) + b"head"
    result = payloads.InferResult.parse(data)
    assert result.session == 9
    assert (result.ticks, result.instructions, result.output_bytes) == (5, 200, 11)
    assert (result.decision, result.router) == (Decision.QUERY, Router.MARGIN)
    assert (result.threshold, result.score) == (-3, 70_000)
    assert result.head == b"head"


def test_route_round_trip() -> None:
    route = payloads.Route(Router.LEARNED, -128)
    assert payloads.Route.parse(route.pack()) == route


def test_faults_in_words() -> None:
    fault = payloads.FaultFrame.parse(struct.pack("<BHII", 2, 0xFFFF, 1, 2))
    assert (fault.kind, fault.layer) == ("bus fault", None)
    assert payloads.FaultFrame(77, 3, 0, 0).kind == "fault 77"
    assert payloads.FaultFrame(4, 3, 0, 900).kind == "watchdog: endless loop"


def test_an_ack_names_the_layer_that_runs() -> None:
    assert payloads.Ack.parse(b"\x03\0").layer == 3
    assert payloads.Ack.parse(b"\xff\xff").layer is None
    with pytest.raises(ProtocolError, match="layout"):
        payloads.Ack.parse(b"\x03")


def test_every_code_has_its_meaning() -> None:
    assert set(MEANING) == set(Code)


def test_the_header_holds_every_number_once() -> None:
    header = messages.c_header()
    found = dict(re.findall(r"(MH_\w+)(?: =)? (0x[0-9A-F]+|\d+)", header))
    for item in Type:
        assert int(found[f"MH_MSG_{item.name}"], 0) == item
    for code in Code:
        assert int(found[f"MH_E_{code.name}"], 0) == code
    assert int(found["MH_MAX_PAYLOAD"], 0) == messages.MAX_PAYLOAD
    assert int(found["MH_CRC_RESIDUE"], 0) == messages.CRC_RESIDUE
    assert "{{" not in header and "{%" not in header


def test_the_page_names_every_type_and_code(root: Path) -> None:
    page = (root / "docs" / "protocol.md").read_text("utf-8")
    for item in Type:
        assert f"0x{item:02X} {item.name}" in page
    for code in Code:
        assert f"{int(code)} {code.name}" in page
    for router in Router:
        assert f"{int(router)} {router.name.lower().replace('_', '-')}" in page
    assert f"# Wire protocol, version {messages.PROTOCOL_VERSION}\n" in page
