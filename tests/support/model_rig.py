"""Many generated models in one program: on this machine under sanitizers, or on an emulated core.

Every model is the emitter's own model.c, compiled as it is with its names made unique, and judged
by the known answers in it, which are TFLM's. Not here: the models.
"""

from __future__ import annotations

import subprocess
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mcu_hybrid import resources
from mcu_hybrid.compiler.emit.known_answers import KnownAnswer, input_bytes
from mcu_hybrid.compiler.emit.model import emit
from mcu_hybrid.compiler.passes import optimise
from mcu_hybrid.compiler.program import Program, program_of
from mcu_hybrid.compiler.read.tflite import read_tflite
from mcu_hybrid.graph.types import Graph
from mcu_hybrid.reference.judge import Judge
from mcu_hybrid.wire import messages
from tests.support import arm_rig
from tests.support.rig import FLAGS

SEEDS = (0x12345678, 0x9E3779B9, 1)
_NAMES = (
    *("mh_model", "mh_kat", "mh_kat_count", "mh_layer_now", "mh_model_init"),
    *("mh_model_input", "mh_model_output", "mh_model_run"),
    *("mh_segments", "mh_segment_count", "mh_model_run_segment"),
)
_HEADER = """#include "mh_model.h"
typedef struct {{
    const mh_model_info *info;
    const mh_kat_vector *answer;
    const uint16_t *answers;
    mh_buffer (*input)(uint8_t);
    mh_buffer (*output)(uint8_t);
    mh_status (*run)(mh_layer_hook, void *);
}} model;
#define MODELS {count}u
extern const model models[MODELS];
"""
_EXTERN = """extern mh_model_info m{n}_mh_model;
extern const mh_kat_vector m{n}_mh_kat[];
extern const uint16_t m{n}_mh_kat_count;
mh_buffer m{n}_mh_model_input(uint8_t index);
mh_buffer m{n}_mh_model_output(uint8_t index);
mh_status m{n}_mh_model_run(mh_layer_hook hook, void *ctx);
"""


@dataclass(frozen=True)
class Judged:
    """A model as read, and TFLM's answers to the inputs of ``SEEDS``."""

    name: str
    graph: Graph
    answers: tuple[KnownAnswer, ...]


Maker = Callable[[Graph, Sequence[str], int], Program]  # graph, kernel folders, its number


def whole(graph: Graph, kernel_dirs: Sequence[str], number: int) -> Program:
    """Every operator by itself, in one segment."""
    return program_of(graph, kernel_dirs)


def judged(data: bytes, name: str) -> Judged:
    """Read a .tflite and let TFLM run it."""
    graph, judge = read_tflite(data, name).graph, Judge(data)
    answers = []
    for seed in SEEDS:
        outputs = judge.run(inputs_of(graph, seed))
        crc = zlib.crc32(b"".join(np.ascontiguousarray(out).tobytes() for out in outputs))
        answers.append(KnownAnswer(seed, crc))
    return Judged(name, graph, tuple(answers))


def inputs_of(graph: Graph, seed: int) -> list[np.ndarray]:
    """The int8 inputs that a known answer's seed stands for."""
    tensors = [graph.tensor(i) for i in graph.inputs]
    stream = input_bytes(seed, sum(t.bytes for t in tensors)).view(np.int8)
    ends = np.cumsum([t.bytes for t in tensors])[:-1]
    parts = np.split(stream, ends)
    return [part.reshape(t.shape) for part, t in zip(parts, tensors, strict=True)]


def run_host(models: Sequence[Judged], folder: Path, make: Maker = whole) -> list[str]:
    """Reference kernels under the sanitizers, no passes; the names of models that are wrong."""
    sources, include = _write(models, folder, ("ref",), make)
    argv = ["gcc", *FLAGS, *include, *map(str, sources), "-o", str(folder / "models")]
    _compile(argv)
    done = subprocess.run(
        [str(folder / "models")], capture_output=True, text=True, check=False, timeout=300
    )
    return _wrong(models, done.stdout, done.stderr)


def run_arm(
    models: Sequence[Judged],
    folder: Path,
    machine: str,
    cpu: str,
    kernel_dirs: Sequence[str],
    make: Maker = whole,
) -> list[str]:
    """Passes and the fast kernels on an emulated core; the names of models that are wrong."""
    fast = [replace(model, graph=optimise(model.graph)) for model in models]
    sources, include = _write(fast, folder, kernel_dirs, make)
    elf = folder / "models.elf"
    _compile([*arm_rig.compiler(cpu), *include, *map(str, sources), "-o", str(elf)])
    done = subprocess.run(
        [*arm_rig.emulator(machine), "-kernel", str(elf)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return _wrong(models, done.stdout + done.stderr, "")


def _write(
    models: Sequence[Judged], folder: Path, kernel_dirs: Sequence[str], make: Maker
) -> tuple[list[Path], list[str]]:
    """Write all generated C; return what is compiled, and the compiler's folders of headers."""
    folder.mkdir(parents=True, exist_ok=True)
    stems: set[str] = set()
    sources = [arm_rig.FILES / "models.c", folder / "table.c"]
    for n, model in enumerate(models):
        program = make(model.graph, kernel_dirs, n)
        stems.update(program.kernel_stems)
        files = emit(program, digest=bytes(32), answers=model.answers)
        (folder / f"m{n}").mkdir(exist_ok=True)
        for name, text in files.items():
            (folder / f"m{n}" / name).write_text(text, "utf-8")
        own = "\n".join(f"#define {name} m{n}_{name}" for name in _NAMES)
        sources.append(folder / f"m{n}.c")
        sources[-1].write_text(f'{own}\n#include "m{n}/model.c"\n', "utf-8")
    (folder / "mh_messages.h").write_text(messages.c_header(), "utf-8")
    (folder / "models.h").write_text(_HEADER.format(count=len(models)), "utf-8")
    (folder / "table.c").write_text(_table(len(models)), "utf-8")
    kernels, app = resources.kernels(), resources.root("firmware_templates") / "app"
    for stem in sorted(stems):
        sources += resources.kernel_sources(stem, kernel_dirs)
    return sources, [f"-I{path}" for path in (folder, kernels / "include", app)]


def _table(count: int) -> str:
    names = ("model", "kat", "kat_count", "model_input", "model_output", "model_run")
    rows = [
        "{"
        + ", ".join(f"{'&' * (i in (0, 2))}m{n}_mh_{name}" for i, name in enumerate(names))
        + "}"
        for n in range(count)
    ]
    externs = "".join(_EXTERN.format(n=n) for n in range(count))
    body = ",\n".join(rows)
    return f'#include "models.h"\n{externs}const model models[MODELS] = {{\n{body}\n}};\n'


def _compile(argv: Sequence[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:4000]


def _wrong(models: Sequence[Judged], output: str, errors: str) -> list[str]:
    lines = output.split("\n")
    rows = [line.split() for line in lines if line[:1].isdigit()]
    at = models[len(rows)].name if len(rows) < len(models) else ""
    assert "done" in lines, f"{at} did not finish: {lines[-3:]} {errors[:4000]}"
    return [m.name for m, (_, fault) in zip(models, rows, strict=True) if fault != "0"]
