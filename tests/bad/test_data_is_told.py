"""What --data leaves out is said by every verb that reads it, once; -q says results only."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mcu_hybrid.cli import main
from tests.support.bad_rig import CLASSES, SIDE, Steps

image = pytest.importorskip("PIL.Image")

LEFT_OUT = {"not read as images (.txt)": 1, "in the hidden folder .ipynb_checkpoints": 1}
TOLD = ("data left out: 1 not read as images (.txt)", "data note: 1 images with transparency")


@pytest.fixture
def folder(work: Path) -> Path:
    """Images of the classes 0, 1, 2, and what is none."""
    rng = np.random.default_rng(1)
    for number in range(CLASSES * 16):
        where = work / "photos" / str(number % CLASSES)
        where.mkdir(parents=True, exist_ok=True)
        picture = image.fromarray(rng.integers(0, 256, (SIDE, SIDE)).astype(np.uint8))
        picture.save(where / f"{number}.png")
    clear = image.fromarray(np.array([[[7, 255], [9, 0]] * 2] * SIDE, np.uint8))
    clear.save(work / "photos/0/clear.png")
    (work / "photos/1/readme.txt").write_text("no image")
    hidden = work / "photos/.ipynb_checkpoints"
    hidden.mkdir()
    picture.save(hidden / "x.png")
    return work / "photos"


def said(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[str, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main([*map(str, args)])
    out, err = capsys.readouterr()
    assert not ended.value.code, err
    return out, err


def test_export_and_run_tell(
    steps: Steps, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("fastapi")
    verbs = (
        ("export", steps.root / "net.tflite", "--data", folder, "--out", "made"),
        ("run", steps.build, "--data", folder, "--no-check", "--no-calibration", "--out", "table"),
    )
    for verb in verbs:
        _, err = said(capsys, *verb)
        for line in TOLD:
            assert err.count(line) == 1, err
        assert "data " not in said(capsys, *verb, "-q")[1]
        out, err = said(capsys, *verb, "--json")
        told = json.loads(out)["data"]
        assert told["left_out"] == LEFT_OUT
        assert told["notes"] == ["1 images with transparency: laid on white"]
        assert "left out" not in err
    export = json.loads(Path("made/manifest.json").read_text())
    assert export["facts"]["data"]["left_out"] == LEFT_OUT


def test_train_is_quiet_when_asked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    small = ("--base-epochs", 1, "--global-epochs", 1, "--base-width", 2, "--global-width", 2)
    rest = ("--router-hidden", 2, "--threads", 1, "--qat", "no")
    out, err = said(capsys, "train", "--data", folder, *small, *rest, "-q", "--out", "quiet")
    assert "left out" not in out and "classes" not in out and "loss" not in err
    assert "base " in out and "in quiet" in out
    assert "warning: " in err  # one epoch is not enough, and that is no progress
