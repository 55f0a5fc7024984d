"""Every router decides on the emulated board as the export said it would, with and without z.

Trained in small on the digits, once with each kind of router inputs; the base is the same.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from mcu_hybrid import mechanisms
from mcu_hybrid.compiler.read.cut import cut
from mcu_hybrid.compiler.read.tflite import read_tflite
from mcu_hybrid.errors import InputError
from mcu_hybrid.graph.types import Graph
from mcu_hybrid.nets.checkpoint import load_splits
from mcu_hybrid.reference import interp, learned_router
from mcu_hybrid.reference.images import to_int8
from mcu_hybrid.routing.link_costs import link_model
from mcu_hybrid.steps import split
from mcu_hybrid.steps.bench import BenchOptions, bench_step
from mcu_hybrid.steps.build import open_build, read_model
from mcu_hybrid.steps.cloud import RunOptions
from mcu_hybrid.steps.export import ExportOptions, export_step
from mcu_hybrid.steps.run import run_step
from mcu_hybrid.steps.train import train_step
from mcu_hybrid.training.config import HybridConfig
from tests.support.cli_rig import call, fail, own_state  # noqa: F401 (own_state is used by all)
from tests.support.routers import SIMPLE

for package in ("torch", "sklearn", "onnx2tf", "onnxruntime", "fastapi", "tflite_micro"):
    if package == "onnx2tf":  # imported by a process of its own: TensorFlow stays out of this one
        continue
    pytest.importorskip(package)
for program in ("gcc", "arm-none-eabi-gcc", "qemu-system-arm"):
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed", allow_module_level=True)

BOARD = "mps2-an500"
HIDDEN = HybridConfig().router_hidden
LIMIT = 25
KINDS = ("top_k", "features")
TINY = (
    *("--base-epochs", 4, "--global-epochs", 2, "--base-width", 4, "--global-width", 4),
    *("--router-hidden", 8, "--threads", 1),
)


@dataclass(frozen=True)
class Made:
    """The folders of one kind, and what its model is."""

    root: Path
    graph: Graph

    @property
    def build(self) -> Path:
        return self.root / "build"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    """Trained, exported and built once per kind of router inputs."""
    found = {}
    for kind in KINDS:
        root = tmp_path_factory.mktemp(kind)
        call("train", *TINY, "--router-inputs", kind, "--out", root / "train")
        told = call("export", root / "train", "--out", root / "export", "--router", "margin")
        assert told["deployed"]["router"] == mechanisms.router_id("margin")
        assert [row["router"] for row in told["routers"]] == list(mechanisms.names())
        call("build", root / "export", "--board", BOARD, "--out", root / "build")
        found[kind] = Made(root, read_model(root / "export" / "model.tflite").graph)
    return found


def logits_of(made: Made) -> np.ndarray:
    """int8 logits of the first test images."""
    x = load_splits(made.root / "export" / "splits.npz").x_test[:60]
    rows = [interp.run(made.graph, [image[None]])[0].ravel() for image in to_int8(made.graph, x)]
    return np.array(rows)


def test_the_base_is_the_same_with_and_without_z(made: dict[str, Made]) -> None:
    one, other = (logits_of(made[kind]) for kind in KINDS)
    assert len(np.unique(one)) > 20
    np.testing.assert_array_equal(one, other)


def test_numpy_scores_with_z_are_the_graphs(made: dict[str, Made]) -> None:
    graph = made["features"].graph
    z = learned_router.base_features(graph)
    assert z is not None and graph.tensor(z).elements == 8
    assert learned_router.base_features(made["top_k"].graph) is None
    link = next(op for op in graph.ops if op.kind == "ROUTE_FEATURES")
    x = load_splits(made["features"].root / "export" / "splits.npz").x_test[:60]
    every = [interp.run(graph, [image[None]], keep=True) for image in to_int8(graph, x)]
    columns = [
        np.array([values[t].ravel() for values in every])
        for t in (link.outputs[0], z, graph.outputs[1])
    ]
    scores = learned_router.score(graph, columns[0], columns[1])
    assert scores.tolist() == columns[2].ravel().tolist() and len(set(scores.tolist())) > 10
    moved = learned_router.score(graph, columns[0], np.roll(columns[1], 1, axis=0))
    assert (moved != scores).any()  # z is read
    with pytest.raises(ValueError, match="z belongs to"):
        learned_router.score(graph, columns[0])


@pytest.mark.parametrize("kind", KINDS)
def test_the_board_equals_tflm_and_says_what_each_router_takes(
    made: dict[str, Made], kind: str
) -> None:
    result = call("bench", made[kind].build, "--runs", 30)
    assert result["exact"] is True
    rows = {row["router"]: row for row in result["routers"]}
    assert list(rows) == list(mechanisms.names())
    layers = result["layers"]
    base = sum(row["instructions"] for row in layers[: rows["entropy"]["layers"][0]])
    for row in rows.values():
        spent = sum(layers[n]["instructions"] for n in row["layers"])
        assert row["instructions"] == spent and row["share"] == pytest.approx(spent / base)
    head = 11 + (8 if kind == "features" else 0)
    assert rows["learned"]["macs"] == 8 * head + 8
    assert rows["learned"]["constant_bytes"] > rows["margin"]["constant_bytes"] > 1024
    assert all(rows[name]["macs"] == 0 for name in SIMPLE)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("router", [*mechanisms.names(), "none"])
def test_each_router_decides_on_the_board(
    made: dict[str, Made], kind: str, router: str, tmp_path: Path
) -> None:
    told = call(
        *("run", made[kind].build, "--limit", LIMIT, "--router", router),
        *("--out", tmp_path / "run"),
    )
    assert told["exact"] is True and told["router"] == router
    assert told["deployed"]["router"] == mechanisms.router_id(router)
    result = json.loads((tmp_path / "run" / "run.json").read_text())
    assert set(result["curves"]) == {*SIMPLE, "router"}
    counters = result["counters"]
    assert counters["kept"] + counters["queried"] == LIMIT
    if router == "none":
        assert counters["kept"] == LIMIT and counters["device_kept"] == 0
        return
    method = "router" if router == "learned" else router
    row = next(r for r in result["rows"] if r["method"] == method and r["coverage_target"] == 0.8)
    assert row["threshold"] == result["deployed"]["threshold"]
    assert counters["kept"] == counters["device_kept"] == round(row["coverage"] * LIMIT)


def test_the_boards_own_route_is_back_after_a_run(made: dict[str, Made], tmp_path: Path) -> None:
    from mcu_hybrid.device.client import Device

    flashed = call("flash", made["top_k"].build)
    try:
        args = ("--limit", 2, "--no-check", "--router", "entropy", "--port", flashed["url"])
        call("run", made["top_k"].build, *args, "--out", tmp_path / "run")
        with Device.open(flashed["url"]) as device:
            assert device.get_route().router == mechanisms.router_id("margin")
    finally:
        call("flash", "--board", BOARD, "--stop")


def test_a_wrong_router_is_one_error(made: dict[str, Made], tmp_path: Path) -> None:
    """Of the functions; the command line knows the names itself (test_cli.py)."""
    root = made["top_k"].root
    hint = "one of: none, learned, entropy, max-prob, margin"
    with pytest.raises(InputError, match="no router 'x'") as refused:
        export_step(root / "train", tmp_path / "e", ExportOptions(router="x"))
    assert refused.value.hint == hint
    build = open_build(root / "build")
    options = RunOptions(link_model("wifi"), router="x")
    with pytest.raises(InputError, match="no router 'x'") as refused:
        run_step(build, split.TestSplit("none", np.zeros(0), np.zeros(0)), None, options)  # type: ignore[arg-type]
    assert refused.value.hint == hint
    assert not list(tmp_path.iterdir())


def test_a_file_has_no_learned_router(made: dict[str, Made], tmp_path: Path) -> None:
    data = (made["top_k"].root / "export" / "model.tflite").read_bytes()
    graph = read_tflite(data, "model.tflite").graph
    (tmp_path / "base.tflite").write_bytes(cut(data, graph.inputs[:1], graph.outputs[:1]))
    for router in ("max-prob", "learned"):
        args = ("export", tmp_path / "base.tflite", "--data", "digits", "--router", router)
        if router == "learned":
            told = fail(*args, "--out", tmp_path / router)
            assert "have no learned router" in told["message"]
            continue
        assert call(*args, "--out", tmp_path / router)["deployed"]["router"] == 3


# --- what a router costs beside a base of more than a million MACs


def colour_data() -> tuple[np.ndarray, np.ndarray]:
    """Photographs in size and shape alone."""
    rng = np.random.default_rng(0)
    y = np.arange(120) % 10
    x = rng.integers(0, 120, (120, 32, 32, 3)) + 13 * y[:, None, None, None]
    return x.astype(np.uint8), y


@pytest.mark.parametrize("kind, width", [("top_k", 8), ("features", 8), ("features", 16)])
def test_the_learned_router_is_below_one_percent_of_a_base(
    kind: str, width: int, tmp_path: Path
) -> None:
    x, y = colour_data()
    np.savez(tmp_path / "data.npz", x=x, y=y)
    config = HybridConfig(
        base_epochs=1,
        global_epochs=1,
        base_width=width,
        global_width=2,
        router_steps=5,
        router_views=1,
        router_inputs=kind,
        router_hidden=3 * HIDDEN,  # so little training leaves units that never fire: taken out
        threads=1,
    )
    facts = train_step(str(tmp_path / "data.npz"), config, tmp_path / "t")
    assert facts.base_macs > 1_000_000
    inputs = 11 + (4 * width if kind == "features" else 0)
    assert facts.router_macs >= HIDDEN * (inputs + 1)
    export_step(tmp_path / "t", tmp_path / "e", ExportOptions())
    result = bench_step(tmp_path / "e", BOARD, BenchOptions(runs=2))
    assert result.exact is True
    shares = {row.router: row.share for row in result.routers}
    assert 0 < shares["entropy"] < shares["learned"] < 0.01
    predicted = {row.router: row.predicted_instructions for row in result.routers}
    for row in result.routers:
        if predicted[row.router] is not None:
            assert predicted[row.router] == pytest.approx(row.instructions, rel=0.12)


def test_a_base_without_a_linear_end_is_said_before_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "conv_only.py").write_text(
        "from torch import nn\n"
        "def net():\n"
        "    return nn.Sequential(nn.Conv2d(1, 10, 8), nn.Flatten())\n"
    )
    monkeypatch.chdir(tmp_path)
    config = HybridConfig(base="conv_only:net", router_inputs="features", base_epochs=10**6)
    with pytest.raises(InputError, match="whose input a router could read") as refused:
        train_step("digits", config, tmp_path / "t")
    assert refused.value.key == "router_inputs"
