"""Fixtures of the tests of bad input: ``refused``, and a hybrid's folders to spoil.

``refused`` runs a command that must fail, and holds it to the rules: exit code 1, one message with
a next step, the same as JSON, no traceback, and not a file more or less than before.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mcu_hybrid.cli import main
from tests.support.bad_rig import Refused, Steps, Told, classifier, global_onnx, listing, npz


@pytest.fixture(autouse=True)
def work(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """An empty working folder; virtual boards and temporary files of this test lie elsewhere."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def refused(work: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    """A function of a command line that must fail as users' errors do; returns what it said."""

    def run(*args: object) -> Told:
        before = listing(work)
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([*map(str, args), "--json"])
        out, err = capsys.readouterr()
        assert ended.value.code == 1, err
        assert "Traceback" not in err
        assert err.startswith("error: ") and err.count("error: ") == 1, err
        told = json.loads(out)
        assert told["hint"], f"no next step: {err}"
        assert err == f"error: {told['message']}\n  next step: {told['hint']}\n"
        assert listing(work) == before
        return Told(told["error"], told["message"], told["hint"])

    return run


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("gcc") is None:
        pytest.skip("no host compiler")
    pytest.importorskip("onnxruntime")
    from mcu_hybrid.board.load import load_board
    from mcu_hybrid.steps.build import build_step
    from mcu_hybrid.steps.export import ExportOptions, export_step

    root = tmp_path_factory.mktemp("steps")
    (root / "net.tflite").write_bytes(classifier())
    options = ExportOptions(
        data=str(npz(root / "data.npz")), global_onnx=global_onnx(root / "g.onnx")
    )
    export_step(root / "net.tflite", root / "export", options)
    build_step(root / "export", load_board("native"), root / "build")
    return root


@pytest.fixture
def steps(made_once: Path, tmp_path: Path) -> Steps:
    """A copy of the hybrid's folders, for the test to spoil."""
    return Steps(Path(shutil.copytree(made_once, tmp_path / "steps")))
