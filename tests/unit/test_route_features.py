"""ROUTE_FEATURES: against a float softmax, C against numpy under the sanitizers, bad metadata.

The simple routers' scores are outputs of it; their numpy side is compared with the same C.
"""

from __future__ import annotations

import ctypes
import math
import subprocess
from pathlib import Path

import numpy as np
import pytest

from mcu_hybrid import mechanisms, resources
from mcu_hybrid.errors import ModelError
from mcu_hybrid.mechanisms.base import Logits
from mcu_hybrid.ops import route_features as rf

SCORES = ("entropy", "max-prob", "margin")
CLASSES = (2, 3, 10, 12, 100, 1000, 1024)


def attrs_of(classes: int, scale: float, seed: int = 0) -> rf.Attrs:
    rng = np.random.default_rng(seed)
    n = 1 + rf.top_of(classes)
    return rf.make_attrs(
        classes,
        scale,
        rng.uniform(0, 1, n).tolist(),
        rng.uniform(0.01, 1, n).tolist(),
        1 / 127,
        int(rng.integers(-20, 20)),
    )


def logits_of(classes: int, count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    q = rng.normal(0, rng.choice([3, 30, 90], (count, 1)), (count, classes))
    q = np.clip(np.round(q), -128, 127).astype(np.int8)
    q[0], q[1], q[2] = -128, 127, -128  # all equal at both ends, one certain class
    q[2, -1] = 127
    q[3, ::2] = q[3].max()  # ties for the first place
    q[4] = np.where(q[4] > np.median(q[4]), 127, -128)  # saturated at both ends
    q[5], q[5, 0] = 0, 1  # one step apart
    return q


@pytest.mark.parametrize("classes", CLASSES)
@pytest.mark.parametrize("scale", [0.003, 0.05, 0.2, 1.5])
def test_entropy_and_probabilities_are_within_the_stated_bound_of_float(classes, scale):
    q = logits_of(classes, 200, classes)
    entropy, top = rf.entropy_and_top(attrs_of(classes, scale), q)
    z = q.astype(np.float64) * scale
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    exact = -(p * np.log(np.maximum(p, 1e-300))).sum(axis=1)
    bound = classes * (2 + math.log(classes)) / 2**20 + 2 / 2**16
    assert np.abs(entropy / 2**16 - exact).max() <= bound
    largest = -np.sort(-p, axis=1)[:, : rf.top_of(classes)]
    assert np.abs(top / 2**15 - largest).max() <= 2**-16 + classes / 2**20


def test_extremes_are_exact():
    q = np.array([[5] * 8, [127] + [-128] * 7], np.int8)
    entropy, top = rf.entropy_and_top(attrs_of(8, 0.5), q)
    assert entropy[0] == round(math.log(8) * 65536) and (top[0] == 4096).all()
    assert entropy[1] == 0 and top[1].tolist() == [32768] + [0] * 7


def test_features_are_the_standardised_values():
    attrs = rf.make_attrs(4, 0.1, [0.7, 0.5, 0.2, 0.1, 0.1], [0.7, 0.5, 0.3, 0.2, 0.1], 1 / 127, 3)
    q = logits_of(4, 50, 1)
    features, _ = rf.compute(attrs, q)
    entropy, top = rf.entropy_and_top(attrs, q)
    x = np.concatenate([entropy[:, None] / 65536, top / 32768], axis=1)
    wanted = (x - [0.7, 0.5, 0.2, 0.1, 0.1]) / [0.7, 0.5, 0.3, 0.2, 0.1] * 127 + 3
    assert np.abs(features - np.clip(wanted, -128, 127)).max() <= 0.55  # the offset is rounded too


def test_simple_scores_by_hand():
    """Ties, a certain class, equal logits: where the definitions meet."""
    attrs = attrs_of(4, 0.5)
    q = np.array([[9, 9, 9, 9], [127, -128, -128, -128], [40, 40, -128, -128]], np.int8)
    _, scores = rf.compute(attrs, q)
    one, half = 32768, 16384
    assert scores[0].tolist() == [round(math.log(4) * 65536), one - one // 4, one]
    assert scores[1].tolist() == [0, 0, 0]
    assert scores[2].tolist() == [round(math.log(2) * 65536), half, one]


@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_simple_scores_are_those_of_a_float_softmax(classes):
    attrs = attrs_of(classes, 0.07)
    q = logits_of(classes, 200, classes)
    z = q.astype(np.float64) * 0.07
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p = -np.sort(-p / p.sum(axis=1, keepdims=True), axis=1)
    bound = 2 * (2**-16 + classes / 2**20)
    scores = rf.compute(attrs, q)[1] / 32768
    assert np.abs(scores[:, 1] - (1 - p[:, 0])).max() <= bound
    assert np.abs(scores[:, 2] - (1 - p[:, 0] + p[:, 1])).max() <= bound
    assert (scores[:, 1:] >= 0).all() and (scores[:, 1:] <= 1).all()


class _Params(ctypes.Structure):
    _fields_ = (
        *((n, ctypes.c_int32) for n in ("classes", "top", "scale_q24", "out_zero_point")),
        ("exp_table", ctypes.POINTER(ctypes.c_uint32)),
        *((n, ctypes.POINTER(ctypes.c_int32)) for n in ("offset", "mult", "shift")),
    )


def _pointer(values, ctype, keep):
    array = (ctype * len(values))(*values)
    keep.append(array)
    return ctypes.cast(array, ctypes.POINTER(ctype))


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    out = tmp_path_factory.mktemp("route") / "route.so"
    folder = resources.kernels()
    source = folder / "ref" / "route_features_s8.c"
    flags = ["-std=c99", "-O1", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-shared", "-fPIC"]
    # Undefined behaviour traps, so a violation ends the process: no runtime to preload.
    trap = ["-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"]
    argv = ["gcc", *flags, *trap, f"-I{folder / 'include'}", str(source), "-o", str(out)]
    subprocess.run(argv, check=True)
    return ctypes.CDLL(str(out))


@pytest.mark.parametrize("classes", CLASSES)
def test_c_equals_numpy(library, classes):
    for seed, scale in enumerate((0.001, 0.04, 0.3, 63.0)):
        attrs = attrs_of(classes, scale, seed)
        q = logits_of(classes, 40, seed)
        features, scores = rf.compute(attrs, q)
        seen = Logits(q, attrs.scale_q24, *rf.entropy_and_top(attrs, q))
        for column, name in enumerate(SCORES):
            router = mechanisms.by_name(name)
            assert router.score is not None
            assert (router.score(seen) == scores[:, column]).all()
            assert router.output == "route_scores"
            assert column == router.column
        keep: list[object] = []
        params = _Params(
            attrs.classes,
            attrs.top,
            attrs.scale_q24,
            attrs.out_zero_point,
            _pointer(attrs.exp_table, ctypes.c_uint32, keep),
            *(
                _pointer(v, ctypes.c_int32, keep)
                for v in (attrs.offsets, attrs.multipliers, attrs.shifts)
            ),
        )
        out0 = np.zeros(attrs.top + 4, np.int8)
        out1 = np.zeros(len(SCORES) + 1, np.int32)
        for i, row in enumerate(q):
            out0[:], out1[:] = 77, 77
            status = library.mh_route_features_s8(
                ctypes.byref(params),
                np.ascontiguousarray(row).ctypes.data_as(ctypes.c_void_p),
                out0.ctypes.data_as(ctypes.c_void_p),
                out1.ctypes.data_as(ctypes.c_void_p),
                None,
            )
            assert status == 0
            assert out0[: attrs.top + 1].tolist() == features[i].tolist()
            assert (out0[attrs.top + 1 :] == 77).all()
            assert out1.tolist() == [*scores[i].tolist(), 77]


def test_c_refuses_bad_parameters(library):
    bad = _Params(1, 1, 1, 0)
    assert library.mh_route_features_s8(ctypes.byref(bad), None, None, None, None) == 1


def test_address_sanitizer_is_clean(tmp_path: Path):
    """The largest class count in exactly sized heap blocks, under ASan and UBSan."""
    attrs = attrs_of(1024, 64.0)
    numbers = ", ".join(f"{x}u" for x in attrs.exp_table)
    program = f"""
#include "mh_nn_route.h"
#include <stdlib.h>
static const uint32_t table[256] = {{{numbers}}};
int main(void) {{
    int8_t *in = malloc(1024), *out = malloc(11); int32_t *h = malloc(12);
    int32_t *off = calloc(11, 4), *m = malloc(44), *s = calloc(11, 4);
    for (int i = 0; i < 11; i++) {{ m[i] = 1 << 30; s[i] = 7; off[i] = -(1 << 22) + 1; }}
    for (int i = 0; i < 1024; i++) {{ in[i] = (int8_t)(i % 2 ? -128 : 127); }}
    const mh_route_features_params p = {{1024, 10, 1 << 30, 0, table, off, m, s}};
    const int bad = mh_route_features_s8(&p, in, out, h, 0) != MH_OK;
    free(in); free(out); free(h); free(off); free(m); free(s);
    return bad;
}}"""
    (tmp_path / "t.c").write_text(program)
    folder = resources.kernels()
    argv = ["gcc", "-std=c99", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover"]
    argv += [f"-I{folder / 'include'}", str(tmp_path / "t.c")]
    argv += [str(folder / "ref" / "route_features_s8.c"), "-o", str(tmp_path / "t")]
    subprocess.run(argv, check=True)
    subprocess.run([str(tmp_path / "t")], check=True)


def test_json_round_trip_and_faults():
    attrs = attrs_of(10, 0.1)
    data = attrs.to_json()
    assert rf.from_json(data, "m.tflite") == attrs
    for key, value, words in (
        ("classes", 1, "classes must be"),
        ("top", 3, "top must be"),
        ("scale_q24", 0, "scale of the logits"),
        ("offsets", [1], "must have 11 entries"),
        ("exp_table", "x", "'exp_table' is missing or not a list"),
        ("shifts", [8] * 11, "width is out of range"),
        ("multipliers", [1.5] * 11, "not a list of integers"),
    ):
        with pytest.raises(ModelError, match=words):
            rf.from_json({**data, key: value}, "m.tflite")
