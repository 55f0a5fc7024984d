"""Sizes beyond any board: refused from the shapes alone, before anything of that size is made."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcu_hybrid.board.load import load_board
from mcu_hybrid.compiler.read.tflite import read_tflite
from mcu_hybrid.errors import CapacityError, ModelError
from mcu_hybrid.reference import interp
from mcu_hybrid.steps.build import build_step
from tests.support.tflite_builder import Spec, build_one

HUGE = 2**31 - 1
Q: dict[str, Any] = {"scale": 0.5, "zero": 3}


@pytest.fixture(autouse=True)
def _little_memory() -> Iterator[None]:
    """Half a gigabyte more than the process has now: a tensor of such a size would not fit."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    old = resource.getrlimit(resource.RLIMIT_AS)
    used = pages * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (512 << 20), old[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, old)


def _int8(name: str, *shape: int) -> Spec:
    return Spec(name, shape, **Q)


def _ints(name: str, *values: Any) -> Spec:
    data = np.array(values, np.int32)
    return Spec(name, data.shape, "int32", data=data)


def _pool(kind: str, size: int, kernel: tuple[int, int], stride: int = 1) -> bytes:
    sides = {"filter_height": kernel[0], "filter_width": kernel[1]}
    options = {**sides, "stride_h": stride, "stride_w": stride, "padding": 0}
    out = -(-size // stride)
    return build_one(kind, [_int8("x", 1, size, size, 4)], [_int8("y", 1, out, out, 4)], options)


def _conv(kind: str, dilation: tuple[int, int], kernel: int = 3) -> bytes:
    options = {"stride_h": 1, "stride_w": 1, "padding": 0}
    options |= {"dilation_h_factor": dilation[0], "dilation_w_factor": dilation[1]}
    shape = (4, kernel, kernel, 4) if kind == "CONV_2D" else (1, kernel, kernel, 4)
    if kind == "DEPTHWISE_CONV_2D":
        options["depth_multiplier"] = 1
    weights = Spec("w", shape, scale=0.1, data=np.ones(shape, np.int8))
    return build_one(kind, [_int8("x", 1, 8, 8, 4), weights], [_int8("y", 1, 8, 8, 4)], options)


WINDOWS = {
    "pool": _pool("MAX_POOL_2D", 8, (65536, 65536)),
    "average pool": _pool("AVERAGE_POOL_2D", 8, (HUGE, 1)),
    "pool of many taps": _pool("AVERAGE_POOL_2D", 8, (1000, 1000)),
    "dilated convolution": _conv("CONV_2D", (65536, 65536)),
    "dilated rows": _conv("CONV_2D", (HUGE, 1)),
    "dilated depthwise": _conv("DEPTHWISE_CONV_2D", (1, HUGE)),
}


@pytest.mark.parametrize("dilation", [(32768, 1), (1, 131072)])
@pytest.mark.parametrize("kind", ["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_dilations_that_tflm_cuts_to_16_bits(kind: str, dilation: tuple[int, int]) -> None:
    options = {"stride_h": 1, "stride_w": 1, "padding": 0}
    options |= {"dilation_h_factor": dilation[0], "dilation_w_factor": dilation[1]}
    if kind == "DEPTHWISE_CONV_2D":
        options["depth_multiplier"] = 1
    weights = Spec("w", (1, 3, 3, 1), scale=0.1, data=np.ones((1, 3, 3, 1), np.int8))
    layer = build_one(kind, [_int8("x", 1, 1, 1, 1), weights], [_int8("y", 1, 1, 1, 1)], options)
    with pytest.raises(ModelError, match=f"{kind} 'y': .* is beyond 16 bits"):
        read_tflite(layer, "net.tflite")


@pytest.mark.parametrize("name", WINDOWS)
def test_windows_that_see_little_but_padding(name: str) -> None:
    with pytest.raises(ModelError, match=r"net.tflite: \w+ 'y': a window of .* a map of 8 x 8"):
        read_tflite(WINDOWS[name], "net.tflite")


def _pads(*before: int) -> bytes:
    shape = tuple(n + b for n, b in zip((1, 4, 4, 2), before, strict=True))
    paddings = _ints("p", *((b, 0) for b in before))
    return build_one("PAD", [_int8("x", 1, 4, 4, 2), paddings], [_int8("y", *shape)], {})


def _resize(height: int, width: int) -> bytes:
    inputs = [_int8("x", 1, 3, 5, 2), _ints("size", height, width)]
    return build_one("RESIZE_NEAREST_NEIGHBOR", inputs, [_int8("y", 1, height, width, 2)], {})


LARGE = {
    "map": build_one("RELU", [_int8("x", 1, 30000, 30000, 3)], [_int8("y", 1, 30000, 30000, 3)]),
    "vector": build_one("LOGISTIC", [_int8("x", 1, HUGE)], [_int8("y", 1, HUGE)]),
    "overflow": build_one("RELU", [_int8("x", 1, *[HUGE] * 6)], [_int8("y", 1, *[HUGE] * 6)]),
    "pad": _pads(0, 2**30, 0, 0),
    "resize": _resize(30000, 30000),
    "sum": build_one(
        "ADD",
        [_int8("x", 1, 50000, 1), _int8("z", 1, 1, 50000)],
        [_int8("y", 1, 50000, 50000)],
        {},
    ),
    "concatenation": build_one(
        "CONCATENATION",
        [_int8("x", 1, 2**24), _int8("z", 1, 2**24), _int8("t", 1, 2**24)],
        [_int8("y", 1, 3 * 2**24)],
        {"axis": 1},
    ),
    "transpose": build_one(
        "TRANSPOSE",
        [_int8("x", 1, 2**20, 2**20), _ints("perm", 0, 2, 1)],
        [_int8("y", 1, 2**20, 2**20)],
        {},
    ),
    "slice": build_one(
        "STRIDED_SLICE",
        [
            _int8("x", 1, HUGE),
            _ints("b", 0, 0),
            _ints("e", 1, HUGE),
            _ints("s", 1, 1),
        ],
        [_int8("y", 1, HUGE)],
        {},
    ),
    "mean": build_one(
        "MEAN",
        [_int8("x", 1, 2**15, 2**15, 1), _ints("axes", 1, 2)],
        [_int8("y", 1, 1)],
        {},
    ),
}


@pytest.mark.parametrize("name", LARGE)
def test_tensors_that_no_board_holds(name: str) -> None:
    with pytest.raises(ModelError, match=r"net.tflite: .*tensor '\w' has shape .* takes at most"):
        read_tflite(LARGE[name], "net.tflite")


def test_a_resize_beyond_the_kernels_tables() -> None:
    with pytest.raises(ModelError, match="a side has at most 65,535 pixels"):
        read_tflite(_resize(70000, 1), "net.tflite")


def test_windows_of_the_usual_kind_stay() -> None:
    """A kernel larger than its map, and a dilation of a temporal network."""
    pool = read_tflite(_pool("MAX_POOL_2D", 8, (65, 17)), "net.tflite").graph
    conv = read_tflite(_conv("DEPTHWISE_CONV_2D", (64, 1)), "net.tflite").graph
    for graph in (pool, conv):
        x = np.arange(256, dtype=np.uint8).view(np.int8).reshape(1, 8, 8, 4)
        assert interp.run(graph, [x])[0].shape == (1, 8, 8, 4)


def test_what_does_not_fit_the_board_is_said_before_anything_is_searched(tmp_path: Path) -> None:
    path = tmp_path / "large.tflite"
    shape = (1, 3000, 3000, 3)
    path.write_bytes(build_one("RELU", [_int8("x", *shape)], [_int8("y", *shape)]))
    seen: list[str] = []
    with pytest.raises(CapacityError, match="largest: input 1x3000x3000x3 27,000,000 B"):
        build_step(
            path,
            load_board("stm32h7"),
            tmp_path / "out",
            on_event=lambda label, done, total: seen.append(label),
        )
    assert seen == [] and not (tmp_path / "out").exists()


@pytest.mark.parametrize("scale", [1e-30, 2.0**-27, 2.0**-26])
def test_a_softmax_that_tflm_aborts_on(scale: float) -> None:
    source = Spec("x", (1, 32), scale=scale)
    target = Spec("y", (1, 32), scale=1 / 256, zero=-128)
    with pytest.raises(ModelError, match=r"SOFTMAX 'y': .* is not a sensible factor"):
        read_tflite(build_one("SOFTMAX", [source], [target], {"beta": 1.0}), "net.tflite")


def test_numbers_that_break_an_operators_arithmetic_name_it() -> None:
    data = build_one("LEAKY_RELU", [_int8("x", 1, 4)], [_int8("y", 1, 4)], {"alpha": float("inf")})
    with pytest.raises(ModelError, match="LEAKY_RELU 'y': has values that make no sense"):
        read_tflite(data, "net.tflite")
