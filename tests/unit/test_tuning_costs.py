"""Costs and their inversion, units, payload sizes: against the paper's constants and by hand."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mcu_hybrid.board.load import list_boards
from mcu_hybrid.errors import InputError
from mcu_hybrid.routing.costs import QUERY_RATE, Cost, given_power, power_of
from mcu_hybrid.routing.link_costs import PRESETS, link_model
from mcu_hybrid.routing.tune.payloads import payload
from mcu_hybrid.routing.tune.settings import same_device
from mcu_hybrid.routing.tune.units import METRICS, target

# The hybrid-model paper (ICLR 2023): 200 ms on the microcontroller and 2 s a query; and on one
# device a base of 48 and a global of 215 million MACs.
PAPER_LATENCY = Cost("ms", 200.0, PRESETS["paper"].query_ms(224 * 224 * 3))
PAPER_SAME_DEVICE = same_device(48.0, 215.0, "M MACs")
TENTHS = [Fraction(i, 10) for i in range(11)]


# -- costs


@pytest.mark.parametrize("coverage", TENTHS)
def test_the_papers_constants_come_out_exactly(coverage: Fraction) -> None:
    assert Fraction(PAPER_LATENCY.at(float(coverage))) == 200 + 2000 * (1 - coverage)
    exact = 48 + 215 * (1 - coverage)
    assert int(PAPER_SAME_DEVICE.at(float(coverage))) == int(exact)


def test_the_papers_same_device_row() -> None:
    coverages = (1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.2)
    macs = [int(PAPER_SAME_DEVICE.at(c)) for c in coverages]
    assert macs == [48, 69, 91, 112, 134, 155, 177, 220]


@pytest.mark.parametrize("coverage", TENTHS)
def test_latency_to_coverage_is_the_inverse(coverage: Fraction) -> None:
    budget = PAPER_LATENCY.at(float(coverage))
    assert PAPER_LATENCY.coverage_for(budget) == pytest.approx(float(coverage))


def test_budgets_outside_the_range() -> None:
    assert PAPER_LATENCY.coverage_for(199.9) is None
    assert PAPER_LATENCY.coverage_for(5000.0) == 0.0
    assert Cost("ms", 5.0, 0.0).coverage_for(5.0) == 0.0


@pytest.mark.parametrize("query", [-1.0, float("nan"), float("inf"), np.array([1.0, -2.0])])
def test_impossible_costs_are_refused(query: float | np.ndarray) -> None:
    with pytest.raises(InputError, match="finite and 0 or more"):
        Cost("ms", 1.0, query)


def test_energy_is_power_times_time() -> None:
    power = given_power(500.0, 130.0)
    assert power.edge_mj(4.0) == pytest.approx(2.0)  # 0.5 W for 4 ms
    assert power.wait_mj(100.0) == pytest.approx(13.0)
    # 13 mJ awake, 1,040 B on the air (two packets of 20 B overhead) at 0.6 uJ, 100 B back at 0.33
    wifi = link_model("wifi,packet=500,overhead=20")
    assert wifi.query_mj(1000, 80) == pytest.approx(13.0 + (1040 * 0.6 + 100 * 0.33) / 1e3)
    assert PRESETS["paper"].query_mj(1000) is None
    assert link_model("rtt=5").query_mj(1000) is None
    own = link_model("rtt=5,uj_up=2,uj_down=1,wake=3,overhead=0")
    assert own.query_mj(1000, 500) == pytest.approx(3 + 2.5)
    with pytest.raises(InputError, match="0 <= asleep <= computing"):
        given_power(10.0, 20.0)


def test_every_link_with_energy_says_what_it_rests_on() -> None:
    priced = [link for link in PRESETS.values() if link.query_mj(1) is not None]
    assert {link.name for link in priced} == {"uart", "ble", "wifi", "lte", "lora"}
    assert all("assumption" in link.energy_basis for link in priced)


def test_every_arm_board_that_has_a_time_has_power_figures(tmp_path: Path) -> None:
    priced = [b for b in list_boards() if not b.is_host and b.core.cpi is not None]
    assert len(priced) >= 5
    for board in priced:
        assert "assumption" in power_of(board).basis
    bad = tmp_path / "power.toml"
    bad.write_text('[stm32h743zi]\nactive_mw = "much"\nidle_mw = 1\nbasis = "x"\n')
    board = next(b for b in priced if b.chip.name == "stm32h743zi")
    with pytest.raises(InputError, match="needs the numbers active_mw"):
        power_of(board, bad)
    bad.write_text("")
    with pytest.raises(InputError, match="no power figures for the chip"):
        power_of(board, bad)


# -- units


@pytest.mark.parametrize(
    ("metric", "text", "value"),
    [
        ("latency", "400ms", 400.0),
        ("latency", "0.4s", 400.0),
        ("latency", "250 us", 0.25),
        ("accuracy", "91%", 0.91),
        ("accuracy", "0.91", 0.91),
        ("query_rate", "100%", 1.0),
        ("energy", "5mJ", 5.0),
        ("energy", "300uJ", 0.3),
        ("bytes", "2KB", 2048.0),
        ("bytes", "300", 300.0),
        ("macs", "112M", 112e6),
        ("instructions", "1.5e6", 1.5e6),
    ],
)
def test_values_with_units(metric: str, text: str, value: float) -> None:
    assert METRICS[metric].parse(text) == pytest.approx(value)


@pytest.mark.parametrize(
    ("metric", "text", "message"),
    [
        ("latency", "400", "no latency"),  # of what?
        ("latency", "4 parsecs", "no latency"),
        ("latency", "-4ms", "no latency"),
        ("accuracy", "91", "more than everything"),
        ("accuracy", "", "no accuracy"),
        ("energy", "5ms", "no energy"),
        ("bytes", "1.2.3KB", "no bytes"),
    ],
)
def test_bad_values_say_what_to_write(metric: str, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        METRICS[metric].parse(text)
    assert METRICS[metric].example in caught.value.hint or "example" in caught.value.hint


@pytest.mark.parametrize("metric", METRICS)
def test_options_are_rounded_to_the_feasible_side_and_parse_again(metric: str) -> None:
    rng = np.random.default_rng(3)
    for value in rng.random(200) * (1.0 if METRICS[metric].is_share else 1e4):
        one = target(metric, METRICS[metric].example.split(" ")[0])
        text = one.option(float(value)).split(" ")[1]
        parsed = METRICS[metric].parse(text)
        assert parsed <= value + 1e-9 if one.metric.is_minimum else parsed >= value - 1e-9
        assert parsed == pytest.approx(value, rel=2e-3, abs=2e-4)


# -- payloads


def test_compressed_sizes_are_those_of_the_files() -> None:
    image_module = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    images = np.stack(
        [np.zeros((16, 16, 3), np.uint8), rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)]
    )
    png = payload("png", images, None)
    for image, size in zip(images, np.ravel(png.sizes), strict=True):
        stream = io.BytesIO()
        image_module.fromarray(image).save(stream, "png", optimize=True)
        assert size == stream.tell()
    assert np.ravel(png.sizes)[0] < np.ravel(png.sizes)[1] and png.note == ""
    low, high = (np.ravel(payload(f"jpeg:{q}", images, None).sizes)[1] for q in (30, 95))
    assert low < high
    assert "without JPEG's losses" in payload("jpeg", images, None).note
    assert payload("raw", images, None).sizes == 16 * 16 * 3
    grey = payload("png", images[..., :1], None)
    assert len(np.ravel(grey.sizes)) == 2


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("pigeon", "no payload 'pigeon'"),
        ("png:3", "no payload 'png:3'"),
        ("jpeg:x", "no payload 'jpeg:x'"),
        ("raw", "needs the calibration images"),
        ("logits", "needs the device's model"),
    ],
)
def test_payloads_that_cannot_be_priced(form: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        payload(form, None, None)


def test_odd_images_are_refused() -> None:
    pytest.importorskip("PIL.Image")
    with pytest.raises(InputError, match="neither grey nor colour"):
        payload("png", np.zeros((1, 4, 4, 2), np.uint8), None)


def test_the_query_rate_is_a_cost_like_the_others() -> None:
    assert QUERY_RATE.at(0.75) == 0.25
