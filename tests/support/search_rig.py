"""A tiny search for tests, in this process or in one that can be killed: ``python ... OUT``."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from mcu_hybrid.search import run, study
from mcu_hybrid.search.evaluate import Short
from mcu_hybrid.search.score import Budget
from mcu_hybrid.steps.search import SearchOptions, search_step

SPACE = {
    "sizes": [[8, 8]],
    "stems": [4, 8],
    "stem_stride": 1,
    "stages": [
        {"depths": [1], "widths": [4, 8], "kernels": [3], "expansions": [1], "stride": 2},
        {"depths": [1, 2], "widths": [8, 12], "kernels": [3, 5], "expansions": [1, 2], "stride": 2},
    ],
}


def options(out: Path, **changes: Any) -> SearchOptions:
    """Four candidates of a space of 128, each trained for a moment."""
    out.mkdir(exist_ok=True)
    space = out / "space.json"
    space.write_text(json.dumps(SPACE))
    small = SearchOptions(
        data="digits",
        board="stm32f7",
        out=out,
        budget=Budget("macs", 900e3),
        trials=4,
        short=Short(epochs=1, global_epochs=1, images=150, threads=1),
        space=space,
    )
    return replace(small, **changes)


def trials_of(storage: str) -> list[Any]:
    book = study.open_book(storage, "search", {}, places=1, seed=0, resume=True)
    return book.trials()


def states(storage: str) -> Counter[str]:
    """How many trials are in each state."""
    return Counter(trial.state.name for trial in trials_of(storage))


def pairs(storage: str) -> list[tuple[str, ...]]:
    """Genomes of the trials that have a place and are done."""
    done = [t for t in trials_of(storage) if t.state.is_finished() and "claim" in t.user_attrs]
    return [tuple(t.user_attrs["key"]) for t in done if t.state.name != "FAIL"]


def main(out: Path, hang_at: int, **changes: Any) -> None:
    """Search; the training number ``hang_at`` never ends, and a file says that it has begun."""
    own, begun = run.score_of, 0

    def score_of(*args: Any) -> Any:
        nonlocal begun
        if begun == hang_at:
            (out / "hangs").touch()
            time.sleep(600)
        begun += 1
        return own(*args)

    run.score_of = score_of
    search_step(options(out, **changes))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), storage=sys.argv[3])
