"""Real files from the field, and files made to break readers: exact against TFLM, or refused truly.

Every file of ../shared/models/field and bad: what is not listed as refused must run. The sentences
name the file, the fact and a next step; reading takes seconds and little memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mcu_hybrid.compiler.emit.known_answers import inputs_of
from mcu_hybrid.compiler.passes import optimise
from mcu_hybrid.compiler.read.tflite import fix_input_shapes, read_tflite
from mcu_hybrid.errors import ModelError
from mcu_hybrid.reference import interp
from mcu_hybrid.reference.judge import Judge

SHARED = Path(__file__).resolve().parents[3] / "shared" / "models"
FILES = sorted([*SHARED.glob("field/*.tflite"), *SHARED.glob("bad/*.tflite")])
_STATE = "keeps state from one inference to the next"
_16X8 = "is quantised to int16 activations (16x8 scheme)"
# By the file's stem: what must be said of it. A file may run instead once the engine can.
REFUSED = {
    "mww_v2_okay_nabu": (_STATE, "VAR_HANDLE"),
    "mww_v2_vad": (_STATE, "READ_VARIABLE"),
    "tflm_micro_speech_lstm_int8": (_STATE, "operator 0 UNIDIRECTIONAL_SEQUENCE_LSTM"),
    "tflm_keyword_scrambled_svdf_int16in": (_STATE, "operator 1 SVDF"),
    "seanet_add0_int16x8": (_16X8,),
    "seanet_conv4_int16x8": (_16X8,),
    "seanet_leaky_relu0_int16x8": (_16X8,),
    "seanet_pad1_int16x8": (_16X8,),
    "gen_dynamic_hw": ("dynamic dimensions [1, -1, -1, 4]", "--input-shape 1x96x96x4"),
    "MAX_POOL_2D-filter65536": ("MAX_POOL_2D 'y'", "a window of [65536, 65536]"),
    "SOFTMAX-s1e-30": ("SOFTMAX 'y'", "1e-30 is not a sensible factor"),
    "conv-dil65536": ("CONV_2D 'y'", "dilation [65536, 65536]"),
    "huge-map": ("'x' has shape [1, 30000, 30000, 3]", "takes at most"),
    "mutant7003728-kws_ref_model": ("CONV_2D", "DepthwiseConv2DOptions"),
    "pad-1073741824": ("'y' has shape [1, 1073741828, 4, 2]", "takes at most"),
    "resize-30000": ("'y' has shape [1, 30000, 30000, 2]", "takes at most"),
}
# Operators and sums that another part of the engine may learn to run.
MAY_BE_REFUSED = {
    "ambiq_arrhythmia_int8": ("operator 6 MINIMUM",),
    "saturated_bias_dead_channel": ("CONV_2D",),
}

pytestmark = pytest.mark.skipif(not FILES, reason="../shared/models/field and bad are absent")


def _assert_refused(path: Path, error: ModelError, words: tuple[str, ...]) -> None:
    text = str(error)
    assert text.startswith(f"{path.name}: ")
    assert "\n  next step: " in text and error.hint
    for word in words:
        assert word in text


def _assert_exact(data: bytes, name: str) -> None:
    """The graph as read, and as optimised, gives TFLM's bytes."""
    graph, judge = read_tflite(data, name).graph, Judge(data)
    large = sum(graph.tensor(i).elements for op in graph.ops for i in op.outputs) > 1_000_000
    for seed in (1,) if large else (1, 2, 3):
        inputs = inputs_of(graph, seed)
        wanted = judge.run(inputs)
        for variant in (graph,) if large else (graph, optimise(graph)):
            for want, have in zip(wanted, interp.run(variant, inputs), strict=True):
                np.testing.assert_array_equal(have.ravel(), want.ravel())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_exact_or_refused_with_a_true_sentence(path: Path) -> None:
    words = REFUSED.get(path.stem)
    started = time.process_time()
    try:
        read_tflite(path.read_bytes(), path.name)
    except ModelError as error:
        wanted = words if words is not None else MAY_BE_REFUSED.get(path.stem)
        assert wanted is not None, f"refused: {error}"
        _assert_refused(path, error, wanted)
        assert time.process_time() - started < 5
        return
    _assert_exact(path.read_bytes(), path.name)


@pytest.mark.parametrize("shape", [(1, 3, 3, 4), (1, 40, 17, 4)])
def test_the_dynamic_file_runs_at_a_given_size(shape: tuple[int, ...]) -> None:
    path = SHARED / "field" / "gen_dynamic_hw.tflite"
    _assert_exact(fix_input_shapes(path.read_bytes(), path.name, {"": shape}), path.name)


def test_all_of_them_are_read_in_little_memory() -> None:
    """In a process that may take half a gigabyte more than it starts with."""
    text = """
import json, resource, sys
from mcu_hybrid.compiler.read.tflite import read_tflite
from mcu_hybrid.errors import McuHybridError
pages = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (pages + (512 << 20),) * 2)
told = {}
for path in sys.argv[1:]:
    name = path.rsplit("/", 1)[-1]
    try:
        read_tflite(open(path, "rb").read(), name)
        told[name] = "read"
    except McuHybridError as error:
        told[name] = error.message
print(json.dumps(told))
"""
    argv = [sys.executable, "-c", text, *map(str, FILES)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert len(told) == len(FILES)
    assert not [message for message in told.values() if "Memory" in message]
