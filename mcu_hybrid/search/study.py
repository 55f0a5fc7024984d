"""The study: Optuna's record of proposals and results, in a journal file or a database.

Several processes, here or elsewhere, may work on one study. ``places`` candidates are trained in
all; infeasible proposals are recorded (they teach the sampler) and take no place. A process that
is killed leaves a running trial: the next one that starts gives it up and proposes the same
candidate again, so that no place is lost and none is taken twice.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcu_hybrid import extras
from mcu_hybrid.errors import InputError
from mcu_hybrid.machines.state import identity

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial, Trial

LIMITS = ("arena", "sram", "flash", "latency", "cost")  # what a proposal may exceed
STALE_S = 3600.0  # without a sign of life from another machine
_QUESTION, _OWNER, _BEAT, _CLAIM = "question", "owner", "beat", "claim"
_CHOOSING = "choosing"  # said ahead of a claim, whose number the others cannot see yet
_SCRATCH = (_OWNER, _BEAT, _CLAIM, _CHOOSING)
_CHOOSING_S = 30.0  # far more than two writes take; who hangs in between is not waited for


def require_optuna() -> None:
    """Raise MissingTool with the install line where Optuna is not installed."""
    extras.require("search", "search")


class Book:
    """A study with places for ``places`` trained candidates."""

    def __init__(self, study: optuna.Study, places: int) -> None:
        self.study, self.places = study, places

    def taken(self) -> list[FrozenTrial]:
        """Trials that have a place: trained, pruned in training, or being trained."""
        from optuna.trial import TrialState

        states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
        return [t for t in self.trials(states) if _CLAIM in t.user_attrs]

    def trained(self) -> int:
        """Places that are done."""
        return sum(t.state.is_finished() for t in self.taken())

    def trials(self, states: Sequence[Any] | None = None) -> list[FrozenTrial]:
        """All trials, or those in these states."""
        return self.study.get_trials(deepcopy=False, states=tuple(states) if states else None)

    def ask(self) -> Trial | None:
        """A new proposal (one that was lost first), or None where all places are taken."""
        if len(self.taken()) >= self.places:
            return None
        trial = self.study.ask()
        trial.set_user_attr(_OWNER, _me())
        self.beat(trial)
        return trial

    def beat(self, trial: Trial) -> None:
        """A sign of life, for other machines."""
        trial.set_user_attr(_BEAT, time.time())

    def claim(self, trial: Trial) -> bool:
        """Take a place; False (and the trial is given up) where others were faster.

        Lamport's bakery: who chooses a number says so first, and is waited for. Without it two
        could each miss the other's claim, and one candidate too many would be trained.
        """
        trial.set_user_attr(_CHOOSING, True)
        mine = 1 + max((t.user_attrs[_CLAIM] for t in self.taken()), default=0)
        trial.set_user_attr(_CLAIM, mine)
        self._wait_for_choices(trial.number)
        before = [
            t for t in self.taken() if (t.user_attrs[_CLAIM], t.number) < (mine, trial.number)
        ]
        if len(before) < self.places:
            return True
        self.give_up(trial.number)
        return False

    def _wait_for_choices(self, number: int) -> None:
        from optuna.trial import TrialState

        end = time.monotonic() + _CHOOSING_S
        while time.monotonic() < end and any(
            _CHOOSING in t.user_attrs and _CLAIM not in t.user_attrs and _is_alive(t)
            for t in self.trials((TrialState.RUNNING,))
            if t.number != number
        ):
            time.sleep(0.02)

    def give_up(self, number: int) -> bool:
        """Fail a running trial; False where another process has finished it meanwhile."""
        from optuna.trial import TrialState

        try:
            self.study.tell(number, state=TrialState.FAIL)
        except ValueError:  # Optuna's word for "is finished already"
            return False
        return True

    def infeasible(self, trial: Trial, excess: Mapping[str, float]) -> None:
        """Record a proposal that exceeds a limit."""
        from optuna.trial import TrialState

        for name in LIMITS:
            trial.set_constraint(name, excess.get(name, 0.0))
        self.study.tell(trial, state=TrialState.PRUNED)

    def recover(self) -> int:
        """Give up trials of processes that are gone, and propose their candidates again."""
        from optuna.trial import TrialState

        found = 0
        for trial in self.trials((TrialState.RUNNING,)):
            if _is_alive(trial) or not self.give_up(trial.number):
                continue
            if _CLAIM in trial.user_attrs:
                kept = {k: v for k, v in trial.user_attrs.items() if k not in _SCRATCH}
                self.study.enqueue_trial(trial.params, {**kept, "retry_of": trial.number})
                found += 1
        return found


def open_book(
    storage: str,
    name: str,
    question: Mapping[str, Any],
    *,
    places: int,
    seed: int,
    resume: bool,
) -> Book:
    """Create the study, or join it.

    Args:
        storage: a file (Optuna's journal) or a database URL (sqlite:///x.db, mysql://...).
        question: what is searched for; a study only ever answers one.
        resume: False refuses a study that is there already.

    Raises:
        InputError: the study answers another question, or is not to be resumed, or the storage
            cannot be used.
    """
    require_optuna()
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    backend = _storage(storage)
    try:
        study, is_new = _study(backend, name, question)
    except Exception as error:  # each database fails in its own ways
        raise _unusable(storage, error) from error
    _check(study, storage, question, is_new or resume)
    mixed = seed if is_new else hash((seed, len(study.trials), os.getpid())) % (1 << 31)
    # A second process with the seed of the first would propose the same again.
    study.sampler = optuna.samplers.TPESampler(seed=mixed, multivariate=True)
    study.pruner = optuna.pruners.MedianPruner(n_startup_trials=4)
    return Book(study, places)


def _study(backend: Any, name: str, question: Mapping[str, Any]) -> tuple[Any, bool]:
    """The study, and whether it was created here: only one process can."""
    import optuna

    try:
        made = optuna.create_study(storage=backend, study_name=name, direction="maximize")
    except optuna.exceptions.DuplicatedStudyError:
        return optuna.load_study(storage=backend, study_name=name), False
    made.set_user_attr(_QUESTION, dict(question))
    return made, True


def _check(study: Any, storage: str, question: Mapping[str, Any], may_join: bool) -> None:
    """The study must answer this question, and may be joined."""
    stored = _question_of(study)
    if not stored:  # whoever created it was killed between the two
        study.set_user_attr(_QUESTION, dict(question))
        stored = dict(json.loads(json.dumps(question)))
    before = _flat(stored)
    now = _flat(json.loads(json.dumps(question)))
    differ = [key for key in now if before.get(key) != now[key]]
    if differ:
        key = differ[0]
        raise InputError(
            f"study '{study.study_name}' was made with {key} {_short(before.get(key))}, "
            f"now it is {_short(now[key])}",
            "give the same options, another --study name, or another --storage",
            path=storage,
        )
    if not may_join:
        raise InputError(
            f"holds study '{study.study_name}' with {len(study.trials)} proposals",
            "give --resume to go on with it, or another --out",
            path=storage,
        )


def _flat(data: Mapping[str, object]) -> dict[str, object]:
    """Keys of inner objects joined by a point, so that a message can name the one that differs."""
    found: dict[str, object] = {}
    for key, value in data.items():
        if isinstance(value, Mapping):
            found |= {f"{key}.{inner}": item for inner, item in value.items()}
        else:
            found[key] = value
    return found


def _question_of(study: Any) -> dict[str, object]:
    """The stored question; its writer may be a moment behind its study."""
    for _ in range(50):
        found = study.user_attrs.get(_QUESTION)
        if found is not None:
            return dict(found)
        time.sleep(0.1)
    return {}


def _storage(text: str) -> Any:
    """Optuna's storage for a path or URL."""
    import optuna

    if "://" in text:
        try:
            engine = {"connect_args": {"timeout": 60}} if text.startswith("sqlite") else {}
            return optuna.storages.RDBStorage(text, engine_kwargs=engine)
        except Exception as error:  # no driver, no server, no permission ...
            raise _unusable(text, error) from error
    from mcu_hybrid.search.journal import open_journal

    try:
        return open_journal(Path(text))
    except (OSError, ValueError, KeyError) as error:
        raise _unusable(text, error) from error


def _unusable(storage: str, error: Exception) -> InputError:
    fact = (str(error).splitlines() or [type(error).__name__])[0]
    return InputError(
        f"cannot be used for the study: {fact}",
        "give a file in a folder that you may write, or a database URL (sqlite:///study.db)",
        path=storage,
        key="--storage",
    )


def _me() -> dict[str, object]:
    return {"host": platform.node(), "pid": os.getpid(), "process": identity(os.getpid())}


def _is_alive(trial: FrozenTrial) -> bool:
    """Does the process that runs the trial still run? Elsewhere: has it given signs of life?"""
    owner = trial.user_attrs.get(_OWNER)
    if owner is None:  # killed, or about to say who it is
        begun = trial.datetime_start
        return begun is not None and time.time() - begun.timestamp() < 60
    if owner["host"] == platform.node():
        return identity(owner["pid"]) == owner["process"]
    return time.time() - trial.user_attrs.get(_BEAT, 0.0) < STALE_S


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
