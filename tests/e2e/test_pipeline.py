"""The steps one after the other through the command line, each read back from its folder.

Real training (tiny), real conversion, the emulator, a model server in a process of its own. What
goes wrong on the way is tests/bad.
"""

from __future__ import annotations

import html.parser
import json
import os
import shutil
import signal
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from mcu_hybrid import manifest
from mcu_hybrid.steps.train import train_step
from mcu_hybrid.training.config import HybridConfig
from tests.support.cli_rig import (  # noqa: F401 (own_state is used by all)
    call,
    fail,
    own_state,
    text,
)
from tests.support.routers import SIMPLE

for package in ("torch", "sklearn", "onnx2tf", "onnxruntime", "fastapi", "tflite_micro"):
    if package == "onnx2tf":  # imported by a process of its own: TensorFlow stays out of this one
        continue
    pytest.importorskip(package)
for program in ("gcc", "arm-none-eabi-gcc", "qemu-system-arm"):
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed", allow_module_level=True)

BOARD = "mps2-an500"
INPUTS = 40
TINY = (
    *("--base-epochs", 2, "--global-epochs", 2, "--base-width", 4, "--global-width", 4),
    *("--router-hidden", 4, "--threads", 1),
)


@dataclass(frozen=True)
class Path3:
    """The folders of train, export and build."""

    root: Path

    @property
    def train(self) -> Path:
        return self.root / "train"

    @property
    def export(self) -> Path:
        return self.root / "export"

    @property
    def build(self) -> Path:
        return self.root / "build"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path3:
    """Trained, exported and built once, for all tests of this file."""
    steps = Path3(tmp_path_factory.mktemp("runs"))
    trained = call("train", *TINY, "--out", steps.train)
    assert trained["out"] == str(steps.train)
    assert trained["data"]["images"] == {"fit": 719, "router": 359, "calibration": 272, "test": 447}
    exported = call("export", steps.train, "--out", steps.export, "--coverage", "0.7")
    assert exported["deployed"]["coverage"] == 0.7
    assert exported["layers"][0]["sqnr_db"] > 10
    built = call("build", steps.export, "--board", BOARD, "--out", steps.build)
    assert (built["board"], built["engine"], built["is_hybrid"]) == (BOARD, "aot", True)
    return steps


@pytest.fixture
def board(made: Path3) -> Iterator[str]:
    """The virtual board with the build on it, left running by flash; its console's URL."""
    flashed = call("flash", made.build)
    yield flashed["url"]
    call("flash", "--board", BOARD, "--stop")


def test_each_step_wrote_what_its_manifest_says(made: Path3) -> None:
    files = {
        "train": {"hybrid.pt", "splits.npz", "history.json"},
        "export": {"model.tflite", "global.onnx", "agreement.json", "splits.npz"},
        "build": {"firmware.elf", "firmware.bin", "firmware.hex", "firmware.map", "plan.json"},
    }
    for step, wanted in files.items():
        assert wanted <= set(manifest.load(made.root / step, step).files)


def test_flash_leaves_the_board_running_until_stop(made: Path3) -> None:
    flashed = call("flash", made.build, "--board", BOARD)
    assert flashed["verified"] is True
    assert flashed["commands"][0][0] == "qemu-system-arm"
    running = {row["name"]: row["running"] for row in call("boards")}
    assert running[BOARD] == {"url": flashed["url"], "build_id": flashed["build_id"]}
    assert running["mps2-an386"] is None
    assert flashed["url"] in text("boards")
    assert call("flash", "--stop", "--board", BOARD) == {"board": BOARD, "stopped": True}
    assert call("flash", "--stop", "--board", BOARD) == {"board": BOARD, "stopped": False}
    assert not [row for row in call("boards") if row["running"]]


def test_a_dry_run_starts_nothing(made: Path3) -> None:
    told = call("flash", made.build, "--dry-run")
    assert told["verified"] is False and told["url"] == ""
    assert "-kernel" in told["commands"][0]
    assert not [row for row in call("boards") if row["running"]]


def test_bench_of_the_running_board(made: Path3, board: str, tmp_path: Path) -> None:
    output = tmp_path / "out.bin"
    result = call("bench", made.build, "--runs", 20, "--out", tmp_path / "b", "--output", output)
    assert result["exact"] is True and result["differing_outputs"] == 0
    assert (result["board"], result["core"], result["engine"]) == (BOARD, "cortex-m7", "aot")
    assert result["instructions"] == result["ticks"] * 40 or result["instructions"] > 0
    assert result["latency_is_estimate"] is True
    assert result["sram_bytes"] > result["arena_bytes"] > 0
    assert set(result["flash"]) == {"code_bytes", "weights_bytes"}
    assert {"name", "op", "macs", "instructions", "share"} <= set(result["layers"][0])
    assert sum(layer["share"] for layer in result["layers"]) == pytest.approx(1)
    assert len(output.read_bytes()) == 20 * (10 + 1)  # ten logits and the route score
    assert json.loads((tmp_path / "b" / "bench.json").read_text()) == result
    again = call("bench", made.build, "--runs", 1, "--port", board)
    assert again["instructions"] == result["instructions"]  # exact, and the same every time


@contextmanager
def served(source: Path, folder: Path, *args: str) -> Iterator[str]:
    """``mcu-hybrid serve`` as a process of its own; its URL. It must end well on Ctrl-C."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "mcu_hybrid", "serve", "--model", str(source)),
            *("--port", "0", "--json", *args),
        ],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(manifest.__file__).parent.parent)},
    )
    assert process.stdout is not None
    printed = ""
    while "}" not in printed:
        line = process.stdout.readline()
        assert line, "serve ended"
        printed += line
    try:
        yield json.loads(printed)["url"]
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
        process.stdout.close()


def test_run_with_a_server_then_report(made: Path3, tmp_path: Path) -> None:
    with served(made.export, tmp_path, "--name", "digits") as url:
        args = ("--cloud", url, "--model", "digits", "--limit", INPUTS, "--link", "lte")
        result = call("run", made.build, *args, "--out", tmp_path / "run")
    check_rows(result["rows"])
    counters = result["counters"]
    assert counters["fallbacks"] == {} and result["cloud_failed"] == {}
    assert counters["kept"] + counters["queried"] == INPUTS == result["samples"]
    assert (counters["device_kept"], counters["device_queried"]) == (
        counters["kept"],
        counters["queried"],
    )
    assert result["exact"] is True
    assert result["query_bytes"] > 64
    assert result["calibration_samples"] == 272  # thresholds are not of the test split
    assert result["link"]["name"] == "lte" and result["deployed"]["coverage"] == 0.7
    check_report(made, tmp_path)


def check_rows(rows: list[dict]) -> None:  # type: ignore[type-arg]
    methods = [(row["method"], row["coverage_target"]) for row in rows]
    levels = (0.9, 0.8, 0.7, 0.5)
    assert methods == [
        ("on-device only", 1.0),
        ("cloud only", 0.0),
        *((name, level) for name in (*SIMPLE, "router") for level in levels),
    ]
    for row in rows:
        low, high = row["coverage_ci"]
        assert low <= row["coverage"] <= high
        assert 0 <= row["accuracy"] <= 1
        assert row["latency_ms"] > 0 and (row["bytes_sent"] > 0) == (row["coverage"] < 1)


class Loads(html.parser.HTMLParser):
    """Collects every address that a page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        wanted = {"src", "srcset", "data", "poster", "action"} | ({"href"} if tag != "a" else set())
        self.addresses += [value or "" for name, value in attrs if name in wanted]


def check_report(made: Path3, folder: Path) -> None:
    """All steps in one folder make one page that loads nothing."""
    for step in ("export", "build"):
        shutil.copytree(made.root / step, folder / step)
    call("bench", folder / "build", "--runs", 2, "--out", folder / "bench")
    page = Path(
        call("report", folder, "--out", folder / "report", "--title", "Tiny digits")["report"]
    )
    content = page.read_text("utf-8")
    loads = Loads()
    loads.feed(content)
    assert all(address.startswith(("data:", "#")) for address in loads.addresses)
    assert "@import" not in content.partition("<script")[0]
    build_id = manifest.read(folder / "build").facts["build_id"]
    for expected in ("Tiny digits", BOARD, build_id, "router", *SIMPLE):
        assert expected in content
    assert manifest.load(folder / "report", "report").sources.keys() == {
        "export",
        "build",
        "bench",
        "run",
    }


def test_run_serves_the_exports_global_model_itself(made: Path3, tmp_path: Path) -> None:
    printed = text("run", made.build, "--limit", 15, "--no-check", "--out", tmp_path / "run")
    assert "on-device only" in printed and "router" in printed
    assert "(estimate)" in printed  # the emulated board's time
    saved = json.loads((tmp_path / "run" / "run.json").read_text())
    assert saved["exact"] is None
    check_rows(saved["rows"])


def test_a_dead_server_is_said_before_the_board_runs(made: Path3, tmp_path: Path) -> None:
    told = fail("run", made.build, "--cloud", "http://127.0.0.1:9", "--out", tmp_path / "run")
    assert told["error"] == "CloudError" and "http://127.0.0.1:9" in told["message"]
    assert not list(tmp_path.iterdir())


def test_what_is_older_than_a_new_export_is_refused(made: Path3, tmp_path: Path) -> None:
    steps = Path3(Path(shutil.copytree(made.root, tmp_path / "runs")))
    call("bench", steps.build, "--runs", 1)  # a copied path is as good as the first
    shutil.copy(steps.export / "model.tflite", tmp_path / "same.tflite")
    call("export", tmp_path / "same.tflite", "--out", steps.export)
    for verb in ("bench", "run", "flash"):
        told = fail(verb, steps.build)
        assert told["error"] == "ManifestError"
        assert f"{steps.build}: is stale: its source 'model' ({steps.export})" in told["message"]
        assert told["hint"] == "run again: mcu-hybrid build"
    call("build", steps.export, "--board", BOARD, "--out", steps.build)
    assert call("bench", steps.build, "--runs", 1)["exact"] is True


def test_an_export_older_than_the_training_is_refused(made: Path3, tmp_path: Path) -> None:
    steps = Path3(Path(shutil.copytree(made.root, tmp_path / "runs")))
    with manifest.writing(steps.train, "train") as draft:
        draft.facts["trained"] = "again"
    for verb, folder in (("build", steps.export), ("bench", steps.build), ("run", steps.build)):
        told = fail(verb, folder)
        assert f"{steps.export}: is stale" in told["message"]
        assert told["hint"] == "run again: mcu-hybrid export"


# --- the user's own parts

SIDE, PER_CLASS = 8, 16
OWN = """\
import numpy as np
from torch import nn

def data():
    r = np.random.default_rng(0)
    y = np.arange(48) % 3
    x = r.integers(0, 60, (48, 8, 8)) + y[:, None, None] * 60
    return x.astype(np.uint8), y

def small(shape=None, classes=3):
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)
    )
"""


@pytest.fixture
def folder_of_images(tmp_path: Path) -> Path:
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(1)
    for number, label in enumerate(("cat", "dog")):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for n in range(PER_CLASS):
            pixels = rng.integers(0, 120, (SIDE + 2, SIDE + 2, 3)) + 120 * number
            picture = image.fromarray(pixels.astype(np.uint8))
            picture.save(tmp_path / "photos" / label / f"{n}.png")
    return tmp_path / "photos"


def quick(spec: str, out: Path, size: tuple[int, int] | None = None) -> dict:  # type: ignore[type-arg]
    config = HybridConfig(
        base_epochs=1, global_epochs=1, base_width=4, global_width=4, router_steps=5, threads=1
    )
    train_step(spec, config, out, size=size)
    return dict(manifest.load(out, "train").facts)


def test_training_on_a_folder_a_zip_and_an_npz(folder_of_images: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for path in sorted(folder_of_images.rglob("*.png")):
            archive.write(path, path.relative_to(folder_of_images))
    rng = np.random.default_rng(2)
    x, y = rng.integers(0, 256, (48, SIDE, SIDE)).astype(np.uint8), np.arange(48) % 3
    np.savez(tmp_path / "arrays.npz", x=x, y=y)
    of_folder = quick(str(folder_of_images), tmp_path / "t1", size=(SIDE, SIDE))["data"]
    of_zip = quick(str(tmp_path / "photos.zip"), tmp_path / "t2", size=(SIDE, SIDE))["data"]
    of_npz = quick(str(tmp_path / "arrays.npz"), tmp_path / "t3")["data"]
    assert of_folder["labels"] == of_zip["labels"] == ["cat", "dog"]
    assert of_folder["shape"] == [SIDE, SIDE, 3] and of_folder["size"] == [SIDE, SIDE]
    assert of_folder["digest"] == of_zip["digest"]  # the same pictures
    assert of_npz["shape"] == [SIDE, SIDE, 1] and of_npz["labels"] == ["0", "1", "2"]


def test_own_functions_for_data_and_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_parts.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    args = ("--data", "own_parts:data", "--base", "own_parts:small", *TINY, "--out", "t")
    trained = call("train", *args)
    assert trained["data"]["spec"] == "own_parts:data"
    assert trained["base_parameters"] == 4 * 9 + 4 + 64 * 3 + 3
    call("export", "t", "--out", "e")
    result = call("bench", "e", "--board", "native", "--runs", 5)
    assert result["exact"] is True
    call("build", "e", "--board", "native", "--out", "b")
    table = call("run", "b", "--data", "own_parts:data", "--limit", 10, "--out", "r")
    assert table["samples"] == 10 and table["dataset"] == "own_parts:data"


def write_onnx(path: Path) -> None:
    """A classifier of the user's: float image in, logits out, never trained."""
    import torch
    from torch import nn

    torch.manual_seed(1)
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(64, 10)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net.eval(), (torch.zeros(1, 1, 8, 8),), str(path), opset_version=17, dynamo=False
        )


def test_a_network_on_bytes_is_refused_before_the_conversion(made: Path3, tmp_path: Path) -> None:
    args = ("export", made.export / "global.onnx", "--data", "digits", "--out", tmp_path / "e")
    assert "input 'image' is not float32" in fail(*args)["message"]


def test_an_onnx_classifier_becomes_a_routed_build(made: Path3, tmp_path: Path) -> None:
    write_onnx(tmp_path / "net.onnx")
    told = call(
        *("export", tmp_path / "net.onnx", "--data", "digits", "--out", tmp_path / "e"),
        *("--global-onnx", made.export / "global.onnx"),
    )
    assert told["deployed"]["router"] == 2  # the entropy: a network of the user's has no router
    call("build", tmp_path / "e", "--board", "native", "--out", tmp_path / "b")
    assert call("bench", tmp_path / "b", "--runs", 5)["exact"] is True
    table = call("run", tmp_path / "b", "--limit", 20, "--out", tmp_path / "r")
    assert {row["method"] for row in table["rows"]} == {
        "on-device only",
        "cloud only",
        *SIMPLE,
    }


def test_a_ready_tflite_is_packed_as_it_is(shared: Path, tmp_path: Path) -> None:
    model = shared / "models" / "kws_ref_model.tflite"
    call("export", model, "--out", tmp_path / "e")
    assert (tmp_path / "e" / "model.tflite").read_bytes() == model.read_bytes()
    result = call(
        "bench", tmp_path / "e", "--board", "native", "--runs", 3, "--out", tmp_path / "b"
    )
    assert result["exact"] is True
    assert manifest.load(tmp_path / "b", "bench").sources["model"].path == "../e"
