"""The search itself: places, limits, a kill in the middle, several processes, Ray, its files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
optuna = pytest.importorskip("optuna")

from click.testing import CliRunner  # noqa: E402

from mcu_hybrid import extras, nets  # noqa: E402
from mcu_hybrid.artifacts import store  # noqa: E402
from mcu_hybrid.artifacts.codec import to_json  # noqa: E402
from mcu_hybrid.artifacts.search import Limits, SearchResult  # noqa: E402
from mcu_hybrid.artifacts.train import Remarks  # noqa: E402
from mcu_hybrid.cli.search import command  # noqa: E402
from mcu_hybrid.errors import CapacityError, InputError, MissingTool  # noqa: E402
from mcu_hybrid.search import run, study  # noqa: E402
from mcu_hybrid.search.score import Budget  # noqa: E402
from mcu_hybrid.search.spread import cluster  # noqa: E402
from mcu_hybrid.steps.search import search_step  # noqa: E402
from tests.support.search_rig import SPACE, options, pairs, states, trials_of  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]


def test_a_search_from_data_to_files(tmp_path: Path) -> None:
    events: list[str] = []
    found = search_step(options(tmp_path), lambda label, *_: events.append(label))
    assert {"global network", "train candidates"} <= set(events)
    assert found == store.result(SearchResult, tmp_path)
    assert found.counts.trained + found.counts.pruned == 4
    best = found.best
    assert best is not None and to_json(best) == json.loads((tmp_path / "best.json").read_text())
    scores, figures = best.scores, best.base.figures
    assert scores.margin == max(pair.scores.margin for pair in found.pairs)
    assert scores.margin <= scores.oracle
    spent = figures.macs + (1 - scores.coverage) * best.global_.macs
    assert spent == pytest.approx(900e3) == scores.expected_cost
    assert found.data == Remarks(left_out={}, notes=())
    assert 0 < figures.latency_us < 1e5 and figures.arena_bytes < figures.sram_bytes
    front = [(pair.scores.margin, pair.cost) for pair in found.pareto]
    assert front == sorted(front, reverse=True) and front[0][0] == scores.margin
    net = nets.build(f"search:{tmp_path / 'best.json'}", (8, 8, 1), 10, 0, large=False)
    nets.load_weights(net, tmp_path / "best-base.pt")
    with pytest.raises(InputError, match="--resume"):
        search_step(options(tmp_path))
    with pytest.raises(InputError, match=r"made with training\.epochs 1, now it is 2"):
        other = options(tmp_path)
        search_step(replace(other, short=replace(other.short, epochs=2), resume=True))
    fit = trials_of(str(tmp_path / "study.log"))[0].user_attrs["fit"]
    assert set(fit["excess"]) == set(study.LIMITS)
    more = search_step(options(tmp_path, trials=5, resume=True))
    assert more.counts.trained + more.counts.pruned == 5


def test_globals_are_searched_too_and_all_pairs_scored(tmp_path: Path) -> None:
    space = tmp_path / "global.json"
    space.write_text(json.dumps(SPACE | {"stems": [16, 24]}))
    budget = Budget("latency", 30e3)
    wanted = options(tmp_path / "out", trials=3, global_space=str(space), budget=budget)
    found = search_step(wanted)
    assert found.counts.trained == 3
    assert len(found.pairs) > 3  # of three bases and up to three globals
    assert all(pair.global_.genome["stem"] in (16, 24) for pair in found.pairs)
    for pair in found.pairs:
        assert pair.scores.expected_cost == pytest.approx(30e3)
        assert 0 < pair.scores.coverage < 1
    assert found.best == found.pairs[0]
    best = f"search:{wanted.out / 'best.json'}"
    assert nets.canonical(best, large=True) != nets.canonical(best, large=False)


def test_a_global_of_a_checkpoint_is_used_as_it_is(tmp_path: Path) -> None:
    from mcu_hybrid.nets.checkpoint import Hybrid, NetSpec, save_hybrid
    from mcu_hybrid.search.evaluate import pool_of
    from mcu_hybrid.steps import search as step
    from mcu_hybrid.steps.calibrate import _untrained
    from mcu_hybrid.training.data import load_data
    from mcu_hybrid.training.fit import predict

    spec, data = NetSpec("reference", 4), load_data("digits")
    made = [nets.build("reference", (8, 8, 1), 10, 4, large=large) for large in (False, True)]
    router = _untrained(10)
    hybrid = Hybrid(made[0], made[1], spec, spec, router, (8, 8, 1), data.labels, {})
    save_hybrid(hybrid, tmp_path / "hybrid.pt")
    wanted = options(tmp_path, global_=str(tmp_path))
    pool = pool_of(data, wanted.short)
    found = step._fixed(wanted, pool, wanted.short, tmp_path / "cache", None)
    assert np.array_equal(found.logits, predict(made[1], pool.x_val))
    assert found.macs == nets.count_macs(made[1], (8, 8, 1))
    with pytest.raises(InputError, match="for 10 classes"):
        step._fixed(wanted, replace(pool, classes=9), wanted.short, tmp_path, None)


def test_impossible_limits_say_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "MOST_MISSES", 3)
    with pytest.raises(CapacityError, match="exceeds latency"):
        search_step(options(tmp_path, limits=Limits(latency_us=1.0)))


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--coverage", "0.5", "--expected-macs", "1M"), "give one of"),
        (("--max-latency", "fast"), "is no time; for example 100ms"),
        (("--expected-macs", "0"), "is no count"),
        (("--expected-macs", "3ms"), "is no count"),
        (("--max-sram", "much"), "is no size"),
        (("--trials", "0"), "--trials"),
    ],
)
def test_options_that_make_no_sense_exit_2(args: tuple[str, ...], said: str) -> None:
    done = CliRunner().invoke(command, args)
    assert done.exit_code == 2
    assert said in " ".join(done.output.replace("│", " ").split())


def test_the_command_line_searches(tmp_path: Path) -> None:
    space = options(tmp_path).space
    args = ["--trials", "2", "--epochs", "1", "--images", "150", "--threads", "1"]
    args += ["--space", str(space), "--out", str(tmp_path), "--max-latency", "0.005s"]
    limits = ["--expected-latency", "30ms", "--cloud-latency", "900us", "--max-flash", "64K"]
    done = CliRunner().invoke(command, [*args, *limits, "--link", "lte,rtt=20", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["limits"] == {"sram_bytes": 327680, "flash_bytes": 65536, "latency_us": 5000.0}
    assert found["budget"]["amount"] == 30e3
    bits = (64 + 40) * 8 / 2.5e6 + (40 + 40) * 8 / 5e6  # an image there, logits back
    assert found["budget"]["query_us"] == pytest.approx(20e3 + 900 + 1e6 * bits)
    shown = CliRunner().invoke(command, [*args, *limits, "--link", "lte,rtt=20", "--resume"])
    assert shown.exit_code == 0, shown.output
    assert "2 trained" in shown.stdout
    assert f"--size 8x8 --base search:{tmp_path / 'best.json'}" in shown.stdout.replace("\n", "")


def start(out: Path, hang_at: int, storage: str) -> subprocess.Popen[str]:
    environment = os.environ | {"XDG_STATE_HOME": str(out / "state")}
    argv = [sys.executable, "-m", "tests.support.search_rig", str(out), str(hang_at), storage]
    return subprocess.Popen(argv, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("storage", ["study.log", "sqlite:///{}/study.db"])
def test_a_kill_loses_and_doubles_nothing(tmp_path: Path, storage: str) -> None:
    storage = storage.format(tmp_path) if ":" in storage else str(tmp_path / storage)
    options(tmp_path)
    process = start(tmp_path, 2, storage)
    while not (tmp_path / "hangs").exists():
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.05)
    process.kill()
    process.communicate()
    assert states(storage)["RUNNING"] == 1
    before = pairs(storage)
    lost = next(t for t in trials_of(storage) if t.state.name == "RUNNING")
    found = search_step(options(tmp_path, storage=storage))
    assert found.counts.trained + found.counts.pruned == 4
    assert found.counts.lost == 1 and found.counts.under_way == 0
    after = pairs(storage)
    assert len(after) == len(set(after)) == 4 and set(before) < set(after)
    assert tuple(lost.user_attrs["key"]) in after


def test_two_processes_share_one_study(tmp_path: Path) -> None:
    storage = str(tmp_path / "study.log")
    options(tmp_path)
    both = [start(tmp_path, -1, storage) for _ in range(2)]
    said = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    done = pairs(storage)
    assert len(done) == len(set(done)) == 4
    assert not states(storage)["RUNNING"]


def test_trials_spread_over_a_ray_cluster(tmp_path: Path) -> None:
    if find_spec("ray") is None:
        pytest.skip("Ray is not installed")
    from ray.cluster_utils import Cluster

    two = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        two.add_node(num_cpus=1)
        found = search_step(options(tmp_path, trials=3, ray=two.address))
    finally:
        two.shutdown()
    assert found.counts.trained + found.counts.pruned == 3
    assert found.counts.under_way == 0
    done = pairs(str(tmp_path / "study.log"))
    assert len(done) == len(set(done)) == 3


def test_ray_here_and_nowhere() -> None:
    if find_spec("ray") is None:
        pytest.skip("Ray is not installed")
    with cluster("local", workers=1) as ray:
        assert ray.cluster_resources()["CPU"] == 1
    for address in ("127.0.0.1:1", "ray://127.0.0.1:1", "nonsense"):
        with pytest.raises(InputError, match="no Ray cluster at"), cluster(address):
            pass


def test_a_journal_with_a_torn_end_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "study.log"
    study.open_book(str(path), "search", {}, places=1, seed=0, resume=False)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"op_code": 4, "wor')
    assert trials_of(str(path)) == []
    mended = path.read_bytes()
    assert mended.startswith(whole)
    assert all(json.loads(line) for line in mended.splitlines())


@pytest.mark.parametrize("storage", ["notes.txt", "sqlite:////nowhere/x.db", "folder"])
def test_storage_that_cannot_be_used_is_named(tmp_path: Path, storage: str) -> None:
    (tmp_path / "notes.txt").write_text("not a journal\n")
    (tmp_path / "folder").mkdir()
    path = storage if ":" in storage else str(tmp_path / storage)
    with pytest.raises(InputError, match="cannot be used for the study"):
        study.open_book(path, "search", {}, places=1, seed=0, resume=True)


def test_missing_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = {"ray"}
    installed = extras.Package.installed.fget
    monkeypatch.setattr(
        extras.Package, "installed", property(lambda p: p.name not in missing and installed(p))
    )
    with pytest.raises(MissingTool, match="not installed: ray") as told:
        search_step(options(tmp_path, ray="local"))
    assert told.value.hint == "pip install 'mcu-hybrid[ray]'"
    missing |= {"optuna"}
    with pytest.raises(MissingTool, match="not installed: optuna"):
        search_step(options(tmp_path))
    missing |= {"torch"}
    told = CliRunner().invoke(command, ["--out", str(tmp_path)]).exception
    assert isinstance(told, MissingTool)
    assert "torch" in told.message and "optuna" in told.message
    assert told.hint == "pip install 'mcu-hybrid[search]'"
