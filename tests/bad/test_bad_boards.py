"""Boards that are not what their build id says, restart in mid-run, or belong to another host."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from mcu_hybrid.cli import main
from mcu_hybrid.device.client import Device
from mcu_hybrid.link.tcp import TcpLink
from mcu_hybrid.machines import machine_of, program
from mcu_hybrid.machines.base import Command
from mcu_hybrid.process import Tools
from mcu_hybrid.steps.build import Build, open_build
from mcu_hybrid.wire.frames import Decoder, Frame, encode
from mcu_hybrid.wire.messages import Type
from tests.support.bad_rig import Refused, Steps


@contextmanager
def started(build: Build, elf: Path) -> Iterator[str]:
    with machine_of(build.board).private(build.board, elf, Tools(), build.image.build_id) as found:
        yield found.url


def with_a_flipped_bit(build: Build, to: Path, symbol: str) -> Path:
    """A copy of the firmware with one bit changed in a symbol."""
    data = bytearray(build.image.elf.read_bytes())
    address = build.image.symbols[symbol][0]
    with build.image.elf.open("rb") as stream:
        (into,) = (
            address - s["p_vaddr"] + s["p_offset"]
            for s in ELFFile(stream).iter_segments("PT_LOAD")
            if 0 <= address - s["p_vaddr"] < s["p_filesz"]
        )
    data[into + 2] ^= 1
    to.write_bytes(data)
    to.chmod(0o755)
    return to


def weights_of(build: Build) -> str:
    """The largest constant of the model."""
    names = [name for name in build.image.symbols if name.startswith(("w_", "k_", "t_"))]
    names = names or [n for n in build.image.symbols if "weight" in n or "filter" in n]
    assert names, sorted(build.image.symbols)
    return max(names, key=lambda name: build.image.symbols[name][1])


@pytest.mark.parametrize("verb", ["bench", "run"])
def test_a_flipped_bit_in_the_weights(
    verb: str, steps: Steps, tmp_path: Path, refused: Refused
) -> None:
    build = open_build(steps.build)
    elf = with_a_flipped_bit(build, tmp_path / "flipped.elf", weights_of(build))
    with started(build, elf) as url:
        with Device.open(url) as device:  # it says that it is the build
            assert device.hello().build_id == build.image.build_id
        told = refused(verb, steps.build, "--port", url)
    assert told.kind == "ProtocolError"
    assert f"flash of native differs from build {build.image.build_id}" in told.message
    assert "flash it again" in told.hint


def test_flash_compares_what_it_wrote(
    steps: Steps, tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = open_build(steps.build)
    elf = with_a_flipped_bit(build, tmp_path / "flipped.elf", weights_of(build))
    starts = program.launch

    def launch(command: Command, *rest: object, **named: object) -> object:
        return starts(replace(command, argv=(str(elf),)), *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(program, "launch", launch)
    told = refused("flash", steps.build)
    assert "flash of native differs from build" in told.message


def test_wrong_known_answers_are_told(
    steps: Steps, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the checksum cannot see: the bytes are right, and the processor computes wrongly."""
    asked = Device.self_test

    def wrong(device: Device) -> object:
        found = asked(device)
        return type(found)(found.total - 1, found.total, 0)

    monkeypatch.setattr(Device, "self_test", wrong)
    told = refused("bench", steps.build)
    assert "known answers" in told.message and "first wrong: 0" in told.message


def test_a_second_host(steps: Steps, refused: Refused) -> None:
    build = open_build(steps.build)
    with started(build, build.image.elf) as url, Device.open(url):
        told = refused("bench", steps.build, "--port", url)
    assert told.kind == "LinkError" and f"{url} is in use by another program" in told.message
    assert "mcu-hybrid flash" not in told.hint


def test_a_restart_in_mid_run(
    steps: Steps, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table is that of a run without one, and the restart is told."""

    def run() -> tuple[dict, str]:
        capsys.readouterr()
        arguments = ["run", str(steps.build), "--export", str(steps.export), "--router", "entropy"]
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "--no-calibration", "--json"])
        assert ended.value.code in (0, None)
        out, err = capsys.readouterr()
        shutil.rmtree("runs")
        return json.loads(out), err

    calm, _ = run()
    decoder, seen, lock, write = Decoder(), [0], threading.Lock(), TcpLink.write

    def resetting(link: TcpLink, data: bytes) -> None:
        with lock:
            frames = [f for f in decoder.feed(data) if isinstance(f, Frame)]
            seen[0] += sum(f.type == Type.INFER for f in frames)
            if seen[0] in (3, 6):
                seen[0] += 1
                data += encode(Frame(Type.RESET, 222))
        write(link, data)

    monkeypatch.setattr(TcpLink, "write", resetting)
    shaken, _ = run()
    assert shaken["counters"].pop("device_restarts") == 2
    assert calm["counters"].pop("device_restarts") == 0
    assert shaken["counters"]["device_disagrees"] == ""
    assert shaken["counters"] == calm["counters"]
    for key in ("deployed", "exact", "router", "samples"):
        assert shaken[key] == calm[key]
    for mine, theirs in zip(shaken["rows"], calm["rows"], strict=True):
        for key in ("method", "coverage", "accuracy", "bytes_sent"):
            assert mine[key] == theirs[key]
