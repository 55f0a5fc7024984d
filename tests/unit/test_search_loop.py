"""The search's loop with compiling and training replaced: places, limits, pruning, recovery."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

optuna = pytest.importorskip("optuna")

from mcu_hybrid.artifacts.search import Figures, Scores  # noqa: E402
from mcu_hybrid.errors import CapacityError  # noqa: E402
from mcu_hybrid.search import run, study  # noqa: E402
from mcu_hybrid.search.run import Search, Spaces  # noqa: E402
from mcu_hybrid.search.space import from_json  # noqa: E402
from mcu_hybrid.search.task import Fit, PairScores  # noqa: E402
from tests.support.artefacts import example  # noqa: E402
from tests.support.search_rig import SPACE, states, trials_of  # noqa: E402


class Rig:
    """A search over the tiny space whose fits and scores are given by functions."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, places: int = 5) -> None:
        self.storage = str(folder / "study.log")
        book = study.open_book(self.storage, "search", {}, places=places, seed=1, resume=False)
        self.search = Search(book, Spaces(from_json(SPACE), None), None, None)  # type: ignore[arg-type]
        self.trained: list[str] = []
        self.excess = lambda genome: {"sram": -0.5}
        self.score = lambda genome, report: 0.5
        monkeypatch.setattr(run, "fit_of", self._fit)
        monkeypatch.setattr(run, "score_of", self._score)

    def _fit(self, task: Any, base: Any) -> Fit:
        return Fit(example(Figures, latency_us=1.0), self.excess(base), 1.0)

    def _score(self, task: Any, base: Any, global_: Any, fit: Fit, report: Any) -> PairScores:
        self.trained.append(base.digest)
        scores = example(Scores, margin=self.score(base, report))
        return example(PairScores, scores=scores)


def test_only_what_fits_takes_a_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(tmp_path, monkeypatch)
    rig.excess = lambda genome: {"sram": genome.stem / 4 - 1.5, "cost": -1.0}  # stem 8 is too large
    rig.score = lambda genome, report: genome.stages[1].width / 100
    rig.search.run()
    rows = rig.search.rows()
    assert len(rows) == len(set(rig.trained)) == 5
    assert {row.base.stem for row in rows} == {4}
    assert [row.scores.scores.margin for row in rows] == sorted(
        (row.base.stages[1].width / 100 for row in rows), reverse=True
    )
    refused = [t for t in rig.search.book.trials() if "claim" not in t.user_attrs]
    over = [t.user_attrs["fit"]["excess"]["sram"] for t in refused if "fit" in t.user_attrs]
    assert over and set(over) == {0.5}
    assert all(t.state.name == "PRUNED" for t in refused if "fit" in t.user_attrs)


def test_a_hopeless_training_is_pruned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(tmp_path, monkeypatch, places=8)

    def score(genome: Any, report: Any) -> float:
        final = 0.9 if len(rig.trained) <= 6 else 0.1
        report(1, final)
        assert final == 0.9, "it should have been pruned"
        return final

    rig.score = score
    rig.search.run()
    assert len(rig.trained) == 8
    assert states(rig.storage)["COMPLETE"] >= 6
    pruned = [t for t in trials_of(rig.storage) if t.state.name == "PRUNED"]
    assert len(pruned) == 2 and all("claim" in t.user_attrs for t in pruned)


def test_a_pair_is_trained_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(tmp_path, monkeypatch, places=500)  # more places than the space has genomes
    monkeypatch.setattr(run, "MOST_MISSES", 60)
    rig.search.run()
    assert len(rig.trained) == len(set(rig.trained))
    assert 40 < len(rig.trained) <= rig.search.spaces.base.count
    again = [t for t in rig.search.book.trials() if "same_as" in t.user_attrs]
    assert len(again) >= 60 and not any("claim" in t.user_attrs for t in again)


def test_what_nothing_fits_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(tmp_path, monkeypatch)
    monkeypatch.setattr(run, "MOST_MISSES", 12)
    rig.excess = lambda genome: {"sram": -0.1, "flash": float(genome.stem) / 8}
    with pytest.raises(CapacityError, match="exceeds flash by 50%"):
        rig.search.run()


def test_places_are_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(tmp_path, monkeypatch, places=2)
    book = rig.search.book
    asked = [book.ask() for _ in range(3)]  # as three processes would at the same moment
    assert [book.claim(trial) for trial in asked if trial] == [True, True, False]
    assert book.ask() is None
    assert states(rig.storage) == {"RUNNING": 2, "FAIL": 1}


def test_other_machines_trials_are_left_alone_until_they_are_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(tmp_path, monkeypatch)
    book = rig.search.book
    proposal = rig.search.propose()
    assert proposal is not None and book.claim(proposal.trial)
    assert book.recover() == 0  # this process lives
    elsewhere = {"host": "another", "pid": 1, "process": "1:1"}
    proposal.trial.set_user_attr("owner", elsewhere)
    assert book.recover() == 0
    proposal.trial.set_user_attr("beat", time.time() - study.STALE_S - 1)
    assert book.recover() == 1
    assert book.recover() == 0
    again = rig.search.propose()
    assert again is not None and again.base == proposal.base
    assert again.trial.user_attrs["retry_of"] == proposal.trial.number


def test_the_last_place_is_taken_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One process is slow between choosing its number and writing it; the other one waits."""
    storage = str(tmp_path / "study.log")
    study.open_book(storage, "search", {}, places=1, seed=1, resume=False)
    books = [
        study.open_book(storage, "search", {}, places=1, seed=seed, resume=True) for seed in (1, 2)
    ]
    trials = [book.study.ask() for book in books]
    for trial in trials:
        trial.set_user_attr("owner", study._me())
    slow, write, chosen = trials[0], trials[0].set_user_attr, threading.Event()

    def written_late(key: str, value: object) -> None:
        if key == "claim":
            chosen.set()
            time.sleep(0.5)
        write(key, value)

    monkeypatch.setattr(slow, "set_user_attr", written_late)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(books[0].claim, slow)
        assert chosen.wait(10)
        second = pool.submit(books[1].claim, trials[1])
        assert sorted([first.result(20), second.result(20)]) == [False, True]
