"""Names from a model inside generated C: whatever they are, the text compiles without a warning."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from mcu_hybrid import resources
from mcu_hybrid.compiler import report
from mcu_hybrid.compiler.emit import ctext
from mcu_hybrid.compiler.emit.known_answers import known_answers
from mcu_hybrid.compiler.emit.model import emit
from mcu_hybrid.compiler.program import program_of
from mcu_hybrid.compiler.read.tflite import read_tflite
from mcu_hybrid.wire import messages
from tests.support.tflite_builder import OpSpec, Spec, build

NAMES = (
    "a???/",
    "??/",
    "b????????/x",
    "end\\",
    "*/ int x; /*",
    "/*/",
    "//*",
    "**//**",
    "nul\0 bell\7 escape\x1b",
    "two\nlines\r\n??/",
    "\u00e9\u202e\U0001f600",
    '"quoted" %s {{ braces }} {% raw %}',
    "",
    " ",
    "x" * 56 + "???/" * 3,
)
FLAGS = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wtrigraphs", "-Wcomment", "-Werror")


@pytest.mark.parametrize("name", NAMES)
def test_a_comment_is_one_safe_line(name: str) -> None:
    text = ctext.comment(name)
    assert text.isascii() and (text.isprintable() or not text)
    assert not any(mark in text for mark in ("*/", "/*", "??"))
    assert not text.endswith("\\")


def test_generated_code_compiles_with_any_name(tmp_path: Path) -> None:
    shape = (1, 2, 2, 3)
    constant = np.ones(shape, np.int8)
    tensors = [Spec(f"{name}{i}", shape, scale=0.5) for i, name in enumerate(["in", *NAMES])]
    tensors = [*tensors, Spec("w???/", shape, scale=0.5, data=constant)]
    last = len(NAMES)
    steps = [OpSpec("ADD", [i, last + 1], [i + 1]) for i in range(last)]
    plain = [
        Spec(n, s.shape, scale=s.scale, data=s.data)
        for n, s in zip(["in", *NAMES], tensors[:-1], strict=True)
    ]
    for number, specs in enumerate((tensors, [*plain, tensors[-1]])):
        folder = tmp_path / str(number)
        folder.mkdir()
        graph = read_tflite(build(specs, steps, [0], [last]), "net???/\n*/.tflite").graph
        files = emit(program_of(graph), digest=bytes(32), answers=known_answers(graph, (1,)))
        for file, text in files.items():
            (folder / file).write_text(text)
        (folder / "mh_messages.h").write_text(messages.c_header())
        app = resources.root("firmware_templates") / "app"
        include = [f"-I{path}" for path in (resources.kernels() / "include", app, folder)]
        argv = ["gcc", *FLAGS, *include, "-fsyntax-only", str(folder / "model.c")]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert report.footprint(program_of(graph)).layers == last
