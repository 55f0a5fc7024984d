"""search: data, board and budget to the best genomes; writes search.json and best.json."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mcu_hybrid import nets
from mcu_hybrid.artifacts.codec import to_json
from mcu_hybrid.artifacts.search import Limits, SearchResult
from mcu_hybrid.artifacts.train import Remarks
from mcu_hybrid.board.load import load_board
from mcu_hybrid.errors import InputError
from mcu_hybrid.events import OnEvent
from mcu_hybrid.machines.price import estimate
from mcu_hybrid.nets import checkpoint
from mcu_hybrid.routing.link_costs import link_model
from mcu_hybrid.search import results, spread, study
from mcu_hybrid.search.evaluate import Candidate, Pool, Predicted, Short, pool_of, train_short
from mcu_hybrid.search.figures import limits_of
from mcu_hybrid.search.run import Search, Spaces
from mcu_hybrid.search.score import Budget
from mcu_hybrid.search.space import Space, read_space, space_for
from mcu_hybrid.search.task import Task
from mcu_hybrid.training.data import load_data, remarks
from mcu_hybrid.training.fit import predict

BEST, WEIGHTS = "best.json", "best-base.pt"
AUTO = "auto"
# Times those of a candidate: a fixed global is trained once, and all scores rest on it. Not tuned.
_FIXED_EPOCHS = 4


@dataclass(frozen=True)
class SearchOptions:
    """What to search for, and where; ``global_epochs`` 0: by the kind of the global.

    ``global_`` is a train folder, a hybrid.pt, or a network specification; ``global_space`` is
    "auto" or a file and searches the global too. ``storage`` "" is OUT/study.log, ``cache`` None
    is OUT/cache. ``link`` and ``cloud_us`` price a query for a budget of latency.
    ``trials`` are candidates that are trained.
    """

    data: str
    board: str
    out: Path
    budget: Budget
    link: str = "wifi"
    cloud_us: float = 0.0
    size: tuple[int, int] | None = None
    trials: int = 20
    short: Short = Short(global_epochs=0)  # noqa: RUF009 - frozen
    limits: Limits = Limits()  # noqa: RUF009 - frozen
    space: Path | None = None
    global_: str = nets.REFERENCE
    global_space: str = ""
    storage: str = ""
    study: str = "search"
    cache: Path | None = None
    ray: str = ""
    workers: int = 0
    resume: bool = False
    board_dirs: Sequence[Path] = ()


def search_step(options: SearchOptions, on_event: OnEvent | None = None) -> SearchResult:
    """Search, write search.json, best.json and the winner's weights into OUT; returns the result.

    Raises:
        InputError: an option makes no sense, or the study answers another question.
        CapacityError: no candidate fits.
        MissingTool: Optuna (or Ray, where asked for) is not installed.
    """
    study.require_optuna()
    if options.ray:
        spread.require_ray()
    nets.require_torch()
    _check_out(options.out)
    data = load_data(options.data, size=options.size, on_event=on_event)
    short = _short(options)
    pool = pool_of(data, short)
    spaces = _spaces(options, pool)
    board = load_board(options.board, options.board_dirs)
    limits = limits_of(board, options.limits)
    budget = _budget(options, pool)
    budget.edge(1, estimate(board, 1).us)  # says so where the board has no latency
    cache = (options.cache or options.out / "cache").resolve()
    book = study.open_book(
        options.storage or str(options.out / "study.log"),
        options.study,
        _question(options, pool, spaces, short, limits, budget)
        | {"us_per_million_instructions": estimate(board, 1e6).us},
        places=options.trials,
        seed=short.seed,
        resume=options.resume or bool(options.storage),
    )
    book.recover()
    fixed = None if spaces.global_ else _fixed(options, pool, short, cache, on_event)
    task = Task(pool, board, limits, budget, short, cache, fixed)
    search = Search(book, spaces, task, on_event)
    with spread.cluster(options.ray, options.workers) if options.ray else nullcontext() as ray:
        (spread.Spread(search, ray) if options.ray else search).run()
    return _written(options, search, remarks(data))


def _written(options: SearchOptions, search: Search, data: Remarks) -> SearchResult:
    """The files of OUT, whole or not at all."""
    found = results.result_of(search, options.global_, data)
    _write(options.out / SearchResult.file, found.to_json())
    best = found.best
    if best is not None:
        _write(options.out / BEST, to_json(best))
        weights = search.task.cache / f"{best.scores.base_key}.pt"
        if weights.is_file():
            shutil.copyfile(weights, options.out / WEIGHTS)
    return found


def _write(path: Path, data: Mapping[str, Any]) -> None:
    beside = path.with_name(f".{path.name}")
    beside.write_text(json.dumps(data, indent=1) + "\n")
    beside.replace(path)


def _check_out(out: Path) -> None:
    """A folder that we may write, found before the work."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot be written: {error.strerror}", "choose another --out", path=out
        ) from error


def _short(options: SearchOptions) -> Short:
    """Epochs of the global resolved."""
    short = options.short
    times = 1 if options.global_space else _FIXED_EPOCHS
    return replace(short, global_epochs=short.global_epochs or short.epochs * times)


def _spaces(options: SearchOptions, pool: Pool) -> Spaces:
    """Spaces of base and global; every size of the base's must be one that images can have."""
    base = read_space(options.space) if options.space else space_for(pool.shape, large=False)
    global_: Space | None = None
    if options.global_space == AUTO:
        global_ = space_for(pool.shape, large=True)
    elif options.global_space:
        global_ = read_space(Path(options.global_space))
    return Spaces(base, global_)


def _budget(options: SearchOptions, pool: Pool) -> Budget:
    """With the latency of a query: an image of the data's size over the link, logits back."""
    link = link_model(options.link)
    height, width, channels = pool.shape
    query_ms = link.query_ms(height * width * channels, 4 * pool.classes, options.cloud_us / 1e3)
    return replace(options.budget, query_us=1e3 * query_ms).check()


def _question(
    options: SearchOptions,
    pool: Pool,
    spaces: Spaces,
    short: Short,
    limits: Limits,
    budget: Budget,
) -> dict[str, object]:
    """What must be the same for two trials to be comparable."""
    return {
        "data": pool.digest,
        "board": options.board,
        "limits": vars(limits),
        "budget": vars(budget),
        "space": spaces.base.to_json(),
        "global": spaces.global_.to_json() if spaces.global_ else _global_name(options.global_),
        "training": {**vars(short), "threads": 0},
    }


def _global_name(text: str) -> str:
    """A file's content decides, not where it lies."""
    path = _checkpoint(text)
    if path is None:
        return nets.canonical(text, large=True)
    from mcu_hybrid.manifest import sha256_file

    return sha256_file(path)


def _checkpoint(text: str) -> Path | None:
    """The hybrid.pt that ``--global`` names, or None for a network specification."""
    path = Path(text)
    if path.is_dir():
        return path / checkpoint.CHECKPOINT
    return path if path.is_file() or path.suffix == ".pt" else None


def _fixed(
    options: SearchOptions, pool: Pool, short: Short, cache: Path, on_event: OnEvent | None
) -> Predicted:
    """Predictions of the global that all bases are paired with: as trained, or trained here."""
    if on_event:
        on_event("global network", 0, 1)
    path = _checkpoint(options.global_)
    if path is None:
        spec = nets.canonical(options.global_, large=True)
        made = train_short(Candidate(spec, pool.shape[:2], True), pool, short, cache)
    else:
        hybrid = checkpoint.load_hybrid(path)
        if hybrid.shape != pool.shape or len(hybrid.labels) != pool.classes:
            raise InputError(
                f"is for {len(hybrid.labels)} classes of images {hybrid.shape}, the data has "
                f"{pool.classes} of {pool.shape}",
                "give the data it was trained on, and its --size",
                path=path,
                key="--global",
            )
        net = hybrid.global_
        parameters = sum(p.numel() for p in net.parameters())
        macs = nets.count_macs(net, hybrid.shape)
        made = Predicted("checkpoint", predict(net, pool.x_val), macs, parameters)
    if on_event:
        on_event("global network", 1, 1)
    return made
