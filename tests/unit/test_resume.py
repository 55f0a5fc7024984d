"""A training run that is killed and resumed ends as if nothing had happened, to the bit."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mcu_hybrid.errors import InputError
from mcu_hybrid.nets import checkpoint
from mcu_hybrid.training.config import HybridConfig
from mcu_hybrid.training.data import load_data, make_dataset

torch = pytest.importorskip("torch")

from mcu_hybrid.training.state import Journal  # noqa: E402
from mcu_hybrid.training.train import train  # noqa: E402

CONFIG = HybridConfig(
    base_epochs=2,
    global_epochs=2,
    global_width=4,
    router_steps=30,
    router_views=2,
    parts=3,
    rounds=2,
    folds=2,
    router_iterations=4,
    qat="yes",
    qat_epochs=1,
    threads=1,
)
STATE = "out.resume.pt"
KILLED = """
import os, signal, sys
from test_resume import CONFIG, STATE, data
from pathlib import Path
from mcu_hybrid.training.train import train
folder, label, done, resume = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4] == "1"
def event(name, number, total):
    if (name, number) == (label, done):
        os.kill(os.getpid(), signal.SIGKILL)
train(CONFIG, data(), folder / "out", event, state_file=folder / STATE, resume=resume)
"""


def data():
    digits = load_data("digits")
    return make_dataset("some digits", digits.x[:300], digits.y[:300])


def killed_at(folder: Path, label: str, done: int, *, resume: bool) -> None:
    argv = [sys.executable, "-c", KILLED, str(folder), label, str(done), str(int(resume))]
    ended = subprocess.run(
        argv, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=300
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert (folder / STATE).is_file() and not (folder / "out").exists()


def test_killed_and_resumed_is_the_same_to_the_bit(tmp_path):
    """Killed in the middle of the global's epochs, then between two rounds."""
    killed_at(tmp_path, "global", 1, resume=False)
    killed_at(tmp_path, "round", 1, resume=True)
    events = []
    told = train(
        CONFIG,
        data(),
        tmp_path / "out",
        lambda *event: events.append(event),
        state_file=tmp_path / STATE,
        resume=True,
    )
    assert [e for e in events if e[0] == "round"] == [("round", 2, 2)]
    assert not {"base", "global"} & {e[0] for e in events}  # none of it is done again
    whole = train(CONFIG, data(), tmp_path / "whole")
    one, two = (torch.load(tmp_path / n / checkpoint.CHECKPOINT) for n in ("out", "whole"))
    for part in ("base", "global"):
        for key, value in one[part].items():
            assert torch.equal(value, two[part][key]), (part, key)
    for key, value in one["router"].items():
        same = (
            value.equal(two["router"][key])
            if torch.is_tensor(value)
            else value == two["router"][key]
        )
        assert same, key
    read = [json.loads((tmp_path / n / "history.json").read_text()) for n in ("out", "whole")]
    assert read[0] == read[1] and len(read[0]["rounds"]) == 3
    assert replace(told, seconds=0) == replace(whole, seconds=0)


def test_a_state_is_refused_where_it_does_not_fit(tmp_path):
    path = tmp_path / STATE
    with pytest.raises(InputError, match="no unfinished training"):
        Journal(path, {}, resume=True)
    path.write_bytes(b"no state of ours")
    with pytest.raises(InputError, match="not the state of a training run"):
        Journal(path, {}, resume=True)
    path.unlink()
    identity = CONFIG.to_json() | {"data": "1234"}
    journal = Journal(path, identity)
    journal.put("base", {"history": [1, 2]})
    assert Journal(path, identity, resume=True).get("base") == {"history": [1, 2]}
    other = replace(CONFIG, seed=7).to_json() | {"data": "1234"}
    with pytest.raises(InputError, match="seed = 0, this run has 7"):
        Journal(path, other, resume=True)
    with pytest.raises(InputError, match="data = '1234'"):
        Journal(path, identity | {"data": "5"}, resume=True)


def test_the_state_is_replaced_as_a_whole(tmp_path, monkeypatch):
    """A write that is cut short leaves the last complete file."""
    path = tmp_path / STATE
    journal = Journal(path, {})
    journal.put("one", {"value": torch.ones(3)})

    def cut(part, data):
        with part.open("wb") as stream:
            stream.write(data[: len(data) // 2])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", cut)
    with pytest.raises(KeyboardInterrupt):
        journal.put("two", {"value": 2})
    monkeypatch.undo()
    again = Journal(path, {}, resume=True)
    assert again.get("two") is None and torch.equal(again.get("one")["value"], torch.ones(3))
    assert [p.name for p in tmp_path.iterdir()] == [STATE]
