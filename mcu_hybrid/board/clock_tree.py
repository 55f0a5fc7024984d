"""PLL settings of the STM32 ports: from the crystal to the processor's clock, within the limits.

The ports write what is computed here (``board_config.h``). What cannot be made, or would leave the
chip's limits, is an error naming file and key: no board runs at a clock that nobody asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mcu_hybrid.errors import BoardError

# What a chip file may set in ``limits``, in Hz; the families below hold the rest.
LIMITS = ("cpu_hz", "vco_hz", "ahb_hz", "apb_hz", "apb1_hz", "apb2_hz")
# A receiver samples the last of ten bits; both ends and the internal oscillator share 4 %.
BAUD_ERROR = 0.02
USB_HZ = 48_000_000
# The nRF52's UART has no divider, only these (Product Specification 6.33, BAUDRATE).
NRF52_BAUDS = (115_200, 230_400, 460_800, 921_600, 1_000_000)
NRF52_HZ = 64_000_000


@dataclass(frozen=True)
class Pll:
    """Settings of one PLL: source / m * n / p = ``cpu_hz``; ``q`` is 0 where the port sets none."""

    m: int
    n: int
    p: int
    q: int
    input_hz: int
    vco_hz: int
    cpu_hz: int


@dataclass(frozen=True)
class ClockTree:
    """The PLL from the crystal (None: the board has none), and from the internal oscillator."""

    hse: Pll | None
    hsi: Pll


@dataclass(frozen=True)
class Family:
    """Limits of a port's chips; ``buses``: limit's name -> (divider of the port, most Hz).

    ``usart`` is the divider from the processor's clock to that of a USART, by USART (0: any other).
    """

    hsi_hz: int
    hse_hz: tuple[int, int]
    m: tuple[int, int]
    n: tuple[int, int]
    p: tuple[int, ...]
    input_hz: tuple[int, int]
    best_input_hz: int
    vco_hz: tuple[int, int]
    has_q: bool
    cpu_hz: int
    buses: Mapping[str, tuple[int, int]]
    usart: Mapping[int, int]


# RM0390 6.3.2 and DS10693 tables 43-44 (F446); RM0385 5.3.2 and DS10916 (F746): one PLL, one form.
_F4 = Family(
    hsi_hz=16_000_000,
    hse_hz=(1_000_000, 50_000_000),
    m=(2, 63),
    n=(50, 432),
    p=(2, 4, 6, 8),
    input_hz=(950_000, 2_100_000),
    best_input_hz=2_000_000,
    vco_hz=(100_000_000, 432_000_000),
    has_q=True,
    cpu_hz=180_000_000,
    buses={"apb1_hz": (4, 45_000_000), "apb2_hz": (2, 90_000_000)},
    usart={1: 2, 6: 2, 0: 4},
)
_F7 = Family(
    **(
        vars(_F4)
        | {
            "cpu_hz": 216_000_000,
            "buses": {"apb1_hz": (4, 54_000_000), "apb2_hz": (2, 108_000_000)},
            "usart": {0: 1},  # the port puts its USART on SYSCLK
        }
    )
)
# RM0433 8.5.5 and DS12110 (H743): the wide VCO wants an input of 2 MHz or more; no odd P.
_H7 = Family(
    hsi_hz=64_000_000,
    hse_hz=(4_000_000, 50_000_000),
    m=(1, 63),
    n=(4, 512),
    p=tuple(range(2, 129, 2)),
    input_hz=(2_000_000, 16_000_000),
    best_input_hz=8_000_000,
    vco_hz=(192_000_000, 960_000_000),
    has_q=False,
    cpu_hz=480_000_000,
    buses={"ahb_hz": (2, 240_000_000), "apb_hz": (4, 120_000_000)},
    usart={0: 4},
)
FAMILIES = {"stm32f4": _F4, "stm32f7": _F7, "stm32h7": _H7}


@dataclass(frozen=True)
class Request:
    """What a board's files say about its clock, and where they say it."""

    platform: str
    clock_hz: int
    baud: int
    config: Mapping[str, int | str]
    limits: Mapping[str, int]
    board_path: Path
    chip_path: Path


def clock_tree(request: Request) -> ClockTree | None:
    """The PLL settings of a board; None where its platform has no PLL that we set.

    Raises:
        BoardError: a clock that the chip cannot make or must not have, or a baud rate too far off.
    """
    if request.platform == "nrf52":
        _check_nrf52(request)
    family = FAMILIES.get(request.platform)
    if family is None:
        return None
    request = _with_silicon(request)
    _check_limits(request, family)
    hse_hz = _number(request, "HSE_HZ")
    if _number(request, "HSE_BYPASS") not in (0, 1):
        raise _board_error(request, "config.HSE_BYPASS", "must be 0 (crystal) or 1 (clock signal)")
    hse = _from_crystal(family, request, hse_hz) if hse_hz else None
    hsi = _best(family, request, family.hsi_hz)
    if hsi is None or (hse is None and hsi.cpu_hz != request.clock_hz):
        raise _unreachable(family, request, family.hsi_hz, hsi.cpu_hz if hsi else 0)
    _check_baud(request, family)
    return ClockTree(hse, hsi)


def _from_crystal(family: Family, request: Request, hse_hz: int) -> Pll:
    low, high = family.hse_hz
    if not low <= hse_hz <= high:
        raise _board_error(
            request,
            "config.HSE_HZ",
            f"{hse_hz:,} Hz: the chip takes {low:,} to {high:,} Hz",
            "give the crystal's frequency in Hz, or 0 for the internal oscillator",
        )
    best = _best(family, request, hse_hz)
    if best is None or best.cpu_hz != request.clock_hz:
        raise _unreachable(family, request, hse_hz, best.cpu_hz if best else 0)
    return best


def _best(family: Family, request: Request, source_hz: int) -> Pll | None:
    """The wanted clock first; then the fastest VCO (least jitter), and the input that suits it."""

    def rank(pll: Pll) -> tuple[int, int, int]:
        return pll.cpu_hz, pll.vco_hz, -abs(pll.input_hz - family.best_input_hz)

    return max(_settings(family, request, source_hz), key=rank, default=None)


def _settings(family: Family, request: Request, source_hz: int) -> Iterator[Pll]:
    """All settings that keep the limits and do not exceed the wanted clock."""
    low, high = family.vco_hz
    high = min(high, request.limits.get("vco_hz", high))
    for m in range(family.m[0], family.m[1] + 1):
        if not family.input_hz[0] * m <= source_hz <= family.input_hz[1] * m:
            continue
        for p in family.p:
            n = request.clock_hz * p * m // source_hz
            if not family.n[0] <= n <= family.n[1] or not low * m <= source_hz * n <= high * m:
                continue
            vco_hz = source_hz * n // m
            q = -(-vco_hz // USB_HZ) if family.has_q else 0
            if source_hz * n % (m * p) == 0:
                cpu_hz = source_hz * n // (m * p)
                yield Pll(m, n, p, max(q, 2) if q else 0, source_hz // m, vco_hz, cpu_hz)


def _with_silicon(request: Request) -> Request:
    """Lower limits of H7 boards whose config names old silicon or the switched supply (RM0399)."""
    limits = dict(request.limits)
    if request.platform == "stm32h7" and (
        request.config.get("REV_Y") or request.config.get("SMPS")
    ):
        limits["cpu_hz"] = min(400_000_000, limits.get("cpu_hz", 400_000_000))
    if request.platform == "stm32h7" and request.config.get("REV_Y"):
        limits["vco_hz"] = min(836_000_000, limits.get("vco_hz", 836_000_000))
    return replace(request, limits=limits)


def _check_limits(request: Request, family: Family) -> None:
    known = {"cpu_hz", "vco_hz", *family.buses}
    for name in request.limits:
        if name not in known:
            raise _chip_error(
                request, f"limits.{name}", "unknown key", f"known keys: {', '.join(sorted(known))}"
            )
    for name, (divider, most_hz) in {"cpu_hz": (1, family.cpu_hz), **family.buses}.items():
        limit_hz = min(most_hz, request.limits.get(name, most_hz))
        what = "the processor" if name == "cpu_hz" else name.removesuffix("_hz").upper()
        if request.clock_hz > divider * limit_hz:
            raise _chip_error(
                request,
                "clock_hz",
                f"{what} would run at {request.clock_hz // divider:,} Hz; its limit is "
                f"{limit_hz:,} Hz",
                f"at most clock_hz = {divider * limit_hz:,}",
            )


def _check_baud(request: Request, family: Family) -> None:
    usart = request.config.get("USART", 0)
    divider = family.usart.get(usart if isinstance(usart, int) else 0, family.usart[0])
    kernel_hz = request.clock_hz // divider
    count = (kernel_hz + request.baud // 2) // request.baud
    real = kernel_hz / count if count else 0.0
    if not 16 <= count <= 0xFFFF or abs(real / request.baud - 1) > BAUD_ERROR:
        lowest, highest = kernel_hz // 0xFFFF + 1, kernel_hz // 16
        near = kernel_hz // min(max(count, 16), 0xFFFF)
        raise _board_error(
            request,
            "console.baud",
            f"a USART clock of {kernel_hz:,} Hz makes no {request.baud:,} baud to {BAUD_ERROR:.0%}",
            f"the nearest is {near:,}; it makes {lowest:,} to {highest:,}",
        )


def _check_nrf52(request: Request) -> None:
    if request.clock_hz != NRF52_HZ:
        raise _chip_error(
            request, "clock_hz", f"the nRF52 runs at {NRF52_HZ:,} Hz", f"clock_hz = {NRF52_HZ}"
        )
    if request.baud not in NRF52_BAUDS:
        raise _board_error(
            request,
            "console.baud",
            f"the nRF52's UART has no {request.baud:,} baud",
            f"one of: {', '.join(map(str, NRF52_BAUDS))}",
        )


def _unreachable(family: Family, request: Request, source_hz: int, nearest_hz: int) -> BoardError:
    low, high = family.input_hz
    near = f"nearest below: clock_hz = {nearest_hz} in {request.chip_path}; " if nearest_hz else ""
    internal = "" if source_hz == family.hsi_hz else ", or 0 for the internal oscillator"
    return _board_error(
        request,
        "config.HSE_HZ",
        f"no PLL setting makes {request.clock_hz:,} Hz from {source_hz:,} Hz (PLL input "
        f"{low:,} to {high:,} Hz, VCO {family.vco_hz[0]:,} to {family.vco_hz[1]:,} Hz)",
        f"{near}give the crystal's own frequency{internal}",
    )


def _number(request: Request, key: str) -> int:
    value = request.config.get(key)
    if value is None:
        raise _board_error(request, f"config.{key}", "the key is missing", f"add {key} = <int>")
    if type(value) is not int or value < 0:
        raise _board_error(request, f"config.{key}", f"must be an integer >= 0, is {value!r}")
    return value


def _board_error(request: Request, key: str, message: str, hint: str = "") -> BoardError:
    return BoardError(message, hint, path=request.board_path, key=key)


def _chip_error(request: Request, key: str, message: str, hint: str = "") -> BoardError:
    return BoardError(message, hint, path=request.chip_path, key=key)
