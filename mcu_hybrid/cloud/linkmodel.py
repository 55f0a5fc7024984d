"""What a query costs on the way to the cloud: a link as round trip, rates and packet overhead.

A model, not a measurement: every preset is a stated assumption, and tables that use one name it.
Latency of a hybrid at coverage c: L = edge + (1 - c) * (rtt + bits / rate + cloud), because the
base network runs on every input and only queried ones travel (Kag et al., ICLR 2023).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from mcu_hybrid.errors import InputError


@dataclass(frozen=True)
class LinkModel:
    """A way to the cloud. Rates are what an application sees, in bit/s; ``inf`` ignores size.

    ``overhead_bytes`` is added to every packet, and a packet carries up to ``packet_bytes``.
    """

    name: str
    title: str
    rtt_ms: float
    up_bits_per_s: float
    down_bits_per_s: float
    overhead_bytes: int = 0
    packet_bytes: int = 1460
    assumption: str = ""

    def __post_init__(self) -> None:
        rates = (self.up_bits_per_s, self.down_bits_per_s, self.packet_bytes)
        if not (self.rtt_ms >= 0 and self.overhead_bytes >= 0 and all(r > 0 for r in rates)):
            raise InputError(
                "times and overhead must be 0 or more, rates and packet size above 0",
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

    def mean_ms(self, edge_ms: float, coverage: float, query_ms: float) -> float:
        """Mean latency at this coverage: L = edge + (1 - c) * query."""
        return edge_ms + (1.0 - coverage) * query_ms

    def coverage_for(self, budget_ms: float, edge_ms: float, query_ms: float) -> float:
        """The smallest coverage whose mean latency is within the budget; above 1 means none is."""
        if query_ms <= 0:
            return 0.0 if edge_ms <= budget_ms else math.inf
        return max(0.0, 1.0 - (budget_ms - edge_ms) / query_ms)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict (an infinite rate becomes null)."""
        return {k: None if v == math.inf else v for k, v in asdict(self).items()}


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
        ),
        LinkModel(
            "lte",
            "LTE Cat 1 modem",
            rtt_ms=90.0,
            up_bits_per_s=2_500_000,
            down_bits_per_s=5_000_000,
            overhead_bytes=40,
            assumption="half of Cat 1's 5/10 Mbit/s; connected state, no wake-up from idle",
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
        ),
        LinkModel(
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


def link_model(text: str) -> LinkModel:
    """A preset by name, own figures as ``rtt=50,up=1e6,down=5e6``, or ``lte,rtt=60`` for both.

    Keys: rtt (ms), up and down (bit/s), overhead and packet (bytes). Raises InputError.
    """
    first, *others = text.split(",")
    if "=" in first:
        base, pairs = replace(DEFAULT, assumption="given by the user"), [first, *others]
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
