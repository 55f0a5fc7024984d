"""Options that a build was not made with, or that its engine does not have, are refused."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mcu_hybrid.artifacts.build import AotFacts, BuildFacts
from mcu_hybrid.compiler.engine import EngineOptions, TflmTree
from mcu_hybrid.errors import InputError
from mcu_hybrid.steps.engine import given_options, require_build, require_consistent
from tests.support.artefacts import example

AOT = example(
    BuildFacts,
    engine="aot",
    ram_limit=65536,
    aot=example(AotFacts, kernels="fast", fold_dead=True, optimize="ram", code_budget=None),
)
TFLM = example(BuildFacts, engine="tflm", ram_limit=None, aot=None, tflm_library_sha256=None)
FOLDER = Path("runs/build")


@pytest.mark.parametrize(
    ("facts", "given", "words"),
    [
        (TFLM, {"name": "aot"}, "was built with --engine tflm, not with --engine aot"),
        (TFLM, {"name": "tflm"}, None),
        (TFLM, {"kernels": "fast"}, "to which --kernels means nothing"),
        (TFLM, {"optimize": "ram"}, "to which --optimize means nothing"),
        (TFLM, {"ram_limit": 4096}, "was built with no --ram-limit, not with --ram-limit 4096"),
        (AOT, {"name": "tflm"}, "was built with --engine aot, not with --engine tflm"),
        (AOT, {"kernels": "ref"}, "was built with --kernels fast, not with --kernels ref"),
        (AOT, {"fold_dead": False}, "was built with --fold-dead, not with --no-fold-dead"),
        (AOT, {"optimize": "speed"}, "was built with --optimize ram, not with --optimize speed"),
        (AOT, {"optimize": "ram", "ram_limit": 65536}, None),
        (AOT, {"ram_limit": 1024}, "was built with --ram-limit 65536"),
        (AOT, {"code_budget": 16000}, "was built with no --code-budget"),
        (AOT, {}, None),
    ],
)
def test_a_finished_build_is_what_was_asked_for(
    facts: BuildFacts, given: dict[str, Any], words: str | None
) -> None:
    wanted = EngineOptions(**given, given=frozenset(given))
    if words is None:
        require_build(facts, FOLDER, wanted)
        return
    with pytest.raises(InputError) as told:
        require_build(facts, FOLDER, wanted)
    assert words in told.value.message and told.value.path == FOLDER and told.value.hint


def test_another_library_is_refused(tmp_path: Path) -> None:
    library = tmp_path / "lib.a"
    library.write_bytes(b"one")
    wanted = EngineOptions("tflm", TflmTree(tmp_path, library))
    made = replace(TFLM, tflm_library_sha256=hashlib.sha256(b"one").hexdigest())
    require_build(made, FOLDER, wanted)
    library.write_bytes(b"two")
    with pytest.raises(InputError, match="with another library than"):
        require_build(made, FOLDER, wanted)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (EngineOptions("tflm", optimize="ram"), "--optimize ram does nothing with --engine tflm"),
        (EngineOptions("tflm", kernels="ref"), "--kernels ref does nothing with --engine tflm"),
        (EngineOptions("tflm", code_budget=9), "--code-budget 9 does nothing"),
        (
            EngineOptions(kernels="ref", optimize="ram"),
            "--optimize ram does nothing with --kernels",
        ),
        (EngineOptions(tflm=TflmTree(Path("a"), Path("b"))), "are for --engine tflm"),
        (EngineOptions("tflm", ram_limit=65536), None),
        (EngineOptions(kernels="ref", fold_dead=False), None),
    ],
)
def test_options_that_would_do_nothing(options: EngineOptions, words: str | None) -> None:
    if words is None:
        require_consistent(options)
        return
    with pytest.raises(InputError, match=words):
        require_consistent(options)


def test_what_was_given_is_named_by_field() -> None:
    written = {"engine": True, "kernels": False, "optimize": True, "tflm_root": True}
    assert given_options(written) == {"name", "optimize"}
