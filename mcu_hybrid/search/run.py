"""The loop of a search: ask, compile, train, tell. Places and recovery: the book (study.py)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcu_hybrid.artifacts.codec import plain_to, to_json
from mcu_hybrid.artifacts.search import Figures
from mcu_hybrid.errors import CapacityError
from mcu_hybrid.events import OnEvent
from mcu_hybrid.nets.genome import Genome, from_json
from mcu_hybrid.search.space import Space, sample
from mcu_hybrid.search.study import Book
from mcu_hybrid.search.task import Fit, GivenUp, PairScores, Task, fit_of, score_of

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial, Trial

# Proposals in a row that take no place (known, too large): the space is exhausted then. Not tuned.
MOST_MISSES = 200
_BASE, _GLOBAL, _FIT, _RESULT = "base", "global", "fit", "result"


@dataclass(frozen=True)
class Spaces:
    """Where bases come from, and globals (None: the task has a fixed one)."""

    base: Space
    global_: Space | None


@dataclass(frozen=True)
class Proposal:
    """A trial with its pair of genomes."""

    trial: Trial
    base: Genome
    global_: Genome | None

    @property
    def key(self) -> list[str]:
        """Tells pairs apart."""
        return [self.base.digest, self.global_.digest if self.global_ else ""]


@dataclass(frozen=True)
class Row:
    """A trained pair as the study remembers it."""

    number: int
    base: Genome
    global_: Genome | None
    fit: Fit
    scores: PairScores


class Search:
    """A search over a book's study; ``step`` works on one proposal."""

    def __init__(self, book: Book, spaces: Spaces, task: Task, on_event: OnEvent | None) -> None:
        self.book, self.spaces, self.task = book, spaces, task
        self.on_event = on_event or (lambda label, done, total: None)
        self.misses = 0

    def run(self) -> None:
        """Work until every place is taken.

        Raises:
            CapacityError: no proposal fits the board and the budget.
        """
        self.tell()
        while (proposal := self.propose()) is not None:
            fit = fit_of(self.task, proposal.base)
            if self.accept(proposal, fit):
                self.train(proposal, fit)
            self.tell()

    def tell(self) -> None:
        """Progress: places done."""
        self.on_event("train candidates", self.book.trained(), self.book.places)

    def propose(self) -> Proposal | None:
        """The next pair to work on; None where all places are taken, or nothing new is found."""
        while self.misses < MOST_MISSES:
            trial = self.book.ask()
            if trial is None:
                return None
            base = sample(self.spaces.base, _chooser(trial, "base"))
            space = self.spaces.global_
            global_ = None if space is None else sample(space, _chooser(trial, "global"))
            found = Proposal(trial, base, global_)
            if not self._known(found):
                trial.set_user_attr("key", found.key)
                return found
            self.misses += 1
        if not self.book.taken():
            raise self._nothing_fits()
        return None

    def accept(self, proposal: Proposal, fit: Fit) -> bool:
        """Take a place for a proposal that fits; record why another one does not."""
        trial = proposal.trial
        trial.set_user_attr(_BASE, proposal.base.to_json())
        trial.set_user_attr(_GLOBAL, proposal.global_.to_json() if proposal.global_ else None)
        trial.set_user_attr(
            _FIT, {"figures": to_json(fit.figures), "excess": fit.excess, "edge": fit.edge}
        )
        if not fit.fits:
            self.misses += 1
            self.book.infeasible(trial, fit.excess)
            return False
        self.misses = 0
        return self.book.claim(trial)

    def train(self, proposal: Proposal, fit: Fit) -> None:
        """Train and score here; the pruner may end it."""

        def report(done: int, score: float) -> None:
            if not self.go_on(proposal.trial, done, score):
                raise GivenUp

        try:
            scores = score_of(self.task, proposal.base, proposal.global_, fit, report)
        except GivenUp:
            self.finish(proposal.trial, None)
            return
        self.finish(proposal.trial, scores)

    def go_on(self, trial: Trial, done: int, score: float) -> bool:
        """Note a score on the way; False where it is hopeless against the others'."""
        trial.report(score, done)
        self.book.beat(trial)
        return not trial.should_prune()

    def finish(self, trial: Trial, scores: PairScores | None) -> None:
        """Record the scores; None for a training that was given up."""
        from optuna.trial import TrialState

        if scores is None:
            self.book.study.tell(trial, state=TrialState.PRUNED)
            return
        trial.set_user_attr(_RESULT, to_json(scores))
        self.book.study.tell(trial, scores.scores.margin)

    def rows(self) -> list[Row]:
        """All trained pairs of the study, best score first."""
        from optuna.trial import TrialState

        made = [
            _row(t) for t in self.book.trials((TrialState.COMPLETE,)) if _RESULT in t.user_attrs
        ]
        return sorted(made, key=lambda row: (-row.scores.scores.margin, row.number))

    def _known(self, proposal: Proposal) -> bool:
        """A pair that was worked on already: told with what is known, without a place."""
        from optuna.trial import TrialState

        trial = proposal.trial
        for other in self.book.trials():
            if other.user_attrs.get("key") != proposal.key or other.number == trial.number:
                continue
            if other.state == TrialState.FAIL:  # lost, or given back
                continue
            trial.set_user_attr("same_as", other.number)
            if other.state == TrialState.COMPLETE:
                self.book.study.tell(trial, other.value)
            else:
                self.book.give_up(trial.number)
            return True
        return False

    def _nothing_fits(self) -> CapacityError:
        """The proposal that came closest, and what it exceeds."""
        worst = []
        for trial in self.book.trials():
            excess = trial.user_attrs.get(_FIT, {}).get("excess")
            if excess:
                name = max(excess, key=lambda limit: excess[limit])
                worst.append((excess[name], name, trial))
        if not worst:
            return CapacityError("no proposal could be made", "give a larger --space")
        over, name, trial = min(worst, key=lambda item: item[0])
        return CapacityError(
            f"none of {len(worst)} candidates fits; the closest exceeds {name} by {over:.0%} "
            f"({from_json(trial.user_attrs[_BASE]).describe()})",
            "raise that limit (--max-sram, --max-flash, --max-latency, --expected-...), or give a "
            "smaller --space",
        )


def _chooser(trial: Trial, prefix: str) -> Any:
    """Optuna proposes an index into the choices: they are ordered, and its model can tell."""

    def choose(name: str, choices: Any) -> int:
        if len(choices) == 1:
            return int(choices[0])
        return int(choices[trial.suggest_int(f"{prefix}.{name}", 0, len(choices) - 1)])

    return choose


def _row(trial: FrozenTrial) -> Row:
    attrs = trial.user_attrs
    fit, other = attrs[_FIT], attrs[_GLOBAL]
    return Row(
        trial.number,
        from_json(attrs[_BASE]),
        from_json(other) if other else None,
        Fit(plain_to(Figures, fit["figures"]), fit["excess"], fit["edge"]),
        plain_to(PairScores, attrs[_RESULT]),
    )
