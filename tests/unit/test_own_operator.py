"""An operator is added from a folder of the user's own, and used through the command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mcu_hybrid.reference import judge
from tests.support.tflite_builder import OpSpec, Spec, build

OWN = Path(__file__).parent.parent / "support" / "own_operator"
SHAPE = (1, 6, 6, 4)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """CONV_2D, ABS to another scale, CONV_2D."""
    rng = np.random.default_rng(5)
    weights = rng.integers(-127, 128, (4, 1, 1, 4)).astype(np.int8)
    tensors = [
        Spec("x", SHAPE, scale=0.02, zero=3),
        Spec("w", weights.shape, scale=0.01, data=weights),
        Spec("a", SHAPE, scale=0.03, zero=-5),
        Spec("b", SHAPE, scale=0.017, zero=-128),
        Spec("y", SHAPE, scale=0.04, zero=7),
    ]
    window = {"stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1}
    ops = [
        OpSpec("CONV_2D", (0, 1), (2,), window),
        OpSpec("ABS", (2,), (3,)),
        OpSpec("CONV_2D", (3, 1), (4,), window),
    ]
    path = tmp_path / "abs.tflite"
    path.write_bytes(build(tensors, ops, [0], [4]))
    return path


def run(folder: Path | str, *args: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, with this folder of operators."""
    env = {**os.environ, "MCU_HYBRID_PLUGINS": str(folder)}
    argv = [sys.executable, "-m", "mcu_hybrid", *args]
    return subprocess.run(argv, capture_output=True, text=True, check=False, env=env)


def test_without_the_folder_the_operator_is_refused_by_name(model: Path) -> None:
    done = run("", "bench", str(model), "--board", "native", "--json")
    assert done.returncode == 1
    assert "operator 1 ABS (layer 'b') is not supported" in json.loads(done.stdout)["message"]


def test_an_operator_of_a_folder_runs_and_equals_tflm(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "operators"
    shutil.copytree(OWN, folder)
    out = tmp_path / "build"
    built = run(folder, "build", str(model), "--board", "native", "--out", str(out), "--json")
    assert built.returncode == 0, built.stderr
    text = next(out.rglob("model.c")).read_text("utf-8")
    assert '#include "abs_s8.h"' in text and "mh_own_abs_s8(&" in text
    assert (next(out.rglob("abs_s8.c"))).read_text("utf-8") == (OWN / "kernels/abs_s8.c").read_text(
        "utf-8"
    )
    done = run(folder, "bench", str(out), "--runs", "3", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["exact"] is (True if judge.is_installed() else None)
    assert any("ABS" in row["op"] for row in result["layers"])


def test_an_operator_of_a_folder_is_told_and_has_its_resolver(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "operators"
    shutil.copytree(OWN, folder)
    second = (OWN / "ops/absolute.py").read_text("utf-8").replace("ABS", "NEG")
    second += "\nfrom mcu_hybrid.ops.tanh import TANH  # one of ours, which it only reads\n"
    (folder / "ops/negate.py").write_text(second, encoding="utf-8")
    told = run(folder, "summarize", str(model), "--json")
    assert told.returncode == 0, told.stderr
    assert [row["op"] for row in json.loads(told.stdout)["layers"]] == ["CONV_2D", "ABS", "CONV_2D"]
    code = (
        "import sys\n"
        "from mcu_hybrid.compiler.read.tflite import read_tflite\n"
        "from mcu_hybrid.tflm.generate import emit_tflm\n"
        "data = open(sys.argv[1], 'rb').read()\n"
        "print(*emit_tflm(data, read_tflite(data, 'abs').graph).values())"
    )
    env = {**os.environ, "MCU_HYBRID_PLUGINS": str(OWN)}
    argv = [sys.executable, "-c", code, str(model)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, env=env)
    assert "AddAbs(" in done.stdout


FAULTS = {
    "the folder does not exist": None,
    "cannot be loaded: SyntaxError": {"x.py": "def ("},
    "cannot be loaded: ModuleNotFoundError": {"x.py": "import no_such_module"},
    "holds no Operator": {"x.py": "A = 1"},
    "serves TANH, which another file serves already": {
        "x.py": "from dataclasses import replace\nfrom mcu_hybrid.ops.tanh import TANH\n"
        "TANH = replace(TANH)"
    },
}


@pytest.mark.parametrize("words", FAULTS)
def test_faults_in_the_folder_are_told_with_the_file(words: str, tmp_path: Path, model: Path):
    files, folder = FAULTS[words], tmp_path / "operators"
    for name, text in (files or {}).items():
        (folder / "ops").mkdir(parents=True, exist_ok=True)
        (folder / "ops" / name).write_text(text, encoding="utf-8")
    done = run(folder, "summarize", str(model))
    assert done.returncode == 1 and words in done.stderr and "next step" in done.stderr
    assert str(folder / "ops/x.py" if files else folder) in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("function", ["reference", "lower"])
def test_a_fault_of_the_operator_is_told_with_its_file(
    function: str, tmp_path: Path, model: Path
) -> None:
    folder = tmp_path / "operators"
    shutil.copytree(OWN, folder)
    own = folder / "ops/absolute.py"
    named = f"{function}={function}"
    assert named in own.read_text("utf-8")
    broken = own.read_text("utf-8").replace(named, f"{function}=lambda *args: args[9]")
    own.write_text(broken, encoding="utf-8")
    out = tmp_path / "build"
    done = run(folder, "build", str(model), "--board", "native", "--out", str(out))
    assert done.returncode == 1 and "absolute.py: <lambda> fails: IndexError" in done.stderr
    assert "Traceback" not in done.stderr and not out.exists()


def test_a_kernel_with_the_name_of_ours_is_refused(tmp_path: Path, model: Path) -> None:
    folder = tmp_path / "operators"
    shutil.copytree(OWN, folder)
    (folder / "kernels/mul_s8.c").write_text(
        (folder / "kernels/abs_s8.c").read_text("utf-8"), encoding="utf-8"
    )
    source = (folder / "ops/absolute.py").read_text("utf-8").replace('"abs_s8")', '"mul_s8")')
    (folder / "ops/absolute.py").write_text(source, encoding="utf-8")
    out = tmp_path / "build"
    done = run(folder, "build", str(model), "--board", "native", "--out", str(out))
    assert done.returncode == 1 and "mul_s8.c: has the name of a kernel" in done.stderr
    assert not out.exists()
