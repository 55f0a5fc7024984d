"""Options of a training run: defaults, file, command line, key=value; and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from mcu_hybrid.cli import train as verb
from mcu_hybrid.errors import InputError
from mcu_hybrid.training.config import HybridConfig
from mcu_hybrid.training.options import build_config, parse_setting, read_file


def test_the_later_source_wins(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('coverage = 0.7\nparts = 2\nglobal = "mynets:large"\nema = 0\nseed = 5\n')
    config = build_config(
        path, {"parts": 3, "seed": 6}, ["seed=7", "augment=no", "router_loss=focal"]
    )
    assert config == replace(
        HybridConfig(),
        coverage=0.7,
        parts=3,
        global_="mynets:large",
        ema=0.0,
        seed=7,
        augment=False,
        router_loss="focal",
    )
    assert build_config(None, {}) == HybridConfig()


def test_a_history_repeats_its_run(tmp_path):
    config = replace(HybridConfig(), folds=3, router_label="naive", qat_points=1.5)
    path = tmp_path / "history.json"
    path.write_text(json.dumps({"config": config.to_json(), "base": []}))
    assert build_config(path, {}) == config


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ema", "not key=value"),
        ("emma=1", r"config.emma: is not an option.*\n.*did you mean ema"),
        ("rounds=3.5", "config.rounds: must be int, is '3.5'"),
        ("augment=maybe", "config.augment: must be bool"),
        ("ema=nan", "config.ema: must be float"),
    ],
)
def test_settings_that_are_refused(text, words):
    with pytest.raises(InputError, match=words):
        parse_setting(text)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("parts", 4),
        ("rounds", -1),
        ("folds", 0),
        ("ema", 1.0),
        ("select_share", 0.0),
        ("most_coverage", 0.5),
        ("router_label", "hard"),
        ("router_loss", "square"),
        ("qat", "maybe"),
        ("qat_points", -0.5),
        ("base_routed_weight", 0.0),
        ("warm_up", 1.0),
        ("base_last_layers", -1),
    ],
)
def test_values_out_of_range_name_their_key(key, value):
    with pytest.raises(InputError, match=f"config.{key}: must"):
        build_config(None, {key: value})


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.toml", "rounds = = 3", "a.toml: is not TOML"),
        ("a.json", "{", "a.json: is not JSON"),
        ("a.json", "[1]", "holds no table of options"),
        ("a.toml", "speed = 3", "a.toml: config.speed: is not an option"),
        ("a.toml", 'rounds = "3"', "a.toml: config.rounds: must be int, is '3'"),
    ],
)
def test_files_that_are_refused(tmp_path, name, text, words):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        read_file(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_file(tmp_path / "none.toml")


def test_the_command_hands_over_what_was_given_only(tmp_path, monkeypatch):
    path = tmp_path / "run.toml"
    path.write_text("coverage = 0.6\nparts = 2\n")
    seen = {}

    def step(data, config, out, **options):
        seen.update(config=config, out=out, **options)
        raise InputError("enough")

    monkeypatch.setattr("mcu_hybrid.steps.train.train_step", step)
    argv = ["--config", str(path), "--parts", "3", "--set", "ema=0.9", "--resume", "--seed", "0"]
    CliRunner().invoke(verb.command, argv)
    assert seen["config"] == replace(HybridConfig(), coverage=0.6, parts=3, ema=0.9)
    assert seen["resume"] is True
