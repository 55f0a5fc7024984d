"""What a query costs on the way to the cloud: a link as round trip, rates and packet overhead.

A model, not a measurement: every preset is a stated assumption, and tables that use one name it.
What a query costs goes into the mean over all inputs in routing/costs.py (latency at coverage c:
L = edge + (1 - c) * query, because the base runs on every input and only queried ones travel).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from mcu_hybrid.artifacts.run import Link
from mcu_hybrid.errors import InputError


@dataclass(frozen=True)
class LinkModel:
    """A way to the cloud. Rates are what an application sees, in bit/s; ``inf`` ignores size.

    ``overhead_bytes`` is added to every packet, and a packet carries up to ``packet_bytes``.
    Energies are the radio's alone, per byte on the air; ``wake_mj`` is what a query costs apart
    from its bytes (waking the radio, listening for the answer). None: not known.
    """

    name: str
    title: str
    rtt_ms: float
    up_bits_per_s: float
    down_bits_per_s: float
    overhead_bytes: int = 0
    packet_bytes: int = 1460
    assumption: str = ""
    up_uj_per_byte: float | None = None
    down_uj_per_byte: float | None = None
    wake_mj: float | None = None
    energy_basis: str = ""

    def __post_init__(self) -> None:
        rates = (self.up_bits_per_s, self.down_bits_per_s, self.packet_bytes)
        energies = (self.up_uj_per_byte, self.down_uj_per_byte, self.wake_mj)
        least = (self.rtt_ms, self.overhead_bytes, *(e for e in energies if e is not None))
        if not (all(value >= 0 for value in least) and all(r > 0 for r in rates)):
            raise InputError(
                "times, overhead and energies must be 0 or more, rates and packet size above 0",
                "for example: --link rtt=50,up=1e6,down=5e6",
                key=f"link {self.name}",
            )

    def on_air_bytes(self, payload_bytes: int) -> int:
        """Payload plus the overhead of the packets that carry it; nothing for no payload."""
        packets = math.ceil(payload_bytes / self.packet_bytes)
        return payload_bytes + packets * self.overhead_bytes

    def query_ms(self, sent_bytes: int, received_bytes: int = 0, cloud_ms: float = 0.0) -> float:
        """Milliseconds of one query: round trip, both transfers, and the cloud's own work."""
        up_ms = self.on_air_bytes(sent_bytes) * 8e3 / self.up_bits_per_s
        down_ms = self.on_air_bytes(received_bytes) * 8e3 / self.down_bits_per_s
        return self.rtt_ms + up_ms + down_ms + cloud_ms

    def query_mj(self, sent_bytes: int, received_bytes: int = 0) -> float | None:
        """Millijoules of the radio for one query; None where the link has no energy figures."""
        if self.up_uj_per_byte is None or self.down_uj_per_byte is None or self.wake_mj is None:
            return None
        up_uj = self.on_air_bytes(sent_bytes) * self.up_uj_per_byte
        down_uj = self.on_air_bytes(received_bytes) * self.down_uj_per_byte
        return self.wake_mj + (up_uj + down_uj) / 1e3

    def facts(self) -> Link:
        """As artefacts say it (an infinite rate is None there)."""
        told = vars(self).copy()
        for rate in _RATES:
            told[rate] = None if told[rate] == math.inf else told[rate]
        return Link(**told)


def link_of(told: Link) -> LinkModel:
    """The link that ``LinkModel.facts`` told."""
    values = vars(told).copy()
    for rate in _RATES:
        values[rate] = math.inf if values[rate] is None else values[rate]
    return LinkModel(**values)


_RATES = ("up_bits_per_s", "down_bits_per_s")
# TCP/IPv4 40 B per 1460 B segment, TLS and HTTP framing left out; rates are our round figures for
# what an application typically gets, not the link's gross rate. None of them was measured here.
PRESETS: dict[str, LinkModel] = {
    link.name: link
    for link in (
        LinkModel(
            "uart",
            "UART 921,600 baud to a host that runs the model",
            rtt_ms=2.0,
            up_bits_per_s=737_280,
            down_bits_per_s=737_280,
            overhead_bytes=16,
            packet_bytes=512,
            assumption="8N1: 10 line bits per byte, so 8/10 of the baud rate; framed packets",
            up_uj_per_byte=0.11,
            down_uj_per_byte=0.11,
            wake_mj=0.0,
            energy_basis="assumption: 10 mW of line driver for the 10.9 us of a byte",
        ),
        LinkModel(
            "ble",
            "Bluetooth LE through a phone",
            rtt_ms=120.0,
            up_bits_per_s=220_000,
            down_bits_per_s=220_000,
            overhead_bytes=14,
            packet_bytes=244,
            assumption="1M PHY, 244 B notifications, 30 ms interval; 60 ms air + 60 ms internet",
            up_uj_per_byte=0.25,
            down_uj_per_byte=0.25,
            wake_mj=0.1,
            energy_basis="assumption: 15 mW radio, 8 us a byte, as much again for headers and "
            "acknowledgements; four connection events a query",
        ),
        LinkModel(
            "wifi",
            "Wi-Fi with a low-cost module",
            rtt_ms=40.0,
            up_bits_per_s=8_000_000,
            down_bits_per_s=8_000_000,
            overhead_bytes=40,
            assumption="2.4 GHz 802.11n module over SPI, about 1 MB/s TCP; server 40 ms away, "
            "connection kept open",
            up_uj_per_byte=0.6,
            down_uj_per_byte=0.33,
            wake_mj=13.0,
            energy_basis="assumption: module at 600 mW sending, 330 mW receiving and while it "
            "listens for 40 ms; none while the connection sleeps",
        ),
        LinkModel(
            "lte",
            "LTE Cat 1 modem",
            rtt_ms=90.0,
            up_bits_per_s=2_500_000,
            down_bits_per_s=5_000_000,
            overhead_bytes=40,
            assumption="half of Cat 1's 5/10 Mbit/s; connected state, no wake-up from idle",
            up_uj_per_byte=5.8,
            down_uj_per_byte=1.6,
            wake_mj=90.0,
            energy_basis="assumption: modem at 1.8 W sending, 1 W receiving and listening for "
            "90 ms; the seconds that it stays connected afterwards are NOT in the figure",
        ),
        LinkModel(
            "lora",
            "LoRaWAN EU868 at SF7",
            rtt_ms=1_100.0,
            up_bits_per_s=5_470,
            down_bits_per_s=5_470,
            overhead_bytes=13,
            packet_bytes=222,
            assumption="DR5, 222 B frames, answer in RX1 (1 s); the 1 % duty cycle is NOT in the "
            "figure and limits the mean rate to 1/100",
            up_uj_per_byte=146.0,
            down_uj_per_byte=56.0,
            wake_mj=1.0,
            energy_basis="assumption: 100 mW sending at 14 dBm, 38 mW receiving, 1.46 ms a byte; "
            "asleep until the receive window",
        ),
        LinkModel(  # hybrid 8 of docs/papers.md
            "paper",
            "2 s per query, whatever its size",
            rtt_ms=2_000.0,
            up_bits_per_s=math.inf,
            down_bits_per_s=math.inf,
            assumption="the constant of the hybrid-model paper (ICLR 2023): one ImageNet image "
            "over a slow uplink",
        ),
    )
}
DEFAULT = PRESETS["wifi"]
_KEYS = {"rtt": "rtt_ms", "up": "up_bits_per_s", "down": "down_bits_per_s"}
_KEYS |= {"overhead": "overhead_bytes", "packet": "packet_bytes"}
_KEYS |= {"uj_up": "up_uj_per_byte", "uj_down": "down_uj_per_byte", "wake": "wake_mj"}
_NO_ENERGY: dict[str, Any] = {"up_uj_per_byte": None, "down_uj_per_byte": None, "wake_mj": None}


def link_model(text: str) -> LinkModel:
    """A preset by name, own figures as ``rtt=50,up=1e6,down=5e6``, or ``lte,rtt=60`` for both.

    Keys: rtt (ms), up and down (bit/s), overhead and packet (bytes), uj_up and uj_down (microjoules
    a byte), wake (mJ a query). Own figures have no energy where none is given. Raises InputError.
    """
    first, *others = text.split(",")
    if "=" in first:
        told = "given by the user"
        base = replace(DEFAULT, assumption=told, energy_basis=told, **_NO_ENERGY)
        pairs = [first, *others]
    else:
        if first not in PRESETS:
            raise InputError(f"no link '{first}'", f"one of: {', '.join(PRESETS)}", key="--link")
        base, pairs = PRESETS[first], others
    changes: dict[str, Any] = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        if key.strip() not in _KEYS:
            raise InputError(f"unknown key '{key}'", f"keys: {', '.join(_KEYS)}", key="--link")
        field = _KEYS[key.strip()]
        try:
            changes[field] = int(value) if field.endswith("bytes") else float(value)
        except ValueError as error:
            raise InputError(
                f"'{value}' is not a number",
                "for example rtt=50,up=1e6,down=5e6",
                key=f"--link {key}",
            ) from error
    if not changes:
        return base
    return replace(base, name="custom", title=f"custom link ({text})", **changes)
