"""The one table of payloads: its bytes, the structs that C has from it, and the page's tables."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from mcu_hybrid.errors import ProtocolError
from mcu_hybrid.wire import layouts, payloads
from mcu_hybrid.wire.fields import Digest, Field, Number, Payload, Rest, fields_of, fixed_bytes
from mcu_hybrid.wire.messages import TensorKind, Type
from tests.support.routers import Router

MESSAGES = layouts.messages()
# What version 3 of the protocol sends for these, written down without the table.
SENT = [
    (payloads.TensorInfo(TensorKind.OUTPUT, 2), "0102"),
    (payloads.WriteInput(1, 0x01020304, b"ab"), "01" + "04030201" + "6162"),
    (payloads.Infer(7, 1000, 512), "07000000" + "e8030000" + "0002"),
    (payloads.ReadOutput(3, 256, 258), "03" + "00010000" + "0201"),
    (payloads.LayerLimit(5), "05000000"),
    (payloads.Route(Router.MARGIN, -2), "04" + "feffffff"),
    (payloads.Session(0xAABBCCDD), "ddccbbaa"),
    (payloads.ImagePart(0x0800_0000, 16), "00000008" + "10000000"),
]


def ids(value: object) -> str | None:
    return value.__name__ if isinstance(value, type) else None


def some(field: Field, rng: random.Random) -> object:
    """A value of the field."""
    kind = field.kind
    if field.names is not None:
        return rng.choice(list(field.names))
    if field.known():
        return rng.choice(list(field.known()))
    if isinstance(kind, Number):
        bits = 8 * kind.size_bytes
        low = -(1 << (bits - 1)) if kind.c_type.startswith("int") else 0
        value = rng.randrange(low, low + (1 << bits))
        return None if value == kind.none else value
    if isinstance(kind, Digest):
        return rng.randbytes(kind.size_bytes).hex()
    return rng.randbytes(rng.randrange(9)) if isinstance(kind, Rest) else "ab" * rng.randrange(5)


def sample(message: type[Payload], seed: int) -> Payload:
    rng = random.Random(seed)
    made = message(**{field.name: some(field, rng) for field in fields_of(message)})
    return replace(made, protocol=3) if isinstance(made, payloads.Hello) else made


@pytest.mark.parametrize(("message", "sent"), SENT)
def test_requests_are_the_bytes_of_version_3(message: Payload, sent: str) -> None:
    assert message.pack().hex() == sent
    assert type(message).parse(bytes.fromhex(sent)) == message


def test_every_request_is_written_down() -> None:
    asked = {message for message, _ in layouts.EXCHANGES.values() if message is not None}
    assert asked == {type(message) for message, _ in SENT}


@pytest.mark.parametrize("message", MESSAGES, ids=ids)
def test_what_is_packed_is_read_again(message: type[Payload]) -> None:
    for seed in range(20):
        made = sample(message, seed)
        assert message.parse(made.pack()) == made


@pytest.mark.parametrize("message", [m for m in MESSAGES if hasattr(m, "WHAT")], ids=ids)
def test_other_lengths_are_refused(message: type[Payload]) -> None:
    data = sample(message, 1).pack()
    for cut in range(fixed_bytes(message)):
        with pytest.raises(ProtocolError, match="does not have the expected layout"):
            message.parse(data[:cut])
    if not isinstance(fields_of(message)[-1].kind, Rest):
        with pytest.raises(ProtocolError, match=f"{message.WHAT} of {len(data) + 1} bytes"):
            message.parse(data + b"\0")


def test_no_layer_and_no_failing_vector_are_none() -> None:
    assert payloads.FaultFrame.parse(struct.pack("<BHII", 1, 0xFFFF, 2, 3)).layer is None
    assert payloads.SelfTest.parse(struct.pack("<HHh", 3, 3, -1)).first_failing is None
    assert payloads.SelfTest.parse(struct.pack("<HHh", 2, 3, 2)).first_failing == 2


def test_every_type_has_its_payload() -> None:
    assert {*layouts.EXCHANGES, *layouts.FRAMES} == set(Type)
    assert all(kind < 0x80 for kind in layouts.EXCHANGES)
    answered = [m for _, m in layouts.EXCHANGES.values() if m] + list(layouts.FRAMES.values())
    assert all(message.WHAT for message in answered)


def test_c_writes_what_python_reads(tmp_path: Path) -> None:
    """Structs filled by name, in C; their bytes are those of the message of these values."""
    if shutil.which("gcc") is None:
        pytest.skip("no host compiler (gcc)")
    wanted, lines = [], []
    for message in MESSAGES:
        made = sample(message, 5)
        rest = made.pack()
        for one in layouts.structs_of(message):
            values = ", ".join(f".{m.name} = {_c(made, m.name)}" for m in one.members)
            lines.append(f"    const {one.name} v{len(wanted)} = {{{values}}};")
            lines.append(f"    put(&v{len(wanted)}, sizeof v{len(wanted)});")
            whole = (
                rest[: one.size_bytes]
                if not one.name.endswith("_tail")
                else rest[-one.size_bytes :]
            )
            wanted.append(whole.hex())
    (tmp_path / "mh_payloads.h").write_text(layouts.c_header())
    (tmp_path / "main.c").write_text(
        '#include "mh_payloads.h"\n#include <stdio.h>\n'
        "static void put(const void *p, size_t n)\n{\n    const uint8_t *b = p;\n"
        '    for (size_t i = 0; i < n; i++) {\n        printf("%02x", b[i]);\n    }\n'
        '    printf("\\n");\n}\nint main(void)\n{\n' + "\n".join(lines) + "\n    return 0;\n}\n"
    )
    argv = ["gcc", "-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror", "main.c", "-o", "p"]
    subprocess.run(argv, cwd=tmp_path, check=True)
    done = subprocess.run([tmp_path / "p"], capture_output=True, text=True, check=True)
    assert done.stdout.split() == wanted


def _c(made: Payload, name: str) -> str:
    """The field's value as C has it."""
    field = next(field for field in fields_of(type(made)) if field.name == name)
    value = getattr(made, name)
    if isinstance(field.kind, Digest):
        return "{" + ", ".join(f"0x{byte:02x}" for byte in bytes.fromhex(value)) + "}"
    assert isinstance(field.kind, Number)
    value = field.kind.none if value is None else int(value)
    if field.kind.c_type == "int32_t":
        return f"(int32_t)({value + 1}LL - 1LL)"
    return f"{value}{'' if field.kind.c_type.startswith('int') else 'ull'}"


def test_the_page_has_the_tables(root: Path) -> None:
    page = (root / "docs" / "protocol.md").read_text("utf-8")
    for table in (layouts.requests_table(), layouts.frames_table()):
        assert table in page, f"docs/protocol.md is not made from the table; it says:\n{table}"
