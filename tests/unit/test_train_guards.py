"""What training says and refuses: ended runs, full disks, losses that are no numbers, no gain."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcu_hybrid.artifacts.table import Losses, SideLoss
from mcu_hybrid.artifacts.train import Room
from mcu_hybrid.cli import main
from mcu_hybrid.errors import InputError, McuHybridError
from mcu_hybrid.steps.train import state_file, train_step
from mcu_hybrid.training.config import HybridConfig
from mcu_hybrid.training.verdict import warnings_of
from tests.support.artefacts import example

torch = pytest.importorskip("torch")

SHORT = HybridConfig(
    base_epochs=2, global_epochs=2, base_width=4, global_width=4, router_steps=20, router_views=1,
    threads=1, qat="no",
)  # fmt: skip
QUICK = ("--base-epochs", "2", "--global-epochs", "2", "--base-width", "4", "--global-width", "4")
ARGS = (*QUICK, "--set", "router_steps=20", "--threads", "1", "--qat", "no", "--out", "t")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Four classes of pictures of 8 x 8 pixels; the working folder is empty but for them."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    y = np.arange(160) % 4
    x = rng.integers(0, 90, (160, 8, 8, 1))
    for image, label in zip(x, y, strict=True):
        image[4 * (label // 2) : 4 * (label // 2) + 4, 4 * (label % 2) : 4 * (label % 2) + 4] += 120
    np.savez(tmp_path / "d.npz", x=x.astype(np.uint8), y=y)
    return "d.npz"


def here() -> list[str]:
    return sorted(p.name for p in Path().iterdir())


# --- a run that was ended


def ended(data: str, out: Path) -> None:
    """A run that is interrupted in the epochs of the global."""

    def stop(label: str, done: int, total: int) -> None:
        if label == "global":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_step(data, SHORT, out, on_event=stop)
    assert state_file(out).is_file() and not out.exists()


def test_an_ended_run_is_not_thrown_away(data: str) -> None:
    out = Path("t")
    ended(data, out)
    kept = state_file(out).read_bytes()
    with pytest.raises(InputError, match="can go on") as told:
        train_step(data, SHORT, out)
    assert "--resume" in told.value.hint and "--restart" in told.value.hint
    assert state_file(out).read_bytes() == kept
    events: list[str] = []
    train_step(data, SHORT, out, resume=True, on_event=lambda label, *_: events.append(label))
    assert "base" not in events and here() == ["d.npz", "t"]


def test_restart_starts_anew(data: str) -> None:
    out = Path("t")
    ended(data, out)
    events: list[str] = []
    train_step(data, SHORT, out, restart=True, on_event=lambda label, *_: events.append(label))
    assert "base" in events and here() == ["d.npz", "t"]


def test_resume_and_restart_exclude_each_other(
    data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as told:
        main(["train", "--data", data, "--resume", "--restart"])
    assert told.value.code == 2 and "not both" in capsys.readouterr().err


# --- losses that are no numbers


@pytest.mark.parametrize(
    ("option", "more"),
    [
        ("base_lr", {}),
        ("global_lr", {}),
        ("router_lr", {}),
        ("round_router_lr", {"parts": 3, "rounds": 1}),
        ("round_base_lr", {"parts": 3, "rounds": 1}),
        ("round_global_lr", {"parts": 3, "rounds": 1}),
        ("qat_lr", {"qat": "yes", "qat_epochs": 2}),
    ],
)
def test_a_learning_rate_that_leads_astray(option: str, more: dict[str, Any], data: str) -> None:
    config = replace(SHORT, **{option: 1e30}, **more)
    with pytest.raises(InputError, match=r"learning rate 1e\+30") as told:
        train_step(data, config, Path("t"))
    assert f"config.{option}: " in told.value.message
    assert f"--set {option}=" in told.value.hint
    assert here() == ["d.npz"]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *[("base_lr", 1e300), ("qat_lr", 1e31), ("weight_decay", 1e30), ("coverage_weight", 1e40)],
        *[("base_width", 10**6), ("threads", 10**6), ("batch", 10**9), ("base_epochs", 10**12)],
    ],
)
def test_values_beyond_all_bounds(option: str, value: float, data: str) -> None:
    with pytest.raises(InputError, match=rf"config\.{option}: is .*, must be at most"):
        train_step(data, replace(SHORT, **{option: value}), Path("t"))
    assert here() == ["d.npz"]


def test_one_step_alone_is_looked_at_too(data: str) -> None:
    """No second loss would tell that the only step went astray."""
    config = replace(SHORT, base_epochs=1, batch=64, base_lr=1e30)
    with pytest.raises(InputError, match=r"config\.base_lr"):
        train_step(data, config, Path("t"))


# --- disks that are full


def test_a_full_disk_is_one_error_and_leaves_no_part(data: str) -> None:
    """The system itself refuses to write beyond a size, in the middle of the state file."""
    done = subprocess.run(
        [sys.executable, "-m", "mcu_hybrid", "train", "--data", data, *ARGS],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, 9_000)),
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert "t: cannot be written: File too large" in done.stderr
    assert here() == ["d.npz"]


@pytest.mark.parametrize("name", ["hybrid.pt", "splits.npz", "history.json"])
def test_a_disk_that_is_full_at_the_end_keeps_the_state(
    name: str, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of a file of the result fits; the run can go on when there is room again."""
    write = Path.write_bytes

    def half(path: Path, given: bytes) -> int:
        if path.name == name:
            write(path, given[: len(given) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, given)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", half)
        patch.setattr(Path, "write_text", lambda path, text: path.write_bytes(text.encode()))
        with pytest.raises(McuHybridError, match="t: cannot be written: No space left") as told:
            train_step(data, SHORT, Path("t"))
    assert "--resume" in told.value.hint and here() == ["d.npz", "t.resume.pt"]
    assert train_step(data, SHORT, Path("t"), resume=True).warnings is not None
    assert here() == ["d.npz", "t"]


HUNGRY = """
import torch
from torch import nn


class Hungry(nn.Sequential):
    def forward(self, x):
        if self.training:
            torch.empty(10**15)
        return super().forward(x)


def net(shape, classes):
    return Hungry(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], classes))
"""


def test_more_than_the_memory_is_one_error(data: str, tmp_path: Path) -> None:
    (tmp_path / "hungry_nets.py").write_text(HUNGRY)
    with pytest.raises(McuHybridError, match="t: training does not fit the memory"):
        train_step(data, replace(SHORT, base="hungry_nets:net"), Path("t"))
    assert not state_file(Path("t")).exists() and not Path("t").exists()


# --- what it says


def test_train_tells_data_splits_and_epochs(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--data", data, *ARGS])
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == "data    160 images 8x8x1"
    assert lines[1] == "classes 4: 0 40, 1 40, 2 40, 3 40"
    assert lines[2] == "splits  fit 64 (40%), router 32 (20%), calibration 24 (15%), test 40 (25%)"
    for name in ("base", "global"):
        told = [line.split() for line in err.splitlines() if f"{name} " in line and "loss" in line]
        assert [line[1] for line in told] == ["1/2", "2/2"], err
        assert all("accuracy" in line and line[-1] == "left" for line in told)
    facts = json.loads(Path("t/manifest.json").read_text())["facts"]
    assert facts["data"]["images"] == {"fit": 64, "router": 32, "calibration": 24, "test": 40}
    assert facts["data"]["shares"]["fit"] == 0.4 and facts["data"]["left_out"] == {}
    assert facts["data"]["classes"] == {"0": 40, "1": 40, "2": 40, "3": 40}


def test_json_stays_pure_and_carries_the_warnings(
    data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Noise as labels: nothing can be learned, and that is said."""
    with np.load(data) as file:
        x = file["x"]
    np.savez("d.npz", x=x, y=np.random.default_rng(1).permutation(len(x)) % 2)
    with pytest.raises(SystemExit):
        main(["train", "--data", data, *ARGS, "--json"])
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert err == "" and told["data"]["own_test_split"] is False
    assert any("the global is at chance" in warning for warning in told["warnings"])


Y = np.arange(200) % 4
FINE = example(Room, base_accuracy=0.8, global_accuracy=0.95)


def losses(base: float = 0.8, kept: float = 0.8, target: float = 0.8) -> Losses:
    int8 = example(SideLoss, base_accuracy=base, coverage=kept)
    return example(Losses, coverage_target=target, int8=int8)


@pytest.mark.parametrize(
    ("room", "lost", "words"),
    [
        (FINE, losses(), []),
        (replace(FINE, base_accuracy=0.27), losses(0.27), ["the base is at chance"]),
        (FINE, losses(base=0.25), ["the int8 base is at chance"]),
        (replace(FINE, global_accuracy=0.8), losses(), ["no better than the base"]),
        (
            replace(FINE, global_accuracy=0.3),
            losses(),
            ["the global is at chance", "no better than the base"],
        ),
        (FINE, losses(kept=1.0), ["many of the router's scores tie"]),
        (FINE, losses(kept=0.5), ["many of the router's scores tie"]),
        (FINE, losses(kept=0.83), []),
        (FINE, losses(kept=1.0, target=0.97), ["many of the router's scores tie"]),
        (FINE, losses(kept=1.0, target=0.995), []),
    ],
)
def test_warnings(room: Room, lost: Losses, words: list[str]) -> None:
    told = warnings_of(room, lost, Y, ("a", "b", "c", "d"))
    assert len(told) == len(words)
    assert all(word in line for word, line in zip(words, told, strict=True))


def test_chance_is_the_most_frequent_class() -> None:
    y = np.array([0] * 180 + [1] * 20)
    room = example(Room, base_accuracy=0.91, global_accuracy=0.97)
    assert warnings_of(room, losses(0.91), y, ("no", "yes")) == [
        "the base is at chance: 91.0% of 200 images, always answering 'no' gets 90.0%"
    ]
    (told,) = warnings_of(room, losses(0.91), y, ("no", "yes"), ["base"])
    assert "It sees pixels in [0, 1]: were its weights trained on those" in told
    (told,) = warnings_of(room, losses(0.91), y, ("no", "yes"), ["global"])
    assert "pixels" not in told
