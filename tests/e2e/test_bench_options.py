"""``bench DIR`` never measures another firmware than the options on its line ask for."""

from __future__ import annotations

from pathlib import Path

from tests.support.cli_rig import call, fail


def test_bench_of_a_build_refuses_other_options(shared: Path, tmp_path: Path) -> None:
    made = tmp_path / "build"
    model = shared / "models" / "hello_world_int8.tflite"
    call("build", model, "--board", "native", "--optimize", "ram", "--out", made)
    for option, value in (
        ("--optimize", "speed"),  # the usual value, and yet asked for
        ("--kernels", "ref"),
        ("--ram-limit", "64K"),
        ("--board", "mps2-an500"),
        ("--engine", "tflm"),
    ):
        assert "was built" in fail("bench", made, option, value)["message"]
    told = call("bench", made, "--optimize", "ram", "--runs", "1", "--no-mix")
    assert told["exact"] is not False
