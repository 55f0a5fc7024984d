"""The CIFAR benchmark's plan and cache: time limits, one split for all seeds, stages made once."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from experiments.hybrid import show, world
from experiments.hybrid.cache import BEGUN, Cache
from experiments.hybrid.committed import from_record
from experiments.hybrid.plan import (
    ABLATIONS,
    BASE_MACS,
    SETTINGS,
    TITLES,
    TRAINED,
    plan_of_time,
    shown,
)
from mcu_hybrid import nets
from mcu_hybrid.report import html
from mcu_hybrid.training import data

SHAPE = (32, 32, 3)


def macs(name: str) -> tuple[int, int]:
    setting = SETTINGS[name]
    base = nets.build("reference", SHAPE, 10, setting.base_width, large=False)
    global_ = nets.build("reference", SHAPE, 10, setting.global_width, large=True)
    return nets.count_macs(base, SHAPE), nets.count_macs(global_, SHAPE)


def test_reduced_is_planned_within_30_minutes() -> None:
    setting = SETTINGS["reduced"]
    assert setting.limits[1] == 30
    rows = list(plan_of_time(setting, 3, *macs("reduced")))
    assert all(seconds > 0 for _, seconds in rows)
    assert sum(seconds for _, seconds in rows) <= 30 * 60
    # The plan follows the setting: twice the epochs cost twice the training.
    longer = replace(setting, global_epochs=2 * setting.global_epochs)
    twice = dict(plan_of_time(longer, 3, *macs("reduced")))
    assert twice["global"] == pytest.approx(2 * dict(rows)["global"])
    assert twice["base"] == dict(rows)["base"]


@pytest.mark.parametrize("name", ["full", "reduced"])
def test_networks_have_the_sizes_that_are_asked_for(name: str) -> None:
    base, global_ = macs(name)
    assert 1e6 <= base <= 1.6e6 < BASE_MACS
    assert 20e6 <= global_ <= 27e6


def test_every_variant_is_a_config_and_has_a_name() -> None:
    for setting in SETTINGS.values():
        variants = shown(setting)
        assert set(TRAINED) <= set(variants)
        for changes in variants.values():
            config = setting.config(3, "b.pt", "g.pt", **changes)
            assert config.splits_from == 0 and config.seed == 3
    assert set(shown(SETTINGS["full"])) == set(TRAINED) | set(ABLATIONS)
    assert set(TRAINED) <= set(TITLES)


def images(count: int, test: int) -> data.Dataset:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (count, 8, 8, 3)).astype(np.uint8)
    mask = np.arange(count) < test
    return data.make_dataset("random", x, np.arange(count) % 4, test=mask if test else None)


def test_fewer_images_keep_the_test_split_and_the_classes() -> None:
    setting = SETTINGS["smoke"]
    found = world.fewer(images(3000, 1000), setting)
    assert found.fixed_test_mask is not None
    assert int(found.fixed_test_mask.sum()) == setting.test_images
    assert len(found.y) == sum(setting.splits) + setting.test_images
    small = images(500, 0)
    assert world.fewer(small, setting) is small


def test_a_stage_is_made_once_and_again_when_its_settings_change(tmp_path: Path) -> None:
    said: list[str] = []
    made: list[str] = []

    def stage(
        cache: Cache, name: str, settings: dict[str, Any], after: tuple[Any, ...] = ()
    ) -> Any:
        def make(folder: Path) -> dict[str, Any]:
            made.append(name)
            (folder / "file").write_text(name)
            return {"name": name}

        return cache.stage(name, settings, after, make)

    for epochs in (1, 1, 2):
        cache = Cache(tmp_path, said.append)
        first = stage(cache, "global", {"epochs": epochs})
        second = stage(cache, "method 0 whole, no x", {}, (first,))
        assert second.facts == {"name": "method 0 whole, no x"}
    # The second time nothing; the third time both, since the one rests on the other.
    assert made == ["global", "method 0 whole, no x"] * 2
    assert sum("from the cache" in line for line in said) == 2


def test_an_ended_stage_keeps_its_files_for_the_next_run(tmp_path: Path) -> None:
    seen: list[bool] = []

    def make(folder: Path) -> dict[str, Any]:
        seen.append((folder / "half").is_file())
        (folder / "half").write_text("")
        if len(seen) == 1:
            raise KeyboardInterrupt
        return {}

    cache = Cache(tmp_path, lambda line: None)
    with pytest.raises(KeyboardInterrupt):
        cache.stage("base", {"seed": 0}, (), make)
    assert (tmp_path / "base" / BEGUN).is_file()
    assert not cache.stage("base", {"seed": 0}, (), make).was_cached
    cache.stage("base", {"seed": 1}, (), make)
    assert seen == [False, True, False]  # other settings begin with an empty folder


def test_the_checklist_names_tests_that_exist(root: Path) -> None:
    text = (root / "docs" / "hybrid.md").read_text("utf-8")
    named = re.findall(r"`((?:unit|e2e)/\w+\.py)(?:::(\w+))?`", text)
    assert len(named) > 40
    missing = [
        f"{file}::{function}"
        for file, function in named
        if not (root / "tests" / file).is_file()
        or f"def {function}" not in (root / "tests" / file).read_text("utf-8")
    ]
    assert not missing
    rows = [int(n) for n in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)]
    assert rows == [*range(1, 23), 25]


def test_the_docs_show_the_committed_result(root: Path) -> None:
    page = (root / "docs" / "hybrid.md").read_text("utf-8")
    assert show.into_docs(page, from_record()) == page
    assert page.count(show.BEGIN) == page.count(show.END) == 1


def test_the_curve_page_of_the_committed_result(root: Path) -> None:
    """Small, with the control named, and without what was asked of the method."""
    result = from_record()
    page = html.render(show.report_data(result))
    assert len(page.encode()) < 1_500_000
    assert "control: networks trained on as long without routing" in page
    for row in result["conditions"]:
        assert row["what"] not in page
        assert row["what"] in "\n".join(show.conditions(result))
    assert "conditions" not in page and "not binding" not in "\n".join(show.markdown(result))
