"""Genomes and spaces: round trips, shapes, what is refused; scores of pairs from predictions."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mcu_hybrid import nets
from mcu_hybrid.errors import InputError
from mcu_hybrid.nets import genome as genomes
from mcu_hybrid.nets.genome import Genome, Stage, blocks, map_size
from mcu_hybrid.search import space as spaces
from mcu_hybrid.search.score import Budget, best_pair, pareto, proxy, unsure
from mcu_hybrid.search.space import sample, space_for

GENOME = Genome((9, 12), 4, 2, (Stage(2, 6, 5, 3, 2), Stage(2, 6, 3, 1, 1)), head=10)


def test_a_genome_survives_json_and_files(tmp_path: Path) -> None:
    assert genomes.from_json(json.loads(json.dumps(GENOME.to_json()))) == GENOME
    path = tmp_path / "best.json"
    path.write_text(json.dumps({"base": {"genome": GENOME.to_json()}, "global": {"spec": "x"}}))
    assert genomes.read(f"search:{path}", large=False) == GENOME
    assert nets.canonical(f"search:{path}", large=False) == GENOME.spec
    assert genomes.read(GENOME.spec, large=True) == GENOME
    assert nets.canonical("reference", large=True) == "reference"
    with pytest.raises(InputError, match="no genome of a global network"):
        genomes.read(f"search:{path}", large=True)


def test_blocks_follow_the_stages() -> None:
    made = list(blocks(GENOME))
    assert [(b.in_c, b.hidden, b.out_c, b.stride) for b in made] == [
        (4, 12, 6, 2),
        (6, 18, 6, 1),
        (6, 6, 6, 1),
        (6, 6, 6, 1),
    ]
    assert [b.residual for b in made] == [False, True, True, True]
    assert [b.expands for b in made] == [True, True, False, False]
    assert map_size(GENOME) == (3, 3)  # 9 -> 5 -> 3, 12 -> 6 -> 3
    assert replace(GENOME, head=0).digest != GENOME.digest


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"stem": 0}, "stem: 0: must be 1..4096"),
        ({"stem": True}, "stem"),
        ({"activation": "tanh"}, "relu6 or relu"),
        ({"size": [8]}, r"\[height, width\]"),
        ({"stages": []}, "list of stages"),
        ({"stages": [{"depth": 1}]}, "width: is missing"),
        ({"colour": 1}, "colour: is no key"),
    ],
)
def test_a_wrong_genome_names_its_key(change: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        genomes.from_json(GENOME.to_json() | change)


@pytest.mark.parametrize("content", ["{", "[1]", '{"base": 3}', None])
def test_a_wrong_file_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "x.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=r"x\.json"):
        genomes.read(f"search:{path}", large=False)


def test_the_network_has_the_genomes_shapes() -> None:
    torch = pytest.importorskip("torch")
    net = nets.build(GENOME.spec, (9, 12, 3), 5, 0, large=False)
    assert net(torch.rand(2, 3, 9, 12)).shape == (2, 5)
    relu = replace(GENOME, activation="relu", head=0)
    assert nets.build(relu.spec, (9, 12, 1), 2, 0, large=True)(torch.rand(1, 1, 9, 12)).numel() == 2
    with pytest.raises(InputError, match="--size 9x12"):
        nets.build(GENOME.spec, (12, 12, 3), 5, 0, large=False)


@pytest.mark.parametrize("shape", [(8, 8, 1), (32, 32, 3), (96, 64, 3), (10, 200, 1), (3, 3, 1)])
@pytest.mark.parametrize("large", [False, True])
def test_a_space_fits_its_images_and_survives_json(
    shape: tuple[int, int, int], large: bool, tmp_path: Path
) -> None:
    space = space_for(shape, large=large)
    path = tmp_path / "space.json"
    path.write_text(json.dumps({"space": space.to_json()}))
    assert spaces.read_space(path) == space
    assert shape[:2] in space.sizes
    seen = set()
    rng = np.random.default_rng(0)
    for _ in range(40):
        made = sample(space, lambda name, choices: int(rng.choice(choices)))
        assert genomes.from_json(made.to_json()) == made
        assert min(map_size(made)) <= 4
        seen.add(made.digest)
    assert 1 < len(seen) <= space.count


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"stems": []}, "stems: needs a list of integers"),
        ({"stems": [4, 4]}, "stems: names a choice twice"),
        ({"sizes": [[8, 8], [8, 9]]}, "different heights"),
        ({"stages": [{}]}, "no space of genomes"),
        ({"heads": [-1]}, "head: -1"),
        ({"more": 1}, "no space of genomes"),
    ],
)
def test_a_wrong_space_names_its_key(change: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        spaces.from_json(space_for((8, 8, 1), large=False).to_json() | change)


def predictions(seed: int, accuracy: float, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are surer where they are right, and the classes."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 5
    right = rng.random(n) < accuracy
    said = np.where(right, y, (y + 1) % 5)
    logits = rng.normal(0, 0.3, (n, 5))
    logits[np.arange(n), said] += np.where(right, rng.uniform(1, 6, n), rng.uniform(0.5, 3, n))
    return logits.astype(np.float32), y


def test_the_proxy_keeps_the_identities() -> None:
    base, y = predictions(1, 0.7)
    cloud, _ = predictions(2, 0.9)
    whole = proxy(base, cloud, y, 1.0)
    assert whole.margin == whole.entropy == whole.oracle == whole.base_accuracy
    none = proxy(base, cloud, y, 0.0)
    assert none.margin == none.entropy == none.global_accuracy
    assert none.oracle == none.base_accuracy + none.query_worth
    for coverage in (0.9, 0.8, 0.5):
        found = proxy(base, cloud, y, coverage)
        bound = found.base_accuracy + min(1 - coverage, found.query_worth)
        assert found.oracle == pytest.approx(bound, abs=1 / len(y))
        chance = coverage * found.base_accuracy + (1 - coverage) * found.global_accuracy
        assert chance < found.margin <= found.oracle
        assert chance < found.entropy <= found.oracle


def test_the_least_sure_images_are_queried_first() -> None:
    logits = np.array([[5.0, 0, 0], [1.0, 0.9, -9], [1.0, 0.5, 0.5]])
    assert np.argsort(-unsure(logits, "margin")).tolist() == [1, 2, 0]
    assert np.argsort(-unsure(logits, "entropy")).tolist() == [2, 1, 0]


def test_the_budget_implies_the_coverage() -> None:
    macs = Budget("macs", 100.0)
    assert macs.coverage(macs.edge(40, None), 200) == pytest.approx(0.7)  # 40 + 0.3 * 200
    assert macs.expected(40.0, 200, 0.7) == pytest.approx(100.0)
    assert macs.coverage(macs.edge(101, None), 200) is None
    assert macs.coverage(macs.edge(10, None), 50) == 0.0  # everything may be queried
    time = Budget("latency", 600e3, query_us=2e6)
    assert time.coverage(time.edge(0, 200e3), 10**9) == pytest.approx(0.8)
    assert Budget("coverage", 0.9).coverage(1e12, 1) == 0.9
    assert Budget("coverage", 0.9).expected(1.0, 1, 0.9) is None
    for wrong in (Budget("coverage", 1.1), Budget("latency", 1.0)):
        with pytest.raises(InputError):
            wrong.check()
    with pytest.raises(InputError, match="no latency is known"):
        time.edge(1, None)


def test_pairs_are_scored_from_predictions_alone() -> None:
    weak, y = predictions(1, 0.6)
    strong, _ = predictions(2, 0.8)
    cloud, _ = predictions(3, 0.95)
    bases = [("weak", 10.0, weak), ("strong", 80.0, strong), ("heavy", 101.0, strong)]
    rows = best_pair(bases, [("g", 200, cloud), ("h", 400, cloud)], y, Budget("macs", 100.0))
    assert {(r.base, r.global_) for r in rows} == {
        (b, g) for b in ("weak", "strong") for g in ("g", "h")
    }
    for row in rows:
        edge, macs = (10, 80)[row.base == "strong"], (200, 400)[row.global_ == "h"]
        assert row.scores.coverage == pytest.approx(1 - (100 - edge) / macs)
        logits = strong if row.base == "strong" else weak
        assert row.scores.margin == proxy(logits, cloud, y, row.scores.coverage).margin
    assert [r.scores.margin for r in rows] == sorted((r.scores.margin for r in rows), reverse=True)


def test_the_front_holds_what_nothing_beats() -> None:
    items = [(0.9, 50.0), (0.8, 60.0), (0.8, 20.0), (0.7, 20.0), (0.9, 40.0), (0.1, 1.0)]
    assert pareto(items, lambda item: item) == [(0.9, 40.0), (0.8, 20.0), (0.1, 1.0)]
