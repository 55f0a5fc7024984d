"""What the mean input costs at a coverage c, in any unit: cost = edge + (1 - c) * query.

R(c) and L(c) of hybrid 1 (docs/papers.md): edge = R_b + R_r, query = R_comm + R_g.

The base runs on every input, so ``edge`` is always paid; ``query`` by the inputs that are queried.
Latency, energy, bytes, multiply-accumulates and the query rate itself all have this form. The
figures come from the caller (a bench, a link model); here they are only put together.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mcu_hybrid.board.types import Board
from mcu_hybrid.errors import InputError

POWER = Path(__file__).with_name("power.toml")


@dataclass(frozen=True)
class Cost:
    """A cost per input: ``edge`` for each, ``query`` on top for those that are queried.

    ``query`` is a number, or one per calibration image where queries differ (compressed images).
    ``unit`` is the text after a value: ms, mJ, B, MACs, instructions. ``edge_range`` is where the
    truth lies of an ``edge`` that is an estimate; what is solved for goes by the estimate.
    ``between``: in a cascade of more than two stages, what each hop ahead of the last adds.
    """

    unit: str
    edge: float
    query: float | np.ndarray
    edge_range: tuple[float, float] | None = None
    between: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        values = np.append(np.ravel(self.query), [self.edge, *self.between])
        if not (np.isfinite(values).all() and (values >= 0).all()):
            raise InputError(
                f"a cost in {self.unit} must be finite and 0 or more: edge {self.edge:g}, query "
                f"{self.mean_query:g}",
                "check the bench, the link and the payload",
            )

    def hops(self, count: int) -> tuple[float | np.ndarray, ...]:
        """What each of ``count`` hops adds for those that go on; nothing where it is not said."""
        free = (0.0,) * (count - 1 - len(self.between))
        return (*free, *self.between, self.query)

    @property
    def mean_query(self) -> float:
        """What a query costs, averaged over the calibration images where they differ."""
        return float(np.mean(self.query))

    @property
    def is_constant(self) -> bool:
        """True where every query costs the same."""
        return bool(np.ndim(self.query) == 0)

    def at(self, coverage: float) -> float:
        """The mean cost per input at this coverage (hybrid 1): edge + (1 - c) * query."""
        # 1 - 0.8 is a little less than 0.2 in binary; published tables were made with 0.2.
        return self.edge + round(1.0 - coverage, 12) * self.mean_query

    def coverage_for(self, budget: float) -> float | None:
        """The smallest coverage whose mean cost is within the budget; None where none is.

        c = 1 - (budget - edge) / query, the inverse of ``at``.
        """
        if budget < self.edge:
            return None
        if self.mean_query <= 0:
            return 0.0
        return max(0.0, 1.0 - (budget - self.edge) / self.mean_query)


QUERY_RATE = Cost("", 0.0, 1.0)


@dataclass(frozen=True)
class Power:
    """A board's power in mW: computing, and asleep while it waits; ``basis`` says whence."""

    active_mw: float
    idle_mw: float
    basis: str

    def edge_mj(self, edge_ms: float) -> float:
        """Millijoules of the device's own work of one input: power x time."""
        return self.active_mw * edge_ms / 1e3

    def wait_mj(self, wait_ms: float) -> float:
        """Millijoules while the device waits for an answer."""
        return self.idle_mw * wait_ms / 1e3


def power_of(board: Board, path: Path = POWER) -> Power:
    """The power of a board's chip (of a virtual board: of the chip that prices its time).

    Raises:
        InputError: no figures for this chip, or the file is not what it should be.
    """
    chip = (board.estimate_chip or board.chip).name
    table = tomllib.loads(path.read_text("utf-8"))
    if chip not in table:
        raise InputError(
            f"no power figures for the chip {chip} of {board.name}",
            "give them in mW, computing and asleep: --power 400,100",
            path=path.name,
            key=chip,
        )
    return _power(table[chip], path, chip)


def _power(entry: Mapping[str, object], path: Path, chip: str) -> Power:
    active, idle, basis = (entry.get(key) for key in ("active_mw", "idle_mw", "basis"))
    numbers = isinstance(active, int | float) and isinstance(idle, int | float)
    if not (numbers and isinstance(basis, str) and basis and len(entry) == 3):
        raise InputError(
            "needs the numbers active_mw and idle_mw and a text basis, and nothing else",
            "see the other chips",
            path=path.name,
            key=chip,
        )
    assert isinstance(active, int | float) and isinstance(idle, int | float)
    return given_power(active, idle, basis)


def given_power(active_mw: float, idle_mw: float, basis: str = "given by the user") -> Power:
    """Checked figures; raises InputError where they are negative or asleep takes more."""
    if not (0 <= idle_mw <= active_mw and math.isfinite(active_mw)):
        raise InputError(
            f"computing {active_mw:g} mW, asleep {idle_mw:g} mW: need 0 <= asleep <= computing",
            "for example --power 400,100",
            key="power",
        )
    return Power(float(active_mw), float(idle_mw), basis)
